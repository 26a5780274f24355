# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What other tools are told of a lab, and what of it a person may see."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from ansible_collections.baremetal.lab.plugins.plugin_utils import lab_files, lab_formats
from ansible_collections.baremetal.lab.plugins.plugin_utils.bmc_reach import with_port
from ansible_collections.baremetal.lab.plugins.plugin_utils.lab_endpoints import (
    Endpoint,
    Endpoints,
    read_endpoints,
    read_targets,
)
from ansible_collections.baremetal.lab.plugins.plugin_utils.lab_formats import FORMATS
from ansible_collections.baremetal.lab.plugins.plugin_utils.private_file import PrivateFile

SCHEMA = Path(__file__).parents[2] / "schemas/ironic.json"
SECRET = "kept-from-sight"
MACS = ("52:00:00:00:00:01", "52:00:00:00:00:02")


def planned(name: str, hypervisor: str = "hv1", **domain: Any) -> dict[str, Any]:
    """A node as the filter lab_nodes returns it."""
    return {
        "name": name,
        "hypervisor": hypervisor,
        "domain": {"name": name, "state": "present", "disks": [{"size_gb": 20}], **domain},
        "bmc": {"name": name, "username": "admin", "password": SECRET},
    }


def machine(name: str, **other: Any) -> dict[str, Any]:
    """A domain as the module domain_info returns it."""
    disks = [{"target": "vda", "device": "disk"}, {"target": "sda", "device": "cdrom"}]
    nics = [{"mac": mac} for mac in MACS]
    hardware = {"arch": "x86_64", "firmware": "bios", "memory_mb": 2048, "vcpus": 2}
    return {"name": name, "interfaces": nics, "disks": disks, "boot": ["network", "hd"], **hardware, **other}


def bmc(name: str, address: str = "192.0.2.7", port: int = 6230) -> dict[str, Any]:
    return {"name": name, "address": address, "port": port, "username": "admin", "password": "********"}


def found(*names: str, address: str = "hv1.example.org", **other: Any) -> dict[str, Any]:
    """A hypervisor with those nodes, as roles/lab/tasks/export.yml keeps it."""
    instances = [bmc(name, port=6230 + index) for index, name in enumerate(names)]
    return {"address": address, "instances": instances, "domains": [machine(name) for name in names], **other}


def read(*nodes: dict[str, Any], groups: dict[str, list[str]] | None = None, **hypervisors: Any) -> Endpoints:
    return read_endpoints(nodes, hypervisors, groups or {})


def endpoint(**other: Any) -> Endpoint:
    [one] = read(planned("n1"), hv1=found("n1")).nodes
    return Endpoint(**{**one.__dict__, **other})


# --- Joining inventory and hypervisors -------------------------------------------------------------------------------


def test_port_addresses_and_hardware_are_the_hypervisors_word_and_credentials_the_inventorys() -> None:
    [node] = read(planned("n1"), hv1=found("n1")).nodes
    assert (node.address, node.port, node.username, node.password) == ("192.0.2.7", 6230, "admin", SECRET)
    assert (node.macs, node.memory_mb, node.vcpus, node.efi) == (MACS, 2048, 2, False)
    assert (node.disks, node.disk_gb) == (("/dev/vda",), 20)


@pytest.mark.parametrize("address", ["::", "0.0.0.0"])
def test_a_bmc_on_every_address_is_reached_by_its_hypervisors(address: str) -> None:
    [node] = read(planned("n1"), hv1=found("n1", instances=[bmc("n1", address)])).nodes
    assert node.address == "hv1.example.org"


@pytest.mark.parametrize(
    ("boot", "first"), [(["network", "hd"], MACS[:1]), ([MACS[1], "vda"], MACS[1:]), (["hd"], MACS[:1])]
)
def test_the_boot_nic_is_the_one_that_the_domain_boots_by_or_else_the_first(
    boot: list[str], first: tuple[str, ...]
) -> None:
    [node] = read(planned("n1"), hv1=found("n1", domains=[machine("n1", boot=boot)])).nodes
    assert node.boot_macs == first


def test_a_node_that_is_to_be_absent_is_left_out() -> None:
    assert read(planned("n1", state="absent")) == Endpoints([], [])


@pytest.mark.parametrize(
    ("there", "said"),
    [
        ({}, "'hv1', which could not be read"),
        ({"hv1": found()}, "has no BMC 'n1' of its lab on 'hv1': run bring_up"),
        ({"hv1": found("n1", domains=[])}, "has no domain 'n1' of its lab on 'hv1': run bring_up"),
    ],
)
def test_what_is_not_there_is_told_with_the_node_and_the_remedy(there: dict[str, Any], said: str) -> None:
    read_back = read(planned("n1"), **there)
    [problem] = read_back.problems
    assert problem.startswith("node 'n1'")
    assert said in problem
    assert read_back.nodes == []


def test_a_node_that_was_never_placed_is_told_so() -> None:
    assert "on no hypervisor yet: run bring_up" in read({**planned("n1"), "hypervisor": None}, hv1=found()).problems[0]


def test_who_switches_bmcs_leaves_out_those_of_a_hypervisor_that_is_away_and_is_told_why() -> None:
    away = {**planned("n2", "hv2"), "problem": "hypervisor 'hv2' of node 'n2' does not answer"}
    silent, gone = planned("n3", "hv3"), {**away, "domain": {**away["domain"], "state": "absent"}}
    read_back = read_targets([planned("n1"), away, silent, gone], {"hv1": found("n1")})
    assert [one["name"] for one in read_back.targets] == ["n1"]
    assert [why.partition(":")[0] for why in read_back.left_out] == [
        "hypervisor 'hv2' of node 'n2' does not answer",
        "node 'n3' is on 'hv3', which could not be read",
    ]
    assert read_back.problems == []


def test_who_switches_bmcs_switches_none_where_one_may_be_taken_for_another() -> None:
    same = [bmc("n1"), {**bmc("n1"), "name": "n2"}]
    read_back = read_targets([planned("n1"), planned("n2")], {"hv1": found("n1", "n2", instances=same)})
    assert "would both be at 192.0.2.7:6230" in read_back.problems[0]


def test_two_bmcs_that_others_would_take_for_one_are_refused() -> None:
    hosts = {
        name: found(node, address="127.0.0.1", instances=[bmc(node, "::")])
        for name, node in (("hv1", "n1"), ("hv2", "n2"))
    }
    [problem] = read(planned("n1"), planned("n2", "hv2"), **hosts).problems
    assert "'n1' on 'hv1'" in problem
    assert "'n2' on 'hv2'" in problem
    assert "127.0.0.1:6230" in problem


def test_an_endpoint_does_not_print_its_password() -> None:
    assert SECRET not in repr(endpoint())


# --- Redfish ---------------------------------------------------------------------------------------------------------


def redfish(name: str = "n1", export: Any = None, address: str = "192.0.2.7", **options: Any) -> Endpoints:
    """A node whose BMC has Redfish, read with what the inventory says of its export."""
    service = {"enabled": True, "tls": True, "port": 8443, "address": "", "certificate": "", "fingerprint": "ab" * 32}
    there = found(name, instances=[{**bmc(name, address), "redfish": {**service, **options}}])
    return read({**planned(name), "export": export}, hv1=there)


BY_REDFISH = {"protocol": "redfish"}


def test_a_node_with_redfish_is_exported_with_ipmi_unless_the_inventory_says_otherwise() -> None:
    [node] = redfish().nodes
    assert lab_formats.ironic([node])["nodes"][0]["driver"] == "ipmi"
    assert lab_formats.metal3([node])[1]["spec"]["bmc"]["address"] == "ipmi://192.0.2.7:6230"
    assert lab_formats.maas([node])[0]["power_type"] == "ipmi"


@pytest.mark.parametrize(
    ("options", "export", "url", "verify"),
    [
        ({}, {}, "https://192.0.2.7:8443", False),
        ({"certificate": "/etc/ssl/n1.pem"}, {}, "https://192.0.2.7:8443", True),
        ({}, {"verify_ca": "/etc/ssl/lab.pem"}, "https://192.0.2.7:8443", "/etc/ssl/lab.pem"),
        ({"address": "2001:db8::7", "port": 443}, {}, "https://[2001:db8::7]:443", False),
        ({"tls": False, "address": "::"}, {}, "http://hv1.example.org:8443", False),
    ],
)
def test_who_is_to_use_redfish_is_told_where_it_is_and_whom_to_trust(
    options: dict[str, Any], export: dict[str, Any], url: str, verify: Any
) -> None:
    [node] = redfish(export={**BY_REDFISH, **export}, **options).nodes
    file = lab_formats.ironic([node])
    jsonschema.validate(file, json.loads(SCHEMA.read_text()))
    [told] = file["nodes"]
    assert told["driver"] == "redfish"
    assert (told["driver_info"]["redfish_address"], told["driver_info"]["redfish_verify_ca"]) == (url, verify)
    assert lab_formats.bifrost([node])["n1"]["driver_info"] == told["driver_info"]
    spec = lab_formats.metal3([node])[1]["spec"]["bmc"]
    assert spec["address"] == f"redfish-virtualmedia+{url}/redfish/v1/Systems/1"
    assert spec.get("disableCertificateVerification", False) is (verify is False and url.startswith("https"))
    [machine_] = lab_formats.maas([node])
    assert machine_["power_type"] == "redfish"
    assert machine_["power_parameters"] == {
        "power_address": url,
        "power_user": "admin",
        "power_pass": SECRET,
        "node_id": "1",
    }


def test_metal3_boots_a_machine_without_a_cd_drive_from_the_network() -> None:
    [node] = redfish(export=BY_REDFISH).nodes
    [_secret, host] = lab_formats.metal3([Endpoint(**{**node.__dict__, "has_cdrom": False})])
    assert host["spec"]["bmc"]["address"] == "redfish+https://192.0.2.7:8443/redfish/v1/Systems/1"


def test_redfish_where_there_is_none_is_refused_with_the_remedy() -> None:
    [problem] = redfish(export=BY_REDFISH, enabled=False).problems
    assert "node 'n1' has lab_export_protocol redfish" in problem
    assert "bmc_redfish: true and run bring_up" in problem


def test_the_inventory_has_both_ways_to_a_bmc_as_the_modules_take_them() -> None:
    [node] = redfish().nodes
    variables = lab_formats.ansible([node])["all"]["children"]["nodes"]["hosts"]["n1"]
    common = {"name": "n1", "address": "192.0.2.7", "username": "admin", "password": SECRET}
    assert variables["bmc_ipmi_target"] == {**common, "protocol": "ipmi", "port": 6230}
    assert variables["bmc_redfish_target"] == {
        **common,
        "protocol": "redfish",
        "port": 8443,
        "fingerprint": "ab" * 32,
    }


@pytest.mark.parametrize(
    ("options", "more"),
    [({"fingerprint": ""}, {}), ({"certificate": "/a.pem"}, {}), ({"tls": False}, {"plain_http": True})],
)
def test_a_certificate_is_pinned_where_the_bmc_made_it(options: dict[str, Any], more: dict[str, Any]) -> None:
    [node] = redfish(**options).nodes
    target = node.targets()["redfish"]
    assert {key: target.get(key) for key in ("fingerprint", "plain_http")} == {
        "fingerprint": None,
        "plain_http": None,
        **more,
    }


def test_two_redfish_services_at_one_place_are_refused() -> None:
    service = {"enabled": True, "tls": True, "port": 8443, "address": "", "certificate": ""}
    hosts = {
        name: found(node, address="192.0.2.1", instances=[{**bmc(node, "::", port), "redfish": service}])
        for name, node, port in (("hv1", "n1", 6230), ("hv2", "n2", 6231))
    }
    [problem] = read(planned("n1"), planned("n2", "hv2"), **hosts).problems
    assert "https://192.0.2.1:8443" in problem


# --- Formats ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "node",
    [
        endpoint(),
        endpoint(efi=True, arch="aarch64", disks=(), disk_gb=None),
        endpoint(disks=("/dev/vda", "/dev/vdb"), macs=(), boot_macs=()),
    ],
)
def test_ironics_file_keeps_to_its_schema(node: Endpoint) -> None:
    jsonschema.validate(lab_formats.ironic([node]), json.loads(SCHEMA.read_text()))


def test_ironic_is_told_the_boot_mode_and_which_ports_boot() -> None:
    [node] = lab_formats.ironic([endpoint(efi=True)])["nodes"]
    assert node["properties"]["capabilities"] == "boot_mode:uefi"
    assert node["ports"] == [
        {"address": MACS[0], "pxe_enabled": True},
        {"address": MACS[1], "pxe_enabled": False},
    ]
    assert "root_device" not in node["properties"]


def test_ironic_is_told_which_of_several_disks_to_deploy_to() -> None:
    [node] = lab_formats.ironic([endpoint(disks=("/dev/sda", "/dev/sdb"))])["nodes"]
    assert node["properties"]["root_device"] == {"name": "/dev/sda"}


def test_bifrosts_file_is_by_name_with_the_boot_nic_first() -> None:
    node = lab_formats.bifrost([endpoint(boot_macs=MACS[1:])])["n1"]
    assert node["name"] == "n1"
    assert node["nics"] == [{"mac": MACS[1]}, {"mac": MACS[0]}]
    assert node["properties"] == lab_formats.ironic([endpoint()])["nodes"][0]["properties"]
    assert node["driver_info"]["ipmi_password"] == SECRET


@pytest.mark.parametrize(("efi", "mode"), [(True, "UEFI"), (False, "legacy")])
def test_metal3_gets_a_host_and_the_secret_that_it_names(efi: bool, mode: str) -> None:
    secret, host = lab_formats.metal3([endpoint(efi=efi)])
    assert secret["metadata"]["name"] == host["spec"]["bmc"]["credentialsName"]
    assert secret["stringData"] == {"username": "admin", "password": SECRET}
    assert host["spec"]["bmc"]["address"] == "ipmi://192.0.2.7:6230"
    assert host["spec"]["bootMACAddress"] == MACS[0]
    assert host["spec"]["bootMode"] == mode
    assert host["spec"]["rootDeviceHints"] == {"deviceName": "/dev/vda"}
    assert SECRET not in str(host)


@pytest.mark.parametrize(
    ("address", "port", "told"),
    [
        ("192.0.2.7", 623, "192.0.2.7"),
        ("192.0.2.7", 6230, "192.0.2.7:6230"),
        ("2001:db8::7", 6230, "[2001:db8::7]:6230"),
    ],
)
def test_maas_is_told_the_port_where_it_is_not_ipmis_own(address: str, port: int, told: str) -> None:
    [one] = lab_formats.maas([endpoint(address=address, port=port, boot_macs=MACS[1:])])
    assert one["power_parameters"]["power_address"] == told
    assert one["architecture"] == "amd64/generic"
    assert one["mac_addresses"] == [MACS[1], MACS[0]]


def test_an_ipv6_address_is_bracketed_before_a_port() -> None:
    assert with_port("::1", 623) == "[::1]:623"


def test_the_inventory_keeps_the_groups_of_the_labs_own() -> None:
    groups = {"all": ["hv1", "n1"], "nodes": ["n1"], "control": ["n1"], "other": ["n2"]}
    [node] = read(planned("n1"), groups=groups, hv1=found("n1")).nodes
    children = lab_formats.ansible([node])["all"]["children"]
    assert children["control"] == {"hosts": {"n1": {}}}
    assert children["nodes"]["hosts"]["n1"]["bmc_port"] == 6230
    assert "other" not in children


@pytest.mark.parametrize(
    ("word", "name"),
    [("metal3", "Node-1"), ("metal3", "node_1"), ("maas", "node_1"), ("ironic", "node 1"), ("bifrost", "nöde")],
)
def test_a_name_that_a_tool_refuses_is_told_beforehand(word: str, name: str) -> None:
    [problem] = FORMATS[word].problems(word, [endpoint(name=name)])
    assert f"'{name}'" in problem
    assert f"leave '{word}' out of lab_export_formats" in problem


def test_maas_needs_a_nic() -> None:
    bare = endpoint(macs=(), boot_macs=())
    assert "has no NIC" in FORMATS["maas"].problems("maas", [bare])[0]
    assert [word for word in FORMATS if FORMATS[word].problems(word, [bare])] == ["maas"]


# --- Files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", FORMATS)
def test_what_is_shown_of_a_file_has_all_but_the_passwords(word: str) -> None:
    file = FORMATS[word].file
    [other] = redfish("n2", BY_REDFISH).nodes
    text = lab_files.write(FORMATS[word].document([endpoint(), other]), file)
    masked = Endpoint(**{**other.__dict__, "password": lab_files.MASK})
    without = FORMATS[word].document([endpoint(password=lab_files.MASK), masked])
    assert text.count(SECRET) >= 2
    assert lab_files.shown(text, file) == lab_files.write(without, file)


@pytest.mark.parametrize("file", ["ironic.json", "metal3.yml"])
def test_nothing_is_shown_of_a_file_that_is_something_else(file: str) -> None:
    assert SECRET not in lab_files.shown(f"{{]: {SECRET}", file)
    assert lab_files.shown("", file) == ""


@pytest.mark.parametrize("password", ["1e3", "0o17", "yes", "{{ x", "a: #b", "- \\ \"'", "52:00", "~", "!x"])
def test_every_password_is_text_for_every_reader_of_yaml(password: str) -> None:
    for word in ("metal3", "ansible"):
        text = lab_files.write(FORMATS[word].document([endpoint(password=password)]), FORMATS[word].file)
        found = [token for token in yaml.scan(text) if getattr(token, "value", None) == password]
        assert found and not any(token.plain for token in found)


def test_a_password_is_no_template_in_the_inventory() -> None:
    text = lab_files.write(lab_formats.ansible([endpoint(password="{{ x }}")]), "inventory.yml")
    assert 'bmc_password: !unsafe "{{ x }}"' in text


def test_a_file_is_its_owners_alone_and_replaced_as_a_whole(tmp_path: Path) -> None:
    file = PrivateFile(str(tmp_path / "made" / "file"))
    assert not file.is_private()
    file.write("one")
    inode = os.stat(file.path).st_ino
    file.write("two")
    assert (file.text(), file.is_private()) == ("two", True)
    assert os.stat(file.path).st_ino != inode
    assert stat.S_IMODE(os.stat(tmp_path / "made").st_mode) == 0o700
    assert os.listdir(tmp_path / "made") == ["file"]


def test_a_file_that_others_may_read_is_not_private(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("one")
    path.chmod(0o640)
    assert not PrivateFile(str(path)).is_private()


def test_a_write_that_fails_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    with pytest.raises(OSError, match="file"):
        PrivateFile(str(tmp_path / "file")).write("one")
    assert os.listdir(tmp_path) == ["file"]
