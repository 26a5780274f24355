# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run's targets share, and one target within it: its session, its step, its lines in the journal."""

from __future__ import annotations

import threading
import time
from typing import Any, Dict, Generator, Mapping, Optional, Sequence

from ..clients.firmware import Inventory
from ..deadline import Deadline
from ..errors import CalledOff, Cancelled, TimedOut
from ..masking import masked
from ..outcome import FAILED as OUTCOME_FAILED
from ..outcome import Outcome
from ..target import Target
from .history import latest
from .journal import Journal
from .pools import Pause, Wish
from .request import FirmwareRequest
from .session import LongSession
from .states import ENDS, FAILED, INSPECT

NOTE_SECONDS = 1.0
"""Between two notes of how much was sent."""


class Run:
    """Of one command. Used by all threads."""

    def __init__(self, request: FirmwareRequest, journal: Optional[Journal], count: int) -> None:
        self.request = request
        self.journal = journal
        self.cancelled = threading.Event()
        self._count = count
        self._failed = 0
        self._lock = threading.Lock()
        self._sent = 0
        self._noted = 0.0
        self.closed = ""
        """Why no other target is begun, where that is so."""

    def ended(self, outcome: Outcome) -> None:
        """Count an outcome."""
        with self._lock:
            self._failed += outcome.status == OUTCOME_FAILED
            allowed = self.request.max_fail_percentage
            if 100.0 * self._failed > allowed * self._count and not self.closed:
                self.closed = f"{self._failed} of {self._count} BMCs failed, more than {allowed:g} percent"

    def go_on(self) -> None:
        """Before anything is changed. Raises CalledOff where too many others failed meanwhile."""
        if self.closed:
            raise CalledOff(self.closed)

    def sent(self, count: int) -> None:
        """Bytes of images went out. Raises Cancelled."""
        if self.cancelled.is_set():
            raise Cancelled("called off during the upload")
        with self._lock:
            self._sent += count
            now = time.monotonic()
            if self.journal is None or now - self._noted < NOTE_SECONDS:
                return
            self._noted, sent = now, self._sent
        self.journal.note(sent=sent)


class Subject:
    """One target on its way."""

    def __init__(self, target: Target, run: Run, deadline: Deadline, known: Sequence[Mapping[str, Any]]) -> None:
        self.target = target
        self.run = run
        self.request = run.request
        self.timings = run.request.timings
        self.deadline = deadline
        self.session = LongSession(target, deadline, run.cancelled, self.timings.poll)
        self.step = INSPECT
        self.learn(known)

    def learn(self, known: Sequence[Mapping[str, Any]]) -> None:
        """What the run before this one wrote down, where that broke off."""
        self._known = known
        self.host_was_on: Optional[bool] = latest(known, "host_was_on")
        """What it found, whatever it wanted: a machine that it switched off is not to stay off."""
        self.left_in: Optional[str] = self.hint("state")
        """The step that it broke off in."""
        if self.left_in == FAILED and self.hint("kind") in (Cancelled.kind, TimedOut.kind):
            self.left_in = self.hint("failed_in")  # called off, and not at its end

    @property
    def key(self) -> str:
        return f"{self.target.address}:{self.target.port}"

    def at(self, step: str, **details: Any) -> None:
        """Go on to a step, which is on disk when this returns. Raises TimedOut or Cancelled instead."""
        if step not in ENDS:
            self.session.check(step)
        self.step = step
        if self.run.journal is not None:
            self.run.journal.write(**{"target": self.target.name, "key": self.key, "state": step, **details})

    def note(self, **details: Any) -> None:
        if self.run.journal is not None:
            shown = {
                name: masked(one, self.target.secrets) if isinstance(one, str) else one for name, one in details.items()
            }
            self.run.journal.note(target=self.target.name, key=self.key, **shown)

    def hint(self, name: str) -> Any:
        """What a run that broke off wrote down last under that name, if it wanted the same."""
        if latest(self._known, "wanted") != self.request.labels:
            return None
        return latest([one for one in self._known if name != "state" or one["state"] != INSPECT], name)

    def pause(self, seconds: Optional[float] = None) -> Generator[Pause, None, None]:
        yield from self.session.pause(self.timings.poll if seconds is None else seconds, self.step)

    def inventory(self) -> Generator[Wish, None, Inventory]:
        found = yield from self.session.inventory(self.step)
        return found

    def versions(self, found: Inventory) -> Dict[str, Optional[str]]:
        """Of what is wanted to run, what does."""
        return {want.purpose: found.version(want.purpose) for want in self.request.wants}
