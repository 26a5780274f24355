# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for a condition with a deadline, so that no test ever sleeps and hopes.

The deadline is a net for what never comes: no measure of how fast it comes, on a machine that may stall for seconds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(condition: Callable[[], T], timeout: float = 60.0, what: str = "", interval: float = 0.02) -> T:
    """Call `condition` until it gives something true, and return that.

    Raises AssertionError naming `what` (and the last falsy value) when `timeout` seconds have passed. What
    the condition raises is not swallowed: a condition that may fail for a while says so by returning False.
    """
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(_missed(what, timeout, value))
        time.sleep(interval)


async def eventually_async(
    condition: Callable[[], Awaitable[T]], timeout: float = 60.0, what: str = "", interval: float = 0.02
) -> T:
    """The same for a coroutine function, without blocking the event loop."""
    deadline = time.monotonic() + timeout
    while True:
        value = await condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(_missed(what, timeout, value))
        await asyncio.sleep(interval)


def soon(seconds: float, act: Callable[[], object], tries: int = 10) -> bool:
    """Whether `act` takes less than so many seconds in one of some tries: what is slow by itself is so each time."""
    for _turn in range(tries):
        began = time.monotonic()
        act()
        if time.monotonic() - began < seconds:
            return True
    return False


def _missed(what: str, timeout: float, value: object) -> str:
    return f"within {timeout:g} s it did not come true: {what or 'the condition'} (last seen: {value!r})"
