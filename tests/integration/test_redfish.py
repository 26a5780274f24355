# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Redfish over real connections: TLS, sessions, both protocols on one BMC, and clients that mean no good."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import ssl
import stat
from collections.abc import Iterator

import pytest

from rig.console import Console
from rig.daemon import NO_MACHINE, Vbmcd, alive
from rig.ports import free_ports
from rig.redfish import ROOT, SYSTEM, Client
from rig.waiting import eventually

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


def test_a_graceful_restart_ends_with_the_machine_on(ports: tuple[int, int]) -> None:
    with Client(ports[1]) as client:

        def happened() -> list[str]:
            entries = client.get(f"{ROOT}/Managers/1/LogServices/SEL/Entries").json["Members"]
            return [one["Message"].rpartition(": ")[2] for one in entries]

        assert client.reset("GracefulRestart").status == 200
        eventually(lambda: happened()[:2] == ["Power off", "Power off ended"], what="the machine is off, and on again")
        assert client.get(SYSTEM).json["PowerState"] == "On"


def test_a_session_lasts_until_it_is_deleted(ports: tuple[int, int]) -> None:
    with Client(ports[1], user="") as client:
        login = client.post(f"{ROOT}/SessionService/Sessions", {"UserName": "admin", "Password": "password"})
        assert login.status == 201
        client.headers["X-Auth-Token"] = login.headers["x-auth-token"]
        assert client.get(SYSTEM).status == 200
        assert client.delete(login.headers["location"]).status == 204
        assert client.get(SYSTEM).status == 401


def certificate(port: int) -> str:
    return ssl.get_server_certificate(("127.0.0.1", port))


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_dead_worker_loses_neither_port_nor_certificate(vbmcd: Vbmcd, ports: tuple[int, int]) -> None:
    shown = certificate(ports[1])
    dead = vbmcd.worker_of("node")
    os.kill(dead, signal.SIGKILL)
    with Client(ports[1]) as client:
        assert client.get(SYSTEM).status == 200
    assert not alive([dead])
    assert certificate(ports[1]) == shown


def test_a_certificate_is_private_and_outlives_the_daemon() -> None:
    with Vbmcd(workers="1") as daemon:
        (port,) = free_ports(1)
        daemon.serve("node", redfish={"port": port}, **NO_MACHINE)
        shown = certificate(port)
        (record,) = (daemon.state / "certificate").iterdir()
        assert stat.S_IMODE(record.stat().st_mode) == 0o600
        daemon.restart()
        assert certificate(port) == shown
        assert "PRIVATE KEY" not in daemon.log


def test_the_command_tells_the_fingerprint_once_there_is_a_certificate(vbmcd: Vbmcd, ports: tuple[int, int]) -> None:
    def told() -> str:
        rows = {row["Property"]: row["Value"] for row in vbmcd.vbmc_json("show", "node")}
        return str(rows["redfish"]["fingerprint"])

    assert told() == ""
    shown = ssl.PEM_cert_to_DER_cert(certificate(ports[1]))
    assert told() == hashlib.sha256(shown).hexdigest()
    vbmcd.apply({"name": "node", "redfish": {"address": "127.0.0.2"}})
    assert told() == "", "the one that was made is for another address"


def test_redfish_comes_moves_and_goes_and_ipmi_stays(vbmcd: Vbmcd) -> None:
    first, second = free_ports(2)
    udp = vbmcd.serve("node", **NO_MACHINE)
    with Console(udp) as console:
        for redfish, there, gone in (
            ({"port": first}, first, second),
            ({"port": second}, second, first),
            ({"enabled": False}, None, second),
        ):
            vbmcd.apply({"name": "node", "redfish": redfish})
            assert there is None or listens(there)
            assert not listens(gone)
            assert console.login().request(*STATUS)[0] == 0
    vbmcd.ask("delete", names=["node"])


def test_a_port_that_another_program_has_is_bound_once_it_is_free(vbmcd: Vbmcd) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        (one,) = vbmcd.apply(
            {"name": "node", "address": "127.0.0.1", "state": "started", "redfish": {"port": port}, **NO_MACHINE}
        )["instances"]
        assert "another program has it" in one["error"]
        with Console(one["port"]) as console:
            assert console.login().request(*STATUS)[0] == 0
    eventually(lambda: vbmcd.status("node")["status"] == "running", what="the port is bound after all")
    with Client(port) as client:
        assert client.get(SYSTEM).status == 200
    vbmcd.ask("delete", names=["node"])


def test_the_command_adds_and_shows_redfish(vbmcd: Vbmcd) -> None:
    (port,) = free_ports(1)
    added = vbmcd.vbmc("add", "cli", "--address", "127.0.0.1", "--redfish-port", str(port), "--redfish-http")
    assert added.stdout.strip().endswith(f", http://127.0.0.1:{port}")
    vbmcd.vbmc("start", "cli")
    with Client(port, tls=False) as client:
        assert client.get(ROOT).json["Product"] == "vbmcd"
    assert f"http, port {port}\n" in vbmcd.vbmc("show", "cli", "-f", "value").stdout
    rows = {row["Property"]: row["Value"] for row in vbmcd.vbmc_json("show", "cli")}
    assert (rows["redfish"]["tls"], rows["redfish"]["port"], rows["redfish"]["fingerprint"]) == (False, port, "")
    vbmcd.ask("delete", names=["cli"])


def test_changes_are_in_the_audit_log_with_who_and_what(vbmcd: Vbmcd, ports: tuple[int, int]) -> None:
    with Client(ports[1]) as client:
        client.reset("ForceOff")
        client.post(f"{ROOT}/SessionService/Sessions", {"UserName": "admin", "Password": "wrong-Pa55"})
        client.reset("On")
    lines = [one for one in vbmcd.audit("node") if one["event"] == "redfish"][-3:]
    assert "ForceOff" in lines[0]["action"]
    assert [(one.get("user", ""), one["result"]) for one in lines] == [("admin", "200"), ("", "401"), ("admin", "200")]
    assert "wrong-Pa55" not in vbmcd.log
