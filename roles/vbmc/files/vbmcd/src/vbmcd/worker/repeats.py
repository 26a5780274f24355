# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands that clients ask for again: what changes something must not run twice.

Clients send again after half a second or so, with a new session sequence number, so that the session's window
lets it pass. Most keep the rqSeq; FreeIPMI counts it up, and takes only the answer to the latest. So a request
of the same session is a repeat when it has the rqSeq and the content of one before, or when it has the content
of one that still runs. What was answered 'node busy' was not carried out: who asks that again means it anew.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, List, Optional, Tuple

from vbmcd.commands.codes import Code
from vbmcd.rmcp.engine import Request
from vbmcd.worker.udp import Peer

KEEP_SECONDS = 5.0
"""How long the answer of a command is kept for a client that asks again."""

MAX_WAITING = 16
"""Repeats of one command under way that get its answer; the client has long taken the first of them."""
MAX_RUNS = 1024
"""Runs of one BMC that are remembered."""

Content = Tuple[int, int, int, int, bytes]


@dataclass
class Run:
    """One run of a command that changes something, and who waits for its answer."""

    answer: Optional[bytes] = None
    """None while it runs."""
    finished: float = 0.0
    waiting: List[Tuple[Request, Peer]] = field(default_factory=list)


class Repeats:
    """The runs of one BMC's changing commands: those under way, and those that ended not long ago."""

    def __init__(self) -> None:
        self._running: Dict[Content, Run] = {}
        self._by_sequence: Dict[Tuple[Content, int], Run] = {}

    def find(self, request: Request, now: float) -> Optional[Run]:
        """The run that `request` asks for again; None where it is a new one, of which begin() is to be told."""
        content, sequence = _content(request), request.message.sequence
        run = self._running.get(content) or self._by_sequence.get((content, sequence))
        if run is None or (run.answer is not None and now - run.finished > KEEP_SECONDS):
            return None
        self._by_sequence[(content, sequence)] = run
        return run

    def begin(self, request: Request) -> None:
        content = _content(request)
        if len(self._by_sequence) >= MAX_RUNS:
            oldest = next((key for key, run in self._by_sequence.items() if run.answer is not None), None)
            if oldest is not None:
                del self._by_sequence[oldest]
        run = self._running[content] = Run()
        self._by_sequence[(content, request.message.sequence)] = run

    def wait(self, run: Run, request: Request, peer: Peer) -> None:
        """Have `request`, which asks for a run under way again, get its answer too."""
        if len(run.waiting) < MAX_WAITING:
            run.waiting.append((request, peer))

    def finish(self, request: Request, answer: bytes, now: float) -> List[Tuple[Request, Peer]]:
        """Note the answer of `request`, of which begin() was told; the repeats that are to get it too."""
        run = self._running.pop(_content(request))
        if answer[0] == Code.NODE_BUSY:
            self._by_sequence = {key: other for key, other in self._by_sequence.items() if other is not run}
        run.answer, run.finished = answer, now
        waiting, run.waiting = run.waiting, []
        return waiting

    def expire(self, now: float) -> None:
        """Forget what is too old."""
        old = [key for key, run in self._by_sequence.items() if run.answer is not None]
        for key in [key for key in old if now - self._by_sequence[key].finished > KEEP_SECONDS]:
            del self._by_sequence[key]


def _content(request: Request) -> Content:
    message = request.message
    session_id = request.session.id if request.session else 0
    return (session_id, message.lun, message.netfn, message.command, message.data)
