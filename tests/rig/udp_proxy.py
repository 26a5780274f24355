# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A network between clients and a BMC that loses what a test says.

with UdpProxy(bmc_port, lost=in_session) as proxy: ... proxy.port ...
"""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Callable
from typing import Self

RMCP_PLUS, IPMI_PAYLOAD = 0x06, 0x00


class UdpProxy:
    """On 127.0.0.1. Each client has a socket of its own towards the BMC, which tells clients by their ports."""

    def __init__(self, bmc_port: int, lost: Callable[[bytes], bool]) -> None:
        self._bmc = ("127.0.0.1", bmc_port)
        self._lost = lost
        self._front = _socket()
        self.port: int = self._front.getsockname()[1]
        self._stop, self._stopped = socket.socketpair()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_details: object) -> None:
        self._stop.close()
        self._thread.join()

    def _serve(self) -> None:
        ways: dict[tuple[str, int], socket.socket] = {}
        with self._stopped, self._front, selectors.DefaultSelector() as selector:
            selector.register(self._stopped, selectors.EVENT_READ)
            selector.register(self._front, selectors.EVENT_READ)
            while True:
                for key, _events in selector.select():
                    if key.fileobj is self._stopped:
                        for way in ways.values():
                            way.close()
                        return
                    assert isinstance(key.fileobj, socket.socket)
                    data, source = key.fileobj.recvfrom(4096)
                    if self._lost(data):
                        continue
                    if key.data is not None:
                        self._front.sendto(data, key.data)
                        continue
                    if source not in ways:
                        ways[source] = _socket()
                        selector.register(ways[source], selectors.EVENT_READ, source)
                    ways[source].sendto(data, self._bmc)


def in_session(data: bytes) -> bool:
    """Whether a datagram is a command or an answer in a session (IPMI 2.0, table 13-8)."""
    return data[4] == RMCP_PLUS and data[5] & 0x3F == IPMI_PAYLOAD and any(data[6:10])


def _socket() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("127.0.0.1", 0))
    return made
