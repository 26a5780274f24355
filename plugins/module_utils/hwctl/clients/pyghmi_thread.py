# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one thread that pyghmi runs in.

Called from many threads, pyghmi runs the packets and time-outs of any session in whichever thread waits, and takes its
two locks in both orders. So this thread alone makes sessions, sends and waits; the threads of nodes hand it jobs and
wait for what comes of them.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTime
from typing import Any, Callable, Dict

from ..errors import NoAnswer
from .pyghmi_mends import mend

try:
    from pyghmi.ipmi.private import session as pyghmi_session
    from pyghmi.ipmi.private.session import Session
except ImportError:
    pyghmi_session = None
    Session = None

Answer = Dict[str, Any]
Job = Callable[["Future[Any]"], None]
"""Starts something whose callback, or who itself, settles the future."""

TICK = 0.02
"""Seconds until a new job is noticed while pyghmi waits for packets."""


if pyghmi_session is not None:
    mend(pyghmi_session)


class PyghmiThread:
    """Runs jobs and pyghmi's event loop in turn, as long as there is somebody to serve."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._starting = threading.Lock()
        self._started = False
        self._pending = 0
        """Futures that are not settled; only the thread itself counts."""

    def ask(self, job: Job, seconds: float) -> Any:
        """What the job's future is settled with. Raises what it raised, and NoAnswer after `seconds`."""
        self._start()
        future: Future[Any] = Future()
        self._jobs.put(lambda: self._run(job, future))
        try:
            return future.result(seconds)
        except NotInTime:
            self._jobs.put(lambda: settle(future, {}))
            raise NoAnswer("the BMC did not answer in time") from None

    def _start(self) -> None:
        with self._starting:
            if not self._started:
                threading.Thread(target=self._serve, name="hwctl-pyghmi", daemon=True).start()
                self._started = True

    def _run(self, job: Job, future: Future[Any]) -> None:
        self._pending += 1
        future.add_done_callback(self._settled)
        try:
            job(future)
        except Exception as error:  # the job's owner gets it, and nobody else
            if not future.done():
                future.set_exception(error)

    def _settled(self, future: Future[Any]) -> None:
        self._pending -= 1

    def _serve(self) -> None:
        while True:
            if not self._pending:
                self._jobs.get()()
            while not self._jobs.empty():
                self._jobs.get()()
            # A BMC's rubbish makes pyghmi raise whatever it likes. That BMC's future stays unsettled, and times out.
            with contextlib.suppress(Exception):
                Session.wait_for_rsp(timeout=TICK)


def settle(future: Future[Any], value: Any) -> None:
    """Set the result unless it has one: pyghmi may call back twice."""
    if not future.done():
        future.set_result(value)


THREAD = PyghmiThread()
"""Of this process. It costs nothing before the first session."""
