# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of a worker: take assignments, serve them, send heartbeats, end on SIGTERM."""

from __future__ import annotations

import asyncio
import importlib
import logging
import signal
import socket
import uuid
from functools import partial
from typing import TYPE_CHECKING, Any, Coroutine, Dict, List, Optional

from vbmcd.commands import startup
from vbmcd.commands.bmc import Bmc
from vbmcd.commands.boot import BootOptions
from vbmcd.config import Connection
from vbmcd.firmware import unit as firmware_unit
from vbmcd.machine.libvirt_link import LinkPool
from vbmcd.machine.libvirt_machine import LibvirtMachine
from vbmcd.rmcp.engine import Engine
from vbmcd.worker import wire
from vbmcd.worker.collector import Collector
from vbmcd.worker.endpoint import Endpoint
from vbmcd.worker.link import SupervisorLink
from vbmcd.worker.udp import UdpSocket

if TYPE_CHECKING:
    from vbmcd.worker.web import WebEndpoint, WebServer

log = logging.getLogger(__name__)

FINISH_SECONDS, STORE_SECONDS = 2.0, 1.0
"""What commands under way have to finish when the daemon stops, and then what is to be kept has; the whole stop may
take 5 s."""

SOME = 50
"""BMCs that are made at a time."""

_GUIDS = uuid.UUID("6b1a7c1e-5a0c-5c8e-9d5e-4f4f2c9a7b11")
"""Name space of the GUID in a login (13.21), which must not depend on libvirt being there."""


class Worker:
    """Endpoints by instance name."""

    def __init__(self, link: SupervisorLink, loop: asyncio.AbstractEventLoop, boot_flag_timeout: float) -> None:
        self._boot_flag_timeout = boot_flag_timeout
        self._link = link
        self._loop = loop
        self._pool = LinkPool()
        self._endpoints: Dict[str, Endpoint] = {}
        self._web: Optional[WebServer] = None
        self._web_endpoints: Dict[str, WebEndpoint] = {}
        self._links: Dict[str, Connection] = {}
        self._collector = Collector()

    async def serve(self, stopped: asyncio.Event) -> None:
        """Until `stopped`, or until one of the two tasks fails: then the supervisor starts anew."""
        tasks = [asyncio.ensure_future(one) for one in (self._follow(), self._heartbeat(), stopped.wait())]
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        # The supervisor is heard to the end: it says that what is kept last is on disk.
        await self._shut_down()
        for task in pending:
            task.cancel()
        for task in done:
            task.result()

    async def _follow(self) -> None:
        while True:
            message = await self._link.receive()
            if message["type"] == "assign":
                await self._assign(message)

    async def _assign(self, message: wire.Message) -> None:
        add, remove = wire.parse_assign(message)
        for name in remove:
            self._drop(name)
        for number, one in enumerate(add):
            if number % SOME == 0:
                # With thousands of them this takes longer than the supervisor waits for a heartbeat.
                await asyncio.sleep(0)
            if await self._goes_on(one):
                continue
            self._drop(one.instance.name)
            sock = UdpSocket(await self._link.socket_of(one.token))
            bmc = self._make_bmc(one)
            self._endpoints[one.instance.name] = Endpoint(bmc, sock, self._loop)
            if one.redfish:
                listener = await self._link.socket_of(one.redfish)
                self._web_endpoints[one.instance.name] = (await self._web_server()).serve(bmc, listener)
            self._collector.made()
        self._collector.tidy()
        await self._link.send({"type": "done", "number": message["number"]})

    async def _goes_on(self, one: wire.Assignment) -> bool:
        """Whether only other firmware options are wanted of a BMC that is served: its sessions and its update go on."""
        name = one.instance.name
        endpoint = self._endpoints.get(name)
        if endpoint is None or bool(one.redfish) != (name in self._web_endpoints):
            return False
        if not firmware_unit.renew(endpoint.bmc, one.instance):
            return False
        for token in (one.token, one.redfish):
            if token:
                # The sockets that it has already.
                (await self._link.socket_of(token)).close()
        return True

    async def _web_server(self) -> WebServer:
        """Made for the first BMC that has Redfish: the HTTP library takes time and memory to load."""
        if self._web is None:
            module = await asyncio.to_thread(importlib.import_module, "vbmcd.worker.web")
            self._web = module.WebServer(self._loop)
        return self._web

    def _make_bmc(self, one: wire.Assignment) -> Bmc:
        instance = one.instance
        link = self._pool.acquire(instance.connection)
        self._links[instance.name] = instance.connection
        guid = uuid.uuid5(_GUIDS, instance.name).bytes
        engine = Engine(instance.users, guid, kg=instance.kg_bytes, suites=instance.cipher_suites)
        machine = LibvirtMachine(link, instance.domain)
        bmc = Bmc(
            instance,
            engine,
            machine,
            partial(self._link.keep, instance.name),
            partial(self._link.keep_users, instance.name),
            BootOptions(self._boot_flag_timeout),
        )
        startup.start(bmc, one.kept)
        return bmc

    def _drop(self, name: str) -> None:
        endpoint = self._endpoints.pop(name, None)
        if endpoint is None:
            return
        web = self._web_endpoints.pop(name, None)
        if web is not None:
            web.stop()
        endpoint.stop()
        endpoint.bmc.journal.close()
        endpoint.bmc.history.close()
        self._pool.release(self._links.pop(name))
        self._collector.dropped()

    async def _heartbeat(self) -> None:
        while True:
            now = self._loop.time()
            for endpoint in self._endpoints.values():
                endpoint.expire(now)
            if self._web is not None:
                self._web.expire(now)
            await self._link.send(
                {
                    "type": "heartbeat",
                    "instances": len(self._endpoints),
                    "sessions": sum(one.bmc.engine.session_count for one in self._endpoints.values()),
                    "commands": sum(one.commands for one in self._endpoints.values()),
                    "requests": sum(one.requests for one in self._web_endpoints.values()),
                }
            )
            await asyncio.sleep(wire.HEARTBEAT_SECONDS)

    async def _shut_down(self) -> None:
        endpoints = list(self._endpoints.values())
        for endpoint in endpoints:
            endpoint.stop()
        for web in self._web_endpoints.values():
            web.stop()
        await _within(FINISH_SECONDS, [one.finish() for one in endpoints])
        # Only then is nothing new heard of a machine.
        await self._pool.close()
        await _within(STORE_SECONDS, [one.store() for one in endpoints])


async def _within(seconds: float, coroutines: List[Coroutine[Any, Any, None]]) -> None:
    if coroutines:
        await asyncio.wait([asyncio.ensure_future(one) for one in coroutines], timeout=seconds)


async def _main(spec: wire.WorkerSpec, channel: socket.socket, boot_flag_timeout: float) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    link = SupervisorLink(spec, channel)
    link.start(loop)
    try:
        await Worker(link, loop, boot_flag_timeout).serve(stopped)
    finally:
        link.close()


def main(spec: wire.WorkerSpec, channel: socket.socket, boot_flag_timeout: float = 0.0) -> None:
    """Entry of a forked worker; returns when it has ended in good order. The time-out is in seconds, 0: none."""
    try:
        asyncio.run(_main(spec, channel, boot_flag_timeout))
    except Exception:
        log.exception("the worker ends", extra={"fields": {"worker": spec.name}})
        raise
