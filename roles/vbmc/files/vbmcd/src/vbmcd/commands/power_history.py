# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a BMC remembers of its machine's power: for how long it was on, and whether it is.

Nothing is polled and little is written: a run that began is stored once, and goes on counting over restarts of the
daemon as long as libvirt's id of the domain says that it is the same run. Only where it can have ended while nobody
looked, its last CHECKPOINT_SECONDS may be missing from the count.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from dataclasses import asdict, dataclass
from typing import Callable, Optional, Tuple

from vbmcd.background import Background
from vbmcd.commands.journal import Journal
from vbmcd.commands.keep import Keep, Saver
from vbmcd.machine.base import Busy, Machine, Power

RECORD = "power"
SAVE_SECONDS = 60.0
"""How long a change may wait to be stored, so that machines that come and go cost the disk little."""
CHECKPOINT_SECONDS = 24 * 3600.0


@dataclass
class Known:
    """The record."""

    seconds: float = 0.0
    """For how long it was on, in the runs that have ended."""
    on: bool = False
    run: int = 0
    machine: str = ""
    host_run: str = ""
    """Of the run that was seen last (machine.base)."""
    since: float = 0.0
    seen: float = 0.0
    """When the present run began, and until when it is known to have gone on; by the host's clock."""

    @classmethod
    def from_bytes(cls, record: bytes) -> Known:
        """Nothing is known where it is damaged."""
        try:
            known = cls(**json.loads(record))
            return cls(
                float(known.seconds), bool(known.on), int(known.run), str(known.machine), str(known.host_run),
                float(known.since), float(known.seen),
            )  # fmt: skip
        except (ValueError, TypeError):
            return cls()


def no_outage(power: Power) -> bool:
    """For a BMC that does nothing about it."""
    return False


class PowerHistory:
    """The observer of one BMC's machine (machine.base.PowerObserver)."""

    __slots__ = (
        "_background",
        "_clock",
        "_closed",
        "_dirty",
        "_journal",
        "_known",
        "_machine",
        "_saver",
        "_timer",
        "fault",
        "on_outage",
        "outage",
        "prompt",
    )

    def __init__(self, keep: Keep, machine: Machine, journal: Journal, clock: Callable[[], float] = time.time) -> None:
        self._saver = Saver(keep, RECORD, self._to_bytes)
        self._machine = machine
        self._journal = journal
        self._clock = clock
        self._known = Known()
        self._background: Optional[Background] = None
        self._timer: Optional[asyncio.TimerHandle] = None
        self._dirty = False
        self._closed = False
        self.prompt = False
        """Whether what becomes of the machine depends on the record, so that each change is stored at once."""
        self.fault = False
        """Whether parts of the machine did not do what the last power command asked of it."""
        self.outage = False
        """Whether the machine last lost its power with its hypervisor."""
        self.on_outage: Callable[[Power], bool] = no_outage
        """Told of such an outage, and how the machine was found after it. Whether it will be switched on: until it
        is, or settle() is called, the record stays as it was."""

    def restore(self, kept: bytes) -> None:
        self._known = Known.from_bytes(kept)

    @property
    def seconds(self) -> float:
        """For how long the machine has been on, since there is this BMC."""
        known = self._known
        return known.seconds + (max(0.0, self._clock() - known.since) if known.on else 0.0)

    @property
    def run(self) -> Optional[float]:
        """When the machine's present run began, in seconds since the epoch; None while it is off."""
        return self._known.since if self._known.on else None

    def switched(self, power: Power) -> None:
        self._journal.power(power.on)
        if not power.on:
            self.outage = False
        if power.on != self._known.on or (power.on and power.run != self._known.run):
            self._end(self._clock())
            self._begin(power)

    def commanded(self, failures: Tuple[str, ...]) -> None:
        self.fault = bool(failures)
        if failures:
            self._journal.power_failed(failures)

    def found(self, power: Power) -> None:
        known, host_run = self._known, self._machine.host_run()
        run, same = (*power[1:], host_run), (known.run, known.machine, known.host_run)
        if power.on == known.on and (not power.on or run == same):
            return
        was_on, reboot = known.on, bool(known.host_run and host_run and known.host_run != host_run)
        self._end(known.seen)
        self.outage = was_on and reboot
        if not self.outage or not self.on_outage(power):
            self._begin(power)

    def settle(self) -> None:
        """The machine is not going to be switched on after all."""
        self._begin(Power(on=False))

    async def save(self) -> None:
        """Return when the present state is on disk. Raises Busy when it can't be."""
        self._dirty = False
        try:
            await self._saver.save()
        except Busy:
            self._dirty = True
            raise

    async def drain(self) -> None:
        """Store what is not yet."""
        if self._dirty:
            self._store()
        if self._background is not None:
            await self._background.drain()

    def close(self) -> None:
        """Store nothing any more: another history of the same instance has taken over, or will."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()

    def _end(self, when: float) -> None:
        known = self._known
        if known.on:
            known.seconds += max(0.0, when - known.since)
            known.on = False

    def _begin(self, power: Power) -> None:
        known, now = self._known, self._clock()
        if power.on and known.machine not in ("", power.machine):
            known.seconds = 0.0
        known.on, known.since, known.seen = power.on, now, now
        known.run, known.machine, known.host_run = power.run, power.machine or known.machine, self._machine.host_run()
        self._dirty = True
        if self.prompt:
            self._store()
        else:
            self._store_within(SAVE_SECONDS)

    def _store_within(self, seconds: float) -> None:
        """At some moment, so that a thousand machines that were found at once are not stored at once."""
        if self._timer is not None:
            self._timer.cancel()
        if not self._closed:
            delay = seconds * random.uniform(0.5, 1.0)  # noqa: S311
            self._timer = asyncio.get_running_loop().call_later(delay, self._store)

    def _store(self) -> None:
        if self._closed:
            return
        if self._background is None:
            self._background = Background()
        self._background.start(self._save_again())

    async def _save_again(self) -> None:
        try:
            await self.save()
        except Busy:
            self._store_within(SAVE_SECONDS)
            return
        if self._known.on:
            self._store_within(CHECKPOINT_SECONDS)

    def _to_bytes(self) -> bytes:
        if self._known.on:
            self._known.seen = self._clock()
        return json.dumps(asdict(self._known)).encode()
