# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The watchdog timer as a state machine (IPMI 2.0, chapter 27): the time is passed in, nothing runs by itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Optional

from vbmcd.commands.codes import Code, CommandError
from vbmcd.machine.base import Action

DONT_LOG = 0x80
DONT_STOP = 0x40
RUNNING = 0x40
"""Bit 6 of the use: in a Set 'don't stop', in a Get 'is running' (27.6, 27.7)."""
TICKS = 10
"""A second has ten counts."""

ACTIONS = {0: None, 1: Action.RESET, 2: Action.OFF, 3: Action.CYCLE}
NMI = 2
INTERRUPTS = {0: None, NMI: Action.DIAGNOSTIC}
"""Pre-timeout interrupts that a machine can get. SMI and messages are for interfaces that it has not."""


@dataclass(frozen=True)
class WatchdogSettings:
    """The request of Set Watchdog Timer (27.6)."""

    use: int = 4
    """1 to 5: BIOS FRB2, BIOS/POST, OS load, SMS/OS, OEM. Clients set what they have read before, but for what they
    change, so that it has to be one of these even before it was ever set."""
    log: bool = True
    keep_running: bool = False
    action: int = 0
    interrupt: int = 0
    pre_timeout: int = 0
    """Seconds before the end at which the interrupt comes."""
    clear: int = 0
    """Expiration flags to clear."""
    count: int = 0
    """Tenths of a second."""

    @classmethod
    def parse(cls, data: bytes) -> WatchdogSettings:
        """CCh: a use or action that is reserved, an interrupt that no machine gets, or one due before the start."""
        if len(data) != 6:
            raise CommandError(Code.REQUEST_LENGTH_INVALID)
        use, action, interrupt = data[0] & 0x07, data[1] & 0x07, data[1] >> 4 & 0x07
        count = int.from_bytes(data[4:], "little")
        if not 1 <= use <= 5 or action not in ACTIONS or interrupt not in INTERRUPTS:
            raise CommandError(Code.INVALID_FIELD)
        if interrupt and data[2] * TICKS > count:
            raise CommandError(Code.INVALID_FIELD)
        return cls(use, not data[0] & DONT_LOG, bool(data[0] & DONT_STOP), action, interrupt, data[2], data[3], count)

    def __str__(self) -> str:
        action = ACTIONS[self.action]
        return f"{action.value if action else 'nothing'} after {self.count / TICKS:g} s"


@dataclass(frozen=True)
class Expired:
    """What is due: an action, or nothing but the mark that the time is over."""

    action: Optional[Action]
    settings: WatchdogSettings
    """Those that it ran with."""
    final: bool
    """False for the pre-timeout interrupt."""

    @property
    def use(self) -> int:
        return self.settings.use

    @property
    def log(self) -> bool:
        return self.settings.log

    @property
    def cause(self) -> int:
        """The event's data 2 (table 42-3): the type of the pre-timeout interrupt, and the use."""
        return self.settings.interrupt << 4 | self.settings.use


class WatchdogTimer:
    """One timer. Whoever asks has called due() before, as often as it gave something."""

    def __init__(self) -> None:
        self.settings: Optional[WatchdogSettings] = None
        self.flags = 0
        """Bit n: the timer expired while its use was n (27.7, byte 5)."""
        self._ends: Optional[float] = None
        """When it expires; None while it is stopped."""
        self._left = 0
        """Counts that it stopped at."""
        self._interrupted = False

    def set(self, settings: WatchdogSettings, now: float) -> None:
        """Set Watchdog Timer (27.6): stops it, unless it is told to run on, from the new count."""
        self.flags &= ~settings.clear
        running = self._ends is not None
        self.settings = settings
        self.stop(now)
        self._left = settings.count
        if running and settings.keep_running:
            self.reset(now)

    def reset(self, now: float) -> None:
        """Reset Watchdog Timer (27.5): start it, or start anew. 80h where it was never set."""
        if self.settings is None:
            raise CommandError(Code.WATCHDOG_NOT_SET)
        self._interrupted = False
        self._ends = now + self.settings.count / TICKS

    def stop(self, now: float) -> None:
        self._left, self._ends = self._count(now), None

    def get(self, now: float) -> bytes:
        """The answer of Get Watchdog Timer (27.7)."""
        settings = self.settings or WatchdogSettings()
        use = settings.use | (0 if settings.log else DONT_LOG) | (RUNNING if self._ends is not None else 0)
        head = bytes((use, settings.interrupt << 4 | settings.action, settings.pre_timeout, self.flags))
        return head + settings.count.to_bytes(2, "little") + self._count(now).to_bytes(2, "little")

    @property
    def next(self) -> Optional[float]:
        """When due() has to be called next; None while nothing can become due."""
        if self._ends is None or self.settings is None:
            return None
        if self.settings.interrupt and not self._interrupted:
            return self._ends - self.settings.pre_timeout
        return self._ends

    def due(self, now: float) -> Optional[Expired]:
        """What is due by `now`; each thing is told once."""
        moment, settings = self.next, self.settings
        if moment is None or settings is None or now < moment:
            return None
        if settings.interrupt and not self._interrupted:
            self._interrupted = True
            return Expired(INTERRUPTS[settings.interrupt], settings, final=False)
        self._ends, self._left = None, 0
        self.flags |= 1 << settings.use
        # 'Don't log' is for one expiration (27.3).
        self.settings = replace(settings, log=True)
        return Expired(ACTIONS[settings.action], settings, final=True)

    def _count(self, now: float) -> int:
        if self._ends is None:
            return self._left
        most = self.settings.count if self.settings else 0
        return min(most, max(0, round((self._ends - now) * TICKS)))
