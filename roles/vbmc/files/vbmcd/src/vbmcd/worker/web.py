# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Redfish over TCP: who is connected to which BMC, and who makes room; ``web_connection`` is what one of them may send.

One handler and one router for all BMCs of a worker; of a BMC that nobody asks there is a listening socket and little
more. Who connects and says nothing, or too much, or too often, holds up nobody else.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import struct
import time
from contextlib import suppress
from typing import Dict, List, Optional, Set, Tuple
from weakref import WeakSet

from aiohttp import web

from vbmcd import redfish
from vbmcd.commands.bmc import Bmc
from vbmcd.redfish.access import Access
from vbmcd.redfish.exchange import Response
from vbmcd.worker.tls import Tls
from vbmcd.worker.web_connection import Connection

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 128
"""Of one BMC; who matters least makes room."""
MAX_CONNECTIONS_PER_HOST = 64
MAX_CONNECTIONS_OF_ALL = 1024
"""Of all BMCs of a worker; the BMC with the most makes room."""
IDLE_SECONDS = 30.0
"""What a connection has for its first request, and for each further one, to come whole."""
BUSY_SECONDS = 600.0
"""What a request may take that makes no progress."""
HANDSHAKE_SECONDS = 10.0
PAUSE_SECONDS = 1.0
"""Before taking connections again, where there was no descriptor left for one."""

COLLECT = 128

_RESET = struct.pack("ii", 1, 0)
"""struct linger: closing resets the connection (socket(7))."""


class WebServer:
    """The BMCs of a worker that have Redfish."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._service = redfish.service()
        self._endpoints: WeakSet[WebEndpoint] = WeakSet()
        self._manager = web.Server(self._handle)
        self.dropped = 0
        """Connections that made room, since what is left of such was last collected."""

    def serve(self, bmc: Bmc, sock: socket.socket) -> WebEndpoint:
        endpoint = WebEndpoint(self, bmc, sock, self._loop)
        self._endpoints.add(endpoint)
        return endpoint

    def expire(self, now: float) -> None:
        """End what is idle for too long; called every second or so."""
        for endpoint in self._endpoints:
            endpoint.expire(now)
        if self.dropped >= COLLECT:
            # Each left a circle of objects and its buffers. Under a flood they would become many before the collector
            # finds that it is time.
            self.dropped = 0
            gc.collect()

    def crowd(self) -> List[Peer]:
        """Of whom one has to make room, should another come: those of one BMC, where all together are too many."""
        if sum(map(len, self._endpoints)) < MAX_CONNECTIONS_OF_ALL:
            return []
        return max(self._endpoints, key=len).peers()

    def connection(self, endpoint: WebEndpoint) -> Connection:
        return Connection(self._manager, self._loop, endpoint)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        assert isinstance(connection, Connection)
        connection.begin()
        try:
            response = await self._service.answer(connection.translated(request), connection.endpoint.bmc)
        finally:
            connection.end()
        connection.endpoint.requests += 1
        if response.cut and connection.transport is not None:
            connection.transport.abort()
        return _encoded(response)


def _encoded(response: Response) -> web.Response:
    body = response.body
    assert body is None or isinstance(body, bytes)
    return web.Response(body=body, status=response.status, headers=response.headers)


class WebEndpoint:
    """One BMC's listening socket, and who is connected to it. Owns the socket."""

    __slots__ = ("__weakref__", "_connections", "_loop", "_pending", "_server", "_sock", "_tls", "bmc", "requests")

    def __init__(self, server: WebServer, bmc: Bmc, sock: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        self.bmc = bmc
        self.requests = 0
        """Answered since the start, for the worker's counters."""
        self._server = server
        self._sock = sock
        self._loop = loop
        self._connections: Dict[Peer, None] = {}
        """The oldest first."""
        self._pending: Optional[Set[asyncio.Task[None]]] = None
        assert bmc.instance.redfish is not None
        self._tls = Tls(bmc) if bmc.instance.redfish.tls else None
        bmc.on_away = self._drop_all
        sock.setblocking(False)
        loop.add_reader(sock.fileno(), self._acceptable)

    def __len__(self) -> int:
        """How many are connected, or about to be."""
        return len(self._connections)

    def peers(self) -> List[Peer]:
        """The oldest first."""
        return list(self._connections)

    @property
    def secure(self) -> bool:
        return self._tls is not None

    def stop(self) -> None:
        """Take no more connections and end those that there are."""
        self._loop.remove_reader(self._sock.fileno())
        self._sock.close()
        self._drop_all()

    def _drop_all(self) -> None:
        for peer in self.peers():
            peer.drop()

    def expire(self, now: float) -> None:
        """End connections that have been idle for too long; called every second or so."""
        for peer in [peer for peer in self._connections if peer.is_overdue(now)]:
            peer.leave()
        access = self.bmc.has(Access)
        if access is not None:
            access.expire()

    def _acceptable(self) -> None:
        # One connection a turn of the loop, so that datagrams of the worker's BMCs wait no longer than for one.
        try:
            sock, address = self._sock.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:
            log.warning("no connection can be taken for now: %s", error.strerror)
            self._loop.remove_reader(self._sock.fileno())
            self._loop.call_later(PAUSE_SECONDS, self._resume)
            return
        if self.bmc.away:
            # The kernel has taken the connection already: a reset of it is the nearest to nobody being there.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            sock.close()
            return
        peer = Peer(sock, _host(address[0]), self._connections)
        if not self._has_room_for(peer):
            sock.close()
            return
        self._connections[peer] = None
        if self._pending is None:
            self._pending = set()
        task = self._loop.create_task(self._connect(peer))
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    def _resume(self) -> None:
        if self._sock.fileno() >= 0:
            self._loop.add_reader(self._sock.fileno(), self._acceptable)

    def _has_room_for(self, newcomer: Peer) -> bool:
        """Whether one more of its host may connect; who matters least makes room."""
        own = [peer for peer in self._connections if peer.host == newcomer.host]
        if len(own) >= MAX_CONNECTIONS_PER_HOST:
            crowd = own
        elif len(self._connections) >= MAX_CONNECTIONS:
            crowd = self.peers()
        else:
            crowd = self._server.crowd()
        if not crowd:
            return True
        least = min((peer for peer in crowd if not peer.is_busy), key=lambda peer: peer.precedence, default=None)
        if least is not None:
            least.leave()
            self._server.dropped += 1
        return least is not None

    async def _connect(self, peer: Peer) -> None:
        """Shake hands; from then on the connection lives by itself."""
        try:
            context = await self._tls.context() if self._tls is not None else None
            if self._tls is not None and context is None:
                return
            _transport, peer.connection = await self._loop.connect_accepted_socket(
                lambda: self._server.connection(self),
                peer.sock,
                ssl=context,
                ssl_handshake_timeout=HANDSHAKE_SECONDS if context is not None else None,
            )
            peer.connection.host = peer.host
            peer.connection.ended = lambda: self._connections.pop(peer, None)
            if peer.connection.transport is None:
                # It was lost before anybody could be told.
                self._connections.pop(peer, None)
        except (OSError, asyncio.TimeoutError):
            # Who hangs up, or does not speak TLS: nothing that a log should be filled with.
            return
        finally:
            if peer.connection is None:
                self._connections.pop(peer, None)
                peer.sock.close()


class Peer:
    """Who is connected, or about to be."""

    __slots__ = ("_among", "_since", "connection", "host", "sock")

    def __init__(self, sock: socket.socket, host: str, among: Dict[Peer, None]) -> None:
        self._among = among
        self._since = time.monotonic()
        self.sock = sock
        self.host = host
        self.connection: Optional[Connection] = None

    @property
    def is_busy(self) -> bool:
        """Whether it is being served. Who has not logged in is not: a body that never ends holds no place."""
        return self.connection is not None and self.connection.busy and self.connection.logged_in

    @property
    def precedence(self) -> Tuple[bool, float]:
        """The least makes room: strangers before those who have logged in, and of either who is idle the longest."""
        if self.connection is None:
            return False, self._since
        return self.connection.logged_in, self.connection.active

    def is_overdue(self, now: float) -> bool:
        if self.connection is None:
            return False  # the handshake has a time-out of its own
        return now - self.connection.active > (BUSY_SECONDS if self.connection.busy else IDLE_SECONDS)

    def leave(self) -> None:
        """End the connection, and count no more: to hang up takes some turns of the loop, in which others come."""
        self._among.pop(self, None)
        self.drop()

    def drop(self) -> None:
        connection = self.connection
        if connection is not None and connection.transport is not None:
            connection.transport.abort()
        elif connection is None:
            # It still shakes hands: that ends with its socket.
            with suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)


def _host(address: str) -> str:
    return address[7:] if address.startswith("::ffff:") else address
