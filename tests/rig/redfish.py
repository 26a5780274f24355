# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Redfish client for tests, of the standard library alone: it shares no code with the daemon."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

ROOT = "/redfish/v1"
SYSTEM = f"{ROOT}/Systems/1"
RESET = f"{SYSTEM}/Actions/ComputerSystem.Reset"


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    """Names in lower case."""
    data: bytes
    cut: bool = False
    """Whether the connection was to be broken off instead; of a board without a socket."""

    @property
    def json(self) -> Any:
        return json.loads(self.data) if self.data else None

    @property
    def messages(self) -> list[str]:
        """The ids of the messages of an error, without registry and version."""
        extended = self.json["error"]["@Message.ExtendedInfo"]
        return [one["MessageId"].rpartition(".")[2] for one in extended]


def unverified() -> ssl.SSLContext:
    """For certificates that were made on demand."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Client:
    """Requests to one BMC over one connection that is kept, with basic authentication."""

    def __init__(
        self,
        port: int,
        user: str = "admin",
        password: str = "password",
        *,
        host: str = "127.0.0.1",
        tls: ssl.SSLContext | bool = True,
    ) -> None:
        context = unverified() if tls is True else tls
        self.connection: http.client.HTTPConnection
        if context:
            self.connection = http.client.HTTPSConnection(host, port, timeout=60, context=context)
        else:
            self.connection = http.client.HTTPConnection(host, port, timeout=60)
        self.headers: dict[str, str] = {}
        if user:
            self.headers["Authorization"] = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.connection.close()

    def ask(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None, data: bytes = b""
    ) -> Answer:
        """The answer; it is asked again for as long as the BMC says that it is busy for a moment."""
        answer = self._ask(method, path, body, headers, data)
        for _turn in range(60):
            if answer.status != 503 or not answer.headers.get("retry-after"):
                break
            time.sleep(0.5)
            answer = self._ask(method, path, body, headers, data)
        return answer

    def _ask(self, method: str, path: str, body: object, headers: dict[str, str] | None, data: bytes) -> Answer:
        sent = {**self.headers, **(headers or {})}
        content = data or None
        if body is not None:
            content = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        self.connection.request(method, path, content, sent)
        response = self.connection.getresponse()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def post(self, path: str, body: object) -> Answer:
        return self.ask("POST", path, body)

    def patch(self, path: str, body: object) -> Answer:
        return self.ask("PATCH", path, body)

    def delete(self, path: str) -> Answer:
        return self.ask("DELETE", path)

    def reset(self, kind: str) -> Answer:
        return self.post(RESET, {"ResetType": kind})
