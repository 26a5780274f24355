# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks that nobody awaits: kept from the garbage collector, and their failures logged."""

from __future__ import annotations

import asyncio
import logging
import sys
import types
from typing import Any, Coroutine, Generator, Optional, Set

log = logging.getLogger(__name__)


class Background:
    """A set of running tasks."""

    def __init__(self) -> None:
        self._tasks: Set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self._keep(asyncio.get_running_loop().create_task(coroutine))

    def start_at_once(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run `coroutine` up to where it first waits; only what is left then becomes a task.

        For many short ones, most of which never wait. What it raises before it waits is the caller's.
        """
        if sys.version_info >= (3, 12):
            self._keep(asyncio.Task(coroutine, loop=asyncio.get_running_loop(), eager_start=True))
            return
        try:
            awaited = coroutine.send(None)
        except StopIteration:
            return
        self.start(_rest(coroutine, awaited))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a background task failed", exc_info=task.exception())

    async def drain(self, timeout: Optional[float] = None) -> None:
        """Wait until all have ended, at most `timeout` seconds."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout)


@types.coroutine
def _rest(coroutine: Coroutine[Any, Any, None], awaited: Any) -> Generator[Any, Any, None]:
    """What is left of `coroutine`, which waits for `awaited`."""
    try:
        while True:
            try:
                result = yield awaited
            except BaseException as error:  # noqa: BLE001 - a cancellation is the coroutine's, too
                awaited = coroutine.throw(error)
            else:
                awaited = coroutine.send(result)
    except StopIteration:
        return
