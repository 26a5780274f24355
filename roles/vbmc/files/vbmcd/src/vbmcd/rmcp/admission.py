# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which datagrams from outside of any session are looked into while one BMC gets too many of them.

To answer one costs ten times what it costs to drop it unread, so that a flood would leave no time for who is
logged in, nor room in the socket's queue for who wants to be. Up to FREE in a WINDOW all pass. Beyond that each
source has a few of its own, which stops a flood from few of them. Where there are more sources than a BMC has
clients, one that was not heard of lately is dropped once: a client asks again after a second, and passes then, while
who forges addresses does not come back with the same. A login that succeeds is not counted. Time is passed in.
"""

from __future__ import annotations

from typing import Dict, Optional

from vbmcd.rmcp.packet import Address

WINDOW = 0.1
"""Seconds."""
FREE = 200
"""Datagrams in a window that are looked into, whoever sent them."""
PERIOD = 2.0
"""Seconds for which it is remembered who sent something beyond that."""
PER_SOURCE = 8
"""What one port may send beyond FREE in a period: two logins' worth."""
CROWD = 1000
"""How many ports may do so without having been heard of before."""


class Admission:
    """Counts what comes to one BMC. Small until there is a flood."""

    __slots__ = ("_count", "_period", "_window")

    def __init__(self) -> None:
        self._window = 0.0
        """When the present window ends."""
        self._count = 0
        self._period: Optional[_Period] = None

    def admits(self, source: Address, now: float) -> bool:
        """Whether to look into a datagram of `source`."""
        if now >= self._window:
            self._window, self._count = now + WINDOW, 0
        self._count += 1
        if self._count <= FREE:
            return True
        if self._period is None:
            self._period = _Period(now)
        return self._period.admits(hash(source), now)

    def credit(self, source: Address, datagrams: int) -> None:
        """A login of `source` has succeeded, with so many datagrams: they do not count."""
        self._count = max(0, self._count - datagrams)
        if self._period is not None:
            self._period.passed.pop(hash(source), None)

    def expire(self, now: float) -> None:
        """Free what was kept for a flood that is over."""
        if self._period is not None and self._period.is_over(now):
            self._period = None


class _Period:
    """Who sent what in the last seconds of a flood. Sources are known by their hash alone."""

    PLACES = 1 << 22
    """Of each set of `_heard` and `_before`, half a MiB. 100,000 sources a second set a tenth of them, so that one of
    a hundred who were not heard of is taken for one who was."""

    def __init__(self, now: float) -> None:
        self.passed: Dict[int, int] = {}
        """What was let through."""
        self._ends = now + PERIOD
        self._heard = self._before = bytearray()
        """A bit at two places for each source that was heard of, in this period and in the last one."""

    def is_over(self, now: float) -> bool:
        return now > self._ends + PERIOD

    def admits(self, source: int, now: float) -> bool:
        if now >= self._ends:
            self._ends = now + PERIOD
            self.passed.clear()
            self._before, self._heard = self._heard, bytearray()
        passed = self.passed.get(source, 0)
        if passed >= PER_SOURCE:
            return False
        if not passed and len(self.passed) >= CROWD and not self._was_heard(source):
            return False
        self.passed[source] = passed + 1
        return True

    def _was_heard(self, source: int) -> bool:
        """Whether `source` was heard of before; from now on it was."""
        if not self._heard:
            self._heard = bytearray(self.PLACES >> 3)
        places = (source & (self.PLACES - 1), source >> 22 & (self.PLACES - 1))
        known = all(_has(self._heard, place) for place in places) or all(_has(self._before, place) for place in places)
        for place in places:
            self._heard[place >> 3] |= 1 << (place & 7)
        return known


def _has(bits: bytearray, place: int) -> bool:
    return bool(bits) and bool(bits[place >> 3] & 1 << (place & 7))
