# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small process that forks the workers.

The supervisor has a ZMQ context with threads, and a fork of a process with threads is not safe. So a
spawner is forked first, while there is one thread and no context; it has everything a worker needs
imported, and workers share that memory. A worker is forked twice, so that it becomes the supervisor's own
child (which is a subreaper): the supervisor sees it end at once, and PR_SET_PDEATHSIG ends it with the
supervisor's main thread, whatever becomes of the spawner.
"""

from __future__ import annotations

import errno
import gc
import json
import os
import signal
import socket
from contextlib import suppress
from dataclasses import asdict
from typing import Callable, Optional

from vbmcd import process
from vbmcd.worker.wire import WorkerSpec

WorkerMain = Callable[[WorkerSpec, socket.socket], None]

_MAX_REQUEST = 4096
WAIT_SECONDS, WAITS = 0.1, 15
"""A fork takes some milliseconds; the supervisor's loop waits for it. A stall of the whole machine uses up one of the
waits, and says nothing of the spawner."""


class Spawner:
    """The supervisor's handle of its spawner."""

    def __init__(self, main: WorkerMain, release: Callable[[], None]) -> None:
        """Fork it. Must be called on the main thread, before any other thread or ZMQ context.

        `main` runs in each worker; `release` drops in the spawner what only the supervisor may hold.
        """
        process.adopt_orphans()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        supervisor = os.getpid()
        # Out of the collector's sight, these pages stay shared (gc.freeze, CPython docs).
        gc.collect()
        gc.freeze()
        self.pid = os.fork()
        if self.pid == 0:
            self._socket.close()
            release()
            _serve(theirs, supervisor, main)
        theirs.close()
        self._socket.settimeout(WAIT_SECONDS)

    def spawn(self, spec: WorkerSpec, channel: socket.socket) -> int:
        """Fork a worker that holds `channel`; its pid. Raises OSError when there is no room for one, or no spawner.

        A spawner that does not answer is ended: whoever watches fileno() has to begin anew.
        """
        socket.send_fds(self._socket, [json.dumps(asdict(spec)).encode()], [channel.fileno()])
        answer = self._answer()
        if not answer:
            raise ConnectionResetError(errno.ECONNRESET, "the spawner is gone")
        number = int(answer)
        if number < 0:
            raise OSError(-number, os.strerror(-number))
        return number

    def _answer(self) -> bytes:
        for _turn in range(WAITS):
            with suppress(socket.timeout):
                return self._socket.recv(64)
        os.kill(self.pid, signal.SIGKILL)
        raise ConnectionResetError(errno.ETIMEDOUT, "the spawner does not answer")

    def fileno(self) -> int:
        """Readable when the spawner has ended."""
        return self._socket.fileno()


def _serve(requests: socket.socket, supervisor: int, main: WorkerMain) -> None:
    process.die_with(supervisor)
    process.set_name("vbmcd-spawner")
    # A terminal's Ctrl-C and systemd's SIGTERM reach the whole group; the supervisor alone decides about an end.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while True:
        data, descriptors, _flags, _address = socket.recv_fds(requests, _MAX_REQUEST, 1)
        if not data:
            os._exit(0)
        intermediate = _fork(requests)
        if intermediate == 0:
            _fork_worker(requests, supervisor, main, WorkerSpec(**json.loads(data)), descriptors[0])
        os.close(descriptors[0])
        if intermediate:
            os.waitpid(intermediate, 0)


def _fork(requests: socket.socket) -> Optional[int]:
    """fork(2); where there is no room for a process the answer is the error, as a negative number, and this None."""
    try:
        return os.fork()
    except OSError as error:
        requests.send(str(-(error.errno or errno.EAGAIN)).encode())
        return None


def _fork_worker(requests: socket.socket, supervisor: int, main: WorkerMain, spec: WorkerSpec, descriptor: int) -> None:
    worker = _fork(requests)
    if worker is None:
        os._exit(1)
    if worker:
        requests.send(str(worker).encode())
        os._exit(0)
    status = 1
    try:
        requests.close()
        # Until the worker has a handler of its own: to be told to end this early is no reason to live on.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        process.die_with(supervisor)
        process.set_name(f"vbmcd-{spec.name}")
        main(spec, socket.socket(fileno=descriptor))
        status = 0
    finally:
        # Never back into the supervisor's stack, whose copy this process has.
        os._exit(status)
