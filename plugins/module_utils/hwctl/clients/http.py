# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP with JSON for BMCs: one kept connection, TLS by a target's rules, errors as hwctl's.

The standard library's client, since modules run where nothing else is sure to be installed, and since one that streams
from a file costs no memory.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import io
import json
import queue
import socket
import ssl
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Callable, Dict, Mapping, Optional, Sequence, TypeVar

from ..deadline import Deadline
from ..errors import (
    AuthFailed,
    BadAnswer,
    Busy,
    HwctlError,
    InDoubt,
    Refused,
    TlsFailed,
    Unreachable,
    Unsupported,
)
from ..target import Target

CONNECT_TIMEOUT = 10.0
ANSWER_TIMEOUT = 30.0
"""Seconds without a byte, after which a BMC counts as gone."""
WHOLE_ANSWER_TIMEOUT = 60.0
"""Seconds for all of an answer: one that comes byte by byte would hold its thread for hours."""
UPLOAD_ANSWER_TIMEOUT = 90.0
"""Seconds that a BMC has to take an image that it has all of."""
CONNECTING = 64
"""Uploads that connect at one time. Their BMCs answered a moment ago, so that none holds up the others for long."""
PIECE = 1 << 20
"""Bytes that are sent at a time, and for which a BMC has ANSWER_TIMEOUT."""
ANSWER_LIMIT = 8 * 1024 * 1024
"""Bytes of an answer that are read; a BMC's largest ones have a few hundred thousand."""
DEPTH = 100
"""Objects within objects of an answer that is read. Python 3.13 ends the process for thousands, in a small stack."""
Done = TypeVar("Done")
_MAKING = threading.Lock()
NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


@dataclass(frozen=True)
class Answer:
    """What a BMC answered. Names of headers are in lower case; several of a name are one, with commas."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    def json(self) -> Dict[str, Any]:
        """Raises BadAnswer when the body is no JSON object."""
        try:
            found = None if _too_deep(self.body) else json.loads(self.body)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise BadAnswer(f"the BMC's answer (HTTP {self.status}) is no JSON object: is it the right port?")
        return found


def _too_deep(body: bytes) -> bool:
    depth = 0
    for one in body.translate(None, NO_BRACKETS):
        depth += 1 if one in b"[{" else -1
        if depth > DEPTH:
            return True
    return False


def refused(answer: Answer, uri: str, words: str) -> HwctlError:
    """What the status of an answer that is not ok means; `words` are the service's own, or none."""
    said = f"{uri}: HTTP {answer.status}" + (f", {words}" if words else "")
    if answer.status in (401, 403):
        return AuthFailed(f"the BMC refused {said}: check user name, password and the user's role")
    if answer.status in (404, 405, 501):
        return Unsupported(f"the BMC has no {said}")
    if answer.status in (429, 503):
        return Busy(f"the BMC is busy: {said}")
    return Refused(f"the BMC refused {said}")


class _Bounded(io.RawIOBase):
    """What comes on a connection until a moment. Also in place of the socket that http.client reads an answer from."""

    def __init__(self, connection: socket.socket, stall: float, until: Deadline) -> None:
        self._connection = connection
        self._stall = stall
        self._until = until
        # A reference to the socket: http.client closes it once it has the head of a last answer.
        self._file = connection.makefile("rb", buffering=0)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> Optional[int]:
        self._connection.settimeout(min(self._stall, max(self._until.left, 0.001)))
        return self._file.readinto(buffer)

    def close(self) -> None:
        self._file.close()
        super().close()


class _FewThreads:
    """Work of many threads done by a few. OpenSSL keeps 18 KiB for each thread that has shaken hands, until it ends."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._threads = 0
        self._making = threading.Lock()
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()

    def call(self, work: Callable[[], Done]) -> Done:
        """What `work` returns or raises."""
        future: Future[Done] = Future()

        def run() -> None:
            try:
                future.set_result(work())
            except Exception as error:
                future.set_exception(error)

        with self._making:
            if self._threads < self._size:
                self._threads += 1
                threading.Thread(target=self._serve, name="hwctl-connect", daemon=True).start()
        self._work.put(run)
        return future.result()

    def _serve(self) -> None:
        while True:
            self._work.get()()


_CONNECTING = _FewThreads(CONNECTING)


class HttpClient:
    """One connection to a target, made when first needed and made anew when the BMC closed it."""

    def __init__(self, target: Target, deadline: Deadline) -> None:
        self._target = target
        self.deadline = deadline
        self._connection: Optional[http.client.HTTPConnection] = None
        self.headers: Dict[str, str] = {"Accept": "application/json", "OData-Version": "4.0"}

    def request(self, method: str, path: str, document: Optional[Mapping[str, Any]] = None, **more: str) -> Answer:
        """`more` are headers, with _ for -. Raises Unreachable, TlsFailed, TimedOut or BadAnswer; no HTTP status does.

        A connection that the BMC had closed meanwhile is made anew once, for a request that nothing was sent of.
        """
        headers = {**self.headers, **{name.replace("_", "-"): value for name, value in more.items()}}
        body = None
        if document is not None:
            body = json.dumps(document).encode()
            headers["Content-Type"] = "application/json"
        _check_path(path)
        self.deadline.check(f"{method} {path}")
        reused = self._connection is not None
        try:
            return self._exchange(method, path, body, headers)
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError) as error:
            self.close()
            if not reused or method != "GET":
                raise _gone(error) from None
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise _gone(error) from None
        try:
            return self._exchange(method, path, body, headers)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise _gone(error) from None

    def send(
        self,
        method: str,
        path: str,
        parts: Sequence[memoryview],
        sent: Callable[[int], None],
        seconds: float,
        **more: str,
    ) -> Answer:
        """Send a body of `parts`, without a copy of them, in `seconds`. `sent` is told of every piece, and may raise.

        On a connection of its own. Raises what `request` raises, and InDoubt when no answer came to the whole body.
        """
        _check_path(path)
        deadline = self.deadline.at_most(seconds)
        headers = {**self.headers, **{name.replace("_", "-"): value for name, value in more.items()}}
        headers["Content-Length"] = str(sum(len(part) for part in parts))
        self.close()
        connection = _CONNECTING.call(self._connected)
        try:
            return self._stream(connection, method, path, parts, sent, deadline, headers)
        finally:
            self.close()

    def _stream(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        parts: Sequence[memoryview],
        sent: Callable[[int], None],
        deadline: Deadline,
        headers: Mapping[str, str],
    ) -> Answer:
        """A BMC may refuse, and break off, before it has all: its answer says more than the error of the send."""
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        whole, broken = True, None
        size = headers["Content-Length"]
        try:
            connection.endheaders()
            for piece in (part[start : start + PIECE] for part in parts for start in range(0, len(part), PIECE)):
                deadline.check(f"the upload of {size} bytes")
                connection.sock.settimeout(min(ANSWER_TIMEOUT, max(deadline.left, 0.001)))
                connection.send(piece)
                sent(len(piece))
        except socket.timeout:
            raise Unreachable(f"the BMC stopped reading: nothing went in {ANSWER_TIMEOUT:g} s") from None
        except OSError as error:
            whole, broken = False, error
        try:
            patience = UPLOAD_ANSWER_TIMEOUT if whole else CONNECT_TIMEOUT
            return _answer(connection, f"{method} {path}", patience, self.deadline.at_most(patience))
        except (OSError, http.client.HTTPException, AttributeError, BadAnswer) as error:
            if whole:
                raise InDoubt(f"the BMC has the whole image and did not answer: {_reason(error)}") from None
            raise _gone(broken or error) from None

    def close(self) -> None:
        """Raises nothing."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _exchange(self, method: str, path: str, body: Optional[bytes], headers: Mapping[str, str]) -> Answer:
        connection = self._connected()
        connection.sock.settimeout(min(ANSWER_TIMEOUT, max(self.deadline.left, 0.001)))
        connection.request(method, path, body=body, headers=dict(headers))
        try:
            until = self.deadline.at_most(WHOLE_ANSWER_TIMEOUT)
            answer = _answer(connection, f"{method} {path}", ANSWER_TIMEOUT, until)
        except BadAnswer:
            self.close()
            raise
        if connection.sock is None:  # as the BMC wished
            self.close()
        return answer

    def _connected(self) -> http.client.HTTPConnection:
        if self._connection is not None:
            return self._connection
        target, timeout = self._target, min(CONNECT_TIMEOUT, max(self.deadline.left, 0.001))
        if target.plain_http:
            connection = http.client.HTTPConnection(target.address, target.port, timeout=timeout)
        else:
            context = _context(target.tls.verify and target.tls.fingerprint is None, target.tls.ca_file)
            connection = http.client.HTTPSConnection(target.address, target.port, timeout=timeout, context=context)
        try:
            connection.connect()
            if target.tls.fingerprint is not None and isinstance(connection.sock, ssl.SSLSocket):
                _check_fingerprint(connection.sock, target.tls.fingerprint)
        except ssl.SSLCertVerificationError as error:
            connection.close()
            raise TlsFailed(
                f"the certificate of {target.address} is not trusted ({error.verify_message}): give the authority that "
                "signed it (ca_path) or its fingerprint, or turn the check off (validate_certs)"
            ) from None
        except (OSError, HwctlError) as error:
            connection.close()
            if isinstance(error, HwctlError):
                raise
            raise _unreachable(target, error) from None
        self._connection = connection
        return connection


def _context(checked: bool, ca_file: Optional[str]) -> ssl.SSLContext:
    """One for all targets of the same rules: reading the authorities costs 30 ms and a megabyte.

    `checked`: by authorities, and not by a fingerprint or not at all. Raises TlsFailed.
    """
    with _MAKING:  # a hundred threads come at once, and the cache lets each make its own
        return _made_context(checked, ca_file)


@lru_cache(maxsize=None)
def _made_context(checked: bool, ca_file: Optional[str]) -> ssl.SSLContext:
    if not checked:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise TlsFailed(f"the authorities in {ca_file} can't be read: {error}") from None


def _check_fingerprint(connection: ssl.SSLSocket, wanted: str) -> None:
    found = hashlib.sha256(connection.getpeercert(binary_form=True) or b"").hexdigest()
    if not hmac.compare_digest(found, wanted):
        raise TlsFailed(
            f"the BMC's certificate has the SHA-256 fingerprint {found}, and not the one that was given: give this one "
            "if the BMC has a new certificate, and look at who answers there if it has not"
        )


def _unreachable(target: Target, error: OSError) -> HwctlError:
    if isinstance(error, socket.gaierror):
        return Unreachable(f"the name {target.address} can't be resolved: {error.strerror}")
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        # As a BMC does that is reset between taking a connection and the end of the handshake.
        return Unreachable(f"{target.address} port {target.port} closed the connection")
    if isinstance(error, ssl.SSLError):
        return TlsFailed(
            f"TLS with {target.address} port {target.port} failed ({error.reason or error}): check that it is the port "
            "of HTTPS; one without TLS takes plain_http"
        )
    why = "it timed out" if isinstance(error, socket.timeout) else error.strerror or str(error)
    return Unreachable(
        f"{target.address} port {target.port} does not answer ({why}): check the address, the port and the network, or "
        "wait until the BMC has booted"
    )


def _answer(connection: http.client.HTTPConnection, request: str, stall: float, until: Deadline) -> Answer:
    """What comes next on the connection. Raises OSError, HTTPException or BadAnswer."""
    connection.response_class = partial(_response, stall, until)  # type: ignore[assignment]
    response = connection.getresponse()
    data = response.read(ANSWER_LIMIT + 1)
    if len(data) > ANSWER_LIMIT:
        raise BadAnswer(f"the BMC's answer to {request} is longer than {ANSWER_LIMIT} bytes")
    names = {name.lower() for name in response.headers}
    return Answer(response.status, {name: ", ".join(response.headers.get_all(name, [])) for name in names}, data)


def _response(stall: float, until: Deadline, connection: socket.socket, **given: Any) -> http.client.HTTPResponse:
    return http.client.HTTPResponse(_Bounded(connection, stall, until), **given)  # type: ignore[arg-type]


def _check_path(path: str) -> None:
    """Raises BadAnswer: paths come from the BMC."""
    if not path.isascii() or not path.isprintable() or " " in path:
        raise BadAnswer(f"the BMC gave {path[:200]!r} for an address, which is none")


def _gone(error: Exception) -> Unreachable:
    return Unreachable(f"the BMC broke off: {_reason(error)}")


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
