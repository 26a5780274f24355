# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the status table and page say of a lab, from what its hypervisors told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.baremetal.lab.plugins.plugin_utils.lab_report import report
from rig.lab import LAB, bmc, domain, node, running, told


def problems(found: dict[str, Any]) -> dict[str, list[str]]:
    return {one["name"]: one["problems"] for one in found["hypervisors"] + found["nodes"] if one["problems"]}


def test_a_lab_that_is_well_needs_no_look() -> None:
    found = report(LAB, [node("n1"), node("n2")], {"hv1": running("n1", "n2")})
    assert problems(found) == {}
    assert found["left_over"] == []
    assert found["summary"] == {
        "hypervisors": 1,
        "reachable": 1,
        "nodes": 2,
        "on": 2,
        "off": 0,
        "unknown": 0,
        "attention": 0,
    }
    first = found["nodes"][0]
    assert (first["bmc"], first["power"], first["domain_state"]) == ("192.0.2.11:6230", "on", "running")
    assert (first["memory_mb"], first["vcpus"], first["found_on"]) == (4096, 4, ["hv1"])
    [hypervisor] = found["hypervisors"]
    assert (hypervisor["libvirt"], hypervisor["daemon"], hypervisor["nodes"]) == ("9.0.0, QEMU 7.2.22", "0.1.0", 2)
    assert (hypervisor["memory_defined_mb"], hypervisor["vcpus_defined"], hypervisor["workers"]) == (8192, 8, 2)


def test_a_bmc_with_redfish_is_shown_at_both_places_and_has_to_answer_at_both() -> None:
    service = {"enabled": True, "tls": True, "port": 443, "address": "", "certificate": ""}
    bmcs = [bmc("n1", redfish=service, address="::"), bmc("n2", redfish={"enabled": False})]
    lab = told([domain("n1"), domain("n2")], bmcs, {"n1": "on", "n2": "on"})
    found = report(LAB, [node("n1"), node("n2")], {"hv1": lab})
    assert [one["redfish"] for one in found["nodes"]] == ["https://192.0.2.1:443", None]
    assert problems(found) == {}
    lab["power"]["n1"]["redfish"] = "Connection refused"
    [problem] = problems(report(LAB, [node("n1")], {"hv1": lab}))["n1"]
    assert problem.startswith("its BMC does not answer over Redfish: Connection refused")


def test_no_password_is_in_a_report() -> None:
    assert "not-for-printing" not in json.dumps(report(LAB, [node("n1")], {"hv1": running("n1")}))


def test_an_unreachable_hypervisor_is_one_problem_and_not_one_for_each_of_its_nodes() -> None:
    away = {"address": "192.0.2.2", "unreachable": "Task failed: Failed to connect:\n  no route"}
    found = report(LAB, [node("n1"), node("n2", "hv2")], {"hv1": running("n1"), "hv2": away})
    assert list(problems(found)) == ["hv2"]
    assert problems(found)["hv2"][0].endswith("nothing is known of its nodes: Failed to connect: no route")
    assert [one["state"] for one in found["hypervisors"]] == ["ok", "unreachable"]
    lost = found["nodes"][1]
    assert (lost["domain_state"], lost["bmc"], lost["power"], lost["memory_mb"]) == (
        "unknown",
        "unknown",
        "unknown",
        2048,
    )


def test_a_host_without_libvirt_or_daemon_says_why() -> None:
    silent = {
        "bmcs": {"instances": [], "daemon": {"running": False, "reason": "no vbmc here"}},
        "host": {"msg": "sudo: a password is required"},
    }
    found = report(LAB, [node("n1")], {"hv1": silent})
    assert problems(found) == {
        "hv1": ["libvirt does not answer: sudo: a password is required", "vbmcd does not answer: no vbmc here"]
    }
    assert found["hypervisors"][0]["state"] == "attention"


@pytest.mark.parametrize(
    ("has", "words"),
    [
        (told([], [bmc("n1")], {"n1": "off"}), "it has no domain: bring_up makes it"),
        (told([domain("n1")], [], {}), "it has no BMC: bring_up makes it"),
        (told([domain("n1", owner="other")], [bmc("n1")], {"n1": "on"}), "is of the lab 'other'"),
        (told([domain("n1")], [bmc("n1", owner="")], {"n1": "on"}), "the BMC n1 is of no lab"),
        (told([domain("n1", "crashed")], [bmc("n1")], {"n1": "off"}), "has crashed"),
        (told([domain("n1")], [bmc("n1", "error", reason="port in use")], {}), "its BMC does not run: port in use"),
        (told([domain("n1")], [bmc("n1", "down")], {"n1": "no answer"}), "vbmc start n1"),
        (told([domain("n1")], [bmc("n1")], {"n1": "no answer"}), "does not tell the power state: no answer"),
    ],
)
def test_what_is_wrong_with_a_node_is_said_once_and_with_the_remedy(has: dict[str, Any], words: str) -> None:
    [said] = problems(report(LAB, [node("n1")], {"hv1": has}))["n1"]
    assert words in said


def test_a_node_that_is_to_be_absent_is_not_missed() -> None:
    gone = node("n1", state="absent")
    gone["bmc"]["state"] = "absent"
    assert problems(report(LAB, [gone], {"hv1": told([], [], {})})) == {}


def test_a_domain_on_another_hypervisor_is_found_there() -> None:
    found = report(LAB, [node("n1")], {"hv1": told([], [bmc("n1")], {"n1": "off"}), "hv2": running("n1")})
    [row] = found["nodes"]
    assert (row["hypervisor"], row["found_on"], row["domain_state"]) == ("hv1", ["hv2"], "running")
    assert row["problems"] == ["its domain is on hv2, and hv1 is where it is meant to be"]


def test_a_domain_on_two_hypervisors_is_told() -> None:
    found = report(LAB, [node("n1")], {"hv1": running("n1"), "hv2": running("n1")})
    assert found["nodes"][0]["problems"] == ["its domain is also on hv2, and hv1 is where it is meant to be"]


def test_the_domain_of_another_lab_elsewhere_is_not_ours() -> None:
    other = told([domain("n1", owner="other")], [], {})
    assert problems(report(LAB, [node("n1")], {"hv1": running("n1"), "hv2": other})) == {}


def test_a_node_without_a_place_is_shown() -> None:
    [row] = report(LAB, [node("n1", "")], {"hv1": told([], [], {})})["nodes"]
    assert (row["hypervisor"], row["bmc"], row["power"]) == ("", "unknown", "unknown")


def test_what_is_left_of_the_lab_is_told_unless_a_limit_hides_the_rest() -> None:
    has = {
        "hv1": told([domain("n1"), domain("old"), domain("x", owner="other")], [bmc("n1"), bmc("old")], {"n1": "on"})
    }
    assert report(LAB, [node("n1")], has)["left_over"] == [
        {"hypervisor": "hv1", "kind": "BMC", "name": "old"},
        {"hypervisor": "hv1", "kind": "domain", "name": "old"},
    ]
    assert report(LAB, [node("n1")], has, complete=False)["left_over"] == []


@pytest.mark.parametrize(
    ("listens", "shown"),
    [("::", "192.0.2.1:6230"), ("0.0.0.0", "192.0.2.1:6230"), ("2001:db8::1", "[2001:db8::1]:6230")],
)
def test_a_bmc_is_shown_where_a_client_finds_it(listens: str, shown: str) -> None:
    has = {"hv1": told([domain("n1")], [bmc("n1", address=listens)], {"n1": "on"})}
    assert report(LAB, [node("n1")], has)["nodes"][0]["bmc"] == shown
