# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules power and boot_device against BMCs that nobody here wrote: VirtualBMC, sushy-tools, ipmi_sim."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.clients import ADDRESS
from benchmarks.console import PASSWORD, USERNAME
from benchmarks.servers import IpmiSim, Server, SushyEmulator, VirtualBmc, domain
from rig.domains import tiny_domain
from rig.libvirtd import Libvirtd
from rig.module import Module
from rig.waiting import eventually

CHASSIS = """#!/bin/sh
# OpenIPMI's lanserv gives: get or set, and what
action=$1
shift
echo "$action $*" >>chassis.log
case "$action $1" in
"get power" | "get boot") echo "$1:$(cat "$1.state")" ;;
"set power" | "set boot") echo "$2" >"$1.state" ;;
"set reset") ;;
"set shutdown") echo 0 >power.state ;;
*) exit 1 ;;
esac
"""


class Bmc:
    """A BMC of a server, as the modules see it."""

    def __init__(self, folder: Path, **target: Any) -> None:
        self._folder = folder
        self._target = {"address": ADDRESS, "username": USERNAME, "password": PASSWORD, "timeout": 60, **target}

    def __call__(self, module: str, check: bool = False, **options: Any) -> dict[str, Any]:
        # Where pyghmi is.
        called = Module(module, self._folder / "collections", python=sys.executable)
        return called(check=check, **self._target, **options)

    def power(self) -> str | None:
        """None where it does not answer yet. Not all of bmc_info is there with all of them."""
        (found,) = self("power", check=True, state="on")["results"]
        self.said = found.get("msg")
        return found["before"]["power"] if "before" in found else None


@pytest.fixture
def machine(libvirtd: Libvirtd) -> Iterator[str]:
    name = domain(0)
    libvirtd.define(tiny_domain(name, nics=1, boot=["network"]))
    yield name
    libvirtd.remove(name)


def serve(server: Server, uri: str) -> Server:
    server.configure(uri)
    return server


def switched_on_and_off(bmc: Bmc) -> None:
    eventually(lambda: bmc.power() == "off", what="the BMC answers", interval=0.2)
    for state in ("on", "off"):
        foreseen, done, again = (
            bmc("power", check=True, state=state),
            bmc("power", state=state),
            bmc("power", state=state),
        )
        assert (foreseen["changed"], done["changed"], again["changed"]) == (True, True, False), (done, again)
        assert bmc.power() == state


def test_a_machine_of_sushy_tools_is_switched_and_set_up(libvirtd: Libvirtd, machine: str, tmp_path: Path) -> None:
    with serve(SushyEmulator(1, tmp_path / "server"), libvirtd.uri) as server:
        bmc = Bmc(tmp_path, protocol="redfish", port=server.first_port, validate_certs=False, system=machine)
        switched_on_and_off(bmc)
        (once,) = bmc("boot_device", device="pxe")["results"]
        assert once["kind"] == "not-reached" and "ask for that (persistent: true)" in once["msg"]
        assert not bmc("boot_device", device="pxe", persistent=True).get("failed")
        assert bmc("boot_device", device="pxe", persistent=True)["changed"] is False


def test_a_machine_of_virtualbmc_is_switched_and_set_up(libvirtd: Libvirtd, machine: str, tmp_path: Path) -> None:
    with serve(VirtualBmc(1, tmp_path / "server"), libvirtd.uri) as server:
        bmc = Bmc(tmp_path, port=server.first_port)
        switched_on_and_off(bmc)
        for device in ("disk", "pxe"):
            # It keeps a device for good, and says of each that it holds once.
            assert bmc("boot_device", device=device)["changed"]
            assert not bmc("boot_device", device=device)["changed"]


def test_openipmis_simulator_is_switched_and_told_of_what_it_forgets(tmp_path: Path) -> None:
    server = serve(IpmiSim(1, tmp_path / "server"), "")
    script = server.folder / "chassis"
    script.write_text(CHASSIS)
    script.chmod(0o755)
    (server.folder / "power.state").write_text("0\n")
    (server.folder / "boot.state").write_text("default\n")
    configuration = server.folder / "lan.conf"
    control = f'chassis_control "{script}"\n'
    configuration.write_text(configuration.read_text().replace("startlan 1\n", f"{control}startlan 1\n"))
    with server:
        bmc = Bmc(tmp_path, port=server.first_port)
        switched_on_and_off(bmc)
        # It takes the device, and keeps none of the flags that say that it is to be heeded.
        (told,) = bmc("boot_device", device="pxe")["results"]
        assert (server.folder / "boot.state").read_text() == "pxe\n"
        assert told["kind"] == "not-reached" and "says that it has no override" in told["msg"]
        assert not bmc("boot_device", device="none")["changed"]
