# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A BMC's event log: what clients do with it, and what the BMC notes in it by itself.

The board's own entries never hold anything up: they are stored in the background, and one that can't be stored
is in the log until the worker ends. What a client adds or removes is on disk before it is acknowledged.
"""

from __future__ import annotations

import logging
import time
from typing import Callable, Optional, Sequence

from vbmcd.background import Background
from vbmcd.commands.keep import Keep, Saver
from vbmcd.machine.base import Action, BootDevice, BootOverride, Busy
from vbmcd.storage import events
from vbmcd.storage.sel import Sel

log = logging.getLogger(__name__)

RECORD = "sel"

LOGIN_BURST = 8
LOGIN_SECONDS = 60.0
"""Failed logins that are noted: so many at once, and then one in so many seconds. Who guesses passwords would
otherwise push all else out of the log, and keep the disk busy."""


class Journal:
    """The log of one BMC. Made of its stored bytes only once somebody wants to see or add something."""

    __slots__ = (
        "_background",
        "_clock",
        "_closed",
        "_keep",
        "_kept",
        "_login_allowance",
        "_login_noted",
        "_saver",
        "_sel",
        "watchdog",
    )

    def __init__(self, keep: Keep, clock: Callable[[], float] = time.time) -> None:
        self._keep = keep
        self._saver = Saver(keep, RECORD, self._to_bytes)
        self._background: Optional[Background] = None
        self._clock = clock
        self._closed = False
        self._kept = b""
        self._sel: Optional[Sel] = None
        self._login_allowance = float(LOGIN_BURST)
        self._login_noted = 0.0
        self.watchdog = 0
        """The watchdog sensor's states, as bits: how the timer expired. Who starts the timer anew clears them."""

    def restore(self, kept: bytes) -> None:
        self._kept = kept

    @property
    def sel(self) -> Sel:
        if self._sel is None:
            self._sel, self._kept = Sel.from_bytes(self._kept), b""
        return self._sel

    def _to_bytes(self) -> bytes:
        return self.sel.to_bytes()

    @property
    def now(self) -> float:
        return self._clock()

    def close(self) -> None:
        """Note nothing any more: another journal of the same instance has taken over, or will."""
        self._closed = True

    async def drain(self) -> None:
        """Wait until what was noted is stored."""
        if self._background is not None:
            await self._background.drain()

    # --- What the board notes by itself ----------------------------------------------------------------------

    def power(self, on: bool) -> None:
        """The machine was switched on or off, by whomever (Machine.observe)."""
        self._note(events.power(on))
        if on:
            self._note(events.boot(events.SystemBoot.POWER_UP))

    def controlled(self, action: Action, used: Optional[BootOverride]) -> None:
        """A power command was carried out, with a boot override or none."""
        if action is Action.RESET:
            self._note(events.boot(events.SystemBoot.HARD_RESET))
        if used is not None and used.device is BootDevice.NETWORK:
            self._note(events.boot(events.SystemBoot.PXE_REQUESTED))

    def power_failed(self, failures: Sequence[str]) -> None:
        """A power command failed for parts of the machine: 'part: reason' of each, as text behind the event."""
        self._note(events.power_control_failed())
        for failure in failures:
            for entry in events.text(failure):
                self._note_entry(entry)

    def login_failed(self, user_id: int, channel: int) -> None:
        """Somebody gave a wrong password for a user, or named nobody that there is (id 0)."""
        now = self._clock()
        self._login_allowance += max(0.0, now - self._login_noted) / LOGIN_SECONDS
        self._login_allowance = min(self._login_allowance, float(LOGIN_BURST))
        self._login_noted = now
        if self._login_allowance >= 1:
            self._login_allowance -= 1
            self._note(events.failed_login(user_id, channel))

    def watchdog_expired(self, state: int, cause: int, note: bool = True) -> None:
        """The watchdog timer expired: `state` as events.watchdog() has it; its sensor shows it from now on.

        `note`: whether the log is to have it, which is for who sets the timer to say (27.6, byte 1).
        """
        self.watchdog = 1 << state
        if note:
            self._note(events.watchdog(state, cause))

    def _note(self, event: events.Event) -> None:
        self._note_entry(event.entry())

    def _note_entry(self, entry: bytes) -> None:
        if not self._closed:
            self.sel.add(entry, self.now)
            self._store_soon()

    def _store_soon(self) -> None:
        if self._closed:
            return
        if self._background is None:
            self._background = Background()
        if not len(self._background):
            self._background.start(self._store())

    async def _store(self) -> None:
        stored = b""
        while stored != self._to_bytes():
            stored = self._to_bytes()
            try:
                await self._saver.save()
            except Busy as error:
                log.warning("an entry of the event log could not be stored: %s", error)
                return

    # --- What clients do ---------------------------------------------------------------------------------------

    async def add(self, entry: bytes) -> int:
        """Add a client's entry; its id. Raises Busy, and has not added it, when it can't be stored."""
        number = self.sel.add(entry, self.now)
        try:
            await self._saver.save()
        except Busy:
            self.sel.take_back(number)
            raise
        return number

    async def change(self, edit: Callable[[Sel, float], object]) -> None:
        """Have `edit` change the log at that time. Stored first: what can't be is not done. Raises Busy."""
        now, rehearsal = self.now, Sel.from_bytes(self._to_bytes())
        edit(rehearsal, now)
        await self._keep(RECORD, rehearsal.to_bytes())
        edit(self.sel, now)
        # Once more, with what the board has noted meanwhile.
        self._store_soon()
