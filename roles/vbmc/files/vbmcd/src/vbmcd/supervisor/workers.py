# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Worker processes: started, heard, and replaced when they die or hang.

A dead worker is noticed by the end of its channel (all its descriptors close with it), a hung one by its
missing heartbeats. ``fleet`` decides what they serve and is told when one is up or has been replaced.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Awaitable, Callable, Dict, List, Optional, Tuple

import zmq
import zmq.asyncio

from vbmcd.control.server import bind_private, keep_bound
from vbmcd.supervisor.health import SUSPECT_SECONDS, hangs, look
from vbmcd.supervisor.spawner import Spawner
from vbmcd.worker import handover, wire

log = logging.getLogger(__name__)

MODE = 0o600
CHECK_SECONDS = 0.25
EARLY_SECONDS = 2.0
"""A worker that lives shorter than this counts as dying at start; only then is there a delay."""
MAX_DELAY = 10.0
RETRY_SECONDS = 1.0
"""Between two attempts to start a worker for which there was no room."""
STOP_SECONDS = 3.7
"""What a worker has to finish the commands under way, within the 5 s of the whole daemon: a second of them goes to
the control requests before."""

Listener = Callable[[str, wire.Message], Awaitable[None]]


@dataclass
class Process:
    """One worker process. `heard` is the loop's time of its last message."""

    identity: str
    pid: int
    channel: socket.socket
    born: float
    heard: float
    ran: Optional[float] = None
    """The seconds of CPU that it had had when it was first missed; None while it is heard."""
    up: bool = False
    """Whether it has said something, so that ZMQ can reach it."""
    counters: Dict[str, int] = field(default_factory=dict)


@dataclass
class Slot:
    """A worker by name, over the deaths of its processes."""

    name: str
    kind: str = "worker"
    generation: int = 0
    early_deaths: int = 0
    process: Optional[Process] = None
    restart: Optional[asyncio.TimerHandle] = None
    stopping: bool = False


class Workers:
    """All workers. `on_up` is called with a worker's name each time a new process of it is there."""

    def __init__(self, spawner: Spawner, path: Path, on_up: Callable[[str], None], on_message: Listener) -> None:
        self._spawner = spawner
        self._path = path
        self._on_up = on_up
        self._on_message = on_message
        self._slots: Dict[str, Slot] = {}
        self._loop = asyncio.get_running_loop()
        self._router = zmq.asyncio.Context.instance().socket(zmq.ROUTER)
        self._router.setsockopt(zmq.LINGER, 0)
        bind_private(self._router, path, MODE)
        self._checked = self._loop.time()

    @property
    def names(self) -> Dict[str, Optional[Process]]:
        """The workers proper; not the watchers, which serve no BMC."""
        return {name: slot.process for name, slot in self._slots.items() if slot.kind == "worker"}

    def process(self, name: str) -> Optional[Process]:
        slot = self._slots.get(name)
        return slot.process if slot else None

    def start(self, name: str, kind: str = "worker") -> None:
        """Start a worker unless it is there; one that can't be started is tried again until it can."""
        if name not in self._slots:
            self._slots[name] = Slot(name, kind)
            self._spawn(self._slots[name])

    async def stop(self, name: str) -> None:
        """End a worker for good: SIGTERM, and SIGKILL if it has not ended in time. Returns when it is gone."""
        slot = self._slots[name]
        if slot.restart:
            slot.restart.cancel()
        if slot.process and not slot.stopping:
            slot.stopping = True
            self._let_go(slot.process)
            _signal(slot.process.pid, signal.SIGTERM)
        if slot.process:
            # Heard to the end: what it has to have stored before it ends is still to come.
            await _wait_for_end(slot.process.pid)
        self._slots.pop(name, None)

    async def close(self) -> None:
        """End every worker; returns when all are gone."""
        await asyncio.gather(*(self.stop(name) for name in list(self._slots)))
        self._router.close()
        self._path.unlink(missing_ok=True)

    async def keep_bound(self) -> None:
        """For ever; workers that are there already do not need the file."""
        await keep_bound(self._router, self._path, MODE)

    async def listen(self) -> None:
        """Hear the workers, for ever."""
        while True:
            identity, raw = await self._router.recv_multipart()
            name, _dot, _generation = identity.decode().rpartition(".")
            process = self.process(name)
            if process is None or process.identity != identity.decode():
                continue
            message = wire.decode(raw)
            process.heard = self._loop.time()
            if message["type"] == "heartbeat":
                process.counters = {key: value for key, value in message.items() if key != "type"}
            if not process.up:
                process.up = True
                self._on_up(name)
            await self._on_message(name, message)

    async def watch(self) -> None:
        """Kill what hangs, for ever; a killed one is replaced when its channel ends."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            now = self._loop.time()
            # If this process itself was held up, heartbeats wait unread and say nothing about workers.
            held_up = now - self._checked > CHECK_SECONDS + 1.0
            self._checked = now
            for slot in self._slots.values():
                process = slot.process
                if process is None:
                    continue
                if held_up:
                    process.heard = now
                elif _hangs(process, now - process.heard):
                    log.error(
                        "a worker hangs and is killed", extra={"fields": {"worker": slot.name, "pid": process.pid}}
                    )
                    process.heard = now
                    os.kill(process.pid, signal.SIGKILL)

    async def send(self, name: str, message: wire.Message) -> None:
        """To a worker that is up; one that is not gets everything anew when it comes up."""
        process = self.process(name)
        if process and process.up:
            await self._router.send_multipart([process.identity.encode(), wire.encode(message)])

    async def send_sockets(self, name: str, tokens: Dict[int, socket.socket]) -> None:
        """Hand sockets over. A worker that has just died is replaced, and gets them then."""
        process = self.process(name)
        if process is None:
            return
        for numbers, descriptors in handover.batches(tokens):
            try:
                await self._send_batch(process, numbers, descriptors)
            except OSError:
                return

    async def _send_batch(self, process: Process, numbers: List[int], descriptors: List[int]) -> None:
        while True:
            try:
                handover.send(process.channel, numbers, descriptors)
                return
            except BlockingIOError:
                await asyncio.sleep(0.002)

    def _spawn(self, slot: Slot) -> None:
        slot.restart = None
        slot.generation += 1
        identity = f"{slot.name}.{slot.generation}"
        try:
            pid, ours = self._fork(wire.WorkerSpec(identity, f"ipc://{self._path}", slot.kind))
        except OSError as error:
            slot.restart = self._loop.call_later(RETRY_SECONDS, self._spawn, slot)
            fields = {"worker": slot.name, "reason": error.strerror or str(error)}
            log.error(
                "a worker can't be started; raise the limits of processes or of open files", extra={"fields": fields}
            )
            return
        now = self._loop.time()
        slot.process = Process(identity, pid, ours, born=now, heard=now)
        self._loop.add_reader(ours.fileno(), self._ended, slot, slot.process)
        log.info("a worker starts", extra={"fields": {"worker": slot.name, "pid": pid}})

    def _fork(self, spec: wire.WorkerSpec) -> Tuple[int, socket.socket]:
        """The worker's pid, and our end of its channel. Raises OSError."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            pid = self._spawner.spawn(spec, theirs)
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.setblocking(False)
        return pid, ours

    def _ended(self, slot: Slot, process: Process) -> None:
        """The channel ended: the process is dead, or about to be."""
        self._let_go(process)
        _signal(process.pid, signal.SIGKILL)
        status = _reap(process.pid, 0)
        slot.process = None
        now = self._loop.time()
        slot.early_deaths = slot.early_deaths + 1 if now - process.born < EARLY_SECONDS else 0
        delay = min(MAX_DELAY, 0.25 * 2**slot.early_deaths) if slot.early_deaths > 2 else 0.0
        log.error(
            "a worker died and is replaced",
            extra={"fields": {"worker": slot.name, "pid": process.pid, "status": status, "delay": delay}},
        )
        if delay:
            slot.restart = self._loop.call_later(delay, self._spawn, slot)
        else:
            self._spawn(slot)

    def _let_go(self, process: Process) -> None:
        self._loop.remove_reader(process.channel.fileno())
        process.channel.close()


def _hangs(process: Process, silent: float) -> bool:
    if silent < SUSPECT_SECONDS:
        process.ran = None
        return False
    try:
        state, cpu = look(process.pid)
    except OSError:
        return False  # it has ended, and its channel says so
    if process.ran is None:
        process.ran = cpu
    return hangs(silent, state, cpu - process.ran)


def _signal(pid: int, number: signal.Signals) -> None:
    """To a child that is not reaped yet, whose pid therefore can't be another's."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


async def _wait_for_end(pid: int) -> None:
    deadline = time.monotonic() + STOP_SECONDS
    while _reap(pid, os.WNOHANG) is None:
        if time.monotonic() > deadline:
            _signal(pid, signal.SIGKILL)
            _reap(pid, 0)
            return
        await asyncio.sleep(0.01)


def _reap(pid: int, options: int) -> Optional[int]:
    """The exit status of a child that has ended (negative: by that signal); None if it has not."""
    try:
        found, status = os.waitpid(pid, options)
    except ChildProcessError:
        return 0
    return os.waitstatus_to_exitcode(status) if found else None
