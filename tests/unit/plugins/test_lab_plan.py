# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one run does: which nodes it is about, who works, what goes before, and what fails."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.baremetal.lab.plugins.plugin_utils.lab_nodes import read_lab
from ansible_collections.baremetal.lab.plugins.plugin_utils.lab_plan import Plan, make_plan
from ansible_collections.baremetal.lab.plugins.plugin_utils.placement_record import Record

HOSTS: dict[str, dict[str, Any]] = {"hv1": {}, "hv2": {}}


def survey(*domains: str, record: Any = None, owner: str = "lab") -> dict[str, Any]:
    """What hypervisor_info finds on a hypervisor with these domains."""
    found = [
        {"name": name, "owner": owner, "memory_mb": 1024, "vcpus": 1, "uuid": f"{id(domains)}/{name}"}
        for name in domains
    ]
    return {
        "libvirt": {"running": True},
        "host": {"memory_mb": 100_000, "cpus": 8},
        "domains": found,
        "record": record,
    }


def planned(
    nodes: dict[str, dict[str, Any]],
    surveys: dict[str, Any],
    limit: list[str] | None = None,
    hypervisors: dict[str, dict[str, Any]] | None = None,
    **more: Any,
) -> Plan:
    hosts = HOSTS if hypervisors is None else hypervisors
    variables = {**hosts, **{name: {"bmc_password": "x", **own} for name, own in nodes.items()}}
    lab = read_lab({"hypervisors": list(hosts), "nodes": list(nodes)}, variables)
    assert lab.problems == []
    return make_plan(lab.nodes, hosts, surveys, limit, **more)


def where(plan: Plan) -> dict[str, str | None]:
    return {node.name: node.hypervisor for node in plan.nodes}


BOTH = {"hv1": survey("a"), "hv2": survey("b")}


def test_a_run_without_a_limit_is_about_all_nodes() -> None:
    plan = planned({"a": {}, "b": {}, "c": {}}, BOTH)
    assert where(plan) == plan.placement == {"a": "hv1", "b": "hv2", "c": "hv1"}
    assert (plan.complete, plan.hosts, plan.kept, plan.failed) == (True, ["hv1", "hv2"], [], {})


def test_disks_lie_in_the_pool_of_the_hypervisor_that_was_chosen() -> None:
    hypervisors = {"hv1": {}, "hv2": {"hypervisor_pool_name": "fast"}}
    disks = [{"size_gb": 1}, {"size_gb": 1, "pool": "own"}, {"path": "/srv/x.qcow2"}, {"device": "cdrom"}]
    plan = planned({"a": {}, "b": {"lab_disks": disks}}, BOTH, hypervisors=hypervisors)
    a, b = plan.nodes
    assert a.domain["disks"] == [{"pool": "lab", "size_gb": 10}]
    assert [disk.get("pool") for disk in b.domain["disks"]] == ["fast", "own", None, None]


def test_a_bmc_goes_by_the_libvirt_of_the_hypervisor_that_was_chosen() -> None:
    plan = planned({"a": {}, "b": {}}, BOTH, hypervisors={"hv1": {}, "hv2": {"hypervisor_uri": "qemu:///session"}})
    assert [node.bmc.get("libvirt_uri") for node in plan.nodes] == [None, "qemu:///session"]


@pytest.mark.parametrize(
    ("limit", "about", "complete", "workers"),
    [
        (["hv1"], {"a": "hv1"}, True, ["hv1"]),
        (["b"], {"b": "hv2"}, False, ["b"]),
        (["hv1", "b"], {"b": "hv2"}, False, ["hv1", "b"]),
        (["hv2", "b"], {"b": "hv2"}, False, ["hv2"]),
        (["a", "b", "c"], {"a": "hv1", "b": "hv2", "c": "hv2"}, True, ["a", "b"]),
        (["hv1", "a", "b", "c"], {"a": "hv1", "b": "hv2", "c": "hv2"}, True, ["hv1", "b"]),
    ],
)
def test_a_limit_means_the_nodes_that_it_names_or_those_of_its_hypervisors(
    limit: list[str], about: dict[str, str], complete: bool, workers: list[str]
) -> None:
    plan = planned({"a": {}, "b": {}, "c": {"lab_hypervisor": "hv2"}}, BOTH, limit)
    if limit == ["hv1"]:
        assert sorted(plan.kept) == ["b", "c"]
    assert (where(plan), plan.complete, plan.hosts) == (about, complete, workers)


def test_a_limit_changes_no_placement() -> None:
    nodes: dict[str, dict[str, Any]] = {name: {} for name in "abcdef"}
    whole = planned(nodes, BOTH)
    for limit in (["hv1"], ["hv2"], ["c"], ["f", "d"]):
        assert planned(nodes, BOTH, limit).placement == whole.placement


def test_nodes_of_a_hypervisor_that_does_not_answer_fail_and_the_others_come_up() -> None:
    record = {"number": 3, "homes": {"a": ["hv1"], "b": ["hv2"]}, "members": ["hv1", "hv2"]}
    plan = planned({"a": {}, "b": {}, "new": {"lab_hypervisor": "hv1"}}, {"hv1": survey("a", record=record)})
    assert where(plan) == {"a": "hv1", "new": "hv1"}
    assert list(plan.failed) == ["b"]
    assert [(one["name"], one["hypervisor"]) for one in plan.document()["unplaced"]] == [("b", "hv2")]
    assert plan.placement["b"] == "hv2"
    assert plan.kept == ["b"]


@pytest.mark.parametrize(("limit", "failed"), [(["hv1"], {"hv1"}), (["hv1", "new"], {"new"}), (["b"], {"b"})])
def test_what_fails_is_told_by_a_host_of_the_play(limit: list[str], failed: set[str]) -> None:
    record = {"number": 3, "homes": {"b": ["hv2"]}}
    assert set(planned({"b": {}, "new": {}}, {"hv1": survey(record=record)}, limit).failed) == failed


def test_the_nodes_of_a_hypervisor_that_the_run_is_not_about_may_be_away() -> None:
    record = {"number": 3, "homes": {"b": ["hv2"]}}
    nodes: dict[str, dict[str, Any]] = {"a": {}, "b": {}, "c": {"lab_hypervisor": "hv2"}}
    plan = planned(nodes, {"hv1": survey("a", record=record)}, ["hv1"])
    assert (where(plan), plan.failed) == ({"a": "hv1"}, {})


def test_a_hypervisor_without_libvirt_does_not_answer_and_says_why_but_is_foreseen_in_check_mode() -> None:
    surveys = {"hv1": {"libvirt": {"running": False, "reason": "no libvirtd."}}, "hv2": survey()}
    assert "(no libvirtd)" in planned({"a": {"lab_hypervisor": "hv1"}}, surveys).failed["a"][0]
    plan = planned({"a": {"lab_hypervisor": "hv1"}, "b": {}}, surveys, foresee=True)
    assert (list(where(plan)), plan.record_on) == (["a", "b"], ["hv2"])


def test_an_old_copy_goes_before() -> None:
    plan = planned(
        {"a": {"lab_hypervisor": "hv2", "lab_domain": "machine"}}, {"hv1": survey("machine"), "hv2": survey()}
    )
    assert where(plan) == {"a": "hv2"}
    [move] = plan.document()["moves"]
    assert move == {
        "hypervisor": "hv1",
        "bmcs": [{"name": "a", "state": "absent"}],
        "domains": [{"name": "machine", "state": "absent"}],
    }
    assert plan.record and plan.record.homes == {"machine": ["hv1", "hv2"]}
    assert plan.record_after and plan.record_after.homes == {"machine": ["hv2"]}
    assert plan.record_after.number > plan.record.number


@pytest.mark.parametrize(
    ("limit", "moved"),
    [(["hv2"], False), (["hv1"], False), (["hv1", "hv2"], True), (["a"], True), (["hv2", "a"], True)],
)
def test_a_node_moves_only_if_the_limit_leaves_both_hypervisors_or_names_it(limit: list[str], moved: bool) -> None:
    plan = planned({"a": {"lab_hypervisor": "hv2"}}, {"hv1": survey("a"), "hv2": survey()}, limit)
    assert bool(plan.moves) is moved
    assert where(plan) == ({"a": "hv2"} if moved else {})
    if limit == ["hv2"]:
        assert "--limit leaves 'hv1' out" in plan.failed["hv2"][0]
    if not moved:
        assert plan.kept == ["a"]


def test_domains_of_the_lab_that_nobody_means_are_left_over() -> None:
    surveys = {"hv1": survey("a", "gone"), "hv2": survey("foreign", owner="other")}
    assert planned({"a": {}}, surveys).left == {"hv1": ["gone"], "hv2": []}


def test_a_port_that_two_nodes_of_a_hypervisor_want_is_found_once_they_are_placed() -> None:
    nodes = {"a": {"bmc_port": 623}, "b": {"bmc_port": 623}}
    assert planned(nodes, BOTH).problems == []
    [problem] = planned(nodes, {"hv1": survey("a", "b"), "hv2": survey()}).problems
    assert "'a' and 'b' both want their BMC" in problem


def test_a_record_is_written_where_it_is_not_and_nowhere_when_nothing_is_new() -> None:
    first = planned({"a": {}, "b": {}}, BOTH)
    assert first.record == Record(1, {"a": ["hv1"], "b": ["hv2"]}, ["hv1", "hv2"])
    assert first.record_on == ["hv1", "hv2"]
    document = first.record.document()
    again = {"hv1": survey("a", record=document), "hv2": survey("b", record=document)}
    assert planned({"a": {}, "b": {}}, again).record_on == []
    stale = {**again, "hv2": survey("b", record={"number": 0, "homes": {}})}
    assert planned({"a": {}, "b": {}}, stale).record_on == ["hv2"]


@pytest.mark.parametrize("rubbish", [None, [], "text", {}, {"number": "1", "homes": {}}, {"number": 1, "homes": []}])
def test_a_record_that_is_not_understood_is_none(rubbish: Any) -> None:
    assert Record.of(rubbish) is None


def test_the_newest_record_counts() -> None:
    old, new = {"number": 1, "homes": {"a": ["hv1"]}}, {"number": 2, "homes": {"a": ["hv2"]}}
    assert where(planned({"a": {}}, {"hv1": survey(record=old), "hv2": survey(record=new)})) == {"a": "hv2"}


def test_a_limited_run_writes_down_only_what_it_makes() -> None:
    plan = planned({"a": {}, "b": {}}, {"hv1": survey(), "hv2": survey()}, ["hv1"])
    assert plan.record and plan.record.homes == {"a": ["hv1"]}
    assert plan.record_on == ["hv1", "hv2"]
