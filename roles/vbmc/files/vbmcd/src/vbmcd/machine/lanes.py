# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blocking calls off the event loop, bounded and with deadlines. Knows nothing of libvirt; libvirt_link uses it.

A deadline can't end a blocking call, it can only stop waiting for it. So a call that has outlived its deadline
keeps its thread, and further calls that would need it are refused instead of queued behind it. The threads
are daemons: a stuck one never holds up the end of the process, as concurrent.futures' would.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from concurrent.futures import Future
from functools import partial
from typing import Any, Callable, Deque, Dict, Generic, List, Optional, Protocol, Sequence, Set, TypeVar

from vbmcd.machine.base import Busy

T = TypeVar("T")

_IDLE_SECONDS = 10.0
"""After this long without work a thread ends: a thousand workers of one BMC each are not to keep any."""


class Overdue(Busy):
    """The call was started and has not come back within its deadline."""


class Tool(Protocol):
    """What the calls of a thread work with, such as a connection. One thread at a time has it."""

    handle: Any

    def close(self) -> None:
        """Called by the thread that opened it, before the thread ends."""


class Lane:
    """Threads for blocking calls, each with a tool of its own, used from one event loop.

    There are at most as many threads as `openers`. A thread opens its tool for its first call, and closes it
    when it has had nothing to do for a while; the first openers are the most used.
    """

    def __init__(self, name: str, openers: Sequence[Callable[[], Tool]], came_back: Callable[[], None]) -> None:
        """`name` begins every message; `came_back` is called when an overdue call returns after all."""
        self._name = name
        self._size = len(openers)
        self._openers = list(reversed(openers))
        """Those that no thread has now; the last one is taken next."""
        self._came_back = came_back
        self._changed = threading.Condition()
        self._jobs: Deque[_Job[Any]] = deque()
        self._idle = 0
        self._closed = False
        self._pending: Set[asyncio.Future[Any]] = set()
        self._overdue: Dict[asyncio.Future[Any], str] = {}

    async def run(self, key: str, function: Callable[[Any], T], *, deadline: float, patient: bool = False) -> T:
        """Run `function(handle)` in a thread and return, or raise, what it did.

        `key` names what the call works on: while an earlier call for it is overdue, or every thread is, Busy
        is raised at once. Overdue is raised `deadline` seconds after the call (a `patient` one: after it left
        the queue, however long that took), and Busy if it was still queued then; that one never runs. Nor does
        one that needs another thread while the system refuses to start any: Busy at once.
        """
        self._refuse(key)
        job = _Job(function)
        self._submit(job)
        future = asyncio.wrap_future(job.future)
        self._pending.add(future)
        future.add_done_callback(self._ended)
        began = time.monotonic()
        left = deadline
        while left > 0:
            done, _pending = await asyncio.wait({future}, timeout=left)
            if future.cancelled():
                raise Busy(f"{self._name}: the connection was closed")
            if done:
                return future.result()
            if not patient and job.future.cancel():
                raise Busy(f"{self._name}: the calls before took more than {deadline:g} s")
            if patient:
                began = time.monotonic() if job.started is None else job.started
            left = began + deadline - time.monotonic()
        self._overdue[future] = key
        raise Overdue(f"{self._name}: no answer for {key or 'the connection'} within {deadline:g} s")

    async def drain(self, timeout: float) -> None:
        """Wait until nothing runs or waits any more, but not longer than `timeout` seconds."""
        if self._pending:
            await asyncio.wait(set(self._pending), timeout=timeout)

    def close(self) -> None:
        """Refuse further calls and end what is waited for with Busy. Threads end when their call returns."""
        with self._changed:
            self._closed = True
            abandoned = list(self._jobs)
            self._jobs.clear()
            self._changed.notify_all()
        for job in abandoned:
            job.fail(Busy(f"{self._name}: the connection was closed"))

    def join(self) -> None:
        """After close(), from another thread: block until the last call has returned."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._openers) == self._size)

    def forget(self) -> None:
        """After close(), when the loop is about to end: threads that come back later have nobody to tell."""
        for future in list(self._pending):
            future.cancel()

    def _refuse(self, key: str) -> None:
        if self._closed:
            raise Busy(f"{self._name}: the connection was closed")
        if key in self._overdue.values():
            raise Busy(f"{self._name}: an earlier call for {key or 'the connection'} has not come back yet")
        if len(self._overdue) >= self._size:
            raise Busy(f"{self._name}: {self._size} calls have not come back yet")

    def _ended(self, future: asyncio.Future[Any]) -> None:
        self._pending.discard(future)
        if self._overdue.pop(future, None) is None or future.cancelled():
            return
        future.exception()  # nobody waits for it any more: mark it as seen
        self._came_back()

    def _submit(self, job: _Job[Any]) -> None:
        with self._changed:
            if self._idle > len(self._jobs):
                self._changed.notify()
            elif self._openers:
                self._start_thread()
            self._jobs.append(job)

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._work, args=(self._openers[-1],), name=self._name, daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # a limit on processes or memory
            raise Busy(f"{self._name}: no thread for the call ({error})") from None
        self._openers.pop()
        self._idle += 1

    def _work(self, opener: Callable[[], Tool]) -> None:
        while True:
            self._serve(opener)
            with self._changed:
                if not self._jobs:
                    self._openers.append(opener)
                    self._changed.notify_all()
                    return
                self._idle += 1  # for what came while the tool was being closed

    def _serve(self, opener: Callable[[], Tool]) -> None:
        """Do what there is to do, until there has been nothing for a while."""
        tools: List[Tool] = []

        def handle() -> Any:
            if not tools:
                tools.append(opener())
            return tools[0].handle

        while True:
            job = self._next()
            if job is None:
                break
            resolve = job.run(handle)
            with self._changed:
                self._idle += 1  # before the caller knows, or its next call would start another thread
            resolve()
            del job, resolve  # they may hold what must not live on in an idle thread
        for tool in tools:
            tool.close()

    def _next(self) -> Optional[_Job[Any]]:
        with self._changed:
            self._changed.wait_for(lambda: self._jobs or self._closed, _IDLE_SECONDS)
            self._idle -= 1
            return self._jobs.popleft() if self._jobs else None


class _Job(Generic[T]):
    """One call: a function and the future that its thread resolves."""

    def __init__(self, function: Callable[[Any], T]) -> None:
        self._function: Optional[Callable[[Any], T]] = function
        self.future: Future[T] = Future()
        self.started: Optional[float] = None
        """When (time.monotonic) a thread took it; None while it is queued."""

    def run(self, handle: Callable[[], Any]) -> Callable[[], None]:
        """Do it, unless it was cancelled; what is returned tells the caller."""
        function, self._function = self._function, None
        if function is None or not self.future.set_running_or_notify_cancel():
            return lambda: None
        self.started = time.monotonic()
        try:
            result = function(handle())
        except BaseException as error:  # noqa: BLE001 - whatever it is, it belongs to the caller
            # Without its traceback, whose frames would keep the connection alive beyond this thread.
            return partial(self.future.set_exception, error.with_traceback(None))
        return partial(self.future.set_result, result)

    def fail(self, error: Exception) -> None:
        if self.future.set_running_or_notify_cancel():
            self.future.set_exception(error)
