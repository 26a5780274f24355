# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the inventory model makes of an inventory, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.baremetal.lab.plugins.modules.domain import DOMAIN_ARGUMENTS
from ansible_collections.baremetal.lab.plugins.plugin_utils.lab_nodes import CHOICES, DOMAIN_OPTIONS, Lab, read_lab


def lab(
    nodes: dict[str, dict[str, Any]],
    hypervisor: dict[str, Any] | None = None,
    **common: Any,
) -> Lab:
    """The lab of hypervisors hv1 and hv2, and of `nodes`, which run on hv1 unless they say otherwise."""
    groups = {"hypervisors": ["hv1", "hv2"], "nodes": list(nodes)}
    variables: dict[str, dict[str, Any]] = {"hv1": hypervisor or {}, "hv2": hypervisor or {}}
    for name, own in nodes.items():
        variables[name] = {"lab_hypervisor": "hv1", "bmc_password": "secret", **common, **own}
    return read_lab(groups, variables)


def test_a_node_takes_the_defaults_for_what_it_leaves_out() -> None:
    [node] = lab({"n1": {"lab_vcpus": 4}}).nodes
    assert node.domain == {
        "name": "n1",
        "owner": "lab",
        "memory_mb": 1024,
        "vcpus": 4,
        "disks": [{"size_gb": 10}],
        "nics": [{"network": "default"}],
        "state": "present",
    }
    assert node.bmc == {
        "name": "n1",
        "domain": "n1",
        "owner": "lab",
        "state": "started",
        "username": "admin",
        "password": "secret",
    }


def test_a_bmc_without_a_port_is_left_to_the_daemon_and_a_port_in_text_is_a_number() -> None:
    left, given = lab({"n1": {}, "n2": {"bmc_port": "6231", "bmc_address": "127.0.0.1"}}).nodes
    assert "port" not in left.bmc
    assert given.bmc["port"] == 6231


def test_a_node_without_a_hypervisor_is_to_be_placed() -> None:
    read = lab({"n1": {"lab_hypervisor": None}, "n2": {"lab_hypervisor": ""}})
    assert [node.hypervisor for node in read.nodes] == [None, None]
    assert read.problems == []


def test_a_node_that_is_to_be_absent_loses_its_bmc() -> None:
    [node] = lab({"n1": {"lab_state": "absent"}}).nodes
    assert node.bmc["state"] == "absent"


def test_the_label_is_the_labs_name() -> None:
    [node] = lab({"n1": {}}, hypervisor={"lab_name": "rack-7"}, lab_name="rack-7").nodes
    assert (node.domain["owner"], node.bmc["owner"]) == ("rack-7", "rack-7")


def test_what_a_node_says_of_its_machine_goes_to_the_module() -> None:
    [node] = lab({"n1": {"lab_firmware": "efi", "lab_boot": ["hd"], "lab_autostart": False}}).nodes
    assert node.domain["firmware"] == "efi"
    assert node.domain["boot"] == ["hd"]
    assert node.domain["autostart"] is False


def test_a_node_may_have_no_disk() -> None:
    [node] = lab({"n1": {"lab_disks": []}}).nodes
    assert node.domain["disks"] == []


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"lab_hypervisor": "hv9"}, "'hv9', which is not in the group 'hypervisors'"),
        ({"lab_name": "other"}, "set lab_name once"),
        ({"lab_memory_mb": "much"}, "lab_memory_mb 'much'"),
        ({"lab_memory_mb": 0.5}, "lab_memory_mb 0.5"),
        ({"lab_vcpus": 0}, "lab_vcpus 0"),
        ({"bmc_port": 70000}, "bmc_port 70000"),
        ({"bmc_port": True}, "bmc_port True"),
        ({"bmc_redfish": "maybe"}, "bmc_redfish 'maybe'"),
        ({"bmc_firmware": "2.0"}, "bmc_firmware '2.0'"),
        ({"bmc_firmware": {"version": 2.1}}, "the version 2.1, a number: quote it"),
        ({"bmc_firmware": {"faults": [{"kind": "bussy"}]}}, "must be one of: busy, stall"),
        ({"bmc_redfish": {"ports": 443}}, "redfish.ports. Supported parameters include: address, certificate"),
        ({"bmc_media": {"max_bytes": "much"}}, "bmc_media that does not do"),
        ({"lab_export_protocol": "both"}, "lab_export_protocol 'both': give it one of ipmi, redfish"),
        ({"bmc_address": "hv1"}, "bmc_address 'hv1'"),
        ({"bmc_password": ""}, "no bmc_password"),
        ({"bmc_password": "x" * 21}, "more than 20 bytes"),
        ({"bmc_username": "x" * 17}, "IPMI takes 1 to 16 bytes"),
    ],
)
def test_what_is_wrong_with_a_node_is_said_with_its_name(variables: dict[str, Any], said: str) -> None:
    read = lab({"n1": variables})
    [problem] = read.problems
    assert problem.startswith("node 'n1'")
    assert said in problem
    assert read.nodes == []


def test_no_problem_tells_a_password() -> None:
    password = "a-password-of-too-many-bytes"
    read = lab({"n1": {"bmc_password": password, "bmc_port": 0}})
    assert read.problems
    assert password not in str(read.problems)


@pytest.mark.parametrize("missing", ["hypervisors", "nodes"])
def test_a_missing_group_is_named(missing: str) -> None:
    groups = {"hypervisors": ["hv1"], "nodes": []}
    del groups[missing]
    assert any(f"'{missing}'" in problem for problem in read_lab(groups, {"hv1": {}}).problems)


@pytest.mark.parametrize(
    ("one", "other"),
    [("127.0.0.1", "127.0.0.1"), ("::", "127.0.0.1"), ("127.0.0.1", None), ("2001:db8::1", "2001:db8:0::1")],
)
def test_two_bmcs_on_one_address_and_port_are_refused_naming_both(one: str, other: str | None) -> None:
    [problem] = lab(
        {"n1": {"bmc_port": 623, "bmc_address": one}, "n2": {"bmc_port": 623, "bmc_address": other}}
    ).problems
    assert "'n1' and 'n2'" in problem
    assert "623" in problem


@pytest.mark.parametrize(
    "other",
    [
        {"bmc_port": 624},
        {"bmc_port": 623, "bmc_address": "127.0.0.2"},
        {"bmc_port": 623, "lab_hypervisor": "hv2"},
        {"bmc_port": None},
    ],
)
def test_bmcs_apart_are_let_be(other: dict[str, Any]) -> None:
    assert lab({"n1": {"bmc_port": 623}, "n2": other}, bmc_address="127.0.0.1").problems == []


@pytest.mark.parametrize("hypervisor", ["hv1", "hv2", None])
def test_two_nodes_can_not_be_one_domain(hypervisor: str | None) -> None:
    [problem] = lab({"n1": {}, "n2": {"lab_domain": "n1", "lab_hypervisor": hypervisor}}).problems
    assert "'n1' and 'n2' both are the domain 'n1'" in problem


def test_two_nodes_can_not_have_one_mac_address() -> None:
    nics = [[{"network": "a", "mac": mac}] for mac in ("52:54:00:00:00:0A", "52-54-00-00-00-0a")]
    [problem] = lab({"n1": {"lab_nics": nics[0]}, "n2": {"lab_nics": nics[1], "lab_hypervisor": "hv2"}}).problems
    assert "'n1' and 'n2' both have a NIC with the MAC address 52:54:00:00:00:0a" in problem
    gone = {"lab_nics": nics[1], "lab_state": "absent"}
    assert lab({"n1": {"lab_nics": nics[0]}, "n2": gone}).problems == []


def test_an_inventory_is_one_lab() -> None:
    variables = {"hv1": {"lab_name": "a"}, "hv2": {"lab_name": "b"}, "n": {"lab_name": "a", "bmc_password": "x"}}
    [problem] = read_lab({"hypervisors": ["hv1", "hv2"], "nodes": ["n"]}, variables).problems
    assert problem.startswith("the hypervisors are of the labs a, b")


@pytest.mark.parametrize("value", [-1, "much", True, "inf", "nan"])
def test_a_ratio_is_a_number(value: Any) -> None:
    problems = lab({"n1": {}}, hypervisor={"hypervisor_cpu_ratio": value}).problems
    assert [problem.split(":")[0] for problem in problems] == [
        f"hypervisor '{name}' has hypervisor_cpu_ratio {value!r}" for name in ("hv1", "hv2")
    ]


def test_what_the_module_domain_would_refuse_is_told_with_the_nodes_name() -> None:
    own = {"lab_state": "runing", "lab_firmware": "uefi", "lab_boot": ["network", "disk"], "lab_disks": [20]}
    assert lab({"n1": {**own, "lab_nics": "default"}}).problems == [
        "node 'n1' has lab_state 'runing': give it one of present, absent, running, paused, shutdown, destroyed",
        "node 'n1' has lab_firmware 'uefi': give it one of bios, efi",
        "node 'n1' has lab_boot 'disk': give it one of network, hd, cdrom",
        "node 'n1' has lab_disks [20]: give it a list, of which an item is such as 'size_gb: 20'",
        "node 'n1' has lab_nics 'default': give it a list, of which an item is such as 'network: default'",
    ]


def test_a_boot_order_may_be_text_as_in_an_inventory_in_ini_format() -> None:
    assert lab({"n1": {"lab_boot": "network,hd"}}).problems == []


def test_the_choices_and_options_are_those_of_the_module() -> None:
    for option in DOMAIN_OPTIONS:
        assert DOMAIN_ARGUMENTS[option].get("choices", []) == list(CHOICES.get(option, ()))


# --- Nodes that depend on each other --------------------------------------------------------------------------------


def test_dependencies_become_the_modules_item_with_the_names_of_domains() -> None:
    found = lab(
        {
            "a": {"lab_depends_on": ["b", {"name": "c", "order": "after"}]},
            "b": {"lab_domain": "vm-b"},
            "c": {"lab_depends_on": []},
        }
    ).document()
    assert found["problems"] == []
    assert found["nodes"][0]["group"] == {
        "name": "a",
        "dependencies": [{"name": "vm-b"}, {"name": "c", "order": "after"}],
        "exclusive": True,
    }


def test_a_node_that_says_nothing_of_dependencies_keeps_those_that_it_has() -> None:
    assert "group" not in lab({"a": {}}).document()["nodes"][0]


def test_nodes_that_depend_on_each_other_or_share_a_dependency_are_one_machine() -> None:
    found = lab(
        {
            "z": {"lab_depends_on": ["c"]},
            "a": {"lab_depends_on": ["c", "d"], "lab_hypervisor": None},
            "c": {"lab_hypervisor": None},
            "d": {},
            "other": {"lab_depends_on": []},
            "gone": {"lab_depends_on": ["d"], "lab_state": "absent"},
        }
    ).document()
    assert found["problems"] == []
    assert {node["name"]: node.get("machine") for node in found["nodes"]} == {
        **dict.fromkeys("zacd", "a"),
        "other": None,
        "gone": None,
    }


@pytest.mark.parametrize(
    ("nodes", "problem"),
    [
        ({"a": {"lab_depends_on": "b"}, "b": {}}, "node 'a' has lab_depends_on 'b': give it a list"),
        ({"a": {"lab_depends_on": [7]}}, "node 'a' has 7 in lab_depends_on"),
        ({"a": {"lab_depends_on": [{"name": "b", "when": 1}]}, "b": {}}, "node 'a' has 'when' in lab_depends_on"),
        (
            {"a": {"lab_depends_on": [{"name": "b", "order": "x"}]}, "b": {}},
            "node 'a' has order 'x' in lab_depends_on: give before, after",
        ),
        ({"a": {"lab_depends_on": ["b"]}}, "node 'a' depends on 'b', which is no node"),
        ({"a": {"lab_depends_on": ["a"]}}, "node 'a' depends on itself"),
        (
            {"a": {"lab_depends_on": ["b"]}, "b": {"lab_hypervisor": "hv2"}},
            "nodes 'a' on 'hv1' and 'b' on 'hv2' are one machine (lab_depends_on)",
        ),
        (
            {
                "a": {"lab_depends_on": ["b"]},
                "b": {"lab_hypervisor": None},
                "c": {"lab_depends_on": ["b"], "lab_hypervisor": "hv2"},
            },
            "nodes 'a' on 'hv1' and 'c' on 'hv2' are one machine (lab_depends_on)",
        ),
        (
            {"a": {"lab_depends_on": ["b"]}, "b": {"lab_depends_on": ["c"]}, "c": {}},
            "node 'a' depends on 'b', which itself depends on 'c'",
        ),
        (
            {"a": {"lab_depends_on": ["b"]}, "b": {"lab_state": "absent"}},
            "node 'a' depends on 'b', which is to be absent",
        ),
    ],
)
def test_dependencies_that_can_not_be_are_told_with_the_nodes_names(
    nodes: dict[str, dict[str, Any]], problem: str
) -> None:
    (found,) = lab(nodes).problems
    assert found.startswith(problem)


@pytest.mark.parametrize(
    ("given", "item"), [(True, {"enabled": True}), (False, {"enabled": False}), ({"port": 443}, {"port": 443})]
)
def test_redfish_is_asked_for_by_a_word_or_with_its_options(given: object, item: object) -> None:
    [node] = lab({"n1": {"bmc_redfish": given}}).nodes
    assert node.bmc["redfish"] == item


@pytest.mark.parametrize(("given", "read"), [("false", False), (True, True), ("/etc/ssl/lab.pem", "/etc/ssl/lab.pem")])
def test_how_a_node_is_exported_is_its_own(given: object, read: object) -> None:
    nodes = lab({"n1": {"lab_export_protocol": "redfish", "lab_export_verify_ca": given}, "n2": {}}).nodes
    assert [node.export for node in nodes] == [{"protocol": "redfish", "verify_ca": read}, None]


def test_firmware_and_media_are_the_modules_options() -> None:
    given = {"firmware": {"version": "2.0"}, "media": {"folders": ["/srv/iso"]}}
    [node] = lab({"n1": {f"bmc_{key}": value for key, value in given.items()}}).nodes
    assert {key: node.bmc[key] for key in given} == given
    assert not set(given) & set(lab({"n1": {}}).nodes[0].bmc)
