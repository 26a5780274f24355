# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One connection of Redfish: what a client may send, how long it may take, and how that becomes a request.

The HTTP library's own connection, with the limits that it has not. ``web`` makes them, and says who has to go.
"""

from __future__ import annotations

import asyncio
import logging
import time
from asyncio.sslproto import SSLProtocol as SslProtocol
from typing import TYPE_CHECKING, Any, Dict, Optional

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import RequestHandler

from vbmcd.redfish.dispatch import COMMON
from vbmcd.redfish.exchange import Request
from vbmcd.redfish.messages import failure

if TYPE_CHECKING:
    from vbmcd.worker.web import WebEndpoint

_silent = logging.getLogger("vbmcd.http")
"""The HTTP library's: it would log a traceback of whatever rubbish a client sends."""
_silent.disabled = True

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

_OPTIONS: Dict[str, Any] = {
    "logger": _silent,
    "access_log": None,
    "keepalive_timeout": 3600.0,  # the sweep is stricter
    "lingering_time": 1.0,
    "max_line_size": MAX_LINE,
    "max_field_size": MAX_LINE,
    "auto_decompress": False,
}
"""The HTTP library's, of each connection."""


class Connection(RequestHandler):
    """One connection, as the HTTP library has it, with what it does not watch: time and size of what comes."""

    __slots__ = ("_handled", "_head", "_known", "_request", "active", "busy", "ended", "endpoint", "host")

    def __init__(self, manager: web.Server, loop: asyncio.AbstractEventLoop, endpoint: WebEndpoint) -> None:
        super().__init__(manager, loop=loop, **_OPTIONS)
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
