# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The libvirt machine and its link over libvirt's own test driver, in process and without root."""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections.abc import AsyncIterator
from functools import partial
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import libvirt
import pytest

from rig.board import until
from rig.waiting import eventually_async
from vbmcd.config import Connection
from vbmcd.machine import libvirt_actions, libvirt_link, libvirt_machine, libvirt_survey
from vbmcd.machine.base import Action, BootDevice, BootOverride, Busy, MachineError, Power, Unsupported, WrongState
from vbmcd.machine.libvirt_connection import EventConnection, is_here
from vbmcd.machine.libvirt_link import LibvirtLink, LinkPool
from vbmcd.machine.libvirt_machine import LibvirtMachine

UUID = "6695eb01-f6a4-8304-79aa-97f2502e193f"
NODE = """<node><domain type='test'><name>one</name><uuid>{uuid}</uuid><memory>8192</memory>
<os><type>hvm</type><boot dev='hd'/></os><devices>
<disk type='file' device='disk'><source file='/x'/><target dev='vda'/></disk>
<interface type='network'><source network='default'/></interface>
<graphics type='vnc' passwd='s3cret'/></devices></domain></node>"""


@pytest.fixture
def connection(tmp_path: Path) -> Connection:
    """A test driver node of the test's own, with one running domain."""
    file = tmp_path / "node.xml"
    file.write_text(NODE.format(uuid=UUID))
    return Connection(f"test://{file}")


@pytest.fixture
async def pool() -> AsyncIterator[LinkPool]:
    pool = LinkPool()
    yield pool
    await pool.close()


@pytest.fixture
async def link(pool: LinkPool, connection: Connection) -> LibvirtLink:
    return pool.acquire(connection)


@pytest.fixture
async def machine(link: LibvirtLink) -> LibvirtMachine:
    return LibvirtMachine(link, "one")


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads and commands may take their time: the computer that runs the tests may stall."""
    monkeypatch.setattr(libvirt_link, "READ_DEADLINE", 60.0)
    monkeypatch.setattr(libvirt_machine, "PROMPT", 60.0)


@pytest.fixture
def impatience(patience: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands are accepted before they are done."""
    monkeypatch.setattr(libvirt_machine, "PROMPT", 0.0)


async def test_the_first_read_waits_for_the_connection(machine: LibvirtMachine) -> None:
    assert await machine.is_on()


async def test_it_reads_its_own_writes(machine: LibvirtMachine) -> None:
    for action, on in [(Action.OFF, False), (Action.ON, True), (Action.CYCLE, True), (Action.SOFT, False)]:
        await machine.control(action)
        assert await machine.is_on() is on, action


@pytest.mark.parametrize(("action", "first"), [(Action.OFF, Action.OFF), (Action.ON, Action.ON)])
async def test_what_is_so_already_does_nothing(machine: LibvirtMachine, action: Action, first: Action) -> None:
    await machine.control(first)
    assert await machine.control(action, BootOverride(BootDevice.NETWORK)) is False


async def test_it_stands_still_and_goes_on(machine: LibvirtMachine) -> None:
    await machine.control(Action.ON)
    for action in (Action.PAUSE, Action.PAUSE, Action.RESUME, Action.RESUME):
        await machine.control(action)
        assert await machine.is_on(), action
        assert (await machine.hardware()).paused is (action is Action.PAUSE), action


@pytest.mark.parametrize(
    "action", [Action.CYCLE, Action.RESET, Action.SOFT, Action.DIAGNOSTIC, Action.PAUSE, Action.RESUME]
)
async def test_a_machine_that_is_off_refuses(machine: LibvirtMachine, action: Action) -> None:
    await machine.control(Action.OFF)
    with pytest.raises(WrongState, match="'one' is off"):
        await machine.control(action)


async def test_what_the_driver_can_not_do_is_unsupported(machine: LibvirtMachine) -> None:
    with pytest.raises(Unsupported, match="'one'"):
        await machine.check_boot(BootOverride(BootDevice.DISK, efi=True))  # it has no domain capabilities


async def test_a_domain_that_does_not_exist_is_named(link: LibvirtLink) -> None:
    machine = LibvirtMachine(link, "nobody")
    for attempt in (machine.is_on(), machine.control(Action.ON), machine.system_uuid()):
        with pytest.raises(WrongState, match=f"{link.uri} has no domain 'nobody'"):
            await attempt


async def test_a_domain_may_come_later(link: LibvirtLink) -> None:
    machine = LibvirtMachine(link, "late")
    with pytest.raises(WrongState):
        await machine.is_on()
    await link.call("late", lambda c: c.defineXML(NODE[6:-7].format(uuid=uuid.uuid4()).replace("one", "late")) and None)
    assert await machine.is_on() is False


async def test_the_state_is_cached_until_an_event(
    machine: LibvirtMachine, link: LibvirtLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads, look = [], libvirt_actions.look
    monkeypatch.setattr(libvirt_actions, "look", lambda *args: reads.append(args) or look(*args))
    for _turn in range(50):
        assert await machine.is_on()
    assert len(reads) == 1
    await link.call("one", lambda c: c.lookupByName("one").destroy() and None)  # as another client would
    await eventually_async(lambda: _is(machine, False), what="the event is seen")
    assert len(reads) <= 3


async def _is(machine: LibvirtMachine, on: bool) -> bool:
    return await machine.is_on() is on


async def test_a_sign_of_life_counts_however_late_it_is_looked_at(
    machine: LibvirtMachine, link: LibvirtLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await machine.is_on()
    # By this clock each look at it takes as long as an answer proves anything.
    clock = count(time.monotonic() + libvirt_link.LIFE_SIGN, libvirt_link.LIFE_SIGN)
    monkeypatch.setattr(libvirt_link, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    await link.check()


async def test_the_uuid_is_the_domains(machine: LibvirtMachine) -> None:
    assert await machine.system_uuid() == uuid.UUID(UUID)


async def test_a_persistent_boot_device_is_kept_with_the_secret(machine: LibvirtMachine, link: LibvirtLink) -> None:
    await machine.set_persistent_boot(BootOverride(BootDevice.NETWORK, persistent=True))
    definition = await link.call("one", lambda c: c.lookupByName("one").XMLDesc(2 | 1))
    assert definition.index("dev='network'") < definition.index("dev='hd'")
    assert "s3cret" in definition


async def test_check_boot_refuses_what_the_domain_has_not(machine: LibvirtMachine) -> None:
    await machine.check_boot(BootOverride(BootDevice.DISK))
    with pytest.raises(Unsupported, match="CD-ROM"):
        await machine.check_boot(BootOverride(BootDevice.CDROM))


async def test_one_power_command_at_a_time(machine: LibvirtMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    results = await asyncio.gather(machine.control(Action.CYCLE), machine.control(Action.CYCLE), return_exceptions=True)
    assert [type(result) for result in results] == [bool, Busy]
    assert await machine.control(Action.OFF) is False


@pytest.mark.usefixtures("impatience")
async def test_a_long_command_is_accepted_and_its_failure_logged(
    machine: LibvirtMachine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    gate = threading.Event()

    def slow(_connection: object, _name: str, _plan: object) -> None:
        gate.wait(60)
        raise WrongState("no such luck")

    monkeypatch.setattr(libvirt_actions, "execute", slow)
    assert await machine.control(Action.OFF) is False
    with pytest.raises(Busy, match="earlier command"):
        await machine.control(Action.OFF)
    assert await machine.is_on()  # answered although nothing is known yet
    gate.set()
    await eventually_async(lambda: _logged(caplog, "no such luck"), what="the failure is logged")
    assert await machine.is_on()


async def _logged(caplog: pytest.LogCaptureFixture, text: str) -> bool:
    return text in caplog.text


async def test_no_libvirt_at_all_is_busy_and_quick(pool: LinkPool, tmp_path: Path) -> None:
    uri = f"qemu:///system?socket={tmp_path}/nobody"
    machine = LibvirtMachine(pool.acquire(Connection(uri)), "one")
    with pytest.raises(Busy, match="is away"):
        await machine.is_on()
    for question in (machine.is_on, machine.system_uuid, lambda: machine.control(Action.ON)):
        with pytest.raises(Busy):
            question().send(None)  # so far that it would wait for something


def refuse_thread(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """As a process limit does: the next thread of this name doesn't start."""
    start, refusals = threading.Thread.start, iter([name])

    def limited(thread: threading.Thread) -> None:
        if thread.name == name and next(refusals, None):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)


async def test_an_attempt_to_connect_without_a_thread_is_repeated(
    pool: LinkPool, connection: Connection, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    refuse_thread(monkeypatch, "libvirt-connect")
    link = pool.acquire(connection)
    with pytest.raises(Busy, match="is away"):
        await LibvirtMachine(link, "one").is_on()
    assert "can't start new thread" in caplog.text
    await eventually_async(lambda: _connected(link), what="the link connects")
    assert await LibvirtMachine(link, "one").is_on()


async def _connected(link: LibvirtLink) -> bool:
    return link.connected


async def test_a_connection_without_a_thread_to_close_it_is_closed_later(
    pool: LinkPool, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = threading.Event()

    class Watched(EventConnection):
        def close(self) -> None:
            super().close()
            closed.set()

    monkeypatch.setattr(libvirt_link, "EventConnection", Watched)
    assert await LibvirtMachine(pool.acquire(connection), "one").is_on()
    refuse_thread(monkeypatch, "libvirt-close")
    pool.release(connection)
    await eventually_async(lambda: _is_set(closed), what="the connection is closed")


async def _is_set(event: threading.Event) -> bool:
    return event.is_set()


async def test_a_link_is_shared_and_closed_with_its_last_user(pool: LinkPool, connection: Connection) -> None:
    first, second = pool.acquire(connection), pool.acquire(connection)
    assert first is second
    pool.release(connection)
    machine = LibvirtMachine(first, "one")
    assert await machine.is_on()
    pool.release(connection)
    with pytest.raises(Busy):
        await machine.is_on()
    assert pool.acquire(connection) is not first


async def test_a_thousand_machines_share_a_link(link: LibvirtLink) -> None:
    machines = [LibvirtMachine(link, "one") for _turn in range(1000)]
    assert all(await asyncio.gather(*(machine.is_on() for machine in machines)))
    await machines[0].control(Action.OFF)
    await eventually_async(lambda: _all_off(machines), what="every machine has heard of it")


async def _all_off(machines: list[LibvirtMachine]) -> bool:
    return not any(await asyncio.gather(*(machine.is_on() for machine in machines)))


async def test_nothing_but_machine_errors_leaves(link: LibvirtLink) -> None:
    for name in ("", "x" * 5000, "ü/../\n"):
        with pytest.raises(MachineError):
            await LibvirtMachine(link, name).is_on()


@pytest.mark.usefixtures("impatience")
async def test_a_boot_device_that_takes_long_to_define_is_accepted(
    machine: LibvirtMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, execute = threading.Event(), libvirt_actions.execute
    monkeypatch.setattr(libvirt_actions, "execute", lambda *args: gate.wait(30) and execute(*args))
    boot = BootOverride(BootDevice.NETWORK, persistent=True)
    await machine.set_persistent_boot(boot)
    assert await machine.is_on()
    with pytest.raises(Busy, match="still busy with an earlier command"):
        await machine.control(Action.RESET)
    gate.set()
    await until(lambda: machine._action is None)
    plan = await machine._link.call("one", libvirt_actions.plan_persistent_boot, "one", boot)
    assert plan.empty, "it is defined"


class Observer:
    """Notes what it is told of a machine's power."""

    def __init__(self) -> None:
        self.told: list[tuple[str, bool, str]] = []

    def switched(self, power: Power) -> None:
        self.told.append(("switched", power.on, power.machine))

    def found(self, power: Power) -> None:
        self.told.append(("found", power.on, power.machine))

    def commanded(self, failures: tuple[str, ...]) -> None:
        self.told += [("failed", bool(failures), one) for one in failures] or [("went well", True, "")]


async def test_who_observes_a_machine_is_told_how_it_is_found_and_of_each_switch(
    link: LibvirtLink, machine: LibvirtMachine
) -> None:
    observer, of_nothing = Observer(), Observer()
    machine.observe(observer)
    missing = LibvirtMachine(link, "two")
    missing.observe(of_nothing)
    await until(lambda: len(observer.told) == len(of_nothing.told) == 1)
    assert (observer.told, of_nothing.told) == ([("found", True, UUID)], [("found", False, "")])
    await machine.control(Action.CYCLE)
    await until(lambda: len(observer.told) == 3)
    assert observer.told[1:] == [("switched", False, UUID), ("switched", True, UUID)]


async def test_many_machines_are_found_with_one_question(link: LibvirtLink, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    real = partial(link.call, "", libvirt_survey.running)
    monkeypatch.setattr(link._survey, "_ask", lambda: asked.append(1) or real())
    machines, observer = [LibvirtMachine(link, "one") for _turn in range(100)], Observer()
    for machine in machines:
        machine.observe(observer)
    await until(lambda: len(observer.told) == 100)
    assert len(asked) == 1


async def test_what_was_switched_while_it_was_looked_for_is_looked_for_again() -> None:
    gate, powers = asyncio.Event(), [{}, {"one": Power(True, 1)}]

    async def ask() -> dict[str, Power]:
        answer = powers.pop(0)
        await gate.wait()
        return answer

    survey, observer = libvirt_survey.Survey(ask), Searching()
    survey.add("one", observer)
    await until(lambda: len(powers) == 1)
    observer.version += 1
    gate.set()
    await until(lambda: bool(observer.told))
    assert observer.told == [("found", True, "")]


@pytest.mark.usefixtures("impatience")
async def test_a_command_that_fails_after_it_was_accepted_is_told(
    machine: LibvirtMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_what: object) -> None:
        raise libvirt.libvirtError("no memory")

    observer = Observer()
    machine.observe(observer)
    await until(lambda: len(observer.told) == 1)
    execute = libvirt_actions.execute
    monkeypatch.setattr(libvirt_actions, "execute", fail)
    await machine.control(Action.CYCLE)
    await until(lambda: len(observer.told) == 2)
    kind, failed, why = observer.told[1]
    assert kind == "failed" and failed and "no memory" in why
    monkeypatch.setattr(libvirt_actions, "execute", execute)
    await machine.control(Action.RESET)
    await until(lambda: ("went well", True, "") in observer.told)


class Searching(Observer):
    version = 0


async def test_a_lost_connection_makes_the_survey_begin_again(link: LibvirtLink, machine: LibvirtMachine) -> None:
    observer = Observer()
    machine.observe(observer)
    await until(lambda: len(observer.told) == 1)
    assert link._live is not None
    link._lost(link._live)
    await until(lambda: len(observer.told) == 2)
    assert observer.told[1][0] == "found"


async def test_what_a_libvirtd_that_came_back_ends_without_a_word_is_seen(
    link: LibvirtLink, machine: LibvirtMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libvirt_link, "_DOUBTS", [0.1 * turn for turn in range(1, 300)])
    monkeypatch.setattr(LibvirtLink, "_event", lambda *_what: None)
    assert await machine.is_on() and link._live is not None
    link._lost(link._live)
    await until(lambda: link.connected)
    assert await machine.is_on()
    await link.call("one", lambda c: c.lookupByName("one").destroy() and None)
    await eventually_async(lambda: _is(machine, False), what="it is looked at again")


@pytest.mark.parametrize(("uri", "here"), [
    ("qemu:///system", True), ("qemu:///system?socket=/run/x", True), ("qemu+unix:///system", True),
    ("test:///default", True), ("qemu+ssh://root@host/system", False), ("qemu+tcp://192.0.2.1/system", False),
])  # fmt: skip
def test_a_uri_without_a_host_is_of_this_one(uri: str, here: bool) -> None:
    assert is_here(uri) is here
