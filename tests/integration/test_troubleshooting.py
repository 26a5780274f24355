# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What docs/guides/troubleshooting.md says that one sees is what one sees, with its cause provoked."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rig.daemon import NO_MACHINE, ControlError, Vbmcd
from rig.domains import tiny_domain
from rig.ipmi import Outcome, Target, ipmitool
from rig.libvirtd import Libvirtd
from rig.waiting import eventually

GUIDE = (Path(__file__).resolve().parents[2] / "docs/guides/troubleshooting.md").read_text()
NO_SESSION = "Unable to establish IPMI v2 / RMCP+ session"


def told(output: str, *symptoms: str) -> bool:
    """Whether it holds all of them, as the guide does."""
    for symptom in symptoms:
        assert symptom in GUIDE
        assert symptom in output
    return True


@pytest.fixture(scope="module")
def vbmcd() -> Iterator[Vbmcd]:
    with Vbmcd(workers="1") as daemon:
        yield daemon


@pytest.fixture(scope="module")
def bmc(vbmcd: Vbmcd) -> Target:
    users = [{"name": "guest", "password": "guest", "privilege": "user"}]
    return Target(vbmcd.serve("n1", username="admin", password="password", users=users, **NO_MACHINE))


def status(bmc: Target, *options: str, suite: int = 17, level: str = "ADMINISTRATOR") -> Outcome:
    return ipmitool(bmc, *options, "power", "status", suite=suite, level=level)


def test_why_there_is_no_session(bmc: Target) -> None:
    nobody = status(replace(bmc, port=1), "-v", "-N", "1", "-R", "1")
    assert told(nobody.output, NO_SESSION, "Get Auth Capabilities error")
    assert told(status(bmc, suite=8).output, NO_SESSION, "no matching cipher suite")
    for stranger in (replace(bmc, user="root"), replace(bmc, password="wrong")):
        assert told(status(stranger, "-v").output, NO_SESSION, "RAKP 2 HMAC is invalid")
    guest = replace(bmc, user="guest", password="guest")
    assert told(status(guest, "-v").output, NO_SESSION, "unauthorized role requested")
    assert status(guest, level="USER").code == 0
    who = ["-H", bmc.host, "-p", str(bmc.port), "-U", bmc.user, "-P", bmc.password]
    old = subprocess.run(["ipmitool", "-I", "lan", *who, "mc", "info"], capture_output=True, text=True, check=False)
    assert told(old.stderr, "Unable to establish IPMI v1.5 / RMCP session")


def test_why_a_command_is_refused(own_libvirtd: Libvirtd, vbmcd: Vbmcd, bmc: Target) -> None:
    guest = replace(bmc, user="guest", password="guest")
    assert told(ipmitool(guest, "power", "on", level="USER").output, "Insufficient privilege level")

    own_libvirtd.define(tiny_domain("there", devices="<interface type='network'><source network='none'/></interface>"))
    for name in ("there", "missing"):
        port = vbmcd.serve(name, domain=name, libvirt_uri=own_libvirtd.uri, password="password")
        eventually(lambda: vbmcd.status(name)["status"] == "running", what="it answers")  # noqa: B023
        # A failure that takes more than a moment comes after the command was accepted.
        eventually(lambda: refused_as_told(Target(port)), what="the failure is told")  # noqa: B023
    assert "no network with matching name 'none'" in vbmcd.log
    assert "has no domain 'missing'" in vbmcd.log

    own_libvirtd.kill()
    eventually(lambda: told_busy(Target(port)), what="libvirt is missed")
    assert "Node busy" in GUIDE


def refused_as_told(bmc: Target) -> bool:
    done = ipmitool(bmc, "power", "on")
    return done.code != 0 and told(done.output, "Command not supported in present state")


def told_busy(bmc: Target) -> bool:
    return "Node busy" in ipmitool(bmc, "power", "on", patient=False).output


def test_why_a_bmc_does_not_come_up(vbmcd: Vbmcd, bmc: Target) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        for spec, reason in (
            ({"address": "192.0.2.99"}, "no interface has this address"),
            ({"port": other.getsockname()[1]}, "another program has it"),
        ):
            vbmcd.apply({"name": "down", "address": "127.0.0.1", "state": "started", **NO_MACHINE, **spec})
            assert told(vbmcd.status("down")["reason"], reason)
            vbmcd.apply({"name": "down", "state": "absent"})
    with pytest.raises(ControlError) as refused:
        vbmcd.serve("down", port=bmc.port, **NO_MACHINE)
    assert told(str(refused.value).replace("n1", "NODE"), "which 'NODE' already has")


def test_why_the_command_finds_no_daemon(vbmcd: Vbmcd, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "vbmcd.cli.app", "--no-daemon", "--socket", str(tmp_path / "none.sock"), "list"]
    done = subprocess.run(command, env=vbmcd.env, capture_output=True, text=True, check=False)
    assert told(done.stderr, "no vbmcd answers on")
