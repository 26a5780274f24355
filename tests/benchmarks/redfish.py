# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Redfish: what a request costs, beside sushy-tools' emulator, and what a BMC costs that nobody asks."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from base64 import b64encode
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks import processes
from benchmarks.clients import ADDRESS
from benchmarks.console import PASSWORD, USERNAME
from benchmarks.servers import RedfishVbmcd, Server, SushyEmulator, Vbmcd
from rig.waiting import eventually

SYSTEMS = "/redfish/v1/Systems"
SETTLE_SECONDS = 2.0


@dataclass
class RequestCost:
    """GET of a system over TLS, one request under way at a time."""

    server: str
    kept: bool
    """Whether the server keeps the connection; else each request pays for a handshake."""
    cpu: float
    """Microseconds of the server's CPU a request."""
    rate: float
    """Requests a second, as the client sees it."""


@dataclass
class Redfish:
    """All that is measured of it."""

    requests: list[RequestCost]
    """Ours, the other's, and ours without keeping the connection."""
    bmcs: int
    idle: float
    """KiB PSS that Redfish adds to an idle BMC beyond the first."""


def measure(folder: Path, uri: str, bmcs: int, requests: int, rounds: int) -> Redfish:
    ours, theirs = RedfishVbmcd(1, folder / "redfish-1"), SushyEmulator(1, folder / "sushy")
    with ExitStack() as running:
        for server in (ours, theirs):
            server.configure(uri)
            running.enter_context(server)
        port = ours.ports[0] + ours.redfish_offset
        clients = [Client(ours, port), Client(theirs, theirs.ports[0]), Client(ours, port, close=True)]
        measured = [[client.run(requests) for client in clients] for _turn in range(rounds)]
    costs = [_middle([one[at] for one in measured]) for at in range(len(clients))]
    return Redfish(costs, bmcs, idle(folder, uri, bmcs))


def _middle(costs: Sequence[RequestCost]) -> RequestCost:
    first = costs[0]
    return RequestCost(first.server, first.kept, median(c.cpu for c in costs), median(c.rate for c in costs))


class Client:
    """Asks one server again and again, over one connection if the server keeps it."""

    def __init__(self, server: Server, port: int, close: bool = False) -> None:
        """`close`: have the server close the connection after each request, though it would keep it."""
        self._server = server
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self._connection = http.client.HTTPSConnection(ADDRESS, port, timeout=10, context=context)
        login = b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()
        self._headers = {"Authorization": f"Basic {login}", **({"Connection": "close"} if close else {})}
        eventually(self._answers, 15, f"{server.name} answers, see {server.folder}/log")
        (self._path, *_more) = [one["@odata.id"] for one in self._get(SYSTEMS)["Members"]]

    def _answers(self) -> bool:
        try:
            return bool(self._get(SYSTEMS)["Members"])
        except (OSError, http.client.HTTPException):
            self._connection.close()
            return False

    def _get(self, path: str) -> dict[str, list[dict[str, str]]]:
        self._connection.request("GET", path, headers=self._headers)
        response = self._connection.getresponse()
        document: dict[str, list[dict[str, str]]] = json.loads(response.read())
        if response.status != 200:
            raise OSError(f"{self._server.name} answers {response.status}")
        return document

    def run(self, requests: int) -> RequestCost:
        # While another server was measured, this one may have ended a connection that was idle.
        self._connection.close()
        self._get(self._path)
        kept = self._connection.sock is not None
        pids = self._server.processes()
        cpu, began = processes.cpu(pids), time.monotonic()
        for _turn in range(requests):
            self._get(self._path)
        used, took = processes.cpu(pids) - cpu, time.monotonic() - began
        return RequestCost(self._server.name, kept, used / requests * 1e6, requests / took)


def idle(folder: Path, uri: str, bmcs: int) -> float:
    """What each BMC beyond the first takes with Redfish, less what it takes without."""
    each = []
    for kind in (Vbmcd, RedfishVbmcd):
        sizes = []
        for count in (1, bmcs):
            name = folder / f"idle-{kind.__name__}-{count}"
            server = RedfishVbmcd(count, name) if kind is RedfishVbmcd else Vbmcd(count, name, "1")
            server.configure(uri)
            with server:
                assert isinstance(server, Vbmcd)
                server.wait()
                time.sleep(SETTLE_SECONDS)
                sizes.append(processes.memory(server.processes()).pss)
        each.append((sizes[1] - sizes[0]) * 1024 / (bmcs - 1))
    return each[1] - each[0]
