# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dependencies through the modules, against real libvirtd and QEMU. No daemon runs: the modules act by themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.baremetal.lab.plugins.plugin_utils.lab_nodes import read_lab
from rig.controller import Controller
from rig.libvirtd import Libvirtd, tiny_domain
from rig.playbooks import CHECKOUT

NAMES = ("dep-a", "dep-b", "dep-c", "dep-m")
BROKEN = "<disk type='file' device='disk'><source file='/no/such/image'/><target dev='vda' bus='virtio'/></disk>"


@pytest.fixture(scope="module")
def controller(libvirtd: Libvirtd, tmp_path_factory: pytest.TempPathFactory) -> Controller:
    return Controller(tmp_path_factory.mktemp("controller"), libvirtd)


@pytest.fixture(autouse=True)
def domains(libvirtd: Libvirtd) -> Iterator[None]:
    libvirtd.define(*(tiny_domain(name) for name in NAMES))
    yield
    for name in NAMES:
        libvirtd.remove(name)


def declare(**options: Any) -> dict[str, Any]:
    return {"baremetal.lab.domain_dependency": {"name": "dep-a", **options}}


def state(name: str, wanted: str, **options: Any) -> dict[str, Any]:
    return {"baremetal.lab.domain": {"name": name, "state": wanted, **options}}


def virsh(libvirtd: Libvirtd, *arguments: str) -> dict[str, Any]:
    """A task, for what somebody else does between two others."""
    return {"ansible.builtin.command": {"argv": ["virsh", "--connect", libvirtd.uri, *arguments]}}


def states(libvirtd: Libvirtd, *names: str) -> list[str]:
    return [libvirtd.virsh("domstate", name) for name in names]


def test_declaring_is_idempotent_and_check_mode_and_diff_tell_the_truth(controller: Controller) -> None:
    libvirtd = controller.libvirtd
    libvirtd.virsh("start", "dep-a")
    both = [{"name": "dep-b", "order": "after"}, {"name": "dep-c"}]
    would, did, again, more, exact, gone, twice = controller.results(
        {**declare(dependencies=both), "check_mode": True, "diff": True},
        {**declare(dependencies=both), "diff": True},
        declare(dependencies=both),
        declare(dependencies=[{"name": "dep-b", "shared": "any"}]),
        {**declare(dependencies=[{"name": "dep-c"}], exclusive=True), "diff": True},
        declare(state="absent"),
        declare(state="absent"),
    )
    assert would["diff"] == did["diff"]
    assert did["domains"][0]["actions"] == ["set-metadata", "set-live-metadata"]
    assert did["diff"][0]["before"] == ""
    assert "dep-b: " in did["diff"][0]["after"]
    assert not again["changed"]
    assert [(one["name"], one["shared"]) for one in more["domains"][0]["dependencies"]] == [
        ("dep-c", "running"),
        ("dep-b", "any"),
    ]
    assert exact["changed"]
    assert "dep-b" in exact["diff"][0]["before"]
    assert "dep-b" not in exact["diff"][0]["after"]
    assert gone["changed"]
    assert not twice["changed"]


def test_the_rules_name_the_domains(controller: Controller, tmp_path: Path) -> None:
    results = controller.results(
        declare(dependencies=[{"name": "dep-a"}]),
        declare(dependencies=[{"name": "dep-nowhere"}]),
        declare(dependencies=[{"file": "/no/such/file.xml"}]),
        declare(dependencies=[{"name": "dep-b"}]),
        {"baremetal.lab.domain_dependency": {"name": "dep-b", "dependencies": [{"name": "dep-c"}]}},
        {"baremetal.lab.domain_dependency": {"name": "dep-m", "dependencies": [{"name": "dep-a"}]}},
    )
    said = [result.get("msg", "") for result in results]
    assert "domain 'dep-a' can't depend on itself" in said[0]
    assert "there is no domain 'dep-nowhere'" in said[1]
    assert "'dep-a' depends on the file '/no/such/file.xml'" in said[2]
    assert said[3] == ""
    assert "domain 'dep-b' can't have dependencies, for 'dep-a' depends on it" in said[4]
    assert "domain 'dep-m' can't depend on 'dep-a', which itself depends on 'dep-b'" in said[5]


def test_what_is_refused_was_not_changed(controller: Controller, tmp_path: Path) -> None:
    libvirtd = controller.libvirtd
    same = tmp_path / "same.xml"
    same.write_text(tiny_domain("dep-b"))
    twice, early, missing, nowhere = controller.results(
        declare(dependencies=[{"name": "dep-b"}, {"file": str(same)}]),
        {**declare(dependencies=[{"name": "dep-soon"}, {"name": "dep-later"}]), "check_mode": True},
        {"baremetal.lab.domain_dependency": {"name": "dep-nowhere", "state": "absent"}},
        {"baremetal.lab.domain_dependency": {"name": "dep-nowhere", "dependencies": []}},
    )
    assert "domain 'dep-a' depends twice on 'dep-b'" in twice["msg"]
    assert not twice["changed"]
    assert [one["name"] for one in early["domains"][0]["dependencies"]] == ["dep-soon", "dep-later"]
    assert len(early["warnings"]) == 2
    assert not missing["failed"]
    assert not missing["changed"]
    assert "there is no domain 'dep-nowhere'" in nowhere["msg"]
    assert "dependencies" not in libvirtd.virsh("dumpxml", "dep-a")


def test_a_dependency_is_known_by_its_uuid(controller: Controller) -> None:
    """Under a new name too; and another domain that has its old name is another one."""
    libvirtd = controller.libvirtd
    _declared, _named, up, off, gone, _declared, _removed, _named, refused, anew, last = controller.results(
        declare(dependencies=[{"name": "dep-b"}]),
        virsh(libvirtd, "domrename", "dep-b", "dep-renamed"),
        state("dep-a", "running"),
        state("dep-a", "destroyed"),
        {**declare(state="absent", dependencies=[{"name": "dep-renamed"}]), "check_mode": True},
        declare(dependencies=[{"name": "dep-renamed"}]),
        virsh(libvirtd, "undefine", "dep-renamed"),
        virsh(libvirtd, "domrename", "dep-c", "dep-renamed"),
        state("dep-a", "running"),
        declare(dependencies=[{"name": "dep-renamed"}]),
        {**state("dep-a", "running"), "check_mode": True},
    )
    libvirtd.remove("dep-renamed")
    assert up["domains"][0]["dependencies"] == [{"name": "dep-renamed", "actions": ["start"], "error": None}]
    assert off["domains"][0]["dependencies"] == [{"name": "dep-renamed", "actions": ["destroy"], "error": None}]
    assert gone["domains"][0]["dependencies"] == []
    assert re.search("there is no domain with the uuid .*, and 'dep-renamed' has .*: declare", refused["msg"])
    assert len(anew["domains"][0]["dependencies"]) == 1
    assert last["domains"][0]["dependencies"][0]["actions"] == ["start"]


def test_a_file_needs_no_uuid_and_makes_no_other_domain_than_was_declared(
    controller: Controller, tmp_path: Path
) -> None:
    libvirtd = controller.libvirtd
    libvirtd.remove("dep-b")
    path = tmp_path / "b.xml"
    path.write_text(re.sub("<uuid>.*?</uuid>", "", tiny_domain("dep-b")))
    first, again, up, still = controller.results(
        declare(dependencies=[{"file": str(path)}]),
        declare(dependencies=[{"file": str(path)}]),
        state("dep-a", "running"),
        state("dep-a", "running"),
    )
    assert first["changed"]
    assert not again["changed"]
    assert up["domains"][0]["dependencies"] == [{"name": "dep-b", "actions": ["start"], "error": None}]
    assert not still["changed"]
    path.write_text(tiny_domain("dep-other"))
    off, refused = controller.results(state("dep-a", "destroyed"), state("dep-a", "running"))
    assert off["domains"][0]["dependencies"] == [{"name": "dep-b", "actions": ["destroy"], "error": None}]
    assert f"could not start domain 'dep-b': the file '{path}' describes the domain 'dep-other' now" in refused["msg"]
    assert "dep-other" not in libvirtd.virsh("list", "--all", "--name")


def test_a_paused_master_runs_with_all_that_it_needs_at_once(controller: Controller) -> None:
    *_before, up, again = controller.results(
        declare(dependencies=[{"name": "dep-b"}]),
        state("dep-a", "paused"),
        virsh(controller.libvirtd, "destroy", "dep-b"),
        state("dep-a", "running"),
        state("dep-a", "running"),
    )
    assert up["domains"][0]["dependencies"] == [{"name": "dep-b", "actions": ["start"], "error": None}]
    assert not again["changed"]


def test_the_group_acts_in_order_and_is_reported(controller: Controller) -> None:
    _declared, would, up, again, paused, info, off, still = controller.results(
        declare(dependencies=[{"name": "dep-b"}, {"name": "dep-c", "order": "after"}]),
        {**state("dep-a", "running"), "check_mode": True},
        state("dep-a", "running"),
        state("dep-a", "running"),
        state("dep-a", "paused"),
        {"baremetal.lab.domain_info": {"names": ["dep-a", "dep-b"]}},
        state("dep-a", "destroyed"),
        state("dep-a", "destroyed"),
    )
    started = [
        {"name": "dep-b", "actions": ["start"], "error": None},
        {"name": "dep-c", "actions": ["start"], "error": None},
    ]
    assert would["domains"][0]["dependencies"] == up["domains"][0]["dependencies"] == started
    assert up["domains"][0]["actions"] == ["start"]
    assert not again["changed"]
    assert [one["actions"] for one in paused["domains"][0]["dependencies"]] == [["suspend"], ["suspend"]]
    master, slave = info["domains"]
    assert [(one["name"], one["state"], one["order"]) for one in master["dependencies"]] == [
        ("dep-b", "paused", "before"),
        ("dep-c", "paused", "after"),
    ]
    assert [(one["name"], one["state"]) for one in slave["dependents"]] == [("dep-a", "paused")]
    assert [one["actions"] for one in off["domains"][0]["dependencies"]] == [["destroy"], ["destroy"]]
    assert not still["changed"]
    assert states(controller.libvirtd, "dep-a", "dep-b", "dep-c") == ["shut off"] * 3


def test_a_shared_dependency_stays_for_its_other_master(controller: Controller) -> None:
    share = {"baremetal.lab.domain_dependency": {"name": "dep-m", "dependencies": [{"name": "dep-b"}]}}
    controller.results(
        declare(dependencies=[{"name": "dep-b"}]), share, state("dep-a", "running"), state("dep-m", "running"),
        state("dep-a", "destroyed"),
    )  # fmt: skip
    assert states(controller.libvirtd, "dep-a", "dep-b", "dep-m") == ["shut off", "running", "running"]
    controller.results(state("dep-m", "destroyed"))
    assert states(controller.libvirtd, "dep-b", "dep-m") == ["shut off", "shut off"]


def test_a_dependency_that_does_not_start_takes_the_start_back(controller: Controller) -> None:
    libvirtd = controller.libvirtd
    libvirtd.remove("dep-c")
    libvirtd.define(tiny_domain("dep-c", devices=BROKEN))
    _declared, failed = controller.results(
        declare(dependencies=[{"name": "dep-b"}, {"name": "dep-c", "order": "after"}]), state("dep-a", "running")
    )
    assert "could not start domain 'dep-c'" in failed["msg"]
    assert "/no/such/image" in failed["msg"]
    assert failed["domains"][0]["dependencies"][0]["actions"] == ["start", "destroy"]
    assert states(libvirtd, "dep-a", "dep-b", "dep-c") == ["shut off"] * 3
    _kept, kept = controller.results(
        declare(dependencies=[{"name": "dep-c", "on_failure": "keep"}]), state("dep-a", "running")
    )
    assert kept["failed"]
    assert states(libvirtd, "dep-a", "dep-b", "dep-c") == ["running", "running", "shut off"]


def test_virsh_create_of_the_seed(controller: Controller, tmp_path: Path) -> None:
    """Two transient domains from two files, the first of which names the second."""
    libvirtd = controller.libvirtd
    libvirtd.remove("dep-a")
    libvirtd.remove("dep-b")
    path = tmp_path / "domainB.xml"
    path.write_text(tiny_domain("dep-b"))
    seed = f"<domaindependency>\n  {path}\n</domaindependency>"
    xml = tiny_domain("dep-a", devices=seed)
    made, again, off = controller.results(
        state("dep-a", "running", xml=xml, transient=True),
        state("dep-a", "running", xml=xml, transient=True),
        state("dep-a", "destroyed"),
    )
    assert made["domains"][0]["actions"] == ["start"], made
    assert made["domains"][0]["dependencies"] == [{"name": "dep-b", "actions": ["start"], "error": None}]
    assert not again["changed"], again
    assert off["domains"][0]["state"] == "absent"
    assert not {"dep-a", "dep-b"} & set(libvirtd.virsh("list", "--all", "--name").split())


def test_a_declaration_survives_a_redefine_and_a_restart_of_libvirtd(own_libvirtd: Libvirtd, tmp_path: Path) -> None:
    with own_libvirtd as libvirtd:
        libvirtd.define(tiny_domain("dep-a"), tiny_domain("dep-b"))
        controller = Controller(tmp_path, libvirtd)
        xml = tiny_domain("dep-a", uuid=libvirtd.virsh("domuuid", "dep-a"), memory_mib=48)
        controller.results(declare(dependencies=[{"name": "dep-b"}]), state("dep-a", "running"))
        redefined = controller.domain(xml=xml)
        assert redefined["domains"][0]["actions"] == ["define"]
        libvirtd.kill()
        libvirtd.start()
        (info,) = controller.results({"baremetal.lab.domain_info": {"names": ["dep-a"]}})
        assert [one["name"] for one in info["domains"][0]["dependencies"]] == ["dep-b"]
        assert "dep-b" in libvirtd.virsh("dumpxml", "--inactive", "dep-a")


def test_the_amp_example_shares_memory_and_is_one_machine(controller: Controller) -> None:
    libvirtd = controller.libvirtd
    (example,) = yaml.safe_load((CHECKOUT / "examples/amp/amp.yml").read_text())
    variables = {**example["vars"], "amp_type": "qemu", "amp_memory_mb": 32, "amp_shared_mb": 1}
    parts = variables["amp_parts"]

    def run(wanted: str) -> list[dict[str, Any]]:
        own = {**variables, "amp_state": wanted}
        return controller.results(*({**task, "vars": {**own, **task.get("vars", {})}} for task in example["tasks"]))

    try:
        assert run("running")[2]["changed"]
        assert states(libvirtd, *parts) == ["running"] * 3
        mapped = [Path(f"/proc/{libvirtd.qemu_pid(part)}/maps").read_text() for part in parts]
        assert len({line.split()[4] for text in mapped for line in text.splitlines() if "/dev/shm/amp" in line}) == 1
        assert all("/dev/shm/amp" in text for text in mapped)
        assert [result["changed"] for result in run("running")] == [False] * 3
        run("destroyed")
        assert states(libvirtd, *parts) == ["shut off"] * 3
    finally:
        for part in parts:
            libvirtd.remove(part)
        Path("/dev/shm/amp").unlink(missing_ok=True)


def test_an_inventory_says_what_depends_on_what_and_status_draws_it(controller: Controller, tmp_path: Path) -> None:
    """The role's own steps for it; that playbooks run them is test_lab's affair."""
    libvirtd = controller.libvirtd
    own = {"lab_hypervisor": "hv1", "bmc_password": "secret", "lab_memory_mb": 32, "lab_disks": [], "lab_nics": []}
    variables = {name: {**own, "lab_type": "qemu", "lab_state": "running"} for name in ("dep-x", "dep-y")}
    variables["dep-x"]["lab_depends_on"] = [{"name": "dep-y", "order": "after"}]
    lab = read_lab({"hypervisors": ["hv1"], "nodes": list(variables)}, {"hv1": {}, **variables}).document()
    assert lab["problems"] == []
    role = {"name": "baremetal.lab.lab", "tasks_from": "groups"}
    declare_all = {"ansible.builtin.include_role": role, "vars": {"lab_here": lab["nodes"], "lab_uri": libvirtd.uri}}
    run = {"baremetal.lab.domain": {"domains": [node["domain"] for node in lab["nodes"]]}}
    picture = tmp_path / "lab.dot"
    told = {"hv1": {"relations": "{{ found }}"}}
    draw = {
        "ansible.builtin.include_role": {"name": "baremetal.lab.lab", "tasks_from": "graph"},
        "vars": {"lab_graph_file": str(picture), "lab_told_of": told},
    }
    look = {"baremetal.lab.domain_info": {"names": list(variables)}, "register": "found"}
    try:
        first = controller.play([declare_all, run])
        assert first.index("Declare what depends on what") < first.index('"start"')
        assert "changed=0 " in controller.play([declare_all, run, look, draw])
        assert '"hv1/dep-x" -> "hv1/dep-y" [label="order after"];' in picture.read_text()
        libvirtd.virsh("destroy", "dep-y")
        assert states(libvirtd, "dep-x") == ["running"]
    finally:
        for name in variables:
            libvirtd.remove(name)
