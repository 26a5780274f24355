# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One command on many nodes at once: hooks once a command, the operation once a node, as in xCAT.

``run("get_state")`` of a subclass calls, as far as it has them, ``validate_get_state(**arguments)``,
``pre_get_state(targets)``, ``get_state(node, **arguments)`` for every node in a thread of its own, and
``post_get_state(outcomes)``. Unlike xCAT's, what an operation returns or raises is never dropped.
"""

from __future__ import annotations

import queue
import threading
from collections import Counter, deque
from typing import Any, Callable, Deque, Dict, List, Optional, Sequence

from .deadline import Deadline
from .errors import BadRequest, Cancelled, HwctlError, TimedOut
from .limits import Limits
from .masking import masked
from .node import Node
from .outcome import FAILED, Failure, Outcome
from .target import Target

GRACE = 2.0
"""Seconds that a node has, once its time is over, to say so itself."""


class ParallelNodes:
    """A command over nodes. Subclasses (`managers/`) add the operations. An object is good for one run."""

    def __init__(self, targets: Sequence[Target], limits: Limits) -> None:
        """Raises BadRequest when two targets share a name."""
        twice = sorted(name for name, times in Counter(target.name for target in targets).items() if times > 1)
        if twice:
            raise BadRequest(f"target {twice[0]!r} is given more than once: give each its own name")
        self.told: Dict[str, Any] = {}
        """What there is to say of the run besides its outcomes."""
        self._waiting: Deque[Target] = deque(targets)
        self._targets = list(targets)
        self._limits = limits
        self._overall = Deadline(None)
        self._cancelled = threading.Event()
        self._active: Dict[str, Node] = {}
        self._give_up: Dict[str, Deadline] = {}
        """When each active node is given up, had it not ended by itself."""
        self._done: queue.SimpleQueue[Optional[Outcome]] = queue.SimpleQueue()

    def cancel(self) -> None:
        """Call the run off: nodes that have begun end at their next step, the others never begin.

        May be called from another thread or a signal handler.
        """
        self._cancelled.set()
        self._done.put(None)

    def run(self, operation: str, **arguments: Any) -> List[Outcome]:
        """One outcome for each target, in their order. Raises BadRequest from `validate_<operation>`."""
        self._hook("validate", operation)(**arguments)
        self._hook("pre", operation)(self._targets)
        self._overall = Deadline(self._limits.overall_timeout)
        outcomes: Dict[str, Outcome] = {}
        while self._waiting or self._active:
            for outcome in (*self._begin(operation, arguments), *self._next()):
                outcomes[outcome.name] = outcome
        found = [outcomes[target.name] for target in self._targets]
        self._hook("post", operation)(found)
        return found

    def _hook(self, when: str, operation: str) -> Callable[..., None]:
        found: Callable[..., None] = getattr(self, f"{when}_{operation}", _nothing)
        return found

    def _begin(self, operation: str, arguments: Dict[str, Any]) -> List[Outcome]:
        """Start nodes while there is room; when there is no time left, the outcomes of those that never start."""
        end = self._end()
        if end is not None:
            never = [failed(target, "start", end) for target in self._waiting]
            self._waiting.clear()
            return never
        while self._waiting and len(self._active) < self._limits.fan_out:
            target = self._waiting.popleft()
            node = Node(target, self._overall.at_most(self._limits.node_timeout), self._cancelled)
            self._active[target.name] = node
            self._give_up[target.name] = node.deadline.and_then(GRACE)
            # A thread a node, and daemons: a library that hangs must hold up neither the others nor the program's end.
            threading.Thread(target=self._work, args=(node, operation, arguments), name="hwctl", daemon=True).start()
        return []

    def _work(self, node: Node, operation: str, arguments: Dict[str, Any]) -> None:
        """The life of a node's thread."""
        try:
            outcome = getattr(self, operation)(node, **arguments)
        except HwctlError as error:
            outcome = failed(node.target, node.step, error)
        except Exception as error:  # whatever a client lets through is this node's outcome, and no other's
            outcome = failed(node.target, node.step, HwctlError(f"{type(error).__name__}: {error}"))
        self._done.put(outcome)

    def _next(self) -> List[Outcome]:
        """Wait for nodes to be done, or for the time of one to be over; the outcomes of those."""
        if not self._active:
            return []
        if self._cancelled.is_set():
            self._give_up = {name: deadline.at_most(GRACE) for name, deadline in self._give_up.items()}
        ended = self._ended(min(deadline.left for deadline in self._give_up.values()))
        # Only now: a node that ended in time may have waited here to be asked, while the machine was busy.
        late = [self._active[name] for name, deadline in self._give_up.items() if deadline.passed]
        for node in late:
            self._forget(node.name)
        return [*ended, *(failed(node.target, node.step, self._end() or _stuck(node)) for node in late)]

    def _ended(self, patience: float) -> List[Outcome]:
        """Wait so many seconds for something to happen; the outcomes of all nodes that have ended by then."""
        found: List[Outcome] = []
        wait: Optional[float] = None if patience == float("inf") else patience
        try:
            while True:
                outcome = self._done.get(timeout=wait)
                wait = 0.0
                if outcome is not None and outcome.name in self._active:  # neither called off nor given up before
                    self._forget(outcome.name)
                    found.append(outcome)
        except queue.Empty:
            return found

    def _forget(self, name: str) -> None:
        del self._active[name], self._give_up[name]

    def _end(self) -> Optional[HwctlError]:
        """Why the whole run has to end now."""
        if self._cancelled.is_set():
            return Cancelled("the run was called off")
        if self._overall.passed:
            return TimedOut(f"the run's {self._limits.overall_timeout:g} s were over")
        return None


def failed(target: Target, step: str, error: HwctlError) -> Outcome:
    """The outcome of a node that failed; its secrets do not show."""
    return Outcome(target.name, FAILED, failure=Failure(error.kind, step, masked(str(error), target.secrets)))


def _stuck(node: Node) -> TimedOut:
    return TimedOut(f"no end of: {node.step}")


def _nothing(*positional: Any, **named: Any) -> None:
    """The hook that a command does not have."""
