# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sensors, records, event log and inventory as IPMI clients see them, on BMCs in front of real QEMU domains."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from rig.daemon import Vbmcd
from rig.domains import tiny_domain
from rig.ipmi import Target, freeipmi, ipmitool, openipmicmd, pyghmi
from rig.libvirtd import Libvirtd
from rig.node import Node as AnyNode
from rig.ports import free_ports
from rig.waiting import eventually

SENSORS = ["Power", "Watchdog", "CPU", "Memory", "Memory Resident", "Disk Read", "Disk Write", "Net Receive",
           "Net Transmit"]  # fmt: skip

READER = bytes.fromhex("31c08ec0bb0080 b84002 b90200 ba8000 cd13 ebf3")
"""A boot sector that reads 64 sectors (INT 13h, AH=02h) to 0:8000h, for ever."""


class Node(AnyNode):
    """One that tells of its sensors and its log."""

    def sensors(self) -> dict[str, list[str]]:
        """What `ipmitool sensor` prints, by name."""
        rows = [line.split("|") for line in self.ipmitool("sensor").splitlines()]
        return {row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows}

    def log(self) -> list[str]:
        """The events of `ipmi-sel`, with their sensors."""
        rows = self.freeipmi("ipmi-sel", "--no-header-output", "--comma-separated-output", "-v").splitlines()
        return [" | ".join(row.split(",")[3:]) for row in rows]


@pytest.fixture(scope="module")
def vbmcd() -> Iterator[Vbmcd]:
    with Vbmcd() as daemon:
        yield daemon


@pytest.fixture
def node(libvirtd: Libvirtd, vbmcd: Vbmcd, tmp_path: Path) -> Iterator[Node]:
    with Node.served(libvirtd, vbmcd, tmp_path, {"owner": "team-a"}, boot=["hd", "network"]) as node:
        yield node


# --- Sensors ---------------------------------------------------------------------------------------------------------


def test_ipmitool_reads_the_sensors_of_a_domain(node: Node) -> None:
    off = node.sensors()
    assert list(off) == SENSORS
    assert off["Power"][:3] == ["0x1", "discrete", "0x0180"]
    assert all(off[name][0] == "na" for name in SENSORS[2:])
    node.power("on")
    # A machine that stalls may keep libvirt from telling in time.
    on = eventually(lambda: readings if (readings := node.sensors())["CPU"][0] != "na" else None, what="CPU is read")
    assert on["Power"][:3] == ["0x0", "discrete", "0x0080"]
    assert on["CPU"][1:3] == ["percent", "ok"] and 0 <= float(on["CPU"][0]) <= 100
    assert on["CPU"][-3:] == ["90.000", "98.000", "na"]
    assert float(on["Memory Resident"][0]) > 0 and on["Memory"][0] == "na"
    assert all(on[name][1:3] == ["megabyte", "ok"] for name in SENSORS[5:])
    report = node.ipmitool("sensor", "get", "CPU")
    assert "Event Messages Disabled" in report and re.search(r"Upper Critical +: 98.000", report)
    assert "ok" in node.ipmitool("sdr", "get", "CPU") and "CPU" in node.ipmitool("sdr", "type", "Processor")


def test_ipmitool_lists_every_record(node: Node) -> None:
    rows = node.ipmitool("sdr", "list", "all").splitlines()
    assert [row.split("|")[0].strip() for row in rows] == ["BMC", "System", *SENSORS, "System Boot", "Session Audit"]
    assert re.search(r"Record Count +: 13", node.ipmitool("sdr", "info"))


def test_freeipmi_reads_the_sensors_of_a_domain(node: Node) -> None:
    node.start()
    rows = node.freeipmi(
        "ipmi-sensors", "--no-header-output", "--comma-separated-output", "--output-sensor-state"
    ).splitlines()
    found = {row.split(",")[1]: row.split(",")[2:] for row in rows}
    assert list(found) == SENSORS
    assert found["Power"][1] == "Nominal" and found["CPU"][1] == "Nominal"
    assert found["Memory"][1:] == ["N/A", "N/A", "%", "N/A"]
    assert found["Disk Read"][3] == "MB per s"


def test_pyghmi_reads_the_sensors_of_a_domain(node: Node) -> None:
    node.start()
    with pyghmi(node.target) as client:
        found = {reading.name: reading for reading in client.get_sensor_data()}
        assert list(found) == SENSORS
        assert found["CPU"].units.strip() == "%" and 0 <= found["CPU"].value <= 100
        assert found["Memory"].unavailable
        assert client.get_health() == {"badreadings": [], "health": 0}


def test_what_is_fixed_of_a_sensor_can_be_written_back_and_not_changed(node: Node) -> None:
    refused = ipmitool(node.target, "sensor", "thresh", "CPU", "unc", "80")
    assert refused.code != 0 and "Command illegal for specified sensor" in refused.output
    node.ipmitool("sensor", "thresh", "CPU", "unc", "90")
    file = node.folder / "sensors"
    node.freeipmi("ipmi-config", "--category=sensors", "--checkout", f"--filename={file}")
    assert "Upper_Critical_Threshold" in file.read_text()
    node.freeipmi("ipmi-config", "--category=sensors", "--commit", f"--filename={file}")
    node.freeipmi("bmc-device", "--rearm-sensor=5")


def test_clients_are_told_that_events_are_not_filtered(node: Node) -> None:
    assert node.ipmitool("pef", "info").startswith("0x51 | 0 | 0 |")
    assert node.ipmitool("pef", "status") == "Unspecified | 0xffff | 0x0000 | 0x0000"
    assert "Number of Event Filter Table entries   : 0" in node.freeipmi("ipmi-pef-config", "--info")
    checkout = freeipmi("ipmi-config", node.target, "--category=pef", "--checkout").output
    assert re.search(r"Enable_PEF +No", checkout)


def test_a_domain_that_reads_its_disk_all_the_time_reads_busy(node: Node) -> None:
    content = bytearray(1 << 20)
    content[: len(READER)] = READER
    content[510:512] = b"\x55\xaa"
    (node.folder / "disk").write_bytes(content)
    node.power("on")

    def busy() -> bool:
        shown = node.sensors()
        if "na" in (shown["CPU"][0], shown["Disk Read"][0]):
            return False
        return float(shown["CPU"][0]) > 20 and float(shown["Disk Read"][0]) > 0.1

    eventually(busy, what="CPU use and disk throughput are those of a busy domain")
    assert float(node.sensors()["Disk Write"][0]) == 0
    node.power("off")
    assert node.sensors()["CPU"][0] == "na"


def test_sensors_are_unavailable_while_libvirt_is_away(own_libvirtd: Libvirtd, vbmcd: Vbmcd, tmp_path: Path) -> None:
    with own_libvirtd as libvirtd:
        libvirtd.define(tiny_domain("away"))
        libvirtd.virsh("start", "away")
        port = vbmcd.serve("storage-away", domain="away", libvirt_uri=libvirtd.uri, port=free_ports(1)[0])
        node = Node("away", "", libvirtd, vbmcd, Target(port), tmp_path)
        assert node.sensors()["Power"][0] == "0x0"
        libvirtd.kill()
        eventually(lambda: node.sensors()["Power"][0] == "na", what="the power state is unavailable")
        assert list(node.sensors()) == SENSORS
        libvirtd.start()
        eventually(lambda: node.sensors()["Power"][0] == "0x0", what="the power state is known again")
        vbmcd.ask("delete", names=["storage-away"])
        libvirtd.remove("away")


# --- The event log ---------------------------------------------------------------------------------------------------


def test_the_log_tells_of_power_whoever_switches_it(node: Node) -> None:
    node.ipmitool("chassis", "bootdev", "pxe")
    node.power("on")
    node.ipmitool("power", "reset")
    # The one-shot device is used up, so that this reset is a stop and a start (docs/architecture.md).
    eventually(lambda: "".join(node.log()).count("Initiated by power up") == 2, what="the domain has started again")
    node.libvirtd.virsh("destroy", node.name)
    wanted = {
        "Power | Power Unit | Deassertion Event | Power Off/Power Down",
        "System Boot | System Boot Initiated | Assertion Event | Initiated by power up",
        "System Boot | System Boot Initiated | Assertion Event | User requested PXE boot",
        "System Boot | System Boot Initiated | Assertion Event | Initiated by hard reset",
        "Power | Power Unit | Assertion Event | Power Off/Power Down",
    }
    eventually(lambda: set(node.log()) == wanted, what="the log has every event")

    def ends_with_power_off() -> bool:
        return node.ipmitool("sel", "elist").splitlines()[-1].endswith("Power off/down | Asserted")

    eventually(ends_with_power_off, what="the last entry tells of the last change")


def test_the_log_goes_on_when_the_instance_is_changed(node: Node) -> None:
    node.power("on")
    eventually(lambda: len(node.log()) == 2, what="the start is in the log")
    for owner in ("", "team-c"):
        node.vbmcd.apply({"name": node.name, "owner": owner})
    node.libvirtd.virsh("destroy", node.name)
    eventually(lambda: len(node.log()) == 3, what="the end is in the log")
    before = node.log()
    node.vbmcd.restart()
    assert node.log() == before and "owner=team-c" in node.ipmitool("fru", "print")


def test_the_log_tells_of_a_failed_login(node: Node) -> None:
    wrong = Target(node.target.port, password="guessed")
    assert ipmitool(wrong, "mc", "info").code != 0
    # The client says nothing more once it has seen that the passwords differ, so the login has to expire first.
    eventually(lambda: len(node.log()) == 1, what="the failed login is in the log")
    assert node.log()[0].startswith("Session Audit | Session Audit | Assertion Event | Invalid Username or Password")


def test_the_log_is_changed_and_outlives_the_daemon(libvirtd: Libvirtd, tmp_path: Path) -> None:
    with Vbmcd() as vbmcd:
        name = f"storage-{uuid.uuid4()}"
        libvirtd.define(tiny_domain(name))
        try:
            port = vbmcd.serve(name, libvirt_uri=libvirtd.uri, port=free_ports(1)[0])
            node = Node(name, "", libvirtd, vbmcd, Target(port), tmp_path)
            _change_the_log(node, tmp_path)
        finally:
            libvirtd.remove(name)


def _change_the_log(node: Node, folder: Path) -> None:
    assert node.ipmitool("sel", "list") == "SEL has no entries"
    events = folder / "events"
    events.write_text("0x04 0x0c 0x53 0x6f 0x00 0x00 0x00\n0x04 0x0c 0x54 0x6f 0x01 0x00 0x00\n")
    node.ipmitool("sel", "add", str(events))
    assert [line.split("|")[3].strip() for line in node.ipmitool("sel", "list").splitlines()] == [
        "Memory #0x53",
        "Memory #0x54",
    ]
    assert "Deleted entry 1" in node.ipmitool("sel", "delete", "1")
    node.freeipmi("bmc-device", "--set-sel-time=01/02/2030 - 03:04:05")
    node.vbmcd.restart()
    assert "Memory #0x54" in node.ipmitool("sel", "list")
    assert node.ipmitool("sel", "time", "get").startswith("01/02/30 03:04")
    assert "01/02/2030" in node.freeipmi("bmc-device", "--get-sel-time")
    assert "01/02/2030" in node.freeipmi("bmc-device", "--get-sdr-repository-time")
    node.freeipmi("bmc-device", "--set-sel-time-utc-offset=-90")
    assert "-90 minutes" in node.freeipmi("bmc-device", "--get-sel-time-utc-offset")
    assert re.search(r"Entries +: 1", node.ipmitool("sel", "info"))
    for number in ("0x55", "0x56"):  # Platform Event Message, from a remote console
        sent = freeipmi("ipmi-raw", node.target, "0", "4", "2", "4", "0x0c", number, "0x6f", "0", "0xff", "0xff")
        assert sent.output == "rcvd: 02 00"
    node.freeipmi("ipmi-sel", "--delete=2")
    assert re.search(r"Generator ID +: 1081\n.*Sensor Number +: 55\n", node.ipmitool("sel", "get", "3"), re.DOTALL)
    assert len(node.log()) == 2
    node.freeipmi("ipmi-sel", "--clear")
    assert node.log() == []
    node.vbmcd.kill()
    node.vbmcd.start()
    assert node.ipmitool("sel", "list") == "SEL has no entries"


# --- The inventory ---------------------------------------------------------------------------------------------------


def test_openipmi_reads_the_log_and_the_repository(node: Node) -> None:
    node.start()
    eventually(lambda: len(node.log()) == 2, what="the start is in the log")
    assert openipmicmd(node.target, "0a 40").startswith("00 40 00 51 02 00")
    assert openipmicmd(node.target, "0a 43 00 00 00 00 07 02") == "00 43 c5"
    first = openipmicmd(node.target, "0a 43 00 00 00 00 00 ff").split()
    assert " ".join(first[3:7]) == "02 00 01 00" and " ".join(first[-9:]) == "20 00 04 09 01 ef 00 ff ff"
    assert openipmicmd(node.target, "0a 20").startswith("00 20 00 51 0d 00")


def test_clients_read_the_inventory_of_a_domain(node: Node) -> None:
    printed = node.ipmitool("fru", "print")
    for label, value in [("Chassis Serial", node.uuid), ("Board Mfg", "baremetal.lab"), ("Product Serial", node.uuid),
                         ("Product Asset Tag", node.name), ("Product Extra", "owner=team-a")]:  # fmt: skip
        assert re.search(rf"{label} +: {value}$", printed, re.MULTILINE), printed
    report = node.freeipmi("ipmi-fru")
    assert f"FRU Product Serial Number: {node.uuid}" in report and "System Unique ID" in report
    assert "checksum" not in report and "Error" not in report
    with pyghmi(node.target) as client:
        system = dict(client.get_inventory())["System"]
        assert system["Serial Number"] == node.uuid and system["Asset Number"] == node.name


def test_an_edited_inventory_is_kept_and_still_clean(node: Node) -> None:
    tag = "shelf 7, slot 12, behind the second door on the left"
    # ipmitool's exit code is 1 after each edit that changes a field's length.
    for area, field, text in [("p", "5", tag), ("b", "1", "A board with a longer name")]:
        assert ipmitool(node.target, "fru", "edit", "0", "field", area, field, text).output.endswith("Done.")
    node.vbmcd.restart()
    printed = node.ipmitool("fru", "print")
    assert tag in printed and "A board with a longer name" in printed and node.uuid in printed
    report = node.freeipmi("ipmi-fru")
    assert tag in report and "checksum" not in report and "Error" not in report and "System Unique ID" in report


def test_an_inventory_is_read_and_written_as_a_whole(node: Node) -> None:
    first, second = node.folder / "first", node.folder / "second"
    node.ipmitool("fru", "read", "0", str(first))
    content = bytearray(first.read_bytes())
    assert len(content) == 1024
    content[-4:] = b"tail"
    first.write_bytes(content)
    node.ipmitool("fru", "write", "0", str(first))
    node.ipmitool("fru", "read", "0", str(second))
    assert second.read_bytes() == content


# --- Identity --------------------------------------------------------------------------------------------------------


def test_clients_know_which_devices_there_are(node: Node) -> None:
    support = node.ipmitool("mc", "info").partition("Additional Device Support :")[2]
    devices = {"Sensor Device", "SDR Repository Device", "SEL Device", "FRU Inventory Device", "Chassis Device"}
    assert devices <= {line.strip() for line in support.splitlines()}
