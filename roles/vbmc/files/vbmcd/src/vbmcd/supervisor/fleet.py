# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Instances on workers: each active one has a socket, a worker, and that worker's word that it serves.

One mechanism, several placements: a number of workers that share the instances, or a worker for each.
Called by ``service`` with the wanted instances, and by ``workers`` when a process was replaced.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import socket
from dataclasses import dataclass
from typing import Callable, Dict, Iterable, List, Mapping, Optional, Set

from vbmcd.background import Background
from vbmcd.config import Instance
from vbmcd.supervisor import sockets
from vbmcd.supervisor.placement import PER_INSTANCE, Placement
from vbmcd.supervisor.sockets import BindError
from vbmcd.supervisor.workers import Process, Workers
from vbmcd.worker import wire

log = logging.getLogger(__name__)

RETRY_SECONDS = 0.25
SERVING_SECONDS = 5.0
"""How long a request waits for the workers' word; datagrams wait in the kernel meanwhile."""

BootOf = Callable[[str], bytes]


@dataclass
class Served:
    """An active instance: bound or not, placed or not."""

    instance: Instance
    token: int
    """New for each socket and each change of the instance: pairs a descriptor with an assignment."""
    sock: Optional[socket.socket] = None
    worker: str = ""
    error: str = ""
    """Why it has no socket; empty when it has."""


class Fleet:
    """The active instances."""

    def __init__(self, placement: Placement, boot_of: BootOf) -> None:
        self._placement = placement
        self._boot_of = boot_of
        self._served: Dict[str, Served] = {}
        self._on_worker: Dict[str, Set[str]] = {}
        self._tokens = itertools.count(1)
        self._numbers = itertools.count(1)
        self._awaited: Dict[int, asyncio.Future[None]] = {}
        self._background = Background()
        self._workers: Optional[Workers] = None

    def start(self, workers: Workers) -> None:
        """Start the shared workers. Raises OSError when the spawner is gone."""
        self._workers = workers
        if isinstance(self._placement, int):
            for number in range(1, self._placement + 1):
                self._on_worker[f"worker-{number}"] = set()
                workers.start(f"worker-{number}")

    @property
    def workers(self) -> Workers:
        assert self._workers is not None
        return self._workers

    def worker_of(self, name: str) -> Optional[str]:
        served = self._served.get(name)
        return served.worker if served and served.sock else None

    def process_of(self, name: str) -> Optional[Process]:
        worker = self.worker_of(name)
        return self.workers.process(worker) if worker else None

    def error_of(self, name: str) -> str:
        served = self._served.get(name)
        return served.error if served else ""

    async def converge(self, wanted: Mapping[str, Instance]) -> None:
        """Serve exactly `wanted`; what is unchanged is not touched. Returns when the workers say so."""
        gone = [name for name in self._served if name not in wanted]
        changed = [
            instance
            for name, instance in wanted.items()
            if name not in self._served or self._served[name].instance != instance
        ]
        moved = [one.name for one in changed if self._has_other_endpoint(one)]
        await self._withdraw([*gone, *moved])
        for instance in changed:
            self._take(instance)
        await self._assign([self._served[one.name] for one in changed if self._served[one.name].sock])

    def _has_other_endpoint(self, instance: Instance) -> bool:
        served = self._served.get(instance.name)
        return served is not None and served.instance.endpoint != instance.endpoint

    async def _withdraw(self, names: Iterable[str]) -> None:
        """Stop serving, and close the sockets before another instance binds the same endpoint."""
        by_worker: Dict[str, List[str]] = {}
        for name in names:
            served = self._served.pop(name)
            if served.sock is None:
                continue
            served.sock.close()
            self._on_worker[served.worker].discard(name)
            by_worker.setdefault(served.worker, []).append(name)
        for worker, removed in by_worker.items():
            if self._placement == PER_INSTANCE:
                del self._on_worker[worker]
                self.workers.stop(worker)
            else:
                await self._send(worker, [], removed)

    def _take(self, instance: Instance) -> None:
        """Bind the instance's socket, or keep the one it has, and place it."""
        served = self._served.get(instance.name)
        if served is None or served.sock is None:
            served = self._served[instance.name] = Served(instance, next(self._tokens))
            self._bind(served)
        served.instance, served.token = instance, next(self._tokens)

    def _bind(self, served: Served) -> None:
        try:
            served.sock = sockets.bind(served.instance)
        except BindError as error:
            if served.error != str(error):
                log.error(str(error), extra={"fields": {"instance": served.instance.name}})
            served.error = str(error)
            return
        served.error = ""
        served.worker = self._choose_worker()
        self._on_worker[served.worker].add(served.instance.name)

    def _choose_worker(self) -> str:
        if self._placement == PER_INSTANCE:
            name = f"bmc-{next(self._numbers)}"
            self._on_worker[name] = set()
            self.workers.start(name)
            return name
        return min(self._on_worker, key=lambda name: len(self._on_worker[name]))

    async def _assign(self, served: List[Served]) -> None:
        by_worker: Dict[str, List[Served]] = {}
        for one in served:
            by_worker.setdefault(one.worker, []).append(one)
        loop = asyncio.get_running_loop()
        futures = []
        for one in served:
            future = self._awaited[one.token] = loop.create_future()
            futures.append(future)
        for worker, ones in by_worker.items():
            await self._send(worker, ones, [])
        if futures:
            await asyncio.wait(futures, timeout=SERVING_SECONDS)
        for one in served:
            self._awaited.pop(one.token, None)

    async def _send(self, worker: str, add: List[Served], remove: List[str]) -> None:
        """Send what is new. To a worker that is not up yet, nothing: ``on_up`` sends it all."""
        process = self.workers.process(worker)
        if process is None or not process.up:
            return
        await self.workers.send_sockets(worker, {one.token: one.sock for one in add if one.sock})
        assignments = [wire.Assignment(one.instance, one.token, self._boot_of(one.instance.name)) for one in add]
        await self.workers.send(worker, wire.assign(assignments, remove))

    def on_up(self, worker: str) -> None:
        """A new process of `worker` is there: give it all that is its."""
        served = [self._served[name] for name in self._on_worker.get(worker, ())]
        self._background.start(self._send(worker, served, []))

    def on_serving(self, tokens: Iterable[int]) -> None:
        for token in tokens:
            future = self._awaited.get(token)
            if future and not future.done():
                future.set_result(None)

    async def retry(self) -> None:
        """Bind what could not be bound, for ever: a port may become free, an address appear."""
        while True:
            await asyncio.sleep(RETRY_SECONDS)
            bound: List[Served] = []
            for served in self._served.values():
                if served.sock is None:
                    self._bind(served)
                    if served.sock is not None:
                        bound.append(served)
            for one in bound:
                log.info("an endpoint could be bound after all", extra={"fields": {"instance": one.instance.name}})
            await self._assign(bound)

    def close(self) -> None:
        for served in self._served.values():
            if served.sock:
                served.sock.close()
