# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long something may still take. Handed down from the run to each step, so that no step outlives its node."""

from __future__ import annotations

import time
from typing import Callable, Optional

from .errors import TimedOut


class Deadline:
    """A moment on a monotonic clock; `seconds` None means never."""

    def __init__(self, seconds: Optional[float], clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = None if seconds is None else clock() + seconds

    @property
    def left(self) -> float:
        """Seconds, and 0 when it has passed."""
        return float("inf") if self._end is None else max(0.0, self._end - self._clock())

    @property
    def passed(self) -> bool:
        return self.left == 0.0

    def at_most(self, seconds: Optional[float]) -> Deadline:
        """The sooner of this one and `seconds` from now."""
        left = min(self.left, float("inf") if seconds is None else seconds)
        return Deadline(None if left == float("inf") else left, self._clock)

    def and_then(self, seconds: float) -> Deadline:
        """The moment `seconds` after this one."""
        later = Deadline(None, self._clock)
        later._end = None if self._end is None else self._end + seconds
        return later

    def check(self, doing: str) -> None:
        """Raises TimedOut when it has passed."""
        if self.passed:
            raise TimedOut(f"no time was left for {doing}")
