# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Redfish clients that people use, on BMCs in front of real QEMU domains (scripts/redfish-clients.sh)."""

from __future__ import annotations

import csv
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rig import redfish_clients
from rig.daemon import Vbmcd
from rig.libvirtd import Libvirtd
from rig.node import Node as AnyNode
from rig.ports import free_ports
from rig.redfish import RESET, ROOT, SYSTEM, Client
from rig.redfish_clients import run
from rig.waiting import eventually

USER, PASSWORD = "admin", "password"
READER = {"name": "reader", "password": "r3ader", "privilege": "user"}


@dataclass
class Node(AnyNode):
    """One with Redfish."""

    web: int = 0
    """Its port."""

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.web}"

    def client(self) -> Client:
        return Client(self.web)


@pytest.fixture(scope="module")
def vbmcd() -> Iterator[Vbmcd]:
    with Vbmcd(workers="1") as daemon:
        yield daemon


@pytest.fixture
def node(libvirtd: Libvirtd, vbmcd: Vbmcd, tmp_path: Path) -> Iterator[Node]:
    (web,) = free_ports(1)
    spec = {"users": [READER], "redfish": {"port": web}}
    boot = ["hd", "network", "cdrom"]
    with Node.served(libvirtd, vbmcd, tmp_path, spec, cdrom=True, boot=boot) as found:
        found.web = web
        yield found


def validated(node: Node, folder: Path) -> list[dict[str, str]]:
    """The rows of the report of DMTF's protocol validator."""
    login = ["-u", USER, "-p", PASSWORD, "-r", node.url, "--no-cert-check", "--avoid-http-redirect"]
    folder.mkdir()
    run("rf_protocol_validator", *login, "--report-dir", "report", "--report-type", "tsv", folder=folder)
    (report,) = (folder / "report").glob("*.tsv")
    with report.open() as lines:
        return list(csv.DictReader(lines, delimiter="\t"))


def test_dmtfs_protocol_validator_finds_nothing_wrong(node: Node, tmp_path: Path) -> None:
    for turn in range(4):
        rows = validated(node, tmp_path / f"{turn}")
        wrong = [row for row in rows if row["Result"] in ("FAIL", "WARN")]
        # Its statistics call one random token in fifty not random enough.
        if [row["Assertion"] for row in wrong] != ["RESP_HEADERS_X_AUTH_TOKEN"]:
            break
    assert wrong == []
    assert sum(row["Result"] == "PASS" for row in rows) > 300


def test_redfishtool_powers_boots_and_lights_a_domain(node: Node, tmp_path: Path) -> None:
    def tool(*words: str) -> Any:
        login = ["-r", f"127.0.0.1:{node.web}", "-u", USER, "-p", PASSWORD, "-S", "Always"]
        output = run("redfishtool", *login, *words, folder=tmp_path)
        return json.loads(output) if output.strip().startswith("{") else output

    assert tool("Systems", "-I", "1", "reset", "On") == ""
    assert node.has_state("running")
    assert tool("Systems", "-I", "1")["PowerState"] == "On"
    tool("Systems", "-I", "1", "setBootOverride", "Once", "Pxe")
    assert node.ipmitool("chassis", "bootparam", "get", "5").count("Force PXE") == 1
    tool("Systems", "-I", "1", "setIndicatorLed", "Blinking")
    assert node.client().get(SYSTEM).json["LocationIndicatorActive"] is True
    tool("Systems", "-I", "1", "reset", "ForceOff")
    assert node.has_state("shut off")
    assert tool("Systems", "-I", "1", "Processors", "-a")["Members@odata.count"] == 1
    tool("AccountService", "adduser", "tooluser", "t00l", "Operator")
    assert "tooluser" in node.ipmitool("user", "list", "1")


SUSHY = """
import sys, time, warnings
import sushy
warnings.simplefilter("ignore")
url, user, password = sys.argv[1:]
root = sushy.Sushy(url + "/redfish/v1", username=user, password=password, verify=False)
system = root.get_system_collection().get_members()[0]

def wait_for(state):
    # What takes long is answered when it is under way.
    deadline = time.monotonic() + 120
    while system.power_state != state:
        assert time.monotonic() < deadline, system.power_state
        time.sleep(0.1)
        system.refresh(force=True)

system.reset_system(sushy.ResetType.ON)
wait_for(sushy.PowerState.ON)
system.set_system_boot_options(
    sushy.BootSource.PXE, enabled=sushy.BootSourceOverrideEnabled.ONCE, mode=sushy.BootSourceOverrideMode.LEGACY
)
system.refresh(force=True)
assert system.boot.target == sushy.BootSource.PXE, system.boot.target
system.set_indicator_led(sushy.IndicatorLED.BLINKING)
system.reset_system(sushy.ResetType.FORCE_OFF)
wait_for(sushy.PowerState.OFF)
assert system.memory_summary.size_gib is not None
assert system.processors.summary.count == 1
assert len(system.ethernet_interfaces.get_members()) == 1
assert system.storage.get_members()[0].drives[0].capacity_bytes == 1 << 20
manager = system.managers[0]
assert manager.firmware_version
chassis = system.chassis[0]
assert chassis.name
print(system.ethernet_interfaces.summary)
"""


def test_sushy_powers_and_boots_a_domain(node: Node, tmp_path: Path) -> None:
    said = run("python", "-c", SUSHY, node.url, USER, PASSWORD, folder=tmp_path)
    assert "52:54:00" in said.lower()
    assert node.has_state("shut off")
    assert node.ipmitool("chassis", "bootparam", "get", "5").count("Force PXE") == 1


def community(node: Node, module: str, **options: Any) -> dict[str, Any]:
    return redfish_clients.community(module, node.web, USER, PASSWORD, **options)


def test_community_generals_modules_command_and_ask(node: Node) -> None:
    assert community(node, "redfish_command", category="Systems", command=["PowerOn"])["changed"]
    assert node.has_state("running")
    assert not community(node, "redfish_command", category="Systems", command=["PowerOn"])["changed"]
    community(
        node,
        "redfish_command",
        category="Systems",
        command=["SetOneTimeBoot"],
        bootdevice="Pxe",
        boot_override_mode="Legacy",
    )
    community(node, "redfish_command", category="Systems", command=["IndicatorLedBlink"])
    community(node, "redfish_command", category="Systems", command=["PowerForceOff"])
    assert node.has_state("shut off")
    new = {"account_username": "cg", "account_password": "c6-Pa55", "roleid": "Operator"}
    community(node, "redfish_command", category="Accounts", command=["AddUser"], **new)
    assert "cg" in node.ipmitool("user", "list", "1")
    community(node, "redfish_command", category="Accounts", command=["DeleteUser"], account_username="cg")
    systems = ["GetSystemInventory", "GetCpuInventory", "GetMemoryInventory", "GetNicInventory", "GetDiskInventory",
               "GetVolumeInventory", "GetBootOrder", "GetBootOverride", "GetHealthReport",
               "GetBiosAttributes"]  # fmt: skip
    facts = community(node, "redfish_info", category=["Systems"], command=systems)["redfish_facts"]
    assert {key: one["ret"] for key, one in facts.items()} == dict.fromkeys(facts, True)
    assert facts["boot_override"]["entries"][0][1]["BootSourceOverrideTarget"] == "Pxe"
    others = {"Chassis": ["GetChassisInventory", "GetPsuInventory", "GetFanInventory", "GetChassisThermals"],
              "Manager": ["GetManagerInventory", "GetNetworkProtocols", "GetLogs", "GetHealthReport"],
              "Accounts": ["ListUsers", "GetAccountServiceConfig"], "Sessions": ["GetSessions"]}  # fmt: skip
    timeout = {"SessionTimeout": 1200}
    assert community(
        node, "redfish_config", category="Sessions", command=["SetSessionService"], sessions_config=timeout
    )
    assert node.client().get(f"{ROOT}/SessionService").json["SessionTimeout"] == 1200
    nics = community(node, "redfish_info", category=["Manager"], command=["GetManagerNicInventory"])["redfish_facts"]
    assert [nic["Id"] for _uri, found in nics["manager_nics"]["entries"] for nic in found] == ["eth0"]
    for category, commands in others.items():
        community(node, "redfish_info", category=[category], command=commands)


def test_curl_logs_in_with_a_certificate_that_it_knows(node: Node, tmp_path: Path) -> None:
    pem = run("openssl", "s_client", "-connect", f"127.0.0.1:{node.web}", "-showcerts", folder=tmp_path)
    (tmp_path / "ca.pem").write_text(pem[pem.index("-----BEGIN") : pem.index("-----END") + 26])
    login = ["-u", f"{USER}:{PASSWORD}", "--cacert", "ca.pem"]
    for version in ("1.2", "1.3"):
        said = run("curl", "-sSf", *login, f"--tlsv{version}", "--tls-max", version, node.url + SYSTEM, folder=tmp_path)
        assert json.loads(said)["Name"] == node.name
    refused = subprocess.run(
        ["curl", "-sSf", *login, "--tls-max", "1.1", node.url + SYSTEM], capture_output=True, check=False, cwd=tmp_path
    )
    assert refused.returncode == 35


def test_each_protocol_reads_back_what_the_other_changed(node: Node) -> None:
    with node.client() as client:
        node.ipmitool("power", "on")
        eventually(lambda: client.get(SYSTEM).json["PowerState"] == "On", what="Redfish sees the machine on")
        client.patch(SYSTEM, {"Boot": {"BootSourceOverrideTarget": "Cd", "BootSourceOverrideEnabled": "Once"}})
        assert "Force Boot from CD/DVD" in node.ipmitool("chassis", "bootparam", "get", "5")
        node.ipmitool("chassis", "bootdev", "disk", "options=persistent")
        assert client.get(SYSTEM).json["Boot"]["BootSourceOverrideTarget"] == "Hdd"
        assert client.get(SYSTEM).json["Boot"]["BootSourceOverrideEnabled"] == "Continuous"
        node.ipmitool("chassis", "identify", "force")
        assert client.get(SYSTEM).json["LocationIndicatorActive"] is True
        client.patch(SYSTEM, {"LocationIndicatorActive": False})
        node.ipmitool("user", "set", "name", "5", "fifth")
        node.ipmitool("user", "set", "password", "5", "f1fth")
        node.ipmitool("user", "priv", "5", "4", "1")
        node.ipmitool("user", "enable", "5")
        accounts = client.get(f"{ROOT}/AccountService/Accounts?$expand=.").json["Members"]
        assert "fifth" in [one["UserName"] for one in accounts]
        client.post(RESET, {"ResetType": "ForceOff"})
        assert node.has_state("shut off")
        assert node.ipmitool("power", "status") == "Chassis Power is off"

        def entries_agree() -> bool:
            entries = client.get(f"{ROOT}/Managers/1/LogServices/SEL/Entries").json["Members"]
            return len(entries) == len(node.ipmitool("sel", "list").splitlines())

        eventually(entries_agree, what="both tell of the same events")
        client.post(f"{ROOT}/Managers/1/LogServices/SEL/Actions/LogService.ClearLog", {})
        assert "no entries" in node.ipmitool("sel", "list")


def test_the_hardware_is_the_domains(node: Node) -> None:
    with node.client() as client:
        system = client.get(SYSTEM).json
        assert system["MemorySummary"]["TotalSystemMemoryGiB"] == round(32 / 1024, 3)
        (interface,) = client.get(f"{SYSTEM}/EthernetInterfaces?$expand=.").json["Members"]
        assert interface["MACAddress"].lower() in node.libvirtd.virsh("dumpxml", node.name)
        assert interface["LinkStatus"] == "LinkDown"
        drive = client.get(f"{SYSTEM}/Storage/virtio/Drives/vda").json
        assert drive["CapacityBytes"] == 1 << 20
        options = client.get(f"{SYSTEM}/BootOptions?$expand=.").json["Members"]
        aliases = {one["BootOptionReference"]: one["Alias"] for one in options}
        assert [aliases[reference] for reference in system["Boot"]["BootOrder"]] == ["Hdd", "Pxe", "Cd"]
        client.reset("On")
        assert node.has_state("running")
        link = f"{SYSTEM}/EthernetInterfaces/0"
        eventually(lambda: client.get(link).json["LinkStatus"] == "LinkUp", what="the interface is up")
        client.reset("Pause")
        assert node.has_state("paused")
        eventually(lambda: client.get(SYSTEM).json["PowerState"] == "Paused", what="it is seen to stand still")
        node.libvirtd.virsh("resume", node.name)
        eventually(lambda: client.get(SYSTEM).json["PowerState"] == "On", what="it is seen to go on")
