# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Redfish over TCP: where the resources meet the HTTP library, TLS and the event loop.

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
from asyncio.sslproto import SSLProtocol as SslProtocol
from contextlib import suppress
from typing import Any, Dict, List, Optional, Set, Tuple
from weakref import WeakSet

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import RequestHandler

from vbmcd import redfish
from vbmcd.commands.bmc import Bmc
from vbmcd.redfish.access import Access
from vbmcd.redfish.dispatch import COMMON
from vbmcd.redfish.exchange import Request, Response
from vbmcd.redfish.messages import failure
from vbmcd.worker.tls import Tls

log = logging.getLogger(__name__)
_silent = logging.getLogger("vbmcd.http")
"""The HTTP library's: it would log a traceback of whatever rubbish a client sends."""
_silent.disabled = True

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

MAX_PIPELINED = 16
"""Requests that a client may send ahead of the answers. Hardly any does, and each that waits costs a KiB or two."""
STEP = 16 * 1024
"""Bytes that are parsed before it is looked how many requests they were."""
MAX_LINE = 8190
MAX_HEAD = 32 * 1024
"""Bytes of a request's line and headers."""

STALL_SECONDS = 15.0
"""The longest gap in a body."""
BODY_SECONDS, BODY_RATE = 30.0, 1024
"""A body may take so long, and a second more for each so many bytes."""


SslProtocol.max_size = 32 * 1024  # type: ignore[attr-defined]
"""Of each TLS connection, for what comes in: two records of TLS. asyncio's 256 KiB are for those who load much."""

COLLECT = 128

_RESET = struct.pack("ii", 1, 0)
"""struct linger: closing resets the connection (socket(7))."""


class WebServer:
    """The BMCs of a worker that have Redfish."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._service = redfish.service()
        self._endpoints: WeakSet[WebEndpoint] = WeakSet()
        self._options: Dict[str, Any] = {
            "logger": _silent,
            "access_log": None,
            "keepalive_timeout": 3600.0,  # the sweep is stricter
            "lingering_time": 1.0,
            "max_line_size": MAX_LINE,
            "max_field_size": MAX_LINE,
            "auto_decompress": False,
        }
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
        return Connection(self._manager, self._loop, endpoint, self._options)

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


class Connection(RequestHandler):
    """One connection, as the HTTP library has it, with what it does not watch: time and size of what comes."""

    __slots__ = ("_handled", "_head", "_known", "_request", "active", "busy", "ended", "endpoint", "host")

    def __init__(
        self, manager: web.Server, loop: asyncio.AbstractEventLoop, endpoint: WebEndpoint, options: Dict[str, Any]
    ) -> None:
        super().__init__(manager, loop=loop, **options)
        self.endpoint = endpoint
        self.host = ""
        self.busy = False
        self.active = loop.time()
        """When there was last any progress that counts: a whole request, a part of a body, an answer."""
        self.ended: Any = None
        self._handled = 0
        self._head = 0
        self._known = False
        self._request: Optional[Request] = None

    @property
    def logged_in(self) -> bool:
        """Whether any of its requests was a user's."""
        self._known = self._known or (self._request is not None and self._request.login is not None)
        return self._known

    def data_received(self, data: bytes) -> None:
        # In steps: a quarter of a MiB may come at once, which is thousands of requests.
        # With nothing, the HTTP library has itself go on with what it has already: that is a step as well.
        for start in range(0, len(data) or 1, STEP):
            self._step(data[start : start + STEP])
            if self.transport is None or self.transport.is_closing():
                return

    def _step(self, data: bytes) -> None:
        super().data_received(data)
        waiting = self._request_count - self._handled
        self._head = 0 if waiting else self._head + len(data)
        # The HTTP library limits neither before 3.14.
        if (self._head > MAX_HEAD or waiting > MAX_PIPELINED) and self.transport is not None:
            self.transport.abort()

    def connection_lost(self, exc: Optional[BaseException]) -> None:
        super().connection_lost(exc)
        if self.ended is not None:
            self.ended()

    def begin(self) -> None:
        self.busy, self.active = True, time.monotonic()

    def end(self) -> None:
        self._known = self.logged_in
        self._request = None
        self.busy, self.active = False, time.monotonic()
        self._handled += 1

    def translated(self, request: web.BaseRequest) -> Request:
        path, _mark, query = request.raw_path.partition("?")
        self._request = Request(
            request.method,
            path,
            query.partition("#")[0],
            {name.lower(): value for name, value in request.headers.items()},
            self.host,
            Body(request, self),
            self.endpoint.secure,
        )
        return self._request

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: Optional[BaseException] = None,
        message: Optional[str] = None,
    ) -> web.StreamResponse:
        """For what is no HTTP request: an error in Redfish's own form, and the end of the connection."""
        self._handled += 1
        refused = failure(status, "GeneralError", resolution="Send an HTTP request: this can't be read as one.")
        if isinstance(exc, LineTooLong):
            # RFC 6585, 5. Which line it was, the library does not tell.
            most = f"Send lines of {MAX_LINE} bytes at most."
            refused = failure(431, "GeneralError", resolution=most)
        elif "method" in str(message or exc or "").lower():
            refused = failure(501, "OperationNotAllowed")
        response = web.json_response(refused.body(), status=refused.status, headers=COMMON)
        response.force_close()
        return response


class Body:
    """Implements ``redfish.exchange.Stream`` over a request of the HTTP library."""

    __slots__ = ("_connection", "_expected", "_received", "_request", "_started")

    def __init__(self, request: web.BaseRequest, connection: Connection) -> None:
        self._request = request
        self._connection = connection
        self._expected = request.headers.get("Expect", "").lower() == "100-continue"
        self._received = 0
        self._started = time.monotonic()

    async def read(self, size: int) -> bytes:
        if self._expected:
            # Only now: who is refused before sends nothing in vain (RFC 9110, 10.1.1).
            self._expected = False
            if self._request.transport is not None:
                self._request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        left = self._started + BODY_SECONDS + self._received / BODY_RATE - time.monotonic()
        try:
            data: bytes = await asyncio.wait_for(self._request.content.read(size), max(0.0, min(STALL_SECONDS, left)))
        except asyncio.TimeoutError:
            raise failure(408, "OperationFailed", headers={"Connection": "close"}) from None
        except (web.RequestPayloadError, ConnectionError):
            raise failure(400, "UnrecognizedRequestBody", headers={"Connection": "close"}) from None
        self._received += len(data)
        self._connection.active = time.monotonic()
        return data


def _host(address: str) -> str:
    return address[7:] if address.startswith("::ffff:") else address
