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
from typing import Any, Callable, Coroutine, Dict, Iterable, List, Mapping, Optional, Set, Tuple

from vbmcd.background import Background
from vbmcd.config import Instance
from vbmcd.supervisor import sockets
from vbmcd.supervisor.placement import PER_INSTANCE, Placement
from vbmcd.supervisor.records import Kept
from vbmcd.supervisor.sockets import BindError
from vbmcd.supervisor.workers import Process, Workers
from vbmcd.worker import wire

log = logging.getLogger(__name__)

RETRY_SECONDS = 0.25
DONE_SECONDS = 5.0
"""How long a request waits for a worker's word; datagrams wait in the kernel meanwhile."""

KeptOf = Callable[[str], Kept]


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
    redfish: Optional[socket.socket] = None
    redfish_token: int = 0
    redfish_error: str = ""
    """Why Redfish is not served, where it is wanted; IPMI is all the same."""

    @property
    def whole(self) -> bool:
        """Whether it has all the sockets that it is to have."""
        return self.sock is not None and (self.redfish is not None or self.instance.redfish is None)

    def sockets(self) -> Dict[int, socket.socket]:
        """By their tokens, to hand over."""
        found = ((self.token, self.sock), (self.redfish_token, self.redfish))
        return {token: sock for token, sock in found if sock is not None and sock.fileno() >= 0}

    def close(self) -> None:
        for sock in (self.sock, self.redfish):
            if sock is not None:
                sock.close()


class Fleet:
    """The active instances."""

    def __init__(self, placement: Placement, kept_of: KeptOf) -> None:
        self._placement = placement
        self._kept_of = kept_of
        self._served: Dict[str, Served] = {}
        self._on_worker: Dict[str, Set[str]] = {}
        self._tokens = itertools.count(1)
        self._numbers = itertools.count(1)
        self._awaited: Dict[int, Tuple[str, asyncio.Future[None]]] = {}
        self._lock = asyncio.Lock()
        self._background = Background()
        self._workers: Optional[Workers] = None

    def start(self, workers: Workers) -> None:
        """Start the shared workers."""
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
        return (served.error or served.redfish_error) if served else ""

    async def converge(self, wanted: Mapping[str, Instance]) -> None:
        """Serve exactly `wanted`; what is unchanged is not touched. Returns when the workers say so."""
        async with self._lock:
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

    def adopt(self, instance: Instance) -> None:
        """Its worker changed `instance` by itself, and need not be told."""
        served = self._served.get(instance.name)
        if served is not None:
            served.instance = instance

    async def renew(self, name: str) -> None:
        """Have an instance begin anew at its worker, whose view of it is outdated."""
        async with self._lock:
            served = self._served.get(name)
            if served is not None and served.sock is not None:
                self._take(served.instance)
                await self._assign([served])

    def _has_other_endpoint(self, instance: Instance) -> bool:
        served = self._served.get(instance.name)
        if served is None:
            return False
        before = served.instance
        return (before.endpoint, before.redfish_endpoint) != (instance.endpoint, instance.redfish_endpoint)

    async def _withdraw(self, names: Iterable[str]) -> None:
        """Stop serving. Returns when nobody holds the sockets, so that others can bind their endpoints."""
        by_worker: Dict[str, List[str]] = {}
        for name in names:
            served = self._served.pop(name)
            served.close()
            if served.sock is None:
                continue
            self._on_worker[served.worker].discard(name)
            by_worker.setdefault(served.worker, []).append(name)
        if self._placement == PER_INSTANCE:
            for worker in by_worker:
                del self._on_worker[worker]
            await gather(self.workers.stop(worker) for worker in by_worker)
        else:
            await gather(self._send(worker, [], removed) for worker, removed in by_worker.items())

    def _take(self, instance: Instance) -> None:
        """Bind the instance's sockets, or keep those it has, and place it."""
        served = self._served.get(instance.name)
        if served is None:
            served = self._served[instance.name] = Served(instance, 0)
        served.instance = instance
        self._bind(served)
        served.token, served.redfish_token = next(self._tokens), next(self._tokens)

    def _bind(self, served: Served) -> None:
        """What is not bound yet."""
        if served.sock is None:
            served.sock, served.error = _try(sockets.bind, served.instance, served.error)
            if served.sock is not None:
                served.worker = self._choose_worker()
                self._on_worker[served.worker].add(served.instance.name)
        if served.redfish is None and served.instance.redfish is not None:
            served.redfish, served.redfish_error = _try(sockets.listen, served.instance, served.redfish_error)

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
        await gather(self._send(worker, ones, []) for worker, ones in by_worker.items())

    async def _send(self, worker: str, add: List[Served], remove: List[str]) -> None:
        """Send what is new, and wait until it is done. To a worker that is not up, nothing: ``on_up`` sends it all."""
        process = self.workers.process(worker)
        if process is None or not process.up:
            return
        open_ones = [one for one in add if one.sock and one.sock.fileno() >= 0]
        assignments = [
            wire.Assignment(
                one.instance,
                one.token,
                self._kept_of(one.instance.name),
                one.redfish_token if one.redfish is not None else 0,
            )
            for one in open_ones
        ]
        number = next(self._numbers)
        done = asyncio.get_running_loop().create_future()
        self._awaited[number] = (worker, done)
        try:
            tokens = {token: sock for one in open_ones for token, sock in one.sockets().items()}
            await self.workers.send_sockets(worker, tokens)
            await self.workers.send(worker, wire.assign(number, assignments, remove))
            await asyncio.wait_for(done, DONE_SECONDS)
        except asyncio.TimeoutError:
            log.error("a worker does not take its assignment", extra={"fields": {"worker": worker}})
        finally:
            del self._awaited[number]

    def on_up(self, worker: str) -> None:
        """A new process of `worker` is there: give it all that is its. What its predecessor owed is void."""
        for owing, done in self._awaited.values():
            if owing == worker and not done.done():
                done.set_result(None)
        served = [self._served[name] for name in self._on_worker.get(worker, ())]
        self._background.start(self._send(worker, served, []))

    def on_done(self, number: int) -> None:
        """A worker has done what assignment `number` said."""
        _worker, done = self._awaited.get(number, ("", None))
        if done and not done.done():
            done.set_result(None)

    async def retry(self) -> None:
        """Bind what could not be bound, for ever: a port may become free, an address appear."""
        while True:
            await asyncio.sleep(RETRY_SECONDS)
            async with self._lock:
                bound = [served for served in self._served.values() if not served.whole and self._bind_more(served)]
                for served in bound:
                    fields = {"instance": served.instance.name}
                    log.info("an endpoint could be bound after all", extra={"fields": fields})
                await self._assign(bound)

    def _bind_more(self, served: Served) -> bool:
        """Whether anything could be bound that could not before, and there is something to serve."""
        before = (served.sock, served.redfish)
        self._bind(served)
        if served.sock is None or before == (served.sock, served.redfish):
            return False
        served.token, served.redfish_token = next(self._tokens), next(self._tokens)
        return True

    def close(self) -> None:
        for served in self._served.values():
            served.close()


def _try(
    make: Callable[[Instance], socket.socket], instance: Instance, told: str
) -> Tuple[Optional[socket.socket], str]:
    """The socket, or why there is none. `told`: what was the reason the last time, which is not logged again."""
    try:
        return make(instance), ""
    except BindError as error:
        if told != str(error):
            log.error(str(error), extra={"fields": {"instance": instance.name}})
        return None, str(error)


async def gather(coroutines: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run them side by side until all have ended."""
    await asyncio.gather(*coroutines)
