# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The IPMI clients that people use, on BMCs in front of real QEMU domains."""

from __future__ import annotations

import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyghmi.exceptions import IpmiException

from rig.console import Console
from rig.daemon import NO_MACHINE, Vbmcd, alive
from rig.ipmi import Target, freeipmi, freeipmi_hosts, ipmitool, pyghmi
from rig.libvirtd import Libvirtd
from rig.node import Node as AnyNode
from rig.waiting import eventually, soon

ORDER = ["cdrom", "hd", "network"]
MONITOR = {"name": "monitor", "password": "m0nitor", "privilege": "user"}
OVMF = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")

each_suite = pytest.mark.parametrize("suite", [3, 17])


class Node(AnyNode):
    """One that tells how it boots."""

    def boots_from(self, *options: str) -> list[str]:
        """The boot list of the running domain; with --inactive that of its definition."""
        definition = ET.fromstring(self.libvirtd.virsh("dumpxml", self.name, *options))
        return [boot.get("dev", "") for boot in definition.iterfind("os/boot")]

    def has_efi(self, *options: str) -> bool:
        """Whether EFI firmware runs (or, with --inactive, is in the definition)."""
        definition = ET.fromstring(self.libvirtd.virsh("dumpxml", self.name, *options))
        return definition.find("os/loader[@type='pflash']") is not None or definition.find("os[@firmware]") is not None


@pytest.fixture(scope="module")
def vbmcd() -> Iterator[Vbmcd]:
    with Vbmcd() as daemon:
        yield daemon


@pytest.fixture
def node(libvirtd: Libvirtd, vbmcd: Vbmcd, tmp_path: Path) -> Iterator[Node]:
    with Node.served(libvirtd, vbmcd, tmp_path, {"users": [MONITOR]}, cdrom=True, boot=ORDER) as node:
        yield node


# --- Power -----------------------------------------------------------------------------------------------------------


@each_suite
def test_ipmitool_powers_a_domain(node: Node, suite: int) -> None:
    def status() -> str:
        return ipmitool(node.target, "power", "status", suite=suite).output

    assert status() == "Chassis Power is off"
    assert node.power("on", suite) and status() == "Chassis Power is on"
    first = node.qemu()
    assert node.power("reset", suite) and node.qemu() == first
    assert node.power("cycle", suite) and node.qemu() != first
    assert node.power("soft", suite) and node.power("diag", suite)
    assert node.power("off", suite) and status() == "Chassis Power is off"


@each_suite
def test_freeipmi_powers_a_domain(node: Node, suite: int) -> None:
    def power(*words: str) -> str:
        done = freeipmi("ipmipower", node.target, *words, suite=suite)
        assert done.code == 0, done
        return done.output.rpartition(" ")[2]

    assert power("--stat") == "off"
    assert power("--on", "--wait-until-on") == "ok" and node.has_state("running")
    first = node.qemu()
    assert power("--reset") == "ok" and node.qemu() == first
    assert power("--cycle") == "ok"
    eventually(lambda: not alive([first]), what="the machine was off for a moment")
    assert node.has_state("running")
    assert power("--soft") == "ok" and power("--pulse") == "ok"
    assert power("--off", "--wait-until-off") == "ok" and node.has_state("shut off")
    chassis = freeipmi("ipmi-chassis", node.target, "--chassis-control=POWER-UP", suite=suite)
    assert chassis.code == 0 and node.has_state("running")
    status = freeipmi("ipmi-chassis", node.target, "--get-chassis-status", suite=suite)
    assert status.output.splitlines()[0].split() == ["System", "Power", ":", "on"]


def test_pyghmi_powers_a_domain(node: Node) -> None:
    with pyghmi(node.target) as client:
        assert client.get_power() == {"powerstate": "off"}
        assert client.set_power("on", wait=True) == {"powerstate": "on"}
        first = node.qemu()
        for word in ("reset", "diag", "shutdown"):
            eventually(lambda word=word: accepts(client, word), what=f"{word} is accepted")
        assert node.qemu() == first
        assert client.set_power("off", wait=True) == {"powerstate": "off"}
    assert node.has_state("shut off")


def accepts(client: Any, word: str) -> bool:
    """Give pyghmi's power command, unless the BMC is busy."""
    try:
        return "error" not in client.set_power(word)
    except IpmiException as error:
        if "busy" not in str(error).lower():
            raise
        return False


@pytest.mark.parametrize(("word", "event"), [("soft", "POWERDOWN"), ("reset", "RESET")])
def test_the_machine_itself_gets_the_signal(node: Node, tmp_path: Path, word: str, event: str) -> None:
    node.libvirtd.virsh("start", node.name)
    heard = tmp_path / "heard"
    listen = ["virsh", "-c", node.libvirtd.uri, "qemu-monitor-event", node.name, "--event", event, "--loop"]
    with heard.open("wb") as output, subprocess.Popen(["stdbuf", "-o0", *listen], stdout=output) as listener:
        try:
            # Again until it is heard, for nobody can tell when the listener has begun to listen.
            eventually(
                lambda: ipmitool(node.target, "power", word).code == 0 and f"event {event}" in heard.read_text(),
                what=f"QEMU says {event}",
            )
        finally:
            listener.terminate()


@pytest.mark.parametrize("word", ["cycle", "reset", "soft", "diag"])
def test_what_needs_power_is_refused_without(node: Node, word: str) -> None:
    done = ipmitool(node.target, "power", word)
    assert done.code != 0 and "not supported in present state" in done.output
    assert node.state() == "shut off"


def test_a_change_made_past_the_bmc_is_seen(node: Node) -> None:
    with Console(node.target.port) as console:
        console.login()
        assert not console.is_on()
        node.libvirtd.virsh("start", node.name)
        eventually(console.is_on, what="the BMC says on")
        node.libvirtd.virsh("suspend", node.name)
        assert console.is_on(), "a paused machine has power"
        node.libvirtd.virsh("destroy", node.name)
        eventually(lambda: not console.is_on(), what="the BMC says off")


def test_a_power_command_is_answered_with_its_effect(vbmcd: Vbmcd) -> None:
    """Read your writes: a status asked after the answer is the new one, whatever was cached."""
    with Console(vbmcd.serve("writes", **NO_MACHINE)) as console:
        console.login()
        # The machine of the test driver is on to begin with, and others of the same worker and URI see it too.
        for on in (0, 1) * 3:
            assert console.request(0x00, 0x02, bytes((on,)))[0] == 0
            assert console.request(0x00, 0x01)[1] & 1 == on
    vbmcd.ask("delete", names=["writes"])


# --- Boot device -----------------------------------------------------------------------------------------------------


def test_a_boot_device_for_once_is_used_once(node: Node) -> None:
    assert ipmitool(node.target, "chassis", "bootdev", "pxe").code == 0
    assert node.state() == "shut off"
    assert "Force PXE" in ipmitool(node.target, "chassis", "bootparam", "get", "5").output
    node.power("on")
    assert node.boots_from() == ["network", "cdrom", "hd"]
    assert node.boots_from("--inactive") == ORDER
    assert "Boot Flag Invalid" in ipmitool(node.target, "chassis", "bootparam", "get", "5").output
    node.power("off")
    node.power("on")
    assert node.boots_from() == ORDER


@pytest.mark.parametrize("word", ["cycle", "reset"])
def test_a_boot_device_for_once_counts_on_a_running_machine(node: Node, word: str) -> None:
    node.power("on")
    qemu = node.qemu()
    assert ipmitool(node.target, "chassis", "bootdev", "disk").code == 0
    assert node.qemu() == qemu, "setting a boot device must never restart the machine"
    assert node.power(word)
    eventually(lambda: node.boots_from() == ["hd", "cdrom", "network"], what="it is used")
    assert node.has_state("running")
    assert node.power("cycle") and node.boots_from() == ORDER


def test_a_persistent_boot_device_stays(node: Node) -> None:
    assert ipmitool(node.target, "chassis", "bootdev", "disk", "options=persistent").code == 0
    assert node.boots_from("--inactive") == ["hd", "cdrom", "network"]
    for _turn in range(2):
        node.power("on")
        assert node.boots_from() == ["hd", "cdrom", "network"]
        node.power("off")
    told = ipmitool(node.target, "chassis", "bootparam", "get", "5").output
    assert "Force Boot from default Hard-Drive" in told and "apply to all future boots" in told


def test_pyghmi_sets_a_boot_device(node: Node) -> None:
    with pyghmi(node.target) as client:
        assert client.set_bootdev("network") == {"bootdev": "network"}
        assert client.get_bootdev() == {"bootdev": "network", "persistent": False, "uefimode": False}
        client.set_power("on", wait=True)
        assert node.has_state("running") and node.boots_from()[0] == "network"
        client.set_bootdev("hd", persist=True)
        assert client.get_bootdev() == {"bootdev": "hd", "persistent": True, "uefimode": False}
    assert node.boots_from("--inactive")[0] == "hd"


def test_freeipmi_sets_a_boot_device(node: Node) -> None:
    wanted = "--key-pair=Chassis_Boot_Flags:Boot_Device=PXE"
    assert freeipmi("ipmi-config", node.target, "--category=chassis", "--commit", wanted).code == 0
    freeipmi("ipmipower", node.target, "--on", "--wait-until-on")
    assert node.has_state("running") and node.boots_from()[0] == "network"


@pytest.mark.skipif(not OVMF.exists(), reason="no EFI firmware here: install ovmf")
def test_the_efi_flag_starts_efi_firmware(node: Node) -> None:
    assert ipmitool(node.target, "chassis", "bootdev", "disk", "options=efiboot").code == 0
    assert "BIOS EFI boot" in ipmitool(node.target, "chassis", "bootparam", "get", "5").output
    node.power("on")
    assert node.has_efi() and not node.has_efi("--inactive")
    node.power("cycle")
    assert not node.has_efi()


@pytest.mark.parametrize("device", ["bios", "diag", "safe", "floppy"])
def test_a_boot_device_that_can_not_be_honoured_is_refused(node: Node, device: str) -> None:
    done = ipmitool(node.target, "chassis", "bootdev", device)
    assert "Invalid data field in request" in done.output  # and ipmitool ends with 0 all the same
    assert "Boot Flag Invalid" in ipmitool(node.target, "chassis", "bootparam", "get", "5").output


# --- Who may do what -------------------------------------------------------------------------------------------------


@each_suite
@pytest.mark.parametrize("who", [{"password": "wrong"}, {"user": "nobody"}], ids=["password", "user"])
def test_a_stranger_is_refused_quickly(node: Node, who: dict[str, str], suite: int) -> None:
    stranger = Target(node.target.port, **who)

    def by_ipmitool() -> None:
        done = ipmitool(stranger, "power", "on", suite=suite)
        assert done.code != 0 and "Unable to establish IPMI v2 / RMCP+ session" in done.output

    def by_freeipmi() -> None:
        done = freeipmi("ipmipower", stranger, "--on", suite=suite)
        assert done.code != 0 and "password invalid" in done.output

    assert soon(1.5, by_ipmitool) and soon(1.5, by_freeipmi)
    assert node.state() == "shut off"


def test_pyghmi_is_told_of_a_wrong_password(node: Node) -> None:
    with pytest.raises(IpmiException, match="ncorrect password"), pyghmi(Target(node.target.port, password="wrong")):
        pass


def test_a_user_may_look_and_not_power(node: Node) -> None:
    monitor = Target(node.target.port, user=MONITOR["name"], password=MONITOR["password"])
    assert ipmitool(monitor, "power", "status", level="USER").output == "Chassis Power is off"
    refused = ipmitool(monitor, "power", "on", level="USER")
    assert refused.code != 0 and "Insufficient privilege level" in refused.output
    boot = ipmitool(monitor, "chassis", "bootdev", "pxe", level="USER")
    assert "Set Chassis Boot Parameter 5 failed: Insufficient privilege level" in boot.output
    assert ipmitool(monitor, "power", "on", level="ADMINISTRATOR").code != 0
    assert node.state() == "shut off"


def test_an_administrator_who_logs_in_as_user_may_not_power(node: Node) -> None:
    refused = ipmitool(node.target, "power", "on", level="USER")
    assert refused.code != 0 and "Insufficient privilege level" in refused.output
    with Console(node.target.port) as console:
        console.login(privilege=2)
        assert console.request(0x00, 0x02, b"\x01") == b"\xd4"
        assert console.request(0x06, 0x3B, b"\x04") == b"\x81", "a session can't be raised above its login"
    assert node.state() == "shut off"


def test_power_commands_are_audited_refused_ones_too(node: Node) -> None:
    node.power("on")
    ipmitool(node.target, "chassis", "bootdev", "bios")
    monitor = Target(node.target.port, user=MONITOR["name"], password=MONITOR["password"])
    ipmitool(monitor, "power", "off", level="USER")
    lines = [one for one in node.vbmcd.audit(node.name) if not one["result"].startswith("C0h")]
    assert [(one["event"], one["action"], one["user"], one["result"].split()[0]) for one in lines] == [
        ("power", "on", "admin", "ok"),
        ("boot", "6h once", "admin", "CCh"),
        ("power", "off", "monitor", "D4h"),
    ]
    assert all(one["source"].startswith("127.0.0.1 ") for one in lines)


# --- What a BMC says of itself ---------------------------------------------------------------------------------------


@each_suite
def test_the_system_guid_is_the_uuid_of_the_domain(node: Node, suite: int) -> None:
    # With the byte order named: ipmitool guesses otherwise, and guesses wrong at some UUIDs.
    told = ipmitool(node.target, "mc", "guid", "ipmi", suite=suite).output
    assert told.splitlines()[0].split() == ["System", "GUID", ":", node.uuid]
    assert freeipmi("bmc-info", node.target, "--get-system-guid", suite=suite).output == node.uuid


@each_suite
def test_identity_self_test_and_chassis_are_told(node: Node, suite: int) -> None:
    info = freeipmi("bmc-info", node.target, "--get-device-id", suite=suite)
    assert info.code == 0 and "Chassis Device        : supported" in info.output
    tool = ipmitool(node.target, "mc", "info", suite=suite)
    assert tool.code == 0 and "IPMI Version              : 2.0" in tool.output
    assert ipmitool(node.target, "mc", "selftest", suite=suite).output == "Selftest: passed"
    chassis = freeipmi("ipmi-chassis", node.target, "--get-chassis-status", suite=suite)
    assert chassis.code == 0 and "Chassis Identify state              : off" in chassis.output


def test_both_suites_are_offered(node: Node) -> None:
    told = ipmitool(node.target, "channel", "getciphers", "ipmi").output
    assert [line.split()[0] for line in told.splitlines()[1:]] == ["3", "17"]
    assert ipmitool(node.target, "power", "status", suite=0).code != 0


def test_identify_is_on_for_as_long_as_told(node: Node) -> None:
    def identify() -> str:
        told = freeipmi("ipmi-chassis", node.target, "--get-chassis-status").output
        return told.rpartition(": ")[2]

    assert ipmitool(node.target, "chassis", "identify", "6").code == 0
    assert identify() == "Timed on"
    eventually(lambda: identify() == "off", what="the identify light goes out by itself")
    assert ipmitool(node.target, "chassis", "identify", "force").code == 0
    assert identify() == "Indefinite on"
    assert ipmitool(node.target, "chassis", "identify", "0").code == 0
    assert identify() == "off"


# --- Many BMCs, and addresses ----------------------------------------------------------------------------------------


def test_one_client_polls_many_bmcs(vbmcd: Vbmcd) -> None:
    specs = [{"name": f"many-{n}", "address": "127.0.0.1", "state": "started", **NO_MACHINE} for n in range(40)]
    ports = [one["port"] for one in vbmcd.apply(*specs, owner="", check=False)["instances"]]
    hosts = [f"127.0.0.1:{port}" for port in ports]
    done = freeipmi_hosts("ipmipower", hosts, Target(0), "--stat")
    assert done.code == 0 and done.output.splitlines() == ["127.0.0.1: on"] * len(ports)
    # pyghmi has one socket for all of its sessions.
    clients = [pyghmi(Target(port)) for port in ports[:10]]
    opened = [client.__enter__() for client in clients]
    assert [client.get_power() for client in opened] == [{"powerstate": "on"}] * 10
    assert [client.get_power() for client in opened] == [{"powerstate": "on"}] * 10
    for client in clients:
        client.__exit__(None, None, None)
    vbmcd.ask("delete", names=[spec["name"] for spec in specs])


@pytest.mark.parametrize("address", ["::", "0.0.0.0"])
def test_replies_leave_from_the_address_that_was_asked(vbmcd: Vbmcd, address: str) -> None:
    port = vbmcd.serve("wildcard", **NO_MACHINE, address=address)
    try:
        for host in ("127.0.0.1", "127.0.0.2", "127.3.2.1", *(["::1"] if address == "::" else [])):
            # The console's socket is connected: it does not get an answer that comes from another address.
            with Console(port, host) as console:
                assert console.login().request(0x06, 0x01)[0] == 0
            assert ipmitool(Target(port, host), "power", "status").code == 0
    finally:
        vbmcd.ask("delete", names=["wildcard"])


def test_a_bmc_on_an_address_of_its_own_has_the_usual_port(vbmcd: Vbmcd) -> None:
    specs = [{"name": f"own-{n}", "address": f"127.62.3.{n}", "port": 623, "state": "started"} for n in (1, 2)]
    specs.append({"name": "own-6", "address": "::1", "port": 623, "state": "started"})
    vbmcd.apply(*({**spec, **NO_MACHINE} for spec in specs))
    try:
        for host in ("127.62.3.1", "127.62.3.2", "::1"):
            assert ipmitool(Target(623, host), "power", "status").output == "Chassis Power is on"
        assert freeipmi("ipmipower", Target(623, "::1"), "--stat").code == 0
    finally:
        vbmcd.ask("delete", names=[str(spec["name"]) for spec in specs])
