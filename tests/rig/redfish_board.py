# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A BMC's Redfish service without a socket: requests go to the service as a worker hands them over."""

from __future__ import annotations

import base64
import json
from typing import Any

from rig.board import ADMIN, Board
from rig.redfish import Answer
from vbmcd import redfish
from vbmcd.config import User
from vbmcd.redfish.exchange import Request


class Bytes:
    """A body that is all there."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    async def read(self, size: int) -> bytes:
        part, self.data = self.data[:size], self.data[size:]
        return part


class RedfishBoard(Board):
    """A board that is asked by Redfish, too."""

    service = redfish.service()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.headers = basic(ADMIN)

    async def web(
        self, method: str, url: str, body: object = None, headers: dict[str, str] | None = None, data: bytes = b""
    ) -> Answer:
        path, _mark, query = url.partition("?")
        content = data if body is None else json.dumps(body).encode()
        sent = {name.lower(): value for name, value in {**self.headers, **(headers or {})}.items()}
        request = Request(method, path, query, sent, "192.0.2.1", Bytes(content))
        response = await self.service.answer(request, self.bmc)
        assert response.body is None or isinstance(response.body, bytes)
        found = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status, found, response.body or b"", response.cut)

    async def get(self, url: str, **headers: str) -> Answer:
        return await self.web("GET", url, headers={name.replace("_", "-"): value for name, value in headers.items()})


def basic(user: User) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user.name}:{user.password}".encode()).decode()}
