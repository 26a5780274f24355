# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The firmware of one BMC, alive: ``software`` on the event loop's clock, stored as it changes, and the BMC's reset."""

from __future__ import annotations

import asyncio
import logging
import secrets
from dataclasses import replace
from typing import Any, Callable, Coroutine, Optional

from vbmcd.background import Background
from vbmcd.commands.bmc import Bmc
from vbmcd.config import Instance
from vbmcd.firmware.image import Purpose
from vbmcd.firmware.record import RECORD, Kept
from vbmcd.firmware.software import Refused, Software
from vbmcd.machine.base import Busy

log = logging.getLogger(__name__)

GOING = 0.05
"""The part of a reset's time that the BMC still answers: who asked for it gets an answer."""
MOST_GOING = 2.0
STARTING = 0.2
"""The part of it, at the end, in which it answers again and says that it is starting."""


class Unit:
    """A part of the Bmc, made when firmware is first asked for. A reset of the BMC ends it, and another goes on."""

    def __init__(self, bmc: Bmc) -> None:
        self._bmc = bmc
        self._loop = asyncio.get_running_loop()
        self._background = Background()
        self._timer: Optional[asyncio.TimerHandle] = None
        self._resetting: Optional[asyncio.TimerHandle] = None
        self._fetch: Optional[asyncio.Task[None]] = None
        options = bmc.instance.firmware
        self._software = Software(options, Kept.from_bytes(bmc.kept.get(RECORD, b"")), lambda: secrets.token_hex(4))
        self._follow()

    def look(self) -> Software:
        """The software as it is now. Who changes anything calls done() afterwards, or has change() do it."""
        self._software.advance(self.now)
        run = self._bmc.history.run
        self._software.host_seen(run is not None, run or 0.0)
        self._follow()
        return self._software

    @property
    def now(self) -> float:
        """The clock that the software's times are of."""
        return self._loop.time()

    def done(self) -> None:
        """Something was changed that a client need not wait for."""
        self._follow()

    async def change(self, edit: Callable[[Software], None]) -> None:
        """Have `edit` change what outlives a reset. It is stored first: what can't be is not done.

        Raises Busy, and Refused as `edit` does.
        """
        rehearsal = self.look().rehearsal()
        edit(rehearsal)
        await self._bmc.remember(RECORD, rehearsal.record().to_bytes())
        if self._bmc.has(Unit) is not self:
            raise Busy("the BMC has reset meanwhile")
        try:
            edit(self._software)
        except Refused as refused:  # for another change, of the same moment
            raise Busy(str(refused)) from None
        finally:
            # Other things may have happened meanwhile, and with them it is stored once more.
            self._software.changed = True
            self._follow()

    def renew(self) -> None:
        """The instance has other options: they count from now on, and what is under way goes on."""
        self._software.renew(self._bmc.instance.firmware)
        self._follow()

    def stop(self) -> None:
        """Nothing happens by itself from now on. What is being stored is stored all the same."""
        for timer in (self._timer, self._resetting):
            if timer is not None:
                timer.cancel()
        if self._fetch is not None:
            self._fetch.cancel()

    def fetch(self, job: Coroutine[Any, Any, None]) -> None:
        """Run what fetches an image; it ends with the next reset."""
        self._fetch = self._loop.create_task(job)

    @property
    def fetching(self) -> bool:
        return self._fetch is not None and not self._fetch.done()

    # --- Inside -----------------------------------------------------------------------------------------------------

    def _follow(self) -> None:
        """Do what the software wants, and wake up when it will want something again."""
        software = self._software
        if software.reset_due:
            self.reset_soon()
        if software.changed:
            self._background.start(self._store_soon())
        if self._timer is not None:
            self._timer.cancel()
        event = software.next_event()
        self._timer = None if event is None else self._loop.call_at(event, self._wake)

    def _wake(self) -> None:
        self.look()

    async def _store_soon(self) -> None:
        try:
            await self._store()
        except Busy as error:
            log.warning("the firmware could not be stored: %s", error)

    async def _store(self) -> None:
        self._software.changed = False
        try:
            await self._bmc.remember(RECORD, self._software.record().to_bytes())
        except Busy:
            self._software.changed = True  # the next look tries again
            raise

    def reset_soon(self) -> None:
        """Reset the BMC, once who asked for it can have got the answer: the next image runs afterwards."""
        if self._resetting is None:
            seconds = self._bmc.instance.firmware.reboot_seconds
            self._resetting = self._loop.call_later(min(MOST_GOING, GOING * seconds), self._reset)

    def _reset(self) -> None:
        bmc, seconds = self._bmc, self._bmc.instance.firmware.reboot_seconds
        self._software.advance(self.now)
        self._software.reset()
        # In memory at once: the unit that follows this one begins with it.
        bmc.kept[RECORD] = self._software.record().to_bytes()
        self._background.start(self._store_soon())
        bmc.go_away(seconds * (1 - STARTING), seconds)
        log.info("the BMC resets", extra={"fields": {"instance": bmc.instance.name, "seconds": f"{seconds:g}"}})


def firmware_version(bmc: Bmc) -> str:
    """Of the BMC's own image that runs."""
    image = bmc.part(Unit).look().running(Purpose.BMC)
    return image.manifest.version if image else bmc.instance.firmware.version


def renew(bmc: Bmc, wanted: Instance) -> bool:
    """Have `bmc` be as `wanted`. False where more than options of its firmware differ, or it begins with another."""
    before, after = bmc.instance.firmware, wanted.firmware
    if before == after or replace(bmc.instance, firmware=after) != wanted:
        return False
    if (before.version, before.host_version) != (after.version, after.host_version):
        return False
    bmc.instance = wanted
    bmc.part(Unit).renew()
    return True
