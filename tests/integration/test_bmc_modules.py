# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules power, boot_device and bmc_info as a playbook calls them, against real BMCs and machines."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rig.daemon import NO_MACHINE, Vbmcd
from rig.domains import tiny_domain
from rig.libvirtd import Libvirtd
from rig.module import Module
from rig.playbooks import Playbooks
from rig.udp_proxy import UdpProxy, in_session

PASSWORD = "pa55word"
NAMES = ("bmc-a", "bmc-b")


@dataclass
class Lab:
    """Two machines, off, with a BMC each."""

    libvirtd: Libvirtd
    controller: Playbooks
    ports: dict[str, int]

    def states(self) -> list[str]:
        return [self.libvirtd.virsh("domstate", name).strip() for name in NAMES]

    def bmcs(self, **options: Any) -> dict[str, Any]:
        targets = [{"name": name, "address": "127.0.0.1", "port": port} for name, port in self.ports.items()]
        return {"targets": targets, "username": "admin", "password": PASSWORD, **options}


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Playbooks:
    return Playbooks(tmp_path_factory.mktemp("controller"))


@pytest.fixture
def lab(libvirtd: Libvirtd, controller: Playbooks) -> Iterator[Lab]:
    for name in NAMES:
        libvirtd.define(tiny_domain(name, nics=1, boot=["network"]))
    try:
        with Vbmcd() as vbmcd:
            ports = {name: vbmcd.serve(name, libvirt_uri=libvirtd.uri, password=PASSWORD) for name in NAMES}
            yield Lab(libvirtd, controller, ports)
    finally:
        for name in NAMES:
            libvirtd.remove(name)


def test_machines_are_switched_once_and_then_unchanged(lab: Lab) -> None:
    on, off = {"baremetal.lab.power": lab.bmcs(state="on")}, {"baremetal.lab.power": lab.bmcs(state="off")}
    (foreseen,) = lab.controller.results(on, check=True)
    assert lab.states() == ["shut off", "shut off"]
    switched, again = lab.controller.results(on, on)
    assert lab.states() == ["running", "running"]
    assert (foreseen["changed"], switched["changed"], again["changed"]) == (True, True, False)
    assert foreseen["results"] == switched["results"]
    lab.controller.results(off)
    assert lab.states() == ["shut off", "shut off"]
    assert PASSWORD not in lab.controller.said


def test_a_machine_without_an_operating_system_is_switched_off_in_the_end(lab: Lab) -> None:
    on = {"baremetal.lab.power": lab.bmcs(state="on")}
    soft = {"baremetal.lab.power": lab.bmcs(state="soft", soft_timeout=1)}
    patient = {"baremetal.lab.power": lab.bmcs(state="soft", soft_timeout=1, escalate=False)}
    stays, ends = lab.controller.results(on, patient, soft)[1:]
    assert stays["failed"] and {one["kind"] for one in stays["results"]} == {"not-reached"}
    assert {(one["status"], one["escalated"]) for one in ends["results"]} == {("changed", True)}
    assert lab.states() == ["shut off", "shut off"]


def test_a_cycle_is_a_new_start_and_a_reset_none(lab: Lab) -> None:
    def ids() -> list[str]:
        return [lab.libvirtd.virsh("domid", name).strip() for name in NAMES]

    lab.controller.results({"baremetal.lab.power": lab.bmcs(state="on")})
    first = ids()
    (reset,) = lab.controller.results({"baremetal.lab.power": lab.bmcs(state="reset")})
    assert (reset["changed"], ids()) == (True, first)
    (cycled,) = lab.controller.results({"baremetal.lab.power": lab.bmcs(state="cycle")})
    assert cycled["changed"]
    assert not set(ids()) & set(first)


def test_a_boot_device_is_set_once_and_read_back(lab: Lab) -> None:
    pxe = {"baremetal.lab.boot_device": lab.bmcs(device="pxe")}
    disk = {"baremetal.lab.boot_device": lab.bmcs(device="disk")}
    read = {"baremetal.lab.bmc_info": lab.bmcs()}
    done, again, impossible, told = lab.controller.results(pxe, pxe, disk, read)
    assert (done["changed"], again["changed"]) == (True, False)
    assert impossible["failed"], "these machines have no disk, and a BMC never agrees to what it can't do"
    assert [one["boot"] for one in told["results"]] == 2 * [{"device": "pxe", "persistent": False, "efi": False}]
    assert [one["power"] for one in told["results"]] == ["off", "off"]
    uuids = [lab.libvirtd.virsh("domuuid", name).strip() for name in NAMES]
    assert [one["uuid"] for one in told["results"]] == uuids


def test_bmcs_that_fail_are_named_and_the_others_done(lab: Lab) -> None:
    wrong = {"name": "wrong", "address": "127.0.0.1", "port": lab.ports["bmc-a"], "password": "guessed"}
    dead = {"name": "dead", "address": "127.0.0.1", "port": 9}
    bmcs = lab.bmcs(state="on")
    (mixed,) = lab.controller.results({"baremetal.lab.power": {**bmcs, "targets": [dead, wrong, *bmcs["targets"]]}})
    assert mixed["failed"] and mixed["changed"]
    assert mixed["summary"] == {"failed": 2, "changed": 2}
    assert [one.get("kind") for one in mixed["results"]] == ["unreachable", "auth", None, None]
    assert mixed["msg"].startswith("2 of 4 BMCs failed. dead: nothing answers IPMI on 127.0.0.1 port 9")
    assert lab.states() == ["running", "running"]


def test_one_bmc_needs_no_list_and_an_unquoted_word_will_do(lab: Lab) -> None:
    one = {"address": "127.0.0.1", "port": lab.ports["bmc-b"], "username": "admin", "password": PASSWORD}
    (switched,) = lab.controller.results({"baremetal.lab.power": {**one, "state": True}})
    assert switched["results"][0]["name"] == "127.0.0.1"
    assert lab.states() == ["shut off", "running"]


def test_a_task_may_run_in_the_background(lab: Lab) -> None:
    (done,) = lab.controller.results({"baremetal.lab.power": lab.bmcs(state="on"), "async": 120, "poll": 1})
    assert done["summary"] == {"changed": 2}


def test_a_hundred_bmcs_are_read_in_one_task(controller: Playbooks) -> None:
    with Vbmcd() as vbmcd:
        specs = [
            {"name": f"many-{number}", "address": "127.0.0.1", "password": PASSWORD, "state": "started", **NO_MACHINE}
            for number in range(100)
        ]
        ports = {one["name"]: one["port"] for one in vbmcd.apply(*specs)["instances"]}
        targets = [{"name": name, "address": "127.0.0.1", "port": port} for name, port in ports.items()]
        info = {"targets": targets, "username": "admin", "password": PASSWORD}
        (read,) = controller.results({"baremetal.lab.bmc_info": info})
    assert read["summary"] == {"ok": 100}
    assert [one["name"] for one in read["results"]] == list(ports)


def test_bmcs_that_fall_silent_in_the_login_hold_up_no_other(tmp_path: Path) -> None:
    module = Module("bmc_info", tmp_path, python=sys.executable)
    with Vbmcd() as vbmcd, ExitStack() as proxies:
        names = [f"alive-{number}" for number in range(10)]
        specs = [{"name": name, "address": "127.0.0.1", "password": PASSWORD, **NO_MACHINE} for name in names]
        ports = [one["port"] for one in vbmcd.apply(*({**one, "state": "started"} for one in specs))["instances"]]
        silent = [proxies.enter_context(UdpProxy(port, lost=in_session)).port for port in ports]
        targets = [{"name": f"{port}", "address": "127.0.0.1", "port": port} for port in (*silent, *ports)]
        read = module(targets=targets, username="admin", password=PASSWORD, timeout=10)
    assert read["summary"] == {"failed": 10, "ok": 10}
    assert [one["status"] for one in read["results"][:10]] == 10 * ["failed"]


def test_a_bmc_that_is_given_under_many_names_is_asked_by_each(tmp_path: Path) -> None:
    module = Module("bmc_info", tmp_path, python=sys.executable)
    with Vbmcd() as vbmcd:
        (bmc,) = vbmcd.apply(
            {"name": "alias", "address": "127.0.0.1", "password": PASSWORD, "state": "started", **NO_MACHINE}
        )["instances"]
        targets = [{"name": f"name-{number}", "address": "127.0.0.1", "port": bmc["port"]} for number in range(20)]
        read = module(targets=targets, username="admin", password=PASSWORD, timeout=20)
    assert read["summary"] == {"ok": 20}, read
    assert len({str({**one, "name": ""}) for one in read["results"]}) == 1


def test_what_can_not_be_is_refused_with_the_name_and_the_remedy(controller: Playbooks) -> None:
    somebody = {"address": "127.0.0.1", "username": "admin", "password": "x"}
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"address": "127.0.0.1", "username": "admin"}, "has no password"),
        ({"targets": [{"name": "nowhere"}], "username": "admin", "password": "x"}, "'nowhere' has no address"),
        ({**somebody, "port": 70000}, "port 70000"),
        ({**somebody, "fan_out": 0}, "fan-out of 0"),
        ({"targets": [{"name": "a", "address": "127.0.0.1"}] * 2, "username": "a", "password": "x"}, "more than once"),
    ]
    refused = controller.results(*({"baremetal.lab.bmc_info": options} for options, message in wrong))
    assert all(one["failed"] for one in refused)
    assert [message for (options, message), one in zip(wrong, refused, strict=True) if message not in one["msg"]] == []
