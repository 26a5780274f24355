# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses of the BMCs' own on real interfaces, with the real daemon, and ipmitool on port 623."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rig.daemon import NO_MACHINE, SOURCE, Vbmcd
from rig.waiting import eventually

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a network namespace of its own")

V4, V6 = "192.0.2.7", "2001:db8::7"


class Host:
    """A network namespace with a loopback interface."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        command = ["unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec cat"]
        self._keeper = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._keeper.stdout is not None and self._keeper.stdout.readline() == "up\n"

    def close(self) -> None:
        self._keeper.communicate()

    def inside(self, *command: str) -> list[str]:
        return ["nsenter", f"--net=/proc/{self._keeper.pid}/ns/net", *command]

    def run(self, *command: str, check: bool = True) -> str:
        env = {**os.environ, "PYTHONPATH": str(SOURCE)}
        done = subprocess.run(
            self.inside(*command), stdin=subprocess.DEVNULL, capture_output=True, text=True, env=env, check=False
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def addresses(self, command: str, *arguments: str, check: bool = True) -> dict[str, Any]:
        """What ``vbmcd-addresses`` answers."""
        where = ["--folder", str(self._folder / "lists"), "--added", str(self._folder / "added.json")]
        out = self.run(sys.executable, "-m", "vbmcd.addresses.command", *where, command, *arguments, check=check)
        answer: dict[str, Any] = json.loads(out)
        return answer

    def interface(self, name: str) -> list[str]:
        """The global addresses on it; it has to be there."""
        (link,) = json.loads(self.run("ip", "-json", "address", "show", "dev", name))
        return sorted(one["local"] for one in link["addr_info"] if one["scope"] == "global")

    def has(self, name: str) -> bool:
        return any(link["ifname"] == name for link in json.loads(self.run("ip", "-json", "link", "show")))

    def restart(self) -> None:
        """What of a start of the host matters here: interfaces and /run are gone."""
        if self.has("vbmc0"):
            self.run("ip", "link", "delete", "dev", "vbmc0")
        (self._folder / "added.json").unlink(missing_ok=True)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    host = Host(tmp_path)
    yield host
    host.close()


def test_bmcs_answer_on_port_623_of_their_own_addresses(host: Host) -> None:
    host.addresses("apply", "--owner", "lab", V4, V6)
    with Vbmcd(command=host.inside(sys.executable, "-m", "vbmcd.daemon")) as vbmcd:
        for name, address in (("four", V4), ("six", V6)):
            spec = {"name": name, "address": address, "port": 623, "state": "started", **NO_MACHINE}
            vbmcd.apply(spec)
        for address in (V4, V6):
            # ipmitool connects its socket, so it hears an answer from no other address.
            who = ["-I", "lanplus", "-C", "17", "-U", "admin", "-P", "password", "-H", address]
            assert "Chassis Power is on" in host.run("ipmitool", *who, "power", "status")


def test_a_bmc_is_there_when_its_address_comes_back(host: Host) -> None:
    host.addresses("apply", "--owner", "lab", V4)
    with Vbmcd(command=host.inside(sys.executable, "-m", "vbmcd.daemon")) as vbmcd:
        vbmcd.apply({"name": "four", "address": V4, "port": 623, "state": "started", **NO_MACHINE})
        vbmcd.stop()
        host.restart()
        vbmcd.start()
        assert "no interface has this address" in vbmcd.status("four")["reason"]
        host.addresses("restore")
        eventually(lambda: vbmcd.status("four")["status"] == "running", what="the BMC is bound")


def test_check_tells_what_apply_does_and_does_nothing(host: Host) -> None:
    foretold = host.addresses("apply", "--owner", "lab", "--check", V4, V6)
    assert not host.has("vbmc0")
    done = host.addresses("apply", "--owner", "lab", V4, V6)
    assert done == foretold and done["changed"]
    assert host.interface("vbmc0") == [V4, V6]
    again = host.addresses("apply", "--owner", "lab", "--purge", V4, V6)
    assert (again["changed"], again["actions"]) == (False, [])


def test_labs_keep_out_of_each_others_way(host: Host) -> None:
    host.addresses("apply", "--owner", "a", V4)
    host.addresses("apply", "--owner", "b", V6, "192.0.2.8")
    host.addresses("apply", "--owner", "b", "--purge", "192.0.2.8")
    assert host.interface("vbmc0") == [V4, "192.0.2.8"]
    host.addresses("apply", "--owner", "a", "--purge")
    assert host.interface("vbmc0") == ["192.0.2.8"]
    host.addresses("apply", "--owner", "b", "--purge")
    assert not host.has("vbmc0")


def test_everything_is_there_again_after_a_start_of_the_host(host: Host) -> None:
    host.addresses("apply", "--owner", "a", V4)
    host.addresses("apply", "--owner", "b", "--interface", "lo", V6)
    host.restart()
    host.run("ip", "address", "delete", f"{V6}/128", "dev", "lo")
    assert host.addresses("restore")["changed"]
    assert (host.interface("vbmc0"), V6 in host.interface("lo")) == ([V4], True)
    assert not host.addresses("restore")["changed"]


def test_nothing_of_others_is_removed(host: Host) -> None:
    host.run("ip", "link", "add", "dev", "eth7", "type", "bridge")
    host.run("ip", "address", "add", "192.0.2.1/24", "dev", "eth7")
    found = host.addresses("apply", "--owner", "lab", "--interface", "eth7", V4, "192.0.2.1")
    assert "192.0.2.1" in found["host"]
    host.addresses("clear")
    assert host.interface("eth7") == ["192.0.2.1"]
    assert not host.addresses("clear")["changed"]


def test_an_address_that_the_kernel_refuses_is_named(host: Host) -> None:
    host.run("ip", "link", "add", "dev", "tiny", "mtu", "1000", "type", "bridge")  # IPv6 wants an MTU of 1280
    answer = host.addresses("apply", "--owner", "lab", "--interface", "tiny", V6, check=False)
    assert f"{V6} can't be added to interface 'tiny'" in answer["error"]


def test_what_is_no_address_is_refused(host: Host) -> None:
    assert "without a prefix length" in host.addresses("apply", "--owner", "lab", "192.0.2.7/24", check=False)["error"]
    assert not host.has("vbmc0")
