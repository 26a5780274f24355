# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module `network` against real libvirtd, dnsmasq and a running guest; and nodes that boot from such a network."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from rig.daemon import Vbmcd
from rig.domains import tiny_domain
from rig.ipmi import Target, ipmitool
from rig.libvirtd import Libvirtd
from rig.module import Module
from rig.networks import interface, subnet

NAME, BRIDGE, NET = "labtestnet", interface("net"), subnet(2)
OPTIONS: dict[str, Any] = {
    "name": NAME,
    "forward": "isolated",
    "bridge": BRIDGE,
    "address": f"{NET}.1/24",
    "dhcp_start": f"{NET}.10",
    "dhcp_end": f"{NET}.50",
}
NIC = f"<interface type='network'><source network='{NAME}'/></interface>"
FIRMWARES = ("bios", "efi")
BOOT_SECONDS = 300
"""Emulated firmware on a busy machine; it takes 6 s on an idle one."""


@pytest.fixture
def network(own_libvirtd: Libvirtd, tmp_path: Path) -> Iterator[Module]:
    yield Module("network", tmp_path / "collections", {"uri": own_libvirtd.uri})
    for name in ("guest", *FIRMWARES):
        own_libvirtd.remove(name)
    subprocess.run(["virsh", "-c", own_libvirtd.uri, "net-destroy", NAME], capture_output=True, check=False)
    subprocess.run(["ip", "link", "delete", BRIDGE], capture_output=True, check=False)


@pytest.fixture
def guest(own_libvirtd: Libvirtd, network: Module) -> str:
    """A running one on the network."""
    network(**OPTIONS)
    own_libvirtd.define(tiny_domain("guest", devices=NIC))
    own_libvirtd.virsh("start", "guest")
    return "guest"


@pytest.fixture
def served() -> Iterator[Path]:
    """A folder that dnsmasq's user can read, which pytest's own are not."""
    folder = Path(tempfile.mkdtemp(prefix="labtest-tftp-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def one(result: dict[str, Any]) -> dict[str, Any]:
    (found,) = result["networks"]
    item: dict[str, Any] = found
    return item


def test_check_foretells_what_is_done_and_a_second_run_does_nothing(network: Module) -> None:
    foretold = network(check=True, diff=True, **OPTIONS)
    done = network(diff=True, **OPTIONS)
    assert one(foretold)["actions"] == one(done)["actions"] == ["define", "start", "autostart"]
    assert one(foretold)["differences"] == one(done)["differences"]
    assert foretold["diff"][0]["after"] == done["diff"][0]["after"]
    assert one(done)["state"] == "active" and one(done)["bridge"] == BRIDGE
    assert not network(**OPTIONS)["changed"] and not network(check=True, **OPTIONS)["changed"]


def test_a_network_that_nobody_is_on_is_started_anew(network: Module, own_libvirtd: Libvirtd, served: Path) -> None:
    network(**OPTIONS)
    changed = {**OPTIONS, "tftp_root": str(served), "boot_file": "boot.ipxe", "ipv6_address": "fd00:66::1/64"}
    assert one(network(check=True, **changed))["actions"] == ["define", "restart"]
    done = one(network(**changed))
    assert done["actions"] == ["define", "restart"]
    assert {difference["path"] for difference in done["differences"]} == {"tftp_root", "boot_file", "ipv6_address"}
    assert "dhcp-boot=boot.ipxe" in (own_libvirtd.folder / f"lib/dnsmasq/{NAME}.conf").read_text()
    assert not network(**changed)["changed"]
    # What is left out stays, and what is empty goes.
    assert not network(name=NAME)["changed"]
    assert one(network(name=NAME, boot_file="", tftp_root="", ipv6_address=""))["changed"]
    assert "tftp" not in own_libvirtd.virsh("net-dumpxml", NAME)


def test_a_folder_that_can_not_be_served_is_told(network: Module, tmp_path: Path) -> None:
    done = network(**OPTIONS, tftp_root=str(tmp_path / "none"))
    assert one(done)["actions"] == ["define"]
    assert "does not start" in done["msg"] and str(tmp_path / "none") in done["msg"]


def test_the_dhcp_range_changes_under_a_running_guest(network: Module, own_libvirtd: Libvirtd, guest: str) -> None:
    changed = {**OPTIONS, "dhcp_start": f"{NET}.20", "dhcp_end": f"{NET}.60"}
    assert one(network(**changed))["actions"] == ["define", "update dhcp range"]
    assert f"dhcp-range={NET}.20,{NET}.60" in (own_libvirtd.folder / f"lib/dnsmasq/{NAME}.conf").read_text()
    assert not network(**changed)["changed"]


def test_what_would_cut_off_a_guest_waits_and_is_told(network: Module, own_libvirtd: Libvirtd, guest: str) -> None:
    changed = {**OPTIONS, "address": f"{NET}.2/24"}
    for check in (True, False):
        done = network(check=check, **changed)
        assert one(done)["actions"] == ["define"]
        assert (one(done)["restart_required"], one(done)["users"]) == (["address"], [guest])
        assert "would cut off guest" in done["warnings"][0]
    again = network(**changed)
    assert not again["changed"] and one(again)["restart_required"] == ["address"]
    for state in ("inactive", "absent"):
        refused = network(name=NAME, state=state)
        assert refused["failed"] and "switch them off first" in refused["msg"]
    assert own_libvirtd.virsh("domstate", guest) == "running"
    own_libvirtd.virsh("destroy", guest)
    assert one(network(**changed))["actions"] == ["restart"]
    assert one(network(**changed))["restart_required"] == []


def test_what_a_killed_libvirtd_left_goes_if_it_is_surely_its_own(network: Module, own_libvirtd: Libvirtd) -> None:
    network(**OPTIONS)
    own_libvirtd.kill()
    (own_libvirtd.folder / f"run/network/{NAME}.xml").unlink()  # as after a restart of a container, whose /run is new
    own_libvirtd.start()
    done = one(network(**OPTIONS))
    assert done["actions"] == [f"remove-leftover {BRIDGE}", "start"] and done["state"] == "active"

    own_libvirtd.virsh("net-destroy", NAME)
    subprocess.run(["ip", "link", "add", "dev", BRIDGE, "type", "bridge"], check=True)
    refused = network(**OPTIONS)
    assert refused["failed"] and "does not start" in refused["msg"] and "ip link delete" in refused["msg"]
    assert subprocess.run(["ip", "link", "show", BRIDGE], capture_output=True, check=False).returncode == 0


def test_networks_of_others_are_only_started(network: Module) -> None:
    network(**OPTIONS)
    network(name=NAME, state="inactive", autostart=False)
    mine = {"uuid": "64fa7fb3-39b3-48e3-a0eb-3301bbe4029c", "adopt": False}
    done = network(**{**OPTIONS, **mine, "address": f"{NET}.9/24"})
    assert one(done)["actions"] == ["start"]
    assert f"address is {NET}.1 and not {NET}.9" in done["warnings"][0]
    assert "stays" in network(name=NAME, state="absent", **mine)["msg"]
    adopted = network(**{**OPTIONS, **mine, "adopt": True, "address": f"{NET}.9/24"})
    assert one(adopted)["actions"] == ["define", "restart"]


def test_a_bridge_of_the_host_has_to_be_there(network: Module) -> None:
    options = {"name": NAME, "forward": "bridge", "bridge": BRIDGE}
    assert f"bridge '{BRIDGE}', and there is none" in network(**options)["msg"]
    assert one(network(name=NAME, state="absent"))["actions"] == []
    subprocess.run(["ip", "link", "add", "dev", BRIDGE, "type", "bridge"], check=True)
    assert one(network(**options))["actions"] == ["define", "start", "autostart"]
    assert not network(**options)["changed"]


def test_one_that_fails_holds_up_no_other(network: Module) -> None:
    items = [{"name": "wrong", "boot_file": "x"}, {"name": NAME, "bridge": BRIDGE, "forward": "isolated"}]
    done = network(networks=items)
    assert done["failed"] and "network 'wrong' has boot_file" in done["msg"]
    assert [item["state"] for item in done["networks"]] == ["absent", "active"]
    gone = network(networks=items[1:], state="absent")
    assert one(gone)["actions"] == ["stop", "undefine"] and one(gone)["state"] == "absent"
    assert not network(networks=items, state="absent")["changed"]


def test_nodes_boot_from_the_network_when_their_bmcs_say_so(
    network: Module, own_libvirtd: Libvirtd, tmp_path: Path, served: Path
) -> None:
    (served / "boot.ipxe").write_text("#!ipxe\necho booted ${net0/mac} from ${next-server}\nsleep 600\n")
    assert network(**OPTIONS, tftp_root=str(served), boot_file="boot.ipxe")["changed"]
    domain = Module("domain", tmp_path / "collections", {"uri": own_libvirtd.uri})
    nodes = [{"name": firmware, "firmware": firmware} for firmware in FIRMWARES]
    made = domain(domains=nodes, memory_mb=256, type="qemu", boot=["hd"], nics=[{"network": NAME}], disks=[])
    with ExitStack() as stack:
        vbmcd = stack.enter_context(Vbmcd())
        targets = [Target(vbmcd.serve(name, libvirt_uri=own_libvirtd.uri)) for name in FIRMWARES]
        consoles = [stack.enter_context(Terminal(target)) for target in targets]
        for target in targets:
            assert ipmitool(target, "chassis", "bootdev", "pxe").code == 0
            assert ipmitool(target, "power", "on").code == 0
        for item, console in zip(made["domains"], consoles, strict=True):
            assert console.until(f"booted {item['macs'][0]} from {NET}.1".encode())


class Terminal:
    """`ipmitool sol activate` at a terminal."""

    def __init__(self, target: Target) -> None:
        command = ["ipmitool", "-I", "lanplus", "-C", "17", "-H", target.host, "-p", str(target.port)]
        command += ["-U", target.user, "-P", target.password, "sol", "activate"]
        self._master, slave = pty.openpty()
        self._process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)
        self.seen = b""
        self.until(b"SOL Session operational")

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_details: object) -> None:
        self._process.terminate()
        self._process.wait()
        os.close(self._master)

    def until(self, text: bytes) -> bool:
        """Whether it shows `text` in time. Raises AssertionError with what it showed instead."""
        deadline = time.monotonic() + BOOT_SECONDS
        while text not in self.seen:
            readable, _writable, _failed = select.select([self._master], [], [], deadline - time.monotonic())
            assert readable, f"the console shows no {text!r}:\n{self.seen.decode(errors='replace')}"
            self.seen += os.read(self._master, 4096)
        return True
