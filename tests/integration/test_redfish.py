# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Redfish over real connections: TLS, sessions, both protocols on one BMC, and clients that mean no good."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rig.console import Console
from rig.daemon import NO_MACHINE, Vbmcd, free_ports
from rig.redfish import ROOT, SYSTEM, Client

STATUS = (0x00, 0x01)


@pytest.fixture(scope="module")
def vbmcd() -> Iterator[Vbmcd]:
    with Vbmcd(workers="1") as daemon:
        yield daemon


@pytest.fixture
def ports(vbmcd: Vbmcd) -> Iterator[tuple[int, int]]:
    """The UDP and the TCP port of a BMC with both protocols."""
    (tcp,) = free_ports(1)
    udp = vbmcd.serve("node", redfish={"port": tcp}, **NO_MACHINE)
    yield udp, tcp
    vbmcd.ask("delete", names=["node"])


def test_a_power_change_over_one_protocol_is_read_over_the_other(ports: tuple[int, int]) -> None:
    udp, tcp = ports
    with Client(tcp) as client, Console(udp) as console:
        console.login()
        assert client.get(SYSTEM).json["PowerState"] == "On"
        assert client.reset("ForceOff").status == 200
        assert console.request(*STATUS)[1] & 1 == 0
        console.request(0x00, 0x02, bytes((1,)))
        assert client.get(SYSTEM).json["PowerState"] == "On"


def test_a_session_lasts_until_it_is_deleted(ports: tuple[int, int]) -> None:
    with Client(ports[1], user="") as client:
        login = client.post(f"{ROOT}/SessionService/Sessions", {"UserName": "admin", "Password": "password"})
        assert login.status == 201
        client.headers["X-Auth-Token"] = login.headers["x-auth-token"]
        assert client.get(SYSTEM).status == 200
        assert client.delete(login.headers["location"]).status == 204
        assert client.get(SYSTEM).status == 401
