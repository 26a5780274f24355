# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many lives on few threads: a life is a generator that says where, and when, it wants to go on.

    def steps(self):
        ask()                   # in the pool for short requests
        yield Pause(5)          # goes on five seconds later, and holds no thread meanwhile
        yield UPLOAD_SLOT       # goes on in the pool for uploads
        send()
        yield Pause(0)
        yield Knock(places, 10) # goes on when the BMC takes connections, or is not there

Between two steps a life is an entry in a list. So slow activations hold no slot for an upload, and BMCs that are away
hold up no uploads.
"""

from __future__ import annotations

import abc
import heapq
import itertools
import queue
import threading
import time
from dataclasses import dataclass
from typing import Callable, Dict, Generator, Iterable, List, Optional, Tuple, Union

from ..deadline import Deadline
from ..outcome import Outcome
from .knock import Knock, Knocker

GRACE = 2.0
"""Seconds that a life has, once its time is over, to say so itself."""
STACK = 256 * 1024
"""Bytes of a thread's stack. The usual 8 MB are address space only, but a thousand of them too much of it."""


@dataclass(frozen=True)
class Pause:
    """Go on after `seconds`, in the pool for short requests."""

    seconds: float


@dataclass(frozen=True)
class UploadSlot:
    """Go on when there is a slot for an upload, and hold it until the next step."""


UPLOAD_SLOT = UploadSlot()
Wish = Union[Pause, UploadSlot, Knock]
Steps = Generator[Wish, None, Outcome]


class Life(abc.ABC):
    """Something with steps. They catch whatever goes wrong in them."""

    deadline: Deadline

    @abc.abstractmethod
    def steps(self) -> Steps: ...

    @abc.abstractmethod
    def abandoned(self) -> Outcome:
        """The outcome when a step did not end though the life's time was over."""

    @abc.abstractmethod
    def broken(self, error: Exception) -> Outcome:
        """The outcome when a step let something through after all."""


class _Thread:
    """A life that has steps left; the queues carry it around."""

    def __init__(self, life: Life) -> None:
        self.life = life
        self._steps = life.steps()
        self.wish: Wish = Pause(0)
        self.outcome: Optional[Outcome] = None

    def step(self) -> None:
        try:
            self.wish = next(self._steps)
        except StopIteration as end:
            self.outcome = end.value
        except Exception as error:  # one life's end is no other's
            self.outcome = self.life.broken(error)


class _Pool:
    """Threads that are made when they are needed. Daemons: one that hangs does not hold up the program's end."""

    def __init__(self, size: int, name: str, done: queue.SimpleQueue[Optional[_Thread]]) -> None:
        self._size, self._name, self._done = size, name, done
        self._work: queue.SimpleQueue[Optional[_Thread]] = queue.SimpleQueue()
        self._threads = 0
        self._given = 0

    def give(self, thread: _Thread) -> None:
        self._given += 1
        if self._threads < min(self._given, self._size):
            self._threads += 1
            threading.Thread(target=self._serve, name=self._name, daemon=True).start()
        self._work.put(thread)

    def given_back(self) -> None:
        self._given -= 1

    def end(self) -> None:
        for _number in range(self._threads):
            self._work.put(None)

    def _serve(self) -> None:
        while True:
            thread = self._work.get()
            if thread is None:
                return
            thread.step()
            self._done.put(thread)


class Pools:
    """Good for one run. `cancel` may be called from anywhere; all else is one thread's."""

    def __init__(self, uploads: int, polls: int) -> None:
        self._done: queue.SimpleQueue[Optional[_Thread]] = queue.SimpleQueue()
        self._uploads = _Pool(uploads, "hwctl-upload", self._done)
        self._polls = _Pool(polls, "hwctl-poll", self._done)
        self._knocker: Knocker[_Thread] = Knocker(self._answered)
        self._later: List[Tuple[float, int, _Thread]] = []
        self._in_pool: Dict[_Thread, Optional[_Pool]] = {}
        """Those that are not in `_later`; None: it knocks."""
        self._number = itertools.count()
        self._hurried: Optional[Deadline] = None
        self._looked = 0.0

    def cancel(self) -> None:
        """Have every life go on now, so that it can see that it is called off; those that can't are abandoned."""
        self._done.put(None)

    def run(self, lives: Iterable[Life], ended: Callable[[Outcome], None]) -> None:
        """`ended` is called once for each life."""
        stack = threading.stack_size(STACK)
        try:
            for life in lives:
                self._polls_get(_Thread(life))
            while self._later or self._in_pool:
                for outcome in self._next():
                    ended(outcome)
        finally:
            self._uploads.end()
            self._polls.end()
            self._knocker.end()
            threading.stack_size(stack)

    def _polls_get(self, thread: _Thread) -> None:
        self._in_pool[thread] = self._polls
        self._polls.give(thread)

    def _next(self) -> List[Outcome]:
        """Wait for a step to end, or for one to be due; the outcomes that came of it."""
        now = time.monotonic()
        while self._later and (self._later[0][0] <= now or self._hurried is not None):
            self._polls_get(heapq.heappop(self._later)[2])
        late = self._late(now)
        for thread in late:
            self._taken_out(thread)
        if late:
            return [thread.life.abandoned() for thread in late]
        try:
            thread_or_none = self._done.get(timeout=self._patience(now))
        except queue.Empty:
            return []
        if thread_or_none is None:
            self._hurried = self._hurried or Deadline(GRACE)
            self._knocker.hurry()
            return []
        return self._moved(thread_or_none)

    def _moved(self, thread: _Thread) -> List[Outcome]:
        if thread not in self._in_pool:
            return []  # it was abandoned
        self._taken_out(thread)
        if thread.outcome is not None:
            return [thread.outcome]
        if isinstance(thread.wish, UploadSlot):
            self._in_pool[thread] = self._uploads
            self._uploads.give(thread)
        elif isinstance(thread.wish, Knock):
            self._in_pool[thread] = None
            self._knocker.give(thread, thread.wish)
        else:
            heapq.heappush(self._later, (time.monotonic() + thread.wish.seconds, next(self._number), thread))
        return []

    def _answered(self, thread: _Thread) -> None:
        """Called from the knocker's thread."""
        thread.wish = Pause(0)
        self._done.put(thread)

    def _taken_out(self, thread: _Thread) -> None:
        pool = self._in_pool.pop(thread)
        if pool is not None:
            pool.given_back()

    def _patience(self, now: float) -> float:
        """Seconds until something is due: a step, or a look at those that may hang."""
        due = self._later[0][0] - now if self._later else GRACE
        return max(0.0, min(due, GRACE))

    def _late(self, now: float) -> List[_Thread]:
        """Those in a step though their time is over; looked for now and then, since there may be a thousand."""
        if now - self._looked < GRACE / 2:
            return []
        self._looked = now
        return [thread for thread in self._in_pool if thread.outcome is None and self._over(thread.life)]

    def _over(self, life: Life) -> bool:
        return life.deadline.and_then(GRACE).passed or (self._hurried is not None and self._hurried.passed)
