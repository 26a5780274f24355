# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The board's own side as the clients of the field see it: users, channel, sessions, LAN, watchdog, resets."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rig.console import Console, NoAnswer
from rig.daemon import NO_MACHINE, Vbmcd
from rig.domains import tiny_domain
from rig.ipmi import Target, freeipmi, ipmitool, openipmicmd, pyghmi
from rig.ipmi import said as said_by
from rig.libvirtd import Libvirtd
from rig.ports import free_ports
from rig.waiting import eventually

DAEMON = (sys.executable, "-m", "vbmcd.daemon")
NAME = "board"
BOB = {"user": "bob", "password": "b0bspassword-of-20b."}


@pytest.fixture(scope="module")
def vbmcd() -> Iterator[Vbmcd]:
    with Vbmcd() as daemon:
        yield daemon


@pytest.fixture
def target(vbmcd: Vbmcd) -> Iterator[Target]:
    # A port of its own: pyghmi would go on with the session of the BMC that had it before.
    yield Target(vbmcd.serve(NAME, **NO_MACHINE, port=free_ports(1)[0]))
    vbmcd.ask("delete", names=[NAME])


def said(target: Target, *arguments: str) -> str:
    return said_by(ipmitool(target, *arguments))


def add_bob(target: Target) -> Target:
    said(target, "user", "set", "name", "5", BOB["user"])
    said(target, "user", "set", "password", "5", BOB["password"], "20")
    said(target, "channel", "setaccess", "1", "5", "privilege=3", "ipmi=on", "link=on", "callin=on")
    said(target, "user", "enable", "5")
    return replace(target, **BOB)


# --- Users -----------------------------------------------------------------------------------------------------------


def test_a_user_added_over_ipmi_can_log_in_and_is_part_of_the_instance(vbmcd: Vbmcd, target: Target) -> None:
    bob = add_bob(target)
    for suite in (3, 17):
        assert ipmitool(bob, "power", "status", suite=suite, level="OPERATOR").code == 0
    assert "not" not in said(target, "user", "test", "5", "20", BOB["password"])
    status = vbmcd.status(NAME)
    assert status["users"] == [{"name": "bob", "password": "********", "privilege": "operator"}]
    assert not vbmcd.apply({"name": NAME})["changed"], "what does not name users leaves them"


def test_users_are_there_again_after_the_daemon_or_a_worker_was_restarted(vbmcd: Vbmcd, target: Target) -> None:
    bob = add_bob(target)
    said(target, "user", "set", "name", "7", "carol")
    vbmcd.stop()
    vbmcd.start()
    assert ipmitool(bob, "power", "status", level="OPERATOR").code == 0
    assert [line.split()[:2] for line in said(target, "user", "list", "1").splitlines()[1:8]][4:] == [
        ["5", "bob"], ["6", "true"], ["7", "carol"],
    ]  # fmt: skip


def test_apply_mends_what_was_changed_over_ipmi(vbmcd: Vbmcd, target: Target) -> None:
    bob = add_bob(target)
    said(target, "user", "set", "password", "2", "another")
    other = replace(target, password="another")
    assert ipmitool(other, "power", "status").code == 0
    result = vbmcd.apply({"name": NAME, "password": "password", "users": []})
    assert result["changed"]
    assert ipmitool(target, "power", "status").code == 0
    assert ipmitool(other, "power", "status").code != 0
    assert ipmitool(bob, "power", "status", level="OPERATOR").code != 0
    assert not vbmcd.apply({"name": NAME, "password": "password", "users": []})["changed"]


def test_a_disabled_users_session_ends_and_the_administrators_stays(vbmcd: Vbmcd, target: Target) -> None:
    add_bob(target)
    with Console(target.port, **BOB) as bob, Console(target.port) as admin:
        bob.login(privilege=3)
        admin.login()
        assert bob.request(0x06, 0x01)[0] == 0
        assert admin.request(0x06, 0x47, b"\x05\x00") == b"\0"
        assert admin.request(0x06, 0x01)[0] == 0
        said(target, "user", "list", "1")
        with pytest.raises(NoAnswer):
            bob.request(0x06, 0x01, timeout=1)
    assert vbmcd.status(NAME)["users"] == []


def test_the_first_user_can_not_be_locked_out(target: Target) -> None:
    assert "Invalid data field" in ipmitool(target, "user", "disable", "2").output
    assert ipmitool(target, "power", "status").code == 0


def test_pyghmi_manages_users(target: Target) -> None:
    with pyghmi(target) as client:
        assert client.get_channel_max_user_count() == 16
        client.create_user(5, "bob", BOB["password"], privilege_level="operator")
        users = client.get_users()
        assert {uid: one["name"] for uid, one in users.items()} == {2: "admin", 5: "bob"}
        assert users[5]["access"]["privilege_level"] == "operator"
        with pyghmi(replace(target, **BOB), privilege=3) as bob:
            assert bob.get_power() == {"powerstate": "on"}
        client.user_delete(5)
        assert list(client.get_users()) == [2]


def test_freeipmi_reads_the_core_configuration_and_writes_it_back(target: Target, tmp_path: Any) -> None:
    for section in ("Lan_Channel", "Lan_Conf", "Lan_Conf_Misc"):
        assert freeipmi("ipmi-config", target, "--category=core", "--checkout", f"--section={section}").code == 0
    # As a whole it ends with 1 for the sake of what is not there, such as the types of a login by IPMI 1.5.
    read = freeipmi("ipmi-config", target, "--category=core", "--checkout")
    assert "error" not in read.output.lower()
    for line in (
        "Username admin",
        "IP_Address 127.0.0.1",
        "Subnet_Mask 255.0.0.0",
        "Volatile_Access_Mode Always_Available",
    ):
        assert any(row.split() == line.split() for row in map(str.strip, read.output.splitlines())), line
    file = tmp_path / "core.conf"
    file.write_text(read.output + "\n")
    written = freeipmi("ipmi-config", target, "--category=core", "--commit", f"--filename={file}")
    assert written.code == 0, written
    assert freeipmi("ipmi-config", target, "--category=core", "--diff", f"--filename={file}").code == 0


# --- Identity, channel, sessions, LAN --------------------------------------------------------------------------------


def test_ipmitool_prints_the_lan_configuration(target: Target) -> None:
    told = said(target, "lan", "print", "1")
    for line in ("IP Address : 127.0.0.1", "Subnet Mask : 255.0.0.0", "RMCP+ Cipher Suites : 3,17"):
        assert any(" ".join(row.split()) == line for row in told.splitlines()), line
    mac = [row for row in told.splitlines() if row.startswith("MAC Address")]
    assert mac == [row for row in said(target, "lan", "print", "1").splitlines() if row.startswith("MAC Address")]
    refused = ipmitool(target, "lan", "set", "1", "ipaddr", "192.0.2.7")
    assert "192.0.2.7" not in said(target, "lan", "print", "1"), refused


def test_pyghmi_reads_channel_and_network(target: Target) -> None:
    with pyghmi(target) as client:
        assert client.get_channel_info()["Channel Medium type"] == "802.3 LAN"
        assert client.get_channel_access()["access_mode"] == "always"
        assert client.get_net_configuration()["ipv4_address"] == "127.0.0.1/8"


def test_pyghmi_reads_the_network_of_a_bmc_on_ipv6(vbmcd: Vbmcd) -> None:
    port = vbmcd.serve("board-6", **NO_MACHINE, address="::1")
    try:
        with pyghmi(Target(port, "::1")) as client:
            assert client.get_net6_configuration() == {"static_addrs": ["::1/128"], "static_gateway": "::"}
    finally:
        vbmcd.ask("delete", names=["board-6"])


def test_channel_session_and_identity_are_told(target: Target) -> None:
    channel = said(target, "channel", "info", "1")
    assert "802.3 LAN" in channel and "always available" in channel
    session = said(target, "session", "info", "active")
    assert "console ip                    : 127.0.0.1" in session and "IPMIv2/RMCP+" in session
    assert "System Event Logging                     : enabled" in said(target, "mc", "getenables")
    assert freeipmi("bmc-info", target, "--get-device-guid").code == 0
    assert "D0" in freeipmi("bmc-device", target, "--get-acpi-power-state").output
    assert freeipmi("ipmi-raw", target, "0", "6", "1").output.startswith("rcvd: 01 00 20")


def test_openipmi_runs_commands(target: Target) -> None:
    assert openipmicmd(target, "06 41 01 40") == "00 41 00 22 04"
    assert openipmicmd(target, "0c 02 01 03 00 00") == "00 02 00 11 7f 00 00 01"


@pytest.mark.parametrize(("request_", "answer"), [
    ("06 30 00", "00"), ("06 31", "00 00"), ("06 33", "80"),
    ("06 4a 01", "00 01 00 00"), ("06 4b 01 01", "00" + " 00" * 12), ("06 55 01 01 01", "83"),
    ("06 4e 0e", "00 03 00 3f 00 00 00 00 00"), ("06 4f 0e 01", "00 10"), ("04 2f 10", "00 07 01"),
])  # fmt: skip
def test_what_tools_have_no_words_for_is_answered_to_raw_requests(target: Target, request_: str, answer: str) -> None:
    netfn, command, *data = request_.split()
    assert openipmicmd(target, request_) == f"00 {command} {answer}"
    done = freeipmi("ipmi-raw", target, "0", netfn, command, *data)
    assert done.output.lower() == f"rcvd: {command} {answer}"


def test_a_presence_ping_is_answered(vbmcd: Vbmcd) -> None:
    vbmcd.serve("board-623", **NO_MACHINE, address="127.62.4.1", port=623)
    try:
        done = subprocess.run(
            ["rmcpping", "-c", "1", "127.62.4.1"], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0 and "1 pongs received" in done.stdout, done
        ping = subprocess.run(
            ["ipmiping", "-c", "1", "127.62.4.1"], capture_output=True, text=True, timeout=60, check=False
        )
        assert ping.returncode == 0, ping
    finally:
        vbmcd.ask("delete", names=["board-623"])


# --- Resets and the watchdog -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["cold", "warm"])
def test_a_reset_of_the_bmc_ends_sessions_and_nothing_else(target: Target, kind: str) -> None:
    with Console(target.port) as console:
        console.login()
        ipmitool(target, "mc", "reset", kind)
        with pytest.raises(NoAnswer):
            console.request(0x06, 0x01, timeout=1)
    assert said(target, "power", "status") == "Chassis Power is on"


def test_the_watchdog_switches_a_real_machine_off(libvirtd: Libvirtd, vbmcd: Vbmcd) -> None:
    libvirtd.define(tiny_domain("watched"))
    libvirtd.virsh("start", "watched")
    try:
        target = Target(vbmcd.serve("watched", libvirt_uri=libvirtd.uri))
        said(target, "raw", "0x06", "0x24", "0x04", "0x02", "0", "0", "50", "0")
        said(target, "mc", "watchdog", "reset")
        assert "Started/Running" in said(target, "mc", "watchdog", "get")
        eventually(lambda: libvirtd.virsh("domstate", "watched") == "shut off")
        told = said(target, "mc", "watchdog", "get")
        assert "Stopped" in told and "SMS/OS" in told.split("Timer Expiration Flags:")[1]
    finally:
        vbmcd.ask("delete", names=["watched"])
        libvirtd.remove("watched")


def test_the_restore_policy_is_the_hypervisors_autostart(libvirtd: Libvirtd, vbmcd: Vbmcd) -> None:
    libvirtd.define(tiny_domain("restored"))
    try:
        target = Target(vbmcd.serve("restored", libvirt_uri=libvirtd.uri))
        for policy, autostart in (("always-on", "enable"), ("always-off", "disable")):
            said(target, "chassis", "policy", policy)
            assert policy in said(target, "chassis", "status")
            rows = dict(row.split(":", 1) for row in libvirtd.virsh("dominfo", "restored").splitlines() if ":" in row)
            assert rows["Autostart"].strip() == autostart
    finally:
        vbmcd.ask("delete", names=["restored"])
        libvirtd.remove("restored")


def test_freeipmi_reads_the_chassis_configuration(target: Target) -> None:
    done = freeipmi("ipmi-config", target, "--category=chassis", "--checkout")
    assert done.code == 0 and "Boot_Device" in done.output and "error" not in done.output.lower()
    cause = freeipmi("ipmi-chassis", target, "--get-system-restart-cause")
    assert cause.code == 0 and cause.output.split() == ["Restart", "cause", ":", "unknown"]


def test_boot_flags_expire_where_the_daemon_is_told_so() -> None:
    with Vbmcd(command=(*DAEMON, "--boot-flag-timeout", "5")) as vbmcd:
        target = Target(vbmcd.serve("expiring", **NO_MACHINE))
        with Console(target.port) as console:
            console.login()
            assert console.request(0x00, 0x08, bytes.fromhex("058000000000")) == b"\0"
            assert console.request(0x00, 0x09, b"\x05\0\0")[3] == 0x80
            eventually(lambda: console.request(0x00, 0x09, b"\x05\0\0")[3] == 0x00)


def test_clients_say_who_may_use_serial_over_lan(target: Target) -> None:
    said(target, "sol", "payload", "disable", "1", "2")
    assert said(target, "sol", "payload", "status", "1", "2") == "User 2 on channel 1 is disabled"
    wanted = "--key-pair=User2:SOL_Payload_Access=Yes"
    assert freeipmi("ipmi-config", target, "--category=core", "--commit", wanted).code == 0
    assert said(target, "sol", "payload", "status", "1", "2") == "User 2 on channel 1 is enabled"


@pytest.mark.parametrize("category", ["core", "chassis"])
def test_what_freeipmi_has_checked_out_can_be_committed(target: Target, tmp_path: Path, category: str) -> None:
    file = tmp_path / category
    freeipmi("ipmi-config", target, f"--category={category}", "--checkout", f"--filename={file}")
    done = freeipmi("ipmi-config", target, f"--category={category}", "--commit", f"--filename={file}")
    assert (done.code, done.output) == (0, "")


SUITES = {1, 2, 3, 6, 7, 8, 11, 12, 15, 16, 17}
BY_IPMITOOL = {1, 2, 3, 15, 16, 17}
"""ipmitool has nothing with MD5."""


def test_cipher_suites_are_turned_on_one_by_one(vbmcd: Vbmcd) -> None:
    target = Target(vbmcd.serve("suites", **NO_MACHINE, kg="a key", cipher_suites=sorted(SUITES)))
    try:
        for suite in SUITES:
            told = freeipmi("ipmi-chassis", target, "-k", "a key", "--get-chassis-status", suite=suite)
            assert told.code == 0 and told.output.startswith("System Power"), (suite, told)
        for suite in BY_IPMITOOL:
            told = ipmitool(target, "-k", "a key", "power", "status", suite=suite)
            assert told.output == "Chassis Power is on", (suite, told)
        listed = ipmitool(target, "-k", "a key", "channel", "getciphers", "ipmi", "1").output.splitlines()[1:]
        assert [int(line.split()[0]) for line in listed] == sorted(SUITES)
        assert "encryption" in ipmitool(target, "-k", "a key", "sol", "activate", suite=2).output
        vbmcd.apply({"name": "suites", "kg": "", "cipher_suites": [12]})
        assert freeipmi("ipmi-chassis", target, "--get-chassis-status", suite=12).code == 0
        assert freeipmi("ipmi-chassis", target, "--get-chassis-status", suite=8).code != 0
        assert ipmitool(target, "power", "status", suite=3).code != 0
        assert {"Property": "cipher_suites", "Value": [12]} in vbmcd.vbmc_json("show", "suites")
    finally:
        vbmcd.ask("delete", names=["suites"])


def test_a_bmc_key_is_asked_for(vbmcd: Vbmcd) -> None:
    target = Target(vbmcd.serve("keyed", **NO_MACHINE, kg="0x626d63206b6579", port=free_ports(1)[0]))
    try:
        with_key = {
            "ipmitool, text": ipmitool(target, "-k", "bmc key", "power", "status"),
            "ipmitool, digits": ipmitool(target, "-y", "626d63206b6579", "power", "status", suite=3),
            "FreeIPMI": freeipmi("ipmi-chassis", target, "-k", "0x626d63206b6579", "--get-chassis-status"),
        }
        assert {name: done.code for name, done in with_key.items()} == dict.fromkeys(with_key, 0)
        with pyghmi(target, kg="bmc key") as client:
            assert client.get_power() == {"powerstate": "on"}
        for arguments in ([], ["-k", "another"]):
            assert ipmitool(target, *arguments, "power", "status").code != 0
        assert vbmcd.status("keyed")["kg"] == "********" and "626d63" not in vbmcd.log
        assert vbmcd.apply({"name": "keyed", "kg": ""})["changed"]
        assert said(target, "power", "status") == "Chassis Power is on"
    finally:
        vbmcd.ask("delete", names=["keyed"])


# --- Power over time -------------------------------------------------------------------------------------------------


class Host:
    """A daemon whose host seems to have been started anew whenever a test says so."""

    def __init__(self, folder: Path, libvirtd: Libvirtd) -> None:
        self._boot_id = folder / "boot_id"
        self._boot_id.write_text("first\n")
        as_boot_id = 'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"'
        command = ("unshare", "--mount", "sh", "-c", as_boot_id, str(self._boot_id), *DAEMON)
        self.vbmcd = Vbmcd(command=command)
        self.libvirtd = libvirtd
        self.name = f"power-{folder.name[-20:]}"

    def goes_down(self, boot_id: str) -> None:
        """The daemon and the machine end, and the daemon comes back: as `boot_id` says with its host, or without."""
        self.vbmcd.kill()
        self.libvirtd.virsh("destroy", self.name)
        self._boot_id.write_text(boot_id)
        self.vbmcd.start()

    def stored(self) -> dict[str, Any]:
        """What the daemon has on disk of the machine's power."""
        file = self.vbmcd.state / "power" / f"{self.name}.json"
        return json.loads(bytes.fromhex(json.loads(file.read_text())["data"])) if file.exists() else {"on": None}

    def state(self) -> str:
        return self.libvirtd.virsh("domstate", self.name)


@pytest.fixture
def host(libvirtd: Libvirtd, tmp_path: Path) -> Iterator[Host]:
    host = Host(tmp_path, libvirtd)
    libvirtd.define(tiny_domain(host.name))
    try:
        with host.vbmcd:
            yield host
    finally:
        libvirtd.remove(host.name)


def test_a_machine_comes_back_with_its_hypervisor_and_not_with_the_daemon(host: Host) -> None:
    target = Target(host.vbmcd.serve(host.name, libvirt_uri=host.libvirtd.uri, port=free_ports(1)[0]))
    assert "always-off always-on previous" in said(target, "chassis", "policy", "list")
    said(target, "chassis", "policy", "previous")
    assert "Power Restore Policy : previous" in said(target, "chassis", "status")
    said(target, "power", "on")
    eventually(lambda: host.stored()["on"], what="that it is on is stored")
    host.goes_down("second\n")
    eventually(lambda: host.state() == "running", what="the machine is on again")
    eventually(lambda: "policy" in said(target, "chassis", "restart_cause"), what="the restart cause is the policy")
    assert "ac-failed" in said(target, "chassis", "status")
    eventually(lambda: host.stored()["host_run"] == "second", what="that it is on is stored")
    host.goes_down("second\n")
    eventually(lambda: host.stored()["on"] is False, what="the daemon has looked")
    assert host.state() == "shut off"
    said(target, "chassis", "policy", "always-on")
    assert "enable" in host.libvirtd.virsh("dominfo", host.name).partition("Autostart:")[2].split()[0]
    done = freeipmi("ipmi-config", target, "--category=chassis", "--commit",
                    "--key-pair=Chassis_Power_Conf:Power_Restore_Policy=Restore_State_Ac_Apply")  # fmt: skip
    assert done.code == 0, done
    assert "Power Restore Policy : previous" in said(target, "chassis", "status")


def test_the_power_on_hours_are_told_and_outlive_a_killed_daemon(host: Host) -> None:
    target = Target(host.vbmcd.serve(host.name, libvirt_uri=host.libvirtd.uri, port=free_ports(1)[0]))
    assert said(target, "chassis", "poh") == "POH Counter  : 0 days, 0 hours, 0 minutes"
    said(target, "power", "on")
    eventually(lambda: len(said(target, "sel", "list").splitlines()) == 2, what="the BMC has seen it")
    host.vbmcd.restart()
    # As if it had run for a day and two hours.
    stored = host.stored()
    host.vbmcd.stop()
    stored["since"] -= 26 * 3600
    file = host.vbmcd.state / "power" / f"{host.name}.json"
    file.write_text(json.dumps({"data": json.dumps(stored).encode().hex()}))
    host.vbmcd.start()
    eventually(lambda: "1 days, 2 hours" in said(target, "chassis", "poh"), what="the run goes on counting")
    told = freeipmi("ipmi-chassis", target, "--get-power-on-hours-counter")
    assert told.code == 0 and "26 Hours" in told.output, told
