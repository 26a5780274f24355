# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The libvirt backend against the real libvirtd and QEMU: power, boot devices, and a libvirtd that fails."""

from __future__ import annotations

import asyncio
import os
import signal
import time
import uuid
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from rig.libvirtd import Libvirtd, tiny_domain
from rig.waiting import eventually_async
from vbmcd.config import Connection
from vbmcd.machine import libvirt_link, libvirt_machine
from vbmcd.machine.base import Action, BootDevice, BootOverride, Busy, Unsupported, WrongState
from vbmcd.machine.libvirt_link import LinkPool
from vbmcd.machine.libvirt_machine import LibvirtMachine

ONCE = BootOverride(BootDevice.NETWORK)
KEPT = BootOverride(BootDevice.NETWORK, persistent=True)
PASSWORD = "s3cret"


@pytest.fixture(autouse=True)
def patience(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where libvirtd neither dies nor freezes, it is waited for, however slow this computer is."""
    if "own_libvirtd" not in request.fixturenames:
        monkeypatch.setattr(libvirt_link, "READ_DEADLINE", 60.0)
        monkeypatch.setattr(libvirt_machine, "PROMPT", 60.0)


@pytest.fixture
async def pool() -> AsyncIterator[LinkPool]:
    pool = LinkPool()
    yield pool
    await pool.close()


@pytest.fixture
def name(libvirtd: Libvirtd) -> Iterator[str]:
    """The name of a domain that the test may define, and that is gone after it."""
    name = f"backend-{uuid.uuid4().hex[:8]}"
    yield name
    libvirtd.remove(name)


@pytest.fixture
def machine(libvirtd: Libvirtd, pool: LinkPool, name: str, tmp_path: Path) -> Callable[..., LibvirtMachine]:
    """Define the domain with what is given (and a disk, a NIC, a CD-ROM drive and a secret), and be behind it."""
    disk = tmp_path / "disk.raw"
    disk.write_bytes(bytes(1 << 20))

    def make(**options: Any) -> LibvirtMachine:
        options = {"disks": [disk], "nics": 2, "cdrom": True, "boot": ["hd"], "vnc_password": PASSWORD, **options}
        libvirtd.define(tiny_domain(name, **options))
        return LibvirtMachine(pool.acquire(Connection(libvirtd.uri)), name)

    return make


class Definition:
    """What libvirt says about a domain, read by virsh."""

    def __init__(self, libvirtd: Libvirtd, name: str, *options: str) -> None:
        self.text = libvirtd.virsh("dumpxml", name, "--security-info", *options)
        self.tree = ET.fromstring(self.text)
        self.boot = [boot.get("dev") for boot in self.tree.iterfind("os/boot")]
        self.firmware = self.tree.find("os").get("firmware")  # type: ignore[union-attr]


async def refused_at_once(ask: Callable[[], Coroutine[Any, Any, Any]]) -> bool:
    """Whether what is asked raises Busy, and in one of some tries without any waiting."""
    for _turn in range(10):
        began = time.monotonic()
        with pytest.raises(Busy):
            await ask()
        if time.monotonic() - began < 0.1:
            return True
    return False


async def is_on(machine: LibvirtMachine, on: bool) -> bool:
    """Whether it reads so; not as long as it is busy."""
    try:
        return await machine.is_on() is on
    except Busy:
        return False


@pytest.mark.parametrize(
    ("domain", "order"),
    [
        ({"boot": ["hd", "network", "cdrom"]}, ["cdrom", "network", "hd"]),
        ({"boot": [], "orders": ["vda", "nic1", "hdc"]}, ["hdc", "vda"]),
    ],
)
async def test_a_boot_order_is_that_of_the_next_start(
    machine: Callable[..., LibvirtMachine], libvirtd: Libvirtd, name: str, domain: dict[str, Any], order: list[str]
) -> None:
    subject = machine(**domain)
    await subject.control(Action.ON)
    await eventually_async(lambda: is_on(subject, True), what="the machine is on")
    before = await subject.hardware()
    wanted = [*order, *(one for one in before.boot_order if one not in order)]
    await subject.set_boot_order(wanted)
    after = await subject.hardware()
    assert (list(after.boot_order), after.boot_devices) == (wanted, before.boot_devices)
    assert "passwd=" in Definition(libvirtd, name, "--inactive").text
    with pytest.raises(WrongState):
        await subject.set_boot_order(wanted[1:])


async def test_power(machine: Callable[..., LibvirtMachine], libvirtd: Libvirtd, name: str) -> None:
    subject = machine()
    assert not await subject.is_on()
    for action, on in [(Action.ON, True), (Action.RESET, True), (Action.CYCLE, True), (Action.DIAGNOSTIC, True)]:
        await subject.control(action)
        await eventually_async(lambda on=on: is_on(subject, on), what=f"on after {action}")
    await subject.control(Action.SOFT)  # without a guest system nobody hears the power button
    assert await subject.is_on()
    await subject.control(Action.OFF)
    assert libvirtd.virsh("domstate", name) == "shut off"
    assert not await subject.is_on()


async def test_a_reset_keeps_the_process_and_a_cycle_does_not(
    machine: Callable[..., LibvirtMachine], libvirtd: Libvirtd, name: str
) -> None:
    subject = machine()
    await subject.control(Action.ON)
    await eventually_async(lambda: is_on(subject, True), what="the machine is on")
    qemu = libvirtd.qemu_pid(name)
    await subject.control(Action.RESET)
    assert libvirtd.qemu_pid(name) == qemu
    await subject.control(Action.CYCLE)
    await eventually_async(lambda: is_on(subject, True), what="the machine is on again")
    assert libvirtd.qemu_pid(name) != qemu


async def test_a_paused_machine_has_power(
    machine: Callable[..., LibvirtMachine], libvirtd: Libvirtd, name: str
) -> None:
    subject = machine()
    libvirtd.virsh("start", "--paused", name)
    await eventually_async(lambda: is_on(subject, True), what="a paused machine is on")
    assert await subject.control(Action.ON) is False
    assert libvirtd.virsh("domstate", name) == "paused"


async def test_what_others_do_is_seen(machine: Callable[..., LibvirtMachine], libvirtd: Libvirtd, name: str) -> None:
    subject = machine()
    assert not await subject.is_on()
    libvirtd.virsh("start", name)
    await eventually_async(lambda: is_on(subject, True), what="a start by virsh is seen")
    os.kill(libvirtd.qemu_pid(name), signal.SIGKILL)
    await eventually_async(lambda: is_on(subject, False), what="the end of QEMU is seen")
    libvirtd.remove(name)
    with pytest.raises(WrongState, match=f"no domain '{name}'"):
        await eventually_async(lambda: is_on(subject, True), what="an undefine is seen")
    machine()
    await eventually_async(lambda: is_on(subject, False), what="the same name with another UUID is the machine")
    assert str(await subject.system_uuid()) == libvirtd.virsh("domuuid", name)


async def test_a_boot_override_counts_once(
    machine: Callable[..., LibvirtMachine], libvirtd: Libvirtd, name: str
) -> None:
    subject = machine()
    before = Definition(libvirtd, name, "--inactive").text
    assert await subject.control(Action.ON, ONCE) is True
    await eventually_async(lambda: is_on(subject, True), what="the machine is on")
    assert Definition(libvirtd, name).boot == ["network", "hd"]
    assert Definition(libvirtd, name, "--inactive").text == before
    await subject.control(Action.RESET)  # the override is used up, so this boots from disk again
    await eventually_async(lambda: is_on(subject, True), what="the machine is on again")
    assert Definition(libvirtd, name).boot == ["hd"]
    assert libvirtd.virsh("dominfo", name).count("Persistent:     yes") == 1


async def test_a_reset_with_an_override_becomes_off_and_on(
    machine: Callable[..., LibvirtMachine], libvirtd: Libvirtd, name: str
) -> None:
    subject = machine(boot=(), orders=["vda", "nic1"])
    libvirtd.virsh("start", name)
    assert await subject.control(Action.RESET, ONCE) is True
    await eventually_async(lambda: is_on(subject, True), what="the machine is on again")
    orders = [boot.get("order") for boot in Definition(libvirtd, name).tree.iterfind("devices/interface/boot")]
    assert orders == ["1"]


async def test_a_persistent_boot_device_waits_for_the_next_start(
    machine: Callable[..., LibvirtMachine], libvirtd: Libvirtd, name: str
) -> None:
    subject = machine()
    libvirtd.virsh("start", name)
    before, qemu = Definition(libvirtd, name, "--inactive"), libvirtd.qemu_pid(name)
    await subject.set_persistent_boot(KEPT)
    after = Definition(libvirtd, name, "--inactive")
    assert after.boot == ["network", "hd"] and libvirtd.qemu_pid(name) == qemu
    assert f"passwd='{PASSWORD}'" in after.text
    assert after.text.replace("<boot dev='network'/>\n    ", "") == before.text
    await subject.control(Action.RESET)
    await eventually_async(lambda: is_on(subject, True), what="the machine is on again")
    assert Definition(libvirtd, name).boot == ["network", "hd"] and libvirtd.qemu_pid(name) != qemu


async def test_nvram_stays_where_it_is(machine: Callable[..., LibvirtMachine], libvirtd: Libvirtd, name: str) -> None:
    subject = machine(firmware="efi", machine="q35", memory_mib=64)
    await subject.control(Action.ON)
    await eventually_async(lambda: is_on(subject, True), what="the machine is on")
    nvram = Definition(libvirtd, name).tree.findtext("os/nvram", "")
    file = libvirtd.folder / "lib" / Path(nvram).relative_to("/var/lib/libvirt")
    await subject.control(Action.OFF)
    with file.open("r+b") as opened:
        opened.seek(-4, os.SEEK_END)
        opened.write(b"mark")
    await subject.set_persistent_boot(BootOverride(BootDevice.NETWORK, persistent=True, efi=True))
    for override in (None, BootOverride(BootDevice.CDROM, efi=True)):
        await subject.control(Action.ON, override)
        await eventually_async(lambda: is_on(subject, True), what="the machine is on")
        assert Definition(libvirtd, name).tree.findtext("os/nvram") == nvram
        await subject.control(Action.OFF)
    assert Definition(libvirtd, name, "--inactive").firmware == "efi"
    assert file.read_bytes().endswith(b"mark")


async def test_efi_once_on_a_bios_machine(
    machine: Callable[..., LibvirtMachine], libvirtd: Libvirtd, name: str
) -> None:
    subject = machine(machine="q35", memory_mib=64)
    override = BootOverride(BootDevice.NETWORK, efi=True)
    await subject.check_boot(override)
    assert await subject.control(Action.ON, override) is True
    await eventually_async(lambda: is_on(subject, True), what="the machine is on")
    started = Definition(libvirtd, name).tree
    assert started.find("os/loader[@type='pflash']") is not None
    assert ".ms." not in started.findtext("os/loader", "")  # no keys enrolled: what a BIOS boots, this boots
    kept = Definition(libvirtd, name, "--inactive")
    assert kept.firmware is None and kept.tree.find("os/loader") is None


async def test_efi_is_refused_where_the_hypervisor_has_none(machine: Callable[..., LibvirtMachine]) -> None:
    subject = machine(machine="isapc", disks=(), nics=0, cdrom=False, floppy=True, vnc_password=None)
    override = BootOverride(BootDevice.FLOPPY, efi=True)
    for attempt in (subject.check_boot(override), subject.control(Action.ON, override)):
        with pytest.raises(Unsupported, match="EFI"):
            await attempt
    assert not await subject.is_on()


async def test_a_saved_state_is_not_thrown_away_for_an_override(
    machine: Callable[..., LibvirtMachine], libvirtd: Libvirtd, name: str
) -> None:
    subject = machine()
    libvirtd.virsh("start", name)
    libvirtd.virsh("managedsave", name)
    with pytest.raises(WrongState, match=f"virsh managedsave-remove {name}"):
        await subject.control(Action.ON, ONCE)
    assert await subject.control(Action.ON) is False
    await eventually_async(lambda: is_on(subject, True), what="the saved machine is on again")


async def test_a_transient_machine_can_be_stopped_but_not_cycled(
    machine: Callable[..., LibvirtMachine], libvirtd: Libvirtd, name: str
) -> None:
    subject = machine()
    libvirtd.virsh("start", name)
    libvirtd.virsh("undefine", name)
    for refused in (subject.control(Action.CYCLE), subject.set_persistent_boot(KEPT)):
        with pytest.raises(WrongState, match="is transient"):
            await refused
    await subject.control(Action.RESET)
    assert await subject.is_on()
    assert await subject.control(Action.OFF) is False
    with pytest.raises(WrongState, match="no domain"):
        await eventually_async(lambda: is_on(subject, True), what="it is gone")


async def test_a_start_that_fails_is_told(
    machine: Callable[..., LibvirtMachine], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    subject = machine(disks=[tmp_path / "missing.raw"])
    with pytest.raises(WrongState, match=r"missing\.raw"):
        await subject.control(Action.ON)
    assert not await subject.is_on()
    assert PASSWORD not in caplog.text


async def test_a_killed_libvirtd_is_busy_at_once_and_found_again(own_libvirtd: Libvirtd, pool: LinkPool) -> None:
    own_libvirtd.define(tiny_domain("a"))
    subject = LibvirtMachine(pool.acquire(Connection(own_libvirtd.uri)), "a")
    await eventually_async(lambda: _accepts(subject, Action.ON), what="it takes a command")
    await eventually_async(lambda: is_on(subject, True), what="the machine is on")
    identity = await subject.system_uuid()
    for _turn in range(3):
        own_libvirtd.kill()
        await eventually_async(lambda: _busy(subject), what="the machine is busy")
        assert await refused_at_once(lambda: subject.control(Action.OFF))
        assert await subject.system_uuid() == identity
        own_libvirtd.start(wait=False)
        # Up to a second between two attempts, beside what libvirtd itself needs.
        await eventually_async(lambda: is_on(subject, True), what="libvirtd is found again")
    os.kill(own_libvirtd.qemu_pid("a"), signal.SIGKILL)
    await eventually_async(lambda: is_on(subject, False), what="events come over the new connection")


async def _busy(machine: LibvirtMachine) -> bool:
    try:
        await machine.is_on()
    except Busy:
        return True
    return False


async def test_a_frozen_libvirtd_is_busy_within_a_second_and_holds_up_nobody(
    own_libvirtd: Libvirtd, machine: Callable[..., LibvirtMachine], pool: LinkPool
) -> None:
    own_libvirtd.define(tiny_domain("a"), tiny_domain("b"))
    link = pool.acquire(Connection(own_libvirtd.uri))
    first, second, elsewhere = LibvirtMachine(link, "a"), LibvirtMachine(link, "b"), machine()
    for one in (first, second, elsewhere):
        await eventually_async(lambda one=one: is_on(one, False), what="all are off")
    own_libvirtd.freeze()
    await eventually_async(lambda: _busy(first), what="a cached state is not believed for long")
    for ask in (
        second.is_on,
        lambda: first.control(Action.ON),
        lambda: second.control(Action.OFF),
        lambda: first.check_boot(ONCE),
    ):
        assert await refused_at_once(ask)
    await eventually_async(lambda: _accepts(elsewhere, Action.ON), what="another libvirtd takes a command")
    await eventually_async(lambda: is_on(elsewhere, True), what="another libvirtd does its work")
    own_libvirtd.thaw()
    await eventually_async(lambda: is_on(first, False), what="the thawed libvirtd is believed again")
    await eventually_async(lambda: _accepts(second, Action.ON), what="and takes a command")
    await eventually_async(lambda: is_on(second, True), what="and does its work")


async def test_a_frozen_libvirtd_that_is_killed_is_found_again(own_libvirtd: Libvirtd, pool: LinkPool) -> None:
    own_libvirtd.define(tiny_domain("a"))
    subject = LibvirtMachine(pool.acquire(Connection(own_libvirtd.uri)), "a")
    await eventually_async(lambda: is_on(subject, False), what="the machine is off")
    own_libvirtd.freeze()
    with pytest.raises(Busy):
        await subject.control(Action.ON)
    late = LibvirtMachine(pool.acquire(Connection(own_libvirtd.uri, "someone", "else")), "a")
    with pytest.raises(Busy):
        await late.is_on()  # its connection is being opened all the while
    own_libvirtd.kill()
    own_libvirtd.start()
    for machine in (subject, late):
        await eventually_async(lambda machine=machine: is_on(machine, False), what="libvirtd is found again")


async def test_a_daemon_that_stays_silent_gets_a_new_connection(
    own_libvirtd: Libvirtd, pool: LinkPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vbmcd.machine.libvirt_link._GIVE_UP", 0.3)
    own_libvirtd.define(tiny_domain("a"))
    link = pool.acquire(Connection(own_libvirtd.uri))
    subject = LibvirtMachine(link, "a")
    await eventually_async(lambda: is_on(subject, False), what="the machine is off")
    own_libvirtd.freeze()
    attempts = await asyncio.gather(*(subject.control(Action.ON) for _turn in range(3)), return_exceptions=True)
    assert all(isinstance(attempt, Busy) for attempt in attempts)
    await eventually_async(lambda: _disconnected(link.connected), what="the silent connection is given up")
    own_libvirtd.thaw()
    await eventually_async(lambda: is_on(subject, False), what="a new connection works")


async def _disconnected(connected: bool) -> bool:
    return not connected


async def test_closing_does_not_wait_for_a_frozen_libvirtd(own_libvirtd: Libvirtd) -> None:
    pool = LinkPool()
    own_libvirtd.define(tiny_domain("a"))
    subject = LibvirtMachine(pool.acquire(Connection(own_libvirtd.uri)), "a")
    await eventually_async(lambda: is_on(subject, False), what="the machine is off")
    own_libvirtd.freeze()
    pool.acquire(Connection(own_libvirtd.uri, "someone", "else"))
    with pytest.raises(Busy):
        await subject.control(Action.ON)
    await pool.close()
    own_libvirtd.thaw()


async def test_a_stuck_domain_holds_up_no_other(
    machine: Callable[..., LibvirtMachine],
    libvirtd: Libvirtd,
    pool: LinkPool,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    subject = machine()
    other = f"{name}-other"
    libvirtd.define(tiny_domain(other))
    try:
        neighbour = LibvirtMachine(pool.acquire(Connection(libvirtd.uri)), other)
        await subject.control(Action.ON)
        await eventually_async(lambda: is_on(subject, True), what="the machine is on")
        qemu = libvirtd.qemu_pid(name)
        monkeypatch.setattr(libvirt_machine, "PROMPT", 0.25)
        os.kill(qemu, signal.SIGSTOP)
        try:
            await subject.control(Action.RESET)  # accepted; QEMU does not answer
            with pytest.raises(Busy):
                await subject.control(Action.OFF)
            assert await subject.is_on()
            await neighbour.control(Action.ON)
            await eventually_async(lambda: is_on(neighbour, True), what="the neighbour is on")
        finally:
            os.kill(qemu, signal.SIGCONT)
        await eventually_async(lambda: _accepts(subject), what="the machine takes commands again")
    finally:
        libvirtd.remove(other)


async def _accepts(machine: LibvirtMachine, action: Action = Action.OFF) -> bool:
    try:
        await machine.control(action)
    except Busy:
        return False
    return True
