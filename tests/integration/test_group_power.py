# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Power commands on a domain that depends on others, against real libvirtd and QEMU."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rig.console import CONTROL, STATUS, Console
from rig.daemon import Vbmcd
from rig.groups import becomes, declare, make, state
from rig.libvirtd import Libvirtd, tiny_domain
from rig.ports import free_ports
from rig.redfish import SYSTEM, Client
from rig.waiting import eventually

OFF, ON, CYCLE = b"\0", b"\1", b"\2"
FAULTS = 0x18
BROKEN = "<disk type='file' device='disk'><source file='/no/such/image'/><target dev='vda' bus='virtio'/></disk>"
NAMES = ("power-a", *(f"power-{number}" for number in range(4)))


@pytest.fixture
def vbmcd(libvirtd: Libvirtd) -> Iterator[Vbmcd]:
    make(libvirtd, *NAMES)
    with Vbmcd(workers="1") as daemon:
        yield daemon
    for name in NAMES:
        libvirtd.remove(name)


def serve(vbmcd: Vbmcd, libvirtd: Libvirtd) -> Console:
    port = vbmcd.serve("power-a", libvirt_uri=libvirtd.uri, domain="power-a")
    return Console(port).login()


def power(console: Console) -> int:
    """Byte 1 of Chassis Status (28.2)."""
    answer = console.insist(*STATUS)
    assert answer[0] == 0, answer.hex()
    return answer[1]


def command(console: Console, what: bytes) -> None:
    """Give a power command; it is accepted."""
    answer = console.insist(*CONTROL, what)
    assert answer[0] == 0, answer.hex()


def events(console: Console) -> list[bytes]:
    """The entries of the event log."""
    console.request(0x0A, 0x42)
    entries, number = [], 0
    while number != 0xFFFF:
        answer = console.request(0x0A, 0x43, bytes(2) + number.to_bytes(2, "little") + b"\0\xff")
        number = int.from_bytes(answer[1:3], "little")
        entries.append(answer[3:])
    return entries


def event_text(console: Console) -> str:
    """What the log says in words."""
    return b"".join(entry[5:] for entry in events(console) if entry[2] == 0xF0).decode()


def test_a_power_command_acts_on_the_group_in_order(libvirtd: Libvirtd, vbmcd: Vbmcd) -> None:
    declare(libvirtd, "power-a", *NAMES[1:3])
    console = serve(vbmcd, libvirtd)
    command(console, ON)
    eventually(lambda: power(console) & 1, what="the machine is on")
    assert [state(libvirtd, name) for name in NAMES[:3]] == ["running"] * 3
    numbers = {name: int(libvirtd.virsh("domid", name)) for name in NAMES[:3]}
    assert numbers["power-a"] > max(numbers["power-0"], numbers["power-1"])
    command(console, CYCLE)
    eventually(lambda: state(libvirtd, "power-a") == "running", what="it was cycled")
    eventually(lambda: int(libvirtd.virsh("domid", "power-a")) > numbers["power-a"] + 2, what="all were")
    assert int(libvirtd.virsh("domid", "power-0")) > numbers["power-0"]
    command(console, OFF)
    becomes(libvirtd, "shut off", *NAMES[:3])


def test_a_pause_over_redfish_is_the_whole_groups(libvirtd: Libvirtd, vbmcd: Vbmcd) -> None:
    declare(libvirtd, "power-a", *NAMES[1:3])
    (port,) = free_ports(1)
    vbmcd.serve("power-a", libvirt_uri=libvirtd.uri, domain="power-a", redfish={"port": port})
    with Client(port) as client:
        client.reset("On")
        eventually(lambda: client.get(SYSTEM).json["PowerState"] == "On", what="the machine is on")
        for kind, there, told in (("Pause", "paused", "Paused"), ("Resume", "running", "On")):
            client.reset(kind)
            becomes(libvirtd, there, *NAMES[:3])
            eventually(lambda told=told: client.get(SYSTEM).json["PowerState"] == told, what=f"it reads {told}")
        client.reset("Pause")
        client.reset("ForceOff")
        becomes(libvirtd, "shut off", *NAMES[:3])


def test_it_reads_on_once_all_run_that_it_requires(libvirtd: Libvirtd, vbmcd: Vbmcd) -> None:
    declare(libvirtd, "power-a", *NAMES[1:], order="after")
    console = serve(vbmcd, libvirtd)
    assert not power(console) & 1
    command(console, ON)
    while not power(console) & 1:
        pass
    assert [state(libvirtd, name) for name in NAMES] == ["running"] * 5


@pytest.fixture
def gate(libvirtd: Libvirtd, tmp_path: Path) -> Iterator[Gate]:
    yield Gate(libvirtd, tmp_path)
    libvirtd.remove("power-slow")


class Gate:
    """Holds up the QEMU of a domain `power-slow` for as long as it is shut."""

    def __init__(self, libvirtd: Libvirtd, folder: Path) -> None:
        self._path = folder / "open"
        emulator = folder / "qemu"
        emulator.write_text(
            f'#!/bin/sh\ncase "$*" in *guest=power-slow*) until [ -e {self._path} ]; do sleep 0.1; done;; esac\n'
            'exec /usr/bin/qemu-system-x86_64 "$@"\n'
        )
        emulator.chmod(0o755)
        libvirtd.define(tiny_domain("power-slow", devices=f"<emulator>{emulator}</emulator>"))

    def open(self) -> None:
        self._path.touch()

    def shut(self) -> None:
        self._path.unlink()


def test_it_reads_off_until_a_slow_part_runs_too(libvirtd: Libvirtd, vbmcd: Vbmcd, gate: Gate) -> None:
    declare(libvirtd, "power-a", "power-0", "power-slow", order="after")
    console = serve(vbmcd, libvirtd)
    gate.open()
    command(console, ON)
    eventually(lambda: power(console) & 1, what="the machine is on")
    gate.shut()
    command(console, CYCLE)  # accepted long before all is done, which the gate keeps from being
    eventually(lambda: not power(console) & 1 and state(libvirtd, "power-a") == "running", what="it was cycled")
    assert not power(console) & 1
    gate.open()
    eventually(lambda: power(console) & 1, what="the machine is on again")
    assert state(libvirtd, "power-slow") == "running"
    command(console, OFF)
    becomes(libvirtd, "shut off", "power-a", "power-0", "power-slow")
    gate.shut()
    libvirtd.virsh("start", "power-a")  # the daemon follows
    assert not power(console) & 1
    gate.open()
    eventually(lambda: power(console) & 1, what="the machine is on again")
    assert state(libvirtd, "power-slow") == "running"


def test_libvirtd_that_goes_away_meanwhile_is_a_fault(own_libvirtd: Libvirtd, tmp_path: Path) -> None:
    with own_libvirtd as libvirtd, Vbmcd(workers="1") as vbmcd:
        make(libvirtd, "power-a")
        Gate(libvirtd, tmp_path)
        declare(libvirtd, "power-a", "power-slow")
        console = serve(vbmcd, libvirtd)
        command(console, ON)
        libvirtd.kill()
        libvirtd.start()
        eventually(lambda: power(console) & FAULTS == FAULTS, what="the power is at fault")
        assert event_text(console).startswith("power-slow: libvirt went away meanwhile")


def test_a_part_that_fails_is_a_power_fault_and_in_the_event_log(libvirtd: Libvirtd, vbmcd: Vbmcd) -> None:
    libvirtd.remove("power-1")
    libvirtd.define(tiny_domain("power-1", devices=BROKEN))
    declare(libvirtd, "power-a", "power-0", "power-1")
    console = serve(vbmcd, libvirtd)
    console.insist(*CONTROL, ON)
    eventually(lambda: power(console) & FAULTS == FAULTS, what="the power is at fault")
    assert [state(libvirtd, name) for name in NAMES[:3]] == ["shut off"] * 3
    assert any(entry[2] == 2 and entry[10] == 0x09 and entry[13] & 0x0F == 5 for entry in events(console))
    text = event_text(console)
    assert text.startswith("power-1: ")
    assert "/no/such/image" in text
    declare(libvirtd, "power-a", "power-0")
    command(console, ON)
    eventually(lambda: power(console) & 1, what="the machine is on")
    eventually(lambda: not power(console) & FAULTS, what="the fault is gone")
