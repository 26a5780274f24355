# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks end to end: real libvirtd and QEMU, the real daemon, an independent IPMI client.

Each test works in a sandbox, a copy of this machine that is forgotten afterwards, so that no lab here is disturbed.
Bridges are the machine's all the same, which is why the lab's network has a name of its own.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest

from rig.browser import Browser
from rig.firmware import image_file
from rig.networks import interface, subnet
from rig.sandbox import Sandbox
from rig.waiting import eventually

# pip installs the daemon from an index.
pytestmark = pytest.mark.outside

CHECKOUT = Path(__file__).resolve().parents[2]
BRIDGE, BMC_INTERFACE = interface("labtest"), interface("bmc")
NET, BMC_NET = subnet(0), subnet(1)
BMC_NET6 = f"2001:db8:{os.getpid() % 0xFFFF + 1:x}:"
BMC_PORT = 16000 + os.getpid() % 16000  # below those that clients are given
PASSWORD = "not-for-printing"
INVENTORY: dict[str, Any] = {
    "all": {"vars": {"lab_name": "labtest"}},
    "hypervisors": {
        "hosts": {
            "hv": {
                "ansible_connection": "local",
                "ansible_python_interpreter": "/usr/bin/python3",
                "hypervisor_networks": [{"name": "labtest", "forward": "isolated", "bridge": BRIDGE}],
            }
        }
    },
    "nodes": {
        "hosts": {"labtest-1": {}, "labtest-2": {"bmc_port": BMC_PORT}},
        "vars": {
            "lab_hypervisor": "hv",
            "lab_memory_mb": 32,
            "lab_type": "qemu",
            "lab_disks": [{"size_gb": 0.01}],
            "lab_nics": [{"network": "labtest"}],
            "bmc_address": "127.0.0.1",
            "bmc_password": PASSWORD,
        },
    },
}
PROVISIONING = {
    "name": "labtest",
    "forward": "isolated",
    "bridge": BRIDGE,
    "address": f"{NET}.1/24",
    "dhcp_start": f"{NET}.10",
    "dhcp_end": f"{NET}.99",
    "tftp_root": "/srv/labtest",
    "boot_file": "boot.ipxe",
    "boot_script": "#!ipxe\necho hello\n",
}
# QEMUs of a sandbox would share cgroups and security labels with the machine's own, and in a changed root libvirt can't
# give them a /dev of their own.
QEMU_CONF = 'cgroup_controllers = []\nsecurity_driver = "none"\nnamespaces = []\n'


class Lab:
    """The playbooks, run in a sandbox; `program` is the ansible-playbook that runs them."""

    def __init__(self, sandbox: Sandbox, collections: Path, program: Path) -> None:
        self.sandbox = sandbox
        self._collections = collections
        self._program = program

    def play(self, playbook: str, *arguments: str, inventory: dict[str, Any] | None = None, check: bool = True) -> str:
        """What ansible-playbook prints, with INVENTORY unless there is another. With `check`, it has to succeed."""
        self.sandbox.write("/root/inventory.json", json.dumps(inventory or INVENTORY))
        command = [str(self._program), "-i", "/root/inventory.json"]
        env = {"ANSIBLE_COLLECTIONS_PATH": str(self._collections), "LC_ALL": "C.UTF-8", "ANSIBLE_NOCOLOR": "1"}
        done = self.sandbox.run(*command, f"baremetal.lab.{playbook}", *arguments, env=env, check=check)
        assert check or done.returncode != 0
        for unwanted in (PASSWORD, "[WARNING]", "[DEPRECATION"):
            assert unwanted not in done.stdout + done.stderr
        return done.stdout + done.stderr

    def rows(self, inventory: dict[str, Any] | None = None) -> list[list[str]]:
        """The rows of the nodes' table that the playbook `status` ends with; the hypervisors' goes before it."""
        lines = re.findall(r'^ +"(.*?)",?$', self.play("status", inventory=inventory), flags=re.MULTILINE)
        _hypervisors, nodes = "\n".join(lines).split("\n\n")[:2]
        return [line.split() for line in nodes.splitlines()[1:]]

    def inventory(self, *sources: str) -> dict[str, dict[str, Any]]:
        """Host to variables, as ansible-inventory lists them."""
        command = [str(Path(sys.executable).with_name("ansible-inventory")), "--list"]
        for source in sources:
            command += ["-i", source]
        env = {"ANSIBLE_COLLECTIONS_PATH": str(self._collections), "LC_ALL": "C.UTF-8"}
        hosts: dict[str, dict[str, Any]] = json.loads(self.sandbox.run(*command, env=env).stdout)["_meta"]["hostvars"]
        return hosts

    def status(self, name: str) -> list[str]:
        """The row of a node."""
        [row] = [row for row in self.rows() if row[0] == name]
        return row

    def addresses(self, interface: str) -> set[str]:
        """The global addresses on an interface of the machine."""
        links = json.loads(self.sandbox.run("ip", "-json", "address", "show", "dev", interface).stdout)
        return {one["local"] for link in links for one in link.get("addr_info", []) if one["scope"] == "global"}

    def power(self, port: int, action: str) -> None:
        command = ["ipmitool", "-I", "lanplus", "-C", "17", "-H", "127.0.0.1", "-p", str(port), "-U", "admin", "-E"]
        self.sandbox.run(*command, "power", action, env={"IPMI_PASSWORD": PASSWORD})

    def virsh(self, *arguments: str) -> str:
        return self.sandbox.run("virsh", "--quiet", *arguments).stdout.strip()


@pytest.fixture(scope="module")
def collections(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("collections")
    subprocess.run([CHECKOUT / "scripts" / "stage.sh", folder], check=True, capture_output=True)
    return folder


def ansible_playbook(core: str | None) -> Path:
    """The program of that version of ansible-core where `make cores` has installed it, or the environment's own."""
    program = CHECKOUT / f".cache/core/{core}/bin/ansible-playbook"
    return program if program.exists() else Path(sys.executable).with_name("ansible-playbook")


@pytest.fixture(scope="module")
def installation(collections: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What role vbmc makes in /opt/vbmcd: pip takes a while, and has to do it in one test only."""
    folder = tmp_path_factory.mktemp("installation") / "vbmcd"
    with _sandbox(collections) as sandbox:
        Lab(sandbox, collections, ansible_playbook(None)).play("bring_up", "--tags", "vbmc")
        sandbox.take("/opt/vbmcd", folder)
    return folder


@pytest.fixture
def bare(collections: Path) -> Iterator[Lab]:
    """A machine without anything of the daemon's."""
    with _sandbox(collections) as sandbox:
        yield Lab(sandbox, collections, ansible_playbook(None))


@pytest.fixture
def lab(collections: Path, installation: Path, request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A machine where the daemon's files are in place, and nothing else is."""
    with _sandbox(collections) as sandbox:
        sandbox.bring(installation, "/opt/vbmcd")
        core = request.node.get_closest_marker("core")
        yield Lab(sandbox, collections, ansible_playbook(core.args[0] if core else None))


@contextmanager
def _sandbox(collections: Path) -> Iterator[Sandbox]:
    if os.geteuid() != 0:
        if os.environ.get("REQUIRE_LIBVIRT"):
            raise RuntimeError("the playbooks' test needs root")
        pytest.skip("needs root: the playbooks work in a sandbox of namespaces and an overlay")
    try:
        with Sandbox(CHECKOUT, collections) as sandbox:
            sandbox.run("sh", "-c", f"printf '%s' '{QEMU_CONF}' >> /etc/libvirt/qemu.conf")
            sandbox.run("rm", "-rf", "/etc/libvirt/qemu/networks/autostart", "/etc/libvirt/qemu/autostart")
            yield sandbox
    finally:
        for left in (BRIDGE, BMC_INTERFACE):
            subprocess.run(["ip", "link", "delete", left], capture_output=True, check=False)


def changes(output: str) -> dict[str, int]:
    """Host to the number of changed tasks, from the recap."""
    return {host: int(count) for host, count in re.findall(r"^(\S+) +: .*changed=(\d+)", output, flags=re.MULTILINE)}


def traces(sandbox: Sandbox) -> list[str]:
    """What of the daemon can be found on the machine."""
    files = [
        "/opt/vbmcd",
        "/var/lib/vbmcd",
        "/run/vbmcd",
        "/run/vbmcd.pid",
        "/var/log/vbmcd.log",
        "/usr/local/bin/vbmc",
    ]
    found = [path for path in files if sandbox.exists(path)]
    users = [
        entry for entry in ("passwd", "group") if sandbox.run("getent", entry, "vbmc", check=False).returncode == 0
    ]
    running = sandbox.run("pgrep", "--full", "--list-full", "vbmcd", check=False).stdout.splitlines()
    return found + users + running


def look_at_page(lab: Lab, folder: Path) -> tuple[list[list[str]], list[list[str]]]:
    """The words of each hypervisor's card and of each node's row, as a browser shows /root/lab.html."""
    page = folder / "lab.html"
    page.write_text(lab.sandbox.run("cat", "/root/lab.html").stdout)
    assert PASSWORD not in page.read_text()
    with Browser() as browser:
        browser.open(page)
        words = "[...document.querySelectorAll('%s')].map(one => one.innerText.split(/\\s+/))"
        return browser.evaluate(words % ".card"), browser.evaluate(words % "tbody tr")


def arrows(lab: Lab) -> list[tuple[str, str]]:
    """What depends on what in /root/lab.svg, by the words that are drawn."""
    assert '"hv/labtest-1" -> "hv/labtest-2"' in lab.sandbox.run("cat", "/root/lab.dot").stdout
    space = {"svg": "http://www.w3.org/2000/svg"}
    drawn = ElementTree.fromstring(lab.sandbox.run("cat", "/root/lab.svg").stdout)
    labels = {
        group.findtext("svg:title", namespaces=space): group.findtext("svg:text", namespaces=space)
        for group in drawn.iterfind(".//svg:g[@class='node']", space)
    }
    edges = [group.findtext("svg:title", "", space) for group in drawn.iterfind(".//svg:g[@class='edge']", space)]
    return [tuple(str(labels[end]).split()[0] for end in edge.split("->")) for edge in edges]


def test_a_lab_comes_up_is_left_alone_and_goes_without_a_trace(bare: Lab, tmp_path: Path) -> None:
    own = deepcopy(INVENTORY)
    own["nodes"]["hosts"]["labtest-1"] = {"lab_depends_on": ["labtest-2"]}
    del own["nodes"]["vars"]["lab_hypervisor"]
    first = bare.play("bring_up", inventory=own)
    assert changes(first).keys() == {"hv"}
    assert bare.status("labtest-2") == ["labtest-2", "hv", "labtest-2", f"127.0.0.1:{BMC_PORT}", "off"]

    bare.power(BMC_PORT, "on")
    eventually(lambda: bare.virsh("domstate", "labtest-2") == "running", what="the BMC starts its domain")
    assert bare.status("labtest-2")[-1] == "on"
    pictures = ("-e", "lab_status_page=/root/lab.html", "-e", "lab_status_graph=/root/lab.dot")
    assert changes(bare.play("status", *pictures, inventory=own)) == {"hv": 0}
    assert arrows(bare) == [("labtest-1", "labtest-2")]
    [card], rows = look_at_page(bare, tmp_path)
    assert card[:2] == ["hv", "ok"]
    assert rows[0][1::2][:2] == ["off", "hv"]
    assert rows[1][:5] == ["labtest-2", "on", f"127.0.0.1:{BMC_PORT}", "hv", "running"]

    again = bare.play("bring_up", inventory=own)
    assert changes(again) == {"hv": 0}
    assert changes(bare.play("bring_up", "--check", inventory=own)) == {"hv": 0}
    assert bare.virsh("domstate", "labtest-2") == "running"

    another = "<domain type='qemu'><name>another</name><memory>16384</memory><os><type>hvm</type></os></domain>"
    bare.sandbox.write("/root/another.xml", another)
    bare.virsh("define", "/root/another.xml")

    assert changes(bare.play("tear_down"))["hv"] > 0
    assert traces(bare.sandbox) == []
    assert bare.virsh("list", "--all", "--name") == "another"
    assert bare.virsh("pool-list", "--all", "--name") == ""
    assert not bare.sandbox.exists("/var/lib/libvirt/images/lab")
    assert changes(bare.play("tear_down")) == {"hv": 0}


def test_what_is_exported_is_all_that_a_client_needs(lab: Lab, tmp_path: Path) -> None:
    own = deepcopy(INVENTORY)
    firmware = {"activation_seconds": 0.1, "reboot_seconds": 0.5}
    own["nodes"]["hosts"]["labtest-3"] = {
        "bmc_redfish": True,
        "bmc_firmware": firmware,
        "lab_export_protocol": "redfish",
    }
    lab.play("bring_up", inventory=own)
    where = ("-e", "lab_export_path=/root/exports", "--diff")
    assert changes(lab.play("export", *where, inventory=own)) == {"hv": 1}
    assert changes(lab.play("export", *where, inventory=own)) == {"hv": 0}
    assert set(lab.sandbox.run("sh", "-c", "stat -c %a /root/exports/*").stdout.split()) == {"600"}

    exported = json.loads(lab.sandbox.run("cat", "/root/exports/ironic.json").stdout)
    jsonschema.validate(exported, json.loads((CHECKOUT / "tests/schemas/ironic.json").read_text()))
    *by_ipmi, by_redfish = exported["nodes"]
    assert [node["name"] for node in by_ipmi] == ["labtest-1", "labtest-2"]
    told = by_redfish["driver_info"]
    system = told["redfish_address"] + told["redfish_system_id"]
    user = f"{told['redfish_username']}:{told['redfish_password']}"
    answer = lab.sandbox.run("curl", "--silent", "--insecure", "--user", user, system).stdout
    assert (by_redfish["name"], json.loads(answer)["PowerState"]) == ("labtest-3", "Off")
    for node in by_ipmi:
        told = node["driver_info"]
        client = ["ipmitool", "-I", "lanplus", "-E", "-H", told["ipmi_address"], "-p", str(told["ipmi_port"])]
        client += ["-U", told["ipmi_username"], "power"]
        for action, state in (("on", "running"), ("off", "shut off")):
            lab.sandbox.run(*client, action, env={"IPMI_PASSWORD": told["ipmi_password"]})
            eventually(lambda: lab.virsh("domstate", node["name"]) == state, what=f"{node['name']} is {state}")  # noqa: B023
        assert node["ports"][0]["address"] in lab.virsh("domiflist", node["name"])

    for machine in json.loads(lab.sandbox.run("cat", "/root/exports/maas.json").stdout)[:2]:
        power = machine["power_parameters"]
        asked = ["ipmipower", "--driver-type", power["power_driver"], "-h", power["power_address"], "-l", "OPERATOR"]
        asked += ["-u", power["power_user"], "-p", power["power_pass"], "-I", power["cipher_suite_id"], "--stat"]
        assert lab.sandbox.run(*asked).stdout.endswith(": off\n")

    lab.sandbox.write("/root/lab.vbmc.yml", "plugin: baremetal.lab.vbmc\n")
    hosts = lab.inventory("/root/inventory.json", "/root/lab.vbmc.yml")
    ports = {node["name"]: node["driver_info"]["ipmi_port"] for node in by_ipmi}
    assert {name: hosts[name]["bmc_port"] for name in ports} == ports
    # What the playbook `status` had the BMC make at the end of `bring_up`.
    assert hosts["labtest-3"]["bmc_redfish_target"]["fingerprint"]

    # So power and firmware need the lab's inventory alone.
    other = ("--limit", "labtest-3")
    assert changes(lab.play("power", "-e", "power_state=on", *other, inventory=own)) == {"labtest-3": 1}
    assert lab.virsh("list", "--name") == "labtest-3"
    read = lab.play("power", "-e", "power_protocol=ipmi", inventory=own)
    assert re.findall(r'"labtest-.": "(.*)"', read) == ["off", "off", "on"]
    lab.sandbox.bring(image_file(tmp_path / "bmc.tar"), "/root/bmc.tar")
    quick = {"firmware_image": "/root/bmc.tar", "firmware_poll_interval": 0.2, "firmware_verify_interval": 0.2}
    assert changes(lab.play("firmware_update", "-e", json.dumps(quick), *other, inventory=own)) == {"labtest-3": 1}


@pytest.mark.core("2.20")
def test_a_node_that_left_the_inventory_loses_its_bmc_and_keeps_its_disks(lab: Lab) -> None:
    lab.play("bring_up")
    smaller = deepcopy(INVENTORY)
    del smaller["nodes"]["hosts"]["labtest-1"]

    told = lab.play("bring_up", "--tags", "nodes", inventory=smaller)
    assert re.search(r"Left as they are.*labtest-1", told)
    assert lab.sandbox.run("vbmc", "--no-daemon", "list", "-f", "value", "-c", "Name").stdout.split() == ["labtest-2"]
    assert lab.sandbox.exists("/var/lib/libvirt/images/lab/labtest-1-0.qcow2")

    lab.play("tear_down", inventory=smaller)
    assert lab.virsh("list", "--all", "--name") == ""


@pytest.mark.core("2.21")
def test_a_limit_brings_up_the_nodes_that_it_names(lab: Lab) -> None:
    lab.play("bring_up", "--limit", "hv,labtest-1")
    assert lab.virsh("list", "--all", "--name") == "labtest-1"
    lab.play("bring_up", "--tags", "nodes", "--limit", "hv,labtest-2")
    assert lab.virsh("list", "--all", "--name").split() == ["labtest-1", "labtest-2"]
    lab.play("tear_down", "--limit", "labtest-1")
    assert lab.virsh("list", "--all", "--name") == "labtest-2"
    assert lab.status("labtest-2")[-1] == "off"
    assert changes(lab.play("bring_up", "--tags", "nodes", "--limit", "labtest-1")) == {"labtest-1": 2}
    assert lab.virsh("list", "--all", "--name").split() == ["labtest-1", "labtest-2"]


def test_a_lab_takes_no_bmc_from_another_lab(lab: Lab) -> None:
    lab.play("bring_up")
    second = deepcopy(INVENTORY)
    second["all"]["vars"]["lab_name"] = "second"
    second["nodes"]["hosts"] = {"labtest-1": {"lab_domain": "second-1"}}
    told = lab.play("bring_up", "--tags", "nodes", inventory=second, check=False)
    assert "'labtest-1' belongs to 'labtest', not to 'second'" in told
    assert "second-1" not in lab.virsh("list", "--all", "--name").split()

    second["nodes"]["hosts"] = {"second-1": {}}
    lab.play("bring_up", "--tags", "nodes", inventory=second)
    assert lab.status("labtest-1")[-1] == "off"
    lab.play("tear_down", inventory=second)
    assert lab.virsh("list", "--all", "--name").split() == ["labtest-1", "labtest-2"]
    assert lab.status("labtest-1")[-1] == "off"


def test_bmcs_have_addresses_of_their_own_and_keep_them(lab: Lab) -> None:
    own = deepcopy(INVENTORY)
    own["hypervisors"]["hosts"]["hv"].update(
        lab_bmc_interface=BMC_INTERFACE, lab_bmc_addresses=[f"{BMC_NET}.0/30", f"{BMC_NET6}:/64"]
    )
    del own["nodes"]["vars"]["bmc_address"]
    own["nodes"]["hosts"] = {"labtest-1": {}, "labtest-2": {"bmc_address": f"{BMC_NET6}:2"}, "labtest-3": {}}
    lab.play("bring_up", inventory=own)
    rows = lab.rows(inventory=own)
    assert [row[3] for row in rows] == [f"{BMC_NET}.1:623", f"[{BMC_NET6}:2]:623", f"{BMC_NET}.2:623"]
    assert {row[-1] for row in rows} == {"off"}
    assert changes(lab.play("bring_up", inventory=own)) == {"hv": 0}

    del own["nodes"]["hosts"]["labtest-1"]
    own["hypervisors"]["hosts"]["hv"]["hypervisor_networks"] = [PROVISIONING]
    foretold = lab.play("bring_up", "--tags", "hypervisor,nodes", "--check", "--diff", inventory=own)
    assert f"remove {BMC_NET}.1 from" in foretold and "labtest: restart" in foretold
    lab.play("bring_up", "--tags", "hypervisor,nodes", inventory=own)
    assert lab.addresses(BMC_INTERFACE) == {f"{BMC_NET}.2", f"{BMC_NET6}:2"}
    assert "bootp file='boot.ipxe'" in lab.virsh("net-dumpxml", "labtest")
    assert lab.sandbox.exists("/srv/labtest/boot.ipxe")

    lab.play("tear_down", inventory=own)
    assert lab.sandbox.run("ip", "link", "show", BMC_INTERFACE, check=False).returncode != 0
    assert not lab.sandbox.exists("/etc/vbmcd")


def test_check_mode_on_a_machine_without_a_lab_changes_nothing(bare: Lab) -> None:
    assert changes(bare.play("bring_up", "--check"))["hv"] > 0
    assert traces(bare.sandbox) == []
    assert not bare.sandbox.exists("/run/libvirt/libvirt-sock")


def test_a_wrong_inventory_is_refused_before_anything_changes(bare: Lab) -> None:
    wrong = deepcopy(INVENTORY)
    wrong["nodes"]["hosts"]["labtest-1"] = {"lab_hypervisor": "nowhere"}
    wrong["nodes"]["hosts"]["labtest-3"] = {"bmc_port": BMC_PORT}
    told = bare.play("bring_up", inventory=wrong, check=False)
    assert "node 'labtest-1' is to run on 'nowhere'" in told
    assert f"'labtest-2' and 'labtest-3' both want their BMC on 127.0.0.1:{BMC_PORT}" in told
    assert traces(bare.sandbox) == []


def test_the_status_of_a_lab_that_is_not_there_is_shown_and_not_an_error(bare: Lab) -> None:
    assert bare.status("labtest-1") == ["labtest-1", "hv", "labtest-1", "unknown", "unknown"]


@pytest.mark.core("2.21")
def test_the_status_page_shows_a_hypervisor_that_cannot_be_reached(lab: Lab, tmp_path: Path) -> None:
    two = deepcopy(INVENTORY)
    two["hypervisors"]["hosts"]["away"] = {"ansible_host": "127.0.0.1", "ansible_port": 1}
    two["nodes"]["hosts"]["labtest-3"] = {"lab_hypervisor": "away"}
    told = lab.play("status", "-e", "lab_status_page=/root/lab.html", inventory=two)
    assert changes(told) == {"hv": 0, "away": 0}
    assert "away: it can't be reached" in told
    assert lab.sandbox.run("stat", "--format=%a", "/root/lab.html").stdout.strip() == "600"
    cards, rows = look_at_page(lab, tmp_path)
    assert [card[:2] for card in cards] == [["hv", "needs"], ["away", "unreachable"]]
    assert rows[-1][:5] == ["labtest-3", "unknown", "unknown", "away", "unknown"]
