# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ansible-inventory with the plugin baremetal.lab.vbmc and a real daemon, whose machine is libvirt's test driver's."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from rig.daemon import Vbmcd
from rig.ports import free_ports

CHECKOUT = Path(__file__).resolve().parents[2]
SECRET = "kept-from-sight"
LOCAL = {"ansible_connection": "local", "ansible_host": "192.0.2.1"}
NOBODY = {"ansible_host": "127.0.0.1", "ansible_port": 1}
"""A hypervisor that refuses connections."""


@pytest.fixture(scope="module")
def vbmcd() -> Iterator[Vbmcd]:
    """A daemon with two labs on it."""
    with Vbmcd() as vbmcd:
        common = {"libvirt_uri": "test:///default", "password": SECRET}
        (tcp,) = free_ports(1)
        vbmcd.serve("n1", domain="test", owner="rack-7", address="127.0.0.1", redfish={"port": tcp}, **common)
        vbmcd.serve("n2", domain="no-such-domain", owner="rack-7", address="0.0.0.0", **common)
        vbmcd.serve("other", domain="test", owner="second", **common)
        yield vbmcd


@pytest.fixture(scope="module")
def collections(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("collections")
    subprocess.run([CHECKOUT / "scripts" / "stage.sh", folder], check=True, capture_output=True)
    return folder


class Inventory:
    """ansible-inventory in a folder of its own, whose sources are the files written there."""

    def __init__(self, folder: Path, collections: Path, vbmcd: Vbmcd) -> None:
        self._folder = folder
        self._collections = collections
        self._vbmc = folder / "vbmc"
        path = shlex.quote(vbmcd.env["PYTHONPATH"])
        self._vbmc.write_text(f'#!/bin/sh\nPYTHONPATH={path} exec {sys.executable} -m vbmcd.cli.app "$@"\n')
        self._vbmc.chmod(0o755)
        self._socket = str(vbmcd.socket)

    def write(self, file: str, document: dict[str, Any]) -> None:
        path = self._folder / file
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(document))

    def ask(self, *arguments: str, sources: tuple[str, ...] = ("lab.vbmc.yml",), core: str = "", **options: Any) -> str:
        """What ansible-inventory prints with those options of the plugin, on both outputs."""
        become = os.geteuid() == 0
        given = {"vbmc_path": str(self._vbmc), "socket": self._socket, "become": become, **options}
        self.write("lab.vbmc.yml", {"plugin": "baremetal.lab.vbmc", **given})
        later = CHECKOUT / f".cache/core/{core}/bin/ansible-inventory"  # where `make cores` has installed it
        program = later if later.exists() else Path(sys.executable).with_name("ansible-inventory")
        command = [str(program), *arguments]
        for source in sources:
            command += ["-i", source]
        environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(self._collections), "LC_ALL": "C.UTF-8"}
        environment |= {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "1", "COLUMNS": "1000"}
        done = subprocess.run(
            command, cwd=self._folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=300, check=False,
        )  # fmt: skip
        assert SECRET not in done.stdout + done.stderr
        self.code = done.returncode
        self.warnings = done.stderr
        return done.stdout

    def variables(self, **options: Any) -> dict[str, dict[str, Any]]:
        """Host to variables."""
        found: dict[str, dict[str, Any]] = self.list(**options)["_meta"]["hostvars"]
        return found

    def list(self, **options: Any) -> dict[str, Any]:
        # What a daemon says is no template, and marked so.
        document: dict[str, Any] = json.loads(
            self.ask("--list", **options), object_hook=lambda value: value.get("__ansible_unsafe", value)
        )
        return document


@pytest.fixture
def inventory(tmp_path: Path, collections: Path, vbmcd: Vbmcd) -> Inventory:
    return Inventory(tmp_path, collections, vbmcd)


# The plugin goes by what the cores have inside, so it runs with each.
@pytest.mark.parametrize("core", ["2.19", "2.20", "2.21"])
def test_bmcs_are_hosts_with_all_but_their_passwords(inventory: Inventory, vbmcd: Vbmcd, core: str) -> None:
    told = vbmcd.status("n1")
    certificate = ssl.get_server_certificate(("127.0.0.1", told["redfish"]["port"]))
    hosts = inventory.variables(hypervisors={"hv1": LOCAL}, owner="rack-7", core=core)
    assert hosts.keys() == {"n1", "n2"}
    common = {"name": "n1", "address": "127.0.0.1", "username": "admin"}
    assert hosts["n1"] == {
        "bmc_ipmi_target": {**common, "protocol": "ipmi", "port": told["port"]},
        "bmc_redfish_target": {
            **common,
            "protocol": "redfish",
            "port": told["redfish"]["port"],
            "fingerprint": hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate)).hexdigest(),
        },
        "bmc_hypervisor": "hv1",
        "bmc_domain": "test",
        "bmc_owner": "rack-7",
        "bmc_status": "running",
        "bmc_address": "127.0.0.1",
        "bmc_listen_address": "127.0.0.1",
        "bmc_port": told["port"],
        "bmc_username": "admin",
        "bmc_libvirt_uri": "test:///default",
        "bmc_power": "on",
    }
    assert (hosts["n2"]["bmc_address"], hosts["n2"]["bmc_power"]) == ("192.0.2.1", "off")
    assert "bmc_redfish_target" not in hosts["n2"]
    assert inventory.warnings == ""


def test_bmcs_are_in_groups_by_hypervisor_lab_and_power(inventory: Inventory) -> None:
    graph = inventory.ask("--graph", hypervisors={"hv1": LOCAL})
    for group, names in {
        "vbmc": "n1 n2 other",
        "hypervisor_hv1": "n1 n2 other",
        "lab_rack_7": "n1 n2",
        "power_off": "n2",
    }.items():
        shown = graph.partition(f"@{group}:")[2].partition("@")[0]
        assert [line.strip(" |-") for line in shown.splitlines() if "--" in line and line.strip(" |-")] == names.split()


def test_a_labs_own_inventory_tells_where_the_hypervisors_are(inventory: Inventory) -> None:
    inventory.write("lab.yml", {"hypervisors": {"hosts": {"hv1": {}}}, "nodes": {"hosts": {"n1": {"rack": 7}}}})
    inventory.write("group_vars/hypervisors.yml", {"where": "127.0.0.2", "ansible_connection": "local"})
    inventory.write("host_vars/hv1.yml", {"ansible_host": "{{ where }}"})
    graph = inventory.variables(sources=("lab.yml", "lab.vbmc.yml"))
    assert (graph["n1"]["rack"], graph["n1"]["bmc_power"]) == (7, "on")
    assert graph["n2"]["bmc_address"] == "127.0.0.2"


def test_groups_and_variables_of_ones_own_are_made_and_strict_refuses_what_fails(inventory: Inventory) -> None:
    made: dict[str, Any] = {
        "hypervisors": {"hv1": LOCAL},
        "compose": {"url": "'ipmi://' ~ bmc_address ~ ':' ~ bmc_port"},
        "groups": {"first": "inventory_hostname == 'n1'"},
        "keyed_groups": [{"prefix": "status", "key": "bmc_status"}],
    }
    document = inventory.list(**made)
    assert document["first"]["hosts"] == ["n1"]
    assert "n1" in document["status_running"]["hosts"]
    assert document["_meta"]["hostvars"]["n2"]["url"].startswith("ipmi://192.0.2.1:")
    inventory.ask("--list", **made | {"compose": {"url": "no_such_variable"}, "strict": True})
    assert inventory.code != 0
    assert "Could not set url" in inventory.warnings


def test_a_hypervisor_that_is_away_is_an_error_unless_that_is_wanted(inventory: Inventory) -> None:
    two = {"hv1": LOCAL, "hv2": NOBODY}
    inventory.ask("--list", hypervisors=two)
    assert inventory.code != 0
    assert "hypervisor 'hv2' can't be read" in inventory.warnings
    assert "set ignore_unreachable" in inventory.warnings
    assert inventory.variables(hypervisors=two, ignore_unreachable=True).keys() == {"n1", "n2", "other"}
    assert "hypervisor 'hv2' can't be read" in inventory.warnings


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"hypervisors": {"hv1": LOCAL}, "vbmc_path": "/no/such/vbmc"}, "/no/such/vbmc"),
        ({"hypervisors": {"hv1": LOCAL}, "socket": "/no/such/socket"}, "/no/such/socket"),
        ({"hypervisors": {"hv1": {"ansible_connection": "pigeon"}}}, "no connection plugin 'pigeon'"),
        ({"hypervisors": {"hv1": LOCAL, "hv2": LOCAL}}, "there is a BMC 'n1' on 'hv1' and one on 'hv2'"),
        ({}, "put an inventory with the group 'hypervisors' before this one"),
    ],
)
def test_what_is_in_the_way_is_said(inventory: Inventory, options: dict[str, Any], said: str) -> None:
    inventory.ask("--list", **options)
    assert inventory.code != 0
    assert said in inventory.warnings


def test_two_hypervisors_with_the_same_names_are_told_apart(inventory: Inventory) -> None:
    hosts = inventory.variables(hypervisors={"hv1": LOCAL, "hv2": LOCAL}, owner="second", hostname="qualified")
    assert hosts.keys() == {"other.hv1", "other.hv2"}


def test_a_cached_answer_needs_no_hypervisor(inventory: Inventory, tmp_path: Path) -> None:
    cache: dict[str, Any] = {
        "cache": True, "cache_plugin": "ansible.builtin.jsonfile", "cache_connection": str(tmp_path / "cache"),
    }  # fmt: skip
    first = inventory.variables(hypervisors={"hv1": LOCAL}, **cache)
    assert inventory.variables(hypervisors={"hv1": NOBODY}, **cache) == first
    assert SECRET not in "".join(file.read_text() for file in (tmp_path / "cache").iterdir())
    inventory.ask("--list", "--flush-cache", hypervisors={"hv1": NOBODY}, **cache)
    assert inventory.code != 0
