# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeping what a BMC remembers: one write of a record at a time, always of its latest state."""

from __future__ import annotations

import asyncio
from typing import Awaitable, Callable, Optional

Keep = Callable[[str, bytes], Awaitable[None]]
"""Stores one of the BMC's records (store.RECORDS) for good: returns when it is on disk, or raises machine.base.Busy."""


class Saver:
    """Writes of one record. However many changes come while one write runs, one more follows it."""

    __slots__ = ("_keep", "_next", "_record", "_running", "_state")

    def __init__(self, keep: Keep, record: str, state: Callable[[], bytes]) -> None:
        self._keep = keep
        self._record = record
        self._state = state
        """The record's bytes of now."""
        self._running: Optional[asyncio.Task[None]] = None
        self._next: Optional[asyncio.Task[None]] = None

    async def save(self) -> None:
        """Return when the present state is on disk. Raises Busy when it can't be stored."""
        if self._next is None:
            self._next = asyncio.get_running_loop().create_task(self._write(self._running))
        await asyncio.shield(self._next)

    async def _write(self, before: Optional[asyncio.Task[None]]) -> None:
        if before is not None:
            await asyncio.wait({before})
        self._running, self._next = self._next, None
        try:
            await self._keep(self._record, self._state())
        finally:
            if self._next is None:
                self._running = None
