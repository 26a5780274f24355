# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is mended of pyghmi."""

from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.clients import pyghmi_mends

BMC, OTHER = ("192.0.2.1", 623), ("192.0.2.2", 623)


@pytest.fixture
def module() -> Any:
    """What is mended of pyghmi's; `waits` has the seconds that its own wait was asked for."""
    waits: list[float] = []
    fake = SimpleNamespace(sessionqueue=[], waits=waits, _io_recvfrom=lambda mysocket, size: mysocket.recvfrom(size))
    fake._io_wait = lambda timeout, myaddr, evq: waits.append(timeout)
    pyghmi_mends._mend_waits(fake)
    return fake


def test_a_packet_that_is_there_is_not_waited_for(module: Any) -> None:
    module.sessionqueue = [SimpleNamespace(sockaddr=BMC, pktqueue=[b"answer"])]
    module._io_wait(1.5, BMC)
    assert module.waits == []


def test_what_was_missed_is_looked_for_soon(module: Any) -> None:
    module.sessionqueue = [SimpleNamespace(sockaddr=OTHER, pktqueue=[b"answer"])]
    module._io_wait(1.5, BMC)
    module._io_wait(0.001)
    assert module.waits == [pyghmi_mends.SLICE, 0.001]


def test_a_socket_that_was_made_blocking_does_not_block_who_reads(module: Any) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours:
        ours.bind(("127.0.0.1", 0))
        ours.setblocking(True)
        assert module._io_recvfrom(ours, 3000) is None
        ours.sendto(b"packet", ours.getsockname())
        assert module._io_recvfrom(ours, 3000) == (b"packet", ours.getsockname())


def test_another_pyghmi_is_left_as_it_is() -> None:
    newer = SimpleNamespace(sessionqueue=[])
    pyghmi_mends._mend_waits(newer)
    assert not hasattr(newer, "_io_wait")


class Session:
    """What is mended of pyghmi's."""

    def __init__(self) -> None:
        self.rmcptag, self.attemptedhash, self.sessioncontext = 3, 256, "OPENSESSION"
        self.did: list[str] = []

    def _got_rmcp_response(self, data: bytes) -> None:
        self.did.append("go on")

    def _open_rmcpplus_request(self) -> None:
        self.did.append("ask anew")


@pytest.mark.parametrize(
    ("tag", "status", "algorithm", "did"),
    [
        (3, 0, 1, "ask anew"),
        (3, 0, 3, "go on"),
        (3, 0x11, 1, "go on"),
        (2, 0, 1, "go on"),
    ],
)
def test_the_algorithm_that_a_bmc_chose_is_the_one(tag: int, status: int, algorithm: int, did: str) -> None:
    class Mended(Session):
        pass

    pyghmi_mends._mend_login(Mended)
    session = Mended()
    session._got_rmcp_response(bytes([tag, status, 4, 0, *range(8), 0, 0, 0, 8, algorithm, 0, 0, 0]))
    assert session.did == [did]
    assert session.attemptedhash == (1 if did == "ask anew" else 256)
