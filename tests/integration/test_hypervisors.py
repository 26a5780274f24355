# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab on two hypervisors: real hosts with systemd, over ssh. Nodes are placed, stay, move, and outlive a lost host.

Eight nodes; LAB_NODES=60 (`make bench-lab`) for the figures in docs/benchmarks.md, which each step prints.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rig.hosts import CHECKOUT, Hosts

# podman's hosts have the machine's network.
pytestmark = pytest.mark.outside

NODES = int(os.environ.get("LAB_NODES", "8"))
LAB = "two-hypervisors"
PASSWORD = "not-for-printing"
RECORD = f"/var/lib/libvirt/baremetal.lab-{LAB}.json"
SERIAL_PLAYBOOK = """
- hosts: all
  gather_facts: false
  tasks:
    - import_role: {name: baremetal.lab.lab, tasks_from: check}
- hosts: hypervisors
  gather_facts: false
  serial: 1
  tasks:
    - import_role: {name: baremetal.lab.lab, tasks_from: survey}
    - import_role: {name: baremetal.lab.lab, tasks_from: place}
    - import_role: {name: baremetal.lab.lab, tasks_from: depart}
    - import_role: {name: baremetal.lab.lab}
    - import_role: {name: baremetal.lab.lab, tasks_from: report}
"""


@dataclass(frozen=True)
class Run:
    """What came of a playbook."""

    output: str
    code: int
    seconds: float

    @property
    def changed(self) -> dict[str, int]:
        return {host: int(n) for host, n in re.findall(r"^(\S+) +: .*changed=(\d+)", self.output, re.MULTILINE)}

    @property
    def failed(self) -> set[str]:
        rows = re.findall(r"^(\S+) +: .*unreachable=(\d+) +failed=(\d+)", self.output, re.MULTILINE)
        return {host for host, unreachable, failed in rows if unreachable != "0" or failed != "0"}


class Lab:
    """The playbooks, run from here against the hosts."""

    def __init__(self, hosts: Hosts, folder: Path, collections: Path) -> None:
        self.hosts = hosts
        self._folder = folder
        self._collections = collections
        self.inventory = inventory(hosts)

    def play(self, playbook: str, *arguments: str, inventory: dict[str, Any] | None = None) -> Run:
        file = self._folder / "inventory.json"
        file.write_text(json.dumps(inventory or self.inventory))
        command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(file), playbook, *arguments]
        environment = {
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(self._collections),
            "ANSIBLE_HOME": str(self._folder / "ansible"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_TIMEOUT": "20",
            "LC_ALL": "C.UTF-8",
        }
        begin = time.monotonic()
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900, check=False)
        run = Run(done.stdout + done.stderr, done.returncode, time.monotonic() - begin)
        print(f"{NODES} nodes, {' '.join((playbook, *arguments))}: {run.seconds:.1f} s")
        for unwanted in (PASSWORD, "[WARNING]", "[DEPRECATION"):
            assert unwanted not in run.output
        return run

    def brought_up(self, *arguments: str, inventory: dict[str, Any] | None = None) -> Run:
        run = self.play("baremetal.lab.bring_up", *arguments, inventory=inventory)
        assert run.code == 0, run.output
        return run

    def domains(self, *hypervisors: str) -> dict[str, list[str]]:
        """Hypervisor to the names of its domains."""
        return {name: self.hosts.ssh(name, "virsh", "list", "--all", "--name").split() for name in hypervisors}

    def home(self, node: str) -> str:
        [home] = [name for name, found in self.domains(*self.hosts.names).items() if node in found]
        return home


def inventory(hosts: Hosts) -> dict[str, Any]:
    """Groups with defaults, counted hosts, several disks and networks, both kinds of firmware; and no hypervisor."""
    small = {"lab_memory_mb": 32, "lab_type": "qemu", "lab_disks": [{"size_gb": 0.01}]}
    networks = [{"name": name, "forward": "isolated", "bridge": f"virbr-{name}"} for name in ("prov", "data")]
    return {
        "all": {"vars": {"lab_name": LAB, "bmc_password": PASSWORD}},
        "hypervisors": {
            "hosts": {name: hosts.variables(name) for name in hosts.names},
            "vars": {"hypervisor_networks": networks},
        },
        "nodes": {
            "vars": {**small, "lab_nics": [{"network": "prov"}]},
            "children": {
                "control": {
                    "hosts": {
                        "control-01": {"lab_depends_on": ["control-02"]},
                        "control-02": {"lab_firmware": "bios"},
                    },
                    "vars": {
                        "lab_memory_mb": 64,
                        "lab_firmware": "efi",
                        "lab_disks": [{"size_gb": 0.01}, {"size_gb": 0.02}],
                        "lab_nics": [{"network": "prov"}, {"network": "data"}],
                    },
                },
                "compute": {"hosts": {f"compute-[01:{NODES - 2:02}]": {}}},
            },
        },
    }


@pytest.fixture(scope="module")
def collections(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("collections")
    subprocess.run([CHECKOUT / "scripts" / "stage.sh", folder], check=True, capture_output=True)
    return folder


@pytest.fixture
def lab(collections: Path, tmp_path: Path) -> Iterator[Lab]:
    if os.geteuid() != 0:
        if os.environ.get("REQUIRE_LIBVIRT"):
            raise RuntimeError("the test of two hypervisors needs root")
        pytest.skip("needs root: the hypervisors are podman containers with systemd")
    with Hosts(tmp_path, "hv1", "hv2") as hosts:
        yield Lab(hosts, tmp_path, collections)


def test_nodes_are_placed_stay_move_and_outlive_a_lost_hypervisor(lab: Lab) -> None:
    lab.brought_up()
    placed = lab.domains("hv1", "hv2")
    assert sum(len(found) for found in placed.values()) == NODES
    assert abs(len(placed["hv1"]) - len(placed["hv2"])) <= 2
    assert lab.brought_up().changed == {"hv1": 0, "hv2": 0}
    _nodes_that_depend_on_each_other_are_together(lab)
    _firmware_disks_and_networks_are_as_the_groups_say(lab)
    _a_node_moves_and_its_old_copy_goes(lab)
    _a_limit_needs_no_hypervisor(lab)
    _serial_changes_nothing(lab)
    _another_lab_is_left_alone(lab)
    _a_lost_hypervisors_nodes_fail_and_nobody_takes_their_place(lab)
    _everything_goes(lab)


def _nodes_that_depend_on_each_other_are_together(lab: Lab) -> None:
    home = lab.home("control-01")
    assert lab.home("control-02") == home
    assert "control-02" in lab.hosts.ssh(home, "virsh", "dumpxml", "control-01")


def _firmware_disks_and_networks_are_as_the_groups_say(lab: Lab) -> None:
    for node, efi in (("control-01", True), ("control-02", False)):
        home = lab.home(node)
        definition = lab.hosts.ssh(home, "virsh", "dumpxml", node)
        assert ("firmware='efi'" in definition) is efi
        assert definition.count("<disk ") == 2
        assert re.findall(r"<source network='(\w+)'", definition) == ["prov", "data"]


def _a_node_moves_and_its_old_copy_goes(lab: Lab) -> None:
    old = lab.home("compute-01")
    new = "hv2" if old == "hv1" else "hv1"
    address = re.findall(r"52:[0-9a-f:]{14}", lab.hosts.ssh(old, "virsh", "domiflist", "compute-01"))
    lab.hosts.ssh(old, "virsh", "start", "compute-01")
    moved = deepcopy(lab.inventory)
    moved["nodes"]["children"]["compute"]["hosts"]["compute-01"] = {"lab_hypervisor": new}

    refused = lab.play("baremetal.lab.bring_up", "--tags=nodes", f"--limit={new}", inventory=moved)
    assert refused.failed == {new}
    assert f"--limit leaves '{old}' out" in refused.output
    assert lab.home("compute-01") == old

    told = lab.brought_up(inventory=moved).output
    assert f"compute-01 moved away from {old}, with new disks" in told
    assert lab.home("compute-01") == new
    assert re.findall(r"52:[0-9a-f:]{14}", lab.hosts.ssh(new, "virsh", "domiflist", "compute-01")) == address
    assert "compute-01" not in lab.hosts.ssh(old, "vbmc", "--no-daemon", "list", "-f", "value", "-c", "Name").split()
    assert "compute-01-0.qcow2" in lab.hosts.ssh(old, "ls", "/var/lib/libvirt/images/lab")
    assert lab.brought_up("--tags=nodes", inventory=moved).changed == {"hv1": 0, "hv2": 0}
    assert lab.brought_up("--tags=nodes").changed == {"hv1": 0, "hv2": 0}
    assert lab.home("compute-01") == new


def _a_limit_needs_no_hypervisor(lab: Lab) -> None:
    home = lab.home("compute-02")
    assert lab.play("baremetal.lab.tear_down", "--limit=compute-02").code == 0
    assert "compute-02" not in lab.domains("hv1", "hv2")[home]
    larger = deepcopy(lab.inventory)
    larger["nodes"]["children"]["compute"]["hosts"]["new"] = {}
    run = lab.brought_up("--limit=compute-02,new", "--tags=nodes", inventory=larger)
    assert set(run.changed) >= {"compute-02"}
    assert lab.home("compute-02") == home
    assert lab.play("baremetal.lab.tear_down", "--limit=new", inventory=larger).code == 0


def _serial_changes_nothing(lab: Lab) -> None:
    playbook = lab.hosts.key.with_name("serial.yml")
    playbook.write_text(SERIAL_PLAYBOOK)
    lab.brought_up("--tags=nodes")  # the record forgets what was removed before
    run = lab.play(str(playbook))
    assert run.code == 0, run.output
    assert set(run.changed.values()) == {0}


def _another_lab_is_left_alone(lab: Lab) -> None:
    before = lab.domains("hv1", "hv2")
    other = deepcopy(lab.inventory)
    other["all"]["vars"]["lab_name"] = "other"
    other["nodes"]["children"] = {"guests": {"hosts": {"guest-01": {}, "guest-02": {}}}}
    lab.brought_up("--tags=nodes", inventory=other)
    assert sum(map(len, lab.domains("hv1", "hv2").values())) == sum(map(len, before.values())) + 2
    assert lab.brought_up("--tags=nodes").changed == {"hv1": 0, "hv2": 0}

    taken = deepcopy(other)
    taken["nodes"]["children"]["guests"]["hosts"] = {"compute-01": {"lab_hypervisor": lab.home("compute-01")}}
    assert "belongs to" in lab.play("baremetal.lab.bring_up", "--tags=nodes", inventory=taken).output
    assert lab.play("baremetal.lab.tear_down", inventory=other).code == 0
    assert lab.domains("hv1", "hv2") == before


def _a_lost_hypervisors_nodes_fail_and_nobody_takes_their_place(lab: Lab) -> None:
    before = lab.domains("hv1", "hv2")
    grown = deepcopy(lab.inventory)
    hosts = grown["nodes"]["children"]["compute"]["hosts"]
    hosts.update({"new-01": {}, "new-02": {"lab_hypervisor": "hv1"}, "compute-03": {"lab_hypervisor": "hv1"}})
    lost = next(node for node in before["hv2"] if node.startswith("compute") and node != "compute-03")
    lab.hosts.stop("hv2")
    run = lab.play("baremetal.lab.bring_up", inventory=grown)
    assert run.failed == {"hv2", "new-01", *before["hv2"]}
    assert f"node '{lost}' is on 'hv2' as far as is known, which does not answer" in run.output
    assert "node 'new-01' may be on 'hv2', which does not answer" in run.output
    assert sorted(lab.domains("hv1")["hv1"]) == sorted([*before["hv1"], "new-02"])
    power = lab.play("baremetal.lab.power", inventory=grown)
    assert power.failed == run.failed
    read = re.findall(r'"(\S+)": "off"', power.output)
    assert sorted(read) == sorted([*before["hv1"], "new-02"])
    limited = lab.play("baremetal.lab.bring_up", "--tags=nodes", f"--limit={lost}")
    assert limited.failed == {lost}
    known = deepcopy(lab.inventory)
    known["nodes"]["children"]["compute"]["hosts"]["new-02"] = {"lab_hypervisor": "hv1"}
    assert lab.brought_up("--tags=nodes", "--limit=hv1", inventory=known).changed == {"hv1": 0}

    lab.hosts.start("hv2")
    lab.brought_up("--tags=nodes")
    assert lab.play("baremetal.lab.tear_down", "--limit=new-02", inventory=grown).code == 0
    assert lab.domains("hv1", "hv2") == before
    lab.brought_up()
    assert lab.brought_up().changed == {"hv1": 0, "hv2": 0}


def _everything_goes(lab: Lab) -> None:
    assert lab.play("baremetal.lab.tear_down").code == 0
    assert lab.domains("hv1", "hv2") == {"hv1": [], "hv2": []}
    for host in lab.hosts.names:
        assert lab.hosts.ssh(host, "sh", "-c", f"ls -d /opt/vbmcd /var/lib/vbmcd {RECORD} 2>/dev/null || true") == ""
