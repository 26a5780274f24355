# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tasks of a BMC (Redfish's TaskService): in memory only, a hundred at most, and gone when the BMC resets."""

from __future__ import annotations

import enum
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Iterator, List, Optional, Tuple

MAX_TASKS = 100
"""bmcweb's; the oldest makes room."""

Message = Tuple[str, Tuple[str, ...]]
"""Key in the TaskEvent registry, such as TaskStarted, and its arguments."""


class TaskState(enum.Enum):
    """Redfish's words."""

    RUNNING = "Running"
    COMPLETED = "Completed"
    EXCEPTION = "Exception"


class Monitor(enum.Enum):
    """What a task's monitor answers; the value is HTTP's status."""

    RUNNING = 202
    DONE = 204
    GONE = 404


@dataclass
class Task:
    """One update under way, or over."""

    number: int
    started: float
    """Seconds since the epoch."""
    target: str
    """The URI that was posted to."""
    ended: Optional[float] = None
    state: TaskState = TaskState.RUNNING
    percent: int = 0
    messages: List[Message] = field(default_factory=list)
    why: str = ""
    """Why it ended in an exception."""
    _told: bool = False

    def progress(self, percent: int) -> None:
        """Only what is new makes a message, and each tenth at most: they are kept."""
        if percent // 10 > self.percent // 10:
            self._note("TaskProgressChanged", str(percent))
        self.percent = max(self.percent, percent)

    def start(self) -> None:
        self._note("TaskStarted")

    def complete(self, wall: float) -> None:
        self.percent = 100
        self._end(TaskState.COMPLETED, wall, "TaskCompletedOK")

    def fail(self, wall: float, why: str) -> None:
        self.why = why
        self._end(TaskState.EXCEPTION, wall, "TaskAborted")

    def _end(self, state: TaskState, wall: float, message: str) -> None:
        self.state, self.ended = state, wall
        self._note(message)

    def _note(self, key: str, *more: str) -> None:
        self.messages.append((key, (str(self.number), *more)))

    def monitor(self) -> Monitor:
        """Asked through its monitor: that it is over is told once."""
        if self.state is TaskState.RUNNING:
            return Monitor.RUNNING
        told, self._told = self._told, True
        return Monitor.GONE if told else Monitor.DONE


class Tasks:
    """Those that there are, by number."""

    def __init__(self) -> None:
        self._tasks: OrderedDict[int, Task] = OrderedDict()
        self._next = 0

    def __iter__(self) -> Iterator[Task]:
        return iter(self._tasks.values())

    def find(self, number: int) -> Optional[Task]:
        return self._tasks.get(number)

    def start(self, wall: float, target: str) -> Task:
        while len(self._tasks) >= MAX_TASKS:
            self._tasks.popitem(last=False)
        task = self._tasks[self._next] = Task(self._next, wall, target)
        self._next += 1
        task.start()
        return task
