# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirtd dies, freezes and comes back behind BMCs that go on answering, without a restart of anything."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rig.console import CONTROL, DEVICE_ID, STATUS, Console
from rig.daemon import NO_MACHINE, STOP_SECONDS, Vbmcd
from rig.domains import tiny_domain
from rig.libvirtd import Libvirtd
from rig.waiting import eventually, soon

BUSY = b"\xc0"
SET_BOOT = (0x00, 0x08)
ACTIVATE_SOL, DEACTIVATE_SOL = (0x06, 0x48), (0x06, 0x49)
ONCE_FROM_DISK = b"\x05\x80\x08\x00\x00\x00"

leave = pytest.mark.parametrize("leave", [Libvirtd.kill, Libvirtd.freeze], ids=["killed", "frozen"])


@pytest.fixture
def vbmcd() -> Iterator[Vbmcd]:
    with Vbmcd(workers="1") as daemon:
        yield daemon


@pytest.fixture
def console(own_libvirtd: Libvirtd, vbmcd: Vbmcd) -> Iterator[Console]:
    """Logged in to the BMC of a domain that is off."""
    own_libvirtd.define(tiny_domain("away"))
    with Console(vbmcd.serve("away", libvirt_uri=own_libvirtd.uri)) as console:
        console.login()
        eventually(lambda: console.request(*STATUS)[0] == 0, what="libvirt is reached")
        yield console


def come_back(libvirtd: Libvirtd) -> None:
    """Whatever leave() did."""
    if libvirtd.pid:
        libvirtd.thaw()
    else:
        libvirtd.start()


@leave
def test_without_libvirt_the_node_is_busy_within_a_second_and_the_rest_answers(
    own_libvirtd: Libvirtd, vbmcd: Vbmcd, console: Console, leave: Callable[[Libvirtd], None]
) -> None:
    processes = vbmcd.processes()
    leave(own_libvirtd)
    for command, data in ((STATUS, b""), (CONTROL, b"\x01"), (SET_BOOT, ONCE_FROM_DISK), (STATUS, b"")):
        # What was read before libvirt went may be told for a moment.
        eventually(lambda c=command, d=data: console.request(*c, d) == BUSY, what="node busy")
        assert soon(1, lambda c=command, d=data: console.request(*c, d)), "clients send again after a second"
    assert console.request(*DEVICE_ID) != BUSY
    with Console(vbmcd.status("away")["port"]) as another:
        assert soon(1, another.login), "a login needs no libvirt"
    come_back(own_libvirtd)
    eventually(lambda: console.request(*STATUS) != BUSY, what="the BMC has found libvirt again")
    assert console.insist(*CONTROL, b"\x01") == b"\0"
    # Answered as soon as the start is under way.
    eventually(lambda: own_libvirtd.virsh("domstate", "away") == "running", what="the domain runs")
    assert vbmcd.processes() == processes


@leave
def test_what_changed_meanwhile_is_seen_afterwards(
    own_libvirtd: Libvirtd, console: Console, leave: Callable[[Libvirtd], None]
) -> None:
    own_libvirtd.virsh("start", "away")
    eventually(console.is_on, what="the BMC says on")
    qemu = own_libvirtd.qemu_pid("away")
    leave(own_libvirtd)
    eventually(lambda: console.request(*STATUS) == BUSY, what="node busy")
    os.kill(qemu, signal.SIGKILL)
    come_back(own_libvirtd)
    eventually(lambda: console.request(*STATUS)[:1] == b"\0", what="the BMC has found libvirt again")
    eventually(lambda: not console.is_on(), what="and says off")


def test_consoles_that_a_frozen_libvirt_does_not_open_take_a_thread_and_no_more(
    own_libvirtd: Libvirtd, vbmcd: Vbmcd, console: Console
) -> None:
    """Each attempt hangs with it, whether anybody still waits for it or not."""
    worker = Path("/proc", str(vbmcd.worker_of("away")))
    threads, descriptors = (len(list((worker / kind).iterdir())) for kind in ("task", "fd"))
    own_libvirtd.freeze()
    for turn in range(50):
        # Other requests each time, or a repeated one is answered as before.
        assert console.request(*ACTIVATE_SOL, bytes((1, 1, 0xC0, turn, 0, 0)))[:1] == b"\0"
        assert console.request(*DEACTIVATE_SOL, bytes((1, 1, 0, turn, 0, 0))) == b"\0"
    assert len(list((worker / "task").iterdir())) <= threads + 4
    assert len(list((worker / "fd").iterdir())) <= descriptors + 8
    own_libvirtd.thaw()


@leave
def test_one_libvirt_that_is_gone_does_not_hold_up_another(
    own_libvirtd: Libvirtd, libvirtd: Libvirtd, vbmcd: Vbmcd, console: Console, leave: Callable[[Libvirtd], None]
) -> None:
    libvirtd.define(tiny_domain("near"))
    try:
        with Console(vbmcd.serve("near", libvirt_uri=libvirtd.uri)) as near:
            near.login()
            eventually(lambda: near.request(*STATUS)[0] == 0, what="the other libvirt is reached")
            assert vbmcd.worker_of("near") == vbmcd.worker_of("away")
            leave(own_libvirtd)
            eventually(lambda: console.request(*STATUS) == BUSY, what="node busy")
            for _turn in range(3):
                console.send(console.packets.request(*CONTROL, b"\x01"))
            # The starting of a domain apart, for QEMU takes its time.
            assert near.insist(*CONTROL, b"\x01") == b"\0"
            assert soon(0.5, near.is_on)
    finally:
        libvirtd.remove("near")


def test_the_daemon_starts_and_stops_in_time_without_libvirt(
    own_libvirtd: Libvirtd, vbmcd: Vbmcd, console: Console
) -> None:
    own_libvirtd.freeze()
    console.send(console.packets.request(*CONTROL, b"\x01"))
    eventually(lambda: console.request(*STATUS) == BUSY, what="node busy")
    assert vbmcd.stop() < STOP_SECONDS
    vbmcd.start()  # which waits for no libvirt
    assert console.login().request(*STATUS) == BUSY
    own_libvirtd.thaw()
    eventually(lambda: console.request(*STATUS)[:1] == b"\0", what="libvirt is reached")


def test_a_domain_may_come_after_its_bmc(libvirtd: Libvirtd, vbmcd: Vbmcd) -> None:
    with Console(vbmcd.serve("bmc-late", domain="late", libvirt_uri=libvirtd.uri)) as console:
        console.login()
        eventually(lambda: console.request(*STATUS) == b"\xd5", what="no such domain: not in the present state")
        libvirtd.define(tiny_domain("late"))
        try:
            assert console.insist(*STATUS)[:1] == b"\0"
            assert console.insist(*CONTROL, b"\x01") == b"\0"
            eventually(lambda: libvirtd.virsh("domstate", "late") == "running", what="the domain runs")
        finally:
            libvirtd.remove("late")
        eventually(lambda: console.request(*STATUS) == b"\xd5", what="the domain is gone again")


def test_each_connection_to_the_test_driver_sees_machines_of_its_own(vbmcd: Vbmcd) -> None:
    """And instances of one worker and URI share a connection."""
    ports = [vbmcd.serve(name, **NO_MACHINE) for name in ("one", "two")]
    with Console(ports[0]) as one, Console(ports[1]) as two:
        one.login()
        two.login()
        assert one.request(*CONTROL, b"\x00") == b"\0"
        eventually(lambda: not two.is_on(), what="the other one sees the same machine off")
