# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""BMCs of domains on a libvirt that is reached over TCP, with a user and a password (SASL)."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from datetime import datetime

import pytest

from rig.console import CONTROL, DEVICE_ID, STATUS, Console
from rig.daemon import Vbmcd
from rig.domains import tiny_domain
from rig.libvirtd import Libvirtd
from rig.waiting import eventually, eventually_async
from vbmcd.config import Connection
from vbmcd.machine.base import Busy
from vbmcd.machine.libvirt_link import LinkPool
from vbmcd.machine.libvirt_machine import LibvirtMachine

USER, PASSWORD, WRONG = "lab", "pass word-1", "no-such-word"
LOGIN = {"libvirt_sasl_username": USER, "libvirt_sasl_password": PASSWORD}
POWER_ON = b"\x01"
DONE, BUSY = b"\0", b"\xc0"


@pytest.fixture
def remote(sasl_libvirtd: Libvirtd) -> Iterator[Libvirtd]:
    """It has a domain, `far`, and lets in who knows USER's PASSWORD."""
    sasl_libvirtd.set_sasl_password(USER, PASSWORD)
    sasl_libvirtd.define(tiny_domain("far"))
    yield sasl_libvirtd
    sasl_libvirtd.remove("far")


@pytest.fixture
def vbmcd() -> Iterator[Vbmcd]:
    with Vbmcd(workers="1") as daemon:
        yield daemon


def power_is(console: Console, on: bool) -> bool:
    """Not as long as the BMC is busy."""
    answer = console.request(*STATUS)
    return answer[:1] == DONE and bool(answer[1] & 1) is on


def refusals(libvirtd: Libvirtd) -> list[float]:
    """When libvirtd refused somebody, in seconds."""
    log = (libvirtd.folder / "log" / "libvirtd.out").read_text(errors="replace")
    stamps = re.findall(r"^(\S+ \S+): \d+: error : remoteDispatchAuthSaslStep", log, re.MULTILINE)
    return [datetime.strptime(stamp, "%Y-%m-%d %H:%M:%S.%f%z").timestamp() for stamp in stamps]


def test_power_and_events_come_over_tcp(remote: Libvirtd, vbmcd: Vbmcd) -> None:
    with Console(vbmcd.serve("far", libvirt_uri=remote.tcp_uri, **LOGIN)) as console:
        console.login()
        eventually(lambda: power_is(console, False), what="the domain is off")
        assert console.request(*CONTROL, POWER_ON) == DONE
        eventually(lambda: power_is(console, True), what="the BMC says on")
        assert remote.virsh("domstate", "far") == "running"
        os.kill(remote.qemu_pid("far"), signal.SIGKILL)
        eventually(lambda: power_is(console, False), what="what happened over there is seen")
    assert PASSWORD not in vbmcd.log


def test_one_daemon_serves_a_local_and_a_remote_libvirt(libvirtd: Libvirtd, remote: Libvirtd, vbmcd: Vbmcd) -> None:
    libvirtd.define(tiny_domain("near-by"))
    try:
        ports = [
            vbmcd.serve("near-by", libvirt_uri=libvirtd.uri),
            vbmcd.serve("far-away", domain="far", libvirt_uri=remote.tcp_uri, **LOGIN),
        ]
        assert vbmcd.worker_of("near-by") == vbmcd.worker_of("far-away")
        for port, host, domain in zip(ports, (libvirtd, remote), ("near-by", "far"), strict=True):
            with Console(port) as console:
                console.login()
                eventually(lambda c=console: power_is(c, False), what=f"{domain} is off")
                assert console.request(*CONTROL, POWER_ON) == DONE
                eventually(lambda c=console: power_is(c, True), what=f"{domain} is on")
                assert host.virsh("list", "--name") == domain
    finally:
        libvirtd.remove("near-by")


@pytest.mark.parametrize("given", [{}, {**LOGIN, "libvirt_sasl_password": WRONG}], ids=["no login", "a wrong one"])
def test_a_refused_login_is_named_and_mended_by_apply(remote: Libvirtd, vbmcd: Vbmcd, given: dict[str, str]) -> None:
    with Console(vbmcd.serve("far", libvirt_uri=remote.tcp_uri, **given)) as console:
        console.login()
        for request in ((*STATUS, b""), (*CONTROL, POWER_ON)):
            assert console.request(*request) == BUSY
        assert console.request(*DEVICE_ID)[:1] == DONE, "what needs no libvirt works"
        # The watcher of that libvirt says so as well, sooner or later.
        line = next(line for line in vbmcd.log.splitlines() if "refused the login" in line)
        assert remote.tcp_uri in line
        assert "right libvirt_sasl_username and libvirt_sasl_password" in line
        vbmcd.apply({"name": "far", **LOGIN})
        # The session went with the endpoint's old configuration.
        eventually(lambda: power_is(console.login(), False), what="the right login works")
        assert console.request(*CONTROL, POWER_ON) == DONE
    assert WRONG not in vbmcd.log
    assert PASSWORD not in vbmcd.log


async def test_a_refused_login_is_tried_ever_more_rarely_and_may_be_mended_on_either_side(
    remote: Libvirtd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vbmcd.machine.libvirt_link._BACKOFF", (0.05, 0.1))
    monkeypatch.setattr("vbmcd.machine.libvirt_link._REFUSED_PAUSE", 0.8)
    before = len(refusals(remote))

    async def tried_often_enough() -> list[float]:
        found = refusals(remote)[before:]
        return found if len(found) >= 6 else []

    pool = LinkPool()
    try:
        machine = LibvirtMachine(pool.acquire(Connection(remote.tcp_uri, USER, WRONG)), "far")
        times = await eventually_async(tried_often_enough, what="libvirtd has refused six times")
        assert times[5] - times[4] > 0.4  # 0.05 s doubled four times, and up to 40 % less at random
        with pytest.raises(Busy):
            await machine.is_on()
        remote.set_sasl_password(USER, WRONG)
        await eventually_async(lambda: is_off(machine), what="the password that libvirtd now knows works")
    finally:
        await pool.close()


async def is_off(machine: LibvirtMachine) -> bool:
    try:
        return not await machine.is_on()
    except Busy:
        return False
