# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking over from the real VirtualBMC, with clients that go on asking."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rig.daemon import Vbmcd
from rig.domains import tiny_domain
from rig.ipmi import Target, ipmitool
from rig.libvirtd import Libvirtd
from rig.ports import free_ports
from rig.virtualbmc import VIRTUALBMC, VirtualBmc, Watch
from rig.waiting import eventually
from vbmcd.takeover.switch import SwitchFailed, find, switch
from vbmcd.virtualbmc import read_folder

NAMES = [f"old-{number}" for number in range(6)]
MOST = 10.0
"""Seconds that no BMC may be away for, on a machine that has other things to do besides; far fewer on an idle one."""


@pytest.fixture(scope="module")
def domains(libvirtd: Libvirtd) -> Iterator[str]:
    """The URI of a libvirt that has them."""
    libvirtd.define(*(tiny_domain(name) for name in NAMES))
    yield libvirtd.uri
    for name in NAMES:
        libvirtd.remove(name)


@pytest.fixture
def vbmcd() -> Iterator[Vbmcd]:
    with Vbmcd() as daemon:
        yield daemon


@pytest.fixture
def old(domains: str, tmp_path: Path) -> VirtualBmc:
    """With a BMC for each domain, the last of which is not started."""
    if not VIRTUALBMC.exists():
        if os.environ.get("REQUIRE_LIBVIRT"):
            raise RuntimeError("there is no VirtualBMC: run this by make")
        pytest.skip("there is no VirtualBMC: run this by make")
    virtualbmc = VirtualBmc(tmp_path)
    for name, port in zip(NAMES, free_ports(len(NAMES)), strict=True):
        virtualbmc.add(name, domains, port, active=name != NAMES[-1])
    return virtualbmc


def ports_of(old: VirtualBmc) -> list[int]:
    """Those of the BMCs that are started."""
    lines = [(old.folder / name / "config").read_text().split("port = ")[1] for name in NAMES[:-1]]
    return [int(line.split()[0]) for line in lines]


def goes_on(old: VirtualBmc, before: set[int]) -> bool:
    """Whether the processes of its BMCs are those of before. One that can't be served may have another each time."""
    return len(before & set(old.children())) >= len(NAMES) - 1


def test_every_bmc_goes_on_answering(old: VirtualBmc, vbmcd: Vbmcd) -> None:
    with old, Watch(ports_of(old)) as watch:
        foretold = vbmcd.vbmc_json("take-over", "--check", str(old.folder))
        assert foretold["changed"] and foretold["stopped"] == [{"pid": old.pid, "unit": ""}]
        assert vbmcd.ask("list")["instances"] == [] and len(old.children()) == len(NAMES) - 1

        done = vbmcd.vbmc_json("take-over", "--owner", "lab", str(old.folder))
        over = time.monotonic()
        assert {one["name"]: one["actions"] for one in done["instances"]} == {
            name: ["create"] if name == NAMES[-1] else ["create", "start"] for name in NAMES
        }
        eventually(lambda: watch.answered_since(over), what="all of them answer")
        assert max(watch.gaps.values()) < MOST and done["away"] < MOST
        print(f"away: {done['away']:.3f} s by its own word, {max(watch.gaps.values()):.3f} s for a client")
        assert not old.runs()

        for port in ports_of(old):
            assert "is off" in ipmitool(Target(port), "power", "status").output
        again = vbmcd.vbmc_json("take-over", "--owner", "lab", str(old.folder))
        assert (again["changed"], again["stopped"]) == (False, [])


@pytest.mark.parametrize("trouble", [SwitchFailed("a BMC does not come up"), KeyboardInterrupt()], ids=["fails", "^C"])
def test_a_switch_that_fails_leaves_virtualbmc_serving(old: VirtualBmc, vbmcd: Vbmcd, trouble: BaseException) -> None:
    specs = read_folder(old.folder).specs

    def ask(command: str, arguments: dict[str, Any] | None = None) -> dict[str, Any]:
        if command == "list" and vbmcd.ask("list")["instances"]:
            eventually(lambda: not old.children(), what="VirtualBMC's processes are dead")
            raise trouble
        return vbmcd.ask(command, **(arguments or {}))

    with old, Watch(ports_of(old)) as watch:
        with pytest.raises(type(trouble)) as caught:
            switch(ask, specs, find(specs, old.folder, vbmcd.pid))
        over = time.monotonic()
        assert isinstance(trouble, KeyboardInterrupt) or "VirtualBMC serves its BMCs as before" in str(caught.value)
        assert vbmcd.ask("list")["instances"] == [] and old.runs()
        eventually(lambda: watch.answered_since(over), what="VirtualBMC answers for all of them")
        assert len(old.children()) == len(NAMES) - 1


def test_what_can_not_be_taken_over_is_told_before_anything_is_stopped(
    old: VirtualBmc, vbmcd: Vbmcd, domains: str
) -> None:
    (bad, foreign) = free_ports(2)
    old.add("unusable", domains, bad, password="longer-than-twenty-bytes")
    old.add("nowhere", domains, foreign)
    with old, Watch(ports_of(old)):
        before = set(old.children())
        done = vbmcd.vbmc("take-over", str(old.folder))
        assert done.returncode == 1
        assert "unusable" in done.stderr and "longer-than-twenty-bytes" not in done.stderr
        assert "nowhere: the daemon's user does not reach the domain" in done.stderr
        assert vbmcd.ask("list")["instances"] == [] and goes_on(old, before)
        forced = vbmcd.vbmc_json("take-over", "--force", str(old.folder))
        assert sorted(one["name"] for one in forced["instances"]) == sorted([*NAMES, "nowhere"])
        assert not old.runs()


def test_a_port_that_the_daemon_could_never_have_stops_it_before_virtualbmc(
    old: VirtualBmc, vbmcd: Vbmcd, domains: str
) -> None:
    away = old.add("away", domains, 6230, address="192.0.2.77")  # VirtualBMC fails on it as well, and goes on
    with old, Watch(ports_of(old)):
        before = set(old.children())
        done = vbmcd.vbmc("take-over", "--force", str(old.folder))
        assert done.returncode == 1 and "no interface has this address" in done.stderr, away
        assert vbmcd.ask("list")["instances"] == [] and goes_on(old, before)


def test_a_port_of_another_program_is_told(old: VirtualBmc, vbmcd: Vbmcd) -> None:
    first = ports_of(old)[0]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", first))
        with old:
            eventually(lambda: len(old.children()) >= len(NAMES) - 2, what="VirtualBMC serves the others")
            done = vbmcd.vbmc("take-over", str(old.folder))
            assert done.returncode == 1 and f"127.0.0.1:{first} is held by process {os.getpid()}" in done.stderr
            assert old.runs() and vbmcd.ask("list")["instances"] == []


def test_one_that_was_interrupted_is_finished_by_the_next(old: VirtualBmc, vbmcd: Vbmcd) -> None:
    with old, Watch(ports_of(old)):
        # As after a kill -9 at the worst moment: the daemon serves, and VirtualBMC is stopped for ever.
        vbmcd.vbmc("import", str(old.folder))
        os.kill(old.pid, signal.SIGSTOP)
        for pid in old.children():
            os.kill(pid, signal.SIGKILL)
        running = NAMES[:-1]
        eventually(lambda: all(vbmcd.status(name)["status"] == "running" for name in running), what="all are bound")
        done = vbmcd.vbmc_json("take-over", str(old.folder))
        assert done["stopped"] == [{"pid": old.pid, "unit": ""}] and not old.runs()


def test_without_a_virtualbmc_that_runs_it_is_an_import(old: VirtualBmc, vbmcd: Vbmcd) -> None:
    done = vbmcd.vbmc_json("take-over", str(old.folder))
    assert (done["changed"], done["stopped"], len(done["instances"])) == (True, [], len(NAMES))
    assert vbmcd.status(NAMES[0])["status"] == "running"
