# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The worker's way to its supervisor: a ZMQ socket for messages, a unix socket for descriptors."""

from __future__ import annotations

import asyncio
import itertools
import socket
from typing import Dict

import zmq
import zmq.asyncio

from vbmcd.machine.base import Busy
from vbmcd.worker import handover, wire

SOCKET_SECONDS = 2.0
KEEP_SECONDS = 0.7
"""How long a client waits for what it set to reach the disk; it would ask again after a second."""


class SupervisorLink:
    """Both ways to the supervisor. Made in the worker, after the fork."""

    def __init__(self, spec: wire.WorkerSpec, channel: socket.socket) -> None:
        self._context = zmq.asyncio.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.IDENTITY, spec.name.encode())
        self._socket.connect(spec.endpoint)
        self._channel = channel
        self._channel.setblocking(False)
        self._numbers = itertools.count(1)
        self._kept: Dict[int, asyncio.Future[None]] = {}
        self._sockets: Dict[int, socket.socket] = {}
        self._arrived = asyncio.Event()

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.add_reader(self._channel.fileno(), self._take_sockets, loop)

    def _take_sockets(self, loop: asyncio.AbstractEventLoop) -> None:
        received = handover.receive(self._channel)
        if not received:
            loop.remove_reader(self._channel.fileno())
        self._sockets.update(received)
        self._arrived.set()

    async def socket_of(self, token: int) -> socket.socket:
        """The socket that belongs to `token`. Sockets are sent before their assignments, so it is close.

        Raises TimeoutError when it does not come: then this worker ends, and its successor gets all anew.
        """
        while token not in self._sockets:
            self._arrived.clear()
            await asyncio.wait_for(self._arrived.wait(), SOCKET_SECONDS)
        return self._sockets.pop(token)

    async def send(self, message: wire.Message) -> None:
        await self._socket.send(wire.encode(message))

    async def receive(self) -> wire.Message:
        """The next message for the worker; answers to ``keep`` are dealt with here."""
        while True:
            message = wire.decode(await self._socket.recv())
            if message["type"] != "kept":
                return message
            future = self._kept.get(int(message["id"]))
            if future and not future.done():
                if message["error"]:
                    future.set_exception(Busy(message["error"]))
                else:
                    future.set_result(None)

    async def keep(self, name: str, record: str, data: bytes) -> None:
        """Have a record of an instance stored. Raises Busy unless it is on disk in time."""
        await self._store({"type": "keep", "name": name, "record": record, "data": data.hex()})

    async def keep_users(self, name: str, then: wire.Users, now: wire.Users) -> None:
        """Have `now` stored as the users of an instance, which were `then`. Raises Busy as keep() does."""
        await self._store(wire.users_changed(name, then, now))

    async def _store(self, message: wire.Message) -> None:
        number = next(self._numbers)
        future = asyncio.get_running_loop().create_future()
        self._kept[number] = future
        try:
            await self.send({**message, "id": number})
            await asyncio.wait_for(future, KEEP_SECONDS)
        except asyncio.TimeoutError:
            raise Busy("the supervisor did not store what is to be kept in time") from None
        finally:
            del self._kept[number]

    def close(self) -> None:
        self._socket.close()
        self._channel.close()
