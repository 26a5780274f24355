# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node while a command runs on it: its target, its time, and the step that it is in."""

from __future__ import annotations

import random
import threading
import time
from typing import Callable, TypeVar

from .clients import connect
from .clients.base import Client
from .deadline import Deadline
from .errors import Busy, Cancelled, FellSilent, HwctlError, Unreachable
from .target import Target

Answer = TypeVar("Answer")

ATTEMPTS = 3
"""How often a read is tried. A change is never sent again blindly: read the state first."""
BUSY_ATTEMPTS = 6
"""The same of a BMC that answers, and says that it is busy."""
LONG_SILENCE = 8.0
"""Seconds without an answer, in which TCP and IPMI have sent again by themselves: no use in more."""
FIRST_PAUSE = 0.5
"""Seconds before the second attempt, at most; twice as long before the third, and so on."""


class Node:
    """Handed to an operation. Only the thread that works on the node touches it."""

    def __init__(self, target: Target, deadline: Deadline, cancelled: threading.Event) -> None:
        self.target = target
        self.deadline = deadline
        self.step = "start"
        """What the node is at, for the outcome of a failure: connect, read, change, wait and so on."""
        self._cancelled = cancelled

    @property
    def name(self) -> str:
        return self.target.name

    def at(self, step: str) -> None:
        """Go on to a step. Raises TimedOut or Cancelled when there shall be no next one."""
        if self._cancelled.is_set():
            raise Cancelled(f"called off before: {step}")
        self.deadline.check(step)
        self.step = step

    def pause(self, seconds: float) -> None:
        """Wait, but no longer than the node's time. Raises TimedOut or Cancelled."""
        if self._cancelled.wait(min(seconds, self.deadline.left)):
            raise Cancelled(f"called off during: {self.step}")
        self.deadline.check(self.step)

    def session(self) -> Client:
        """A session with the node's BMC, to be closed. Raises HwctlError."""
        self.at("connect")
        return self.reading(lambda: connect(self.target, self.deadline))

    def reading(self, read: Callable[[], Answer]) -> Answer:
        """What `read` returns, tried again where that may help. For requests that change nothing."""
        for attempt in range(BUSY_ATTEMPTS):
            began = time.monotonic()
            try:
                return read()
            except HwctlError as error:
                silent = isinstance(error, Unreachable) and not isinstance(error, FellSilent)
                if silent and time.monotonic() - began >= LONG_SILENCE:
                    raise
                self._again(error, attempt)
        return read()

    def changing(self, change: Callable[[], None], there: Callable[[HwctlError], bool]) -> None:
        """Make a change that does no harm when it is made twice.

        Where it failed `there` tells, of the error, whether the wanted state has come all the same. If not, a change
        that was lost, or that the BMC had no time for, is sent again.
        """
        self.at("change")
        for attempt in range(ATTEMPTS):
            try:
                change()
            except HwctlError as error:
                if there(error):
                    return
                self.step = "change"
                if attempt + 1 == ATTEMPTS:
                    raise
                self._again(error, attempt)
            else:
                return

    def _again(self, error: HwctlError, attempt: int) -> None:
        """Wait until another attempt makes sense. Raises the error itself when none does."""
        pause = max(error.retry_after, FIRST_PAUSE * 2**attempt * random.uniform(0.5, 1.0))
        allowed = BUSY_ATTEMPTS if isinstance(error, Busy) else ATTEMPTS
        if not error.safe_to_retry or attempt + 1 >= allowed or pause >= self.deadline.left:
            raise error
        self.pause(pause)
