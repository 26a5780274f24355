# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Serial over LAN: who has the console, and its settings, on a real daemon and domain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rig.console import Console
from rig.daemon import Vbmcd, free_ports
from rig.domains import tiny_domain
from rig.guest import SERIAL, write_guest
from rig.ipmi import Target, ipmitool
from rig.libvirtd import Libvirtd

ACTIVATE = bytes((1, 1, 0xC0, 0, 0, 0))


@dataclass
class Guest:
    name: str
    libvirtd: Libvirtd
    vbmcd: Vbmcd
    target: Target


@pytest.fixture(scope="module")
def vbmcd() -> Iterator[Vbmcd]:
    with Vbmcd() as daemon:
        yield daemon


@pytest.fixture
def guest(libvirtd: Libvirtd, vbmcd: Vbmcd, tmp_path: Path) -> Iterator[Guest]:
    name = f"sol-{tmp_path.name[-24:]}"
    disk = write_guest(tmp_path / "disk")
    libvirtd.define(tiny_domain(name, disks=[disk], boot=["hd"], devices=SERIAL))
    try:
        port = vbmcd.serve(name, libvirt_uri=libvirtd.uri, port=free_ports(1)[0])
        yield Guest(name, libvirtd, vbmcd, Target(port))
    finally:
        vbmcd.ask("delete", names=[name])
        libvirtd.remove(name)


def test_one_console_at_a_time(guest: Guest) -> None:
    with Console(guest.target.port) as first, Console(guest.target.port) as second:
        first.login()
        second.login()
        assert first.request(0x06, 0x48, ACTIVATE)[0] == 0
        assert second.request(0x06, 0x48, ACTIVATE) == b"\x80"
        assert second.request(0x06, 0x4B, b"\x01\x01")[1:5] == first.packets.session_id.to_bytes(4, "little")
        assert second.request(0x06, 0x49, ACTIVATE) == b"\0"
        assert second.request(0x06, 0x48, ACTIVATE)[0] == 0


def test_a_closed_session_leaves_the_console_to_others(guest: Guest) -> None:
    with Console(guest.target.port) as first, Console(guest.target.port) as second:
        first.login()
        second.login()
        assert first.request(0x06, 0x48, ACTIVATE)[0] == 0
        first.request(0x06, 0x3C, first.packets.session_id.to_bytes(4, "little"))
        assert second.request(0x06, 0x48, ACTIVATE)[0] == 0


def test_settings_outlive_the_daemon_and_are_told(guest: Guest) -> None:
    shown = ipmitool(guest.target, "sol", "info", "1").output
    assert f"Payload Port                    : {guest.target.port}" in shown
    assert ipmitool(guest.target, "sol", "set", "retry-count", "3", "1").code == 0
    assert ipmitool(guest.target, "sol", "set", "enabled", "false", "1").code == 0
    guest.vbmcd.ask("stop", names=[guest.name])
    guest.vbmcd.ask("start", names=[guest.name])
    shown = ipmitool(guest.target, "sol", "info", "1").output
    assert "Retry Count                     : 3" in shown
    assert "Enabled                         : false" in shown
    refused = Console(guest.target.port).login().request(0x06, 0x48, ACTIVATE)
    assert refused == b"\x81"
