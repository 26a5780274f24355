# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is written down of where machines are, and what a run may do by it that finds hypervisors away."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.baremetal.lab.plugins.plugin_utils.lab_nodes import read_lab
from ansible_collections.baremetal.lab.plugins.plugin_utils.lab_plan import Plan, make_plan
from ansible_collections.baremetal.lab.plugins.plugin_utils.placement_record import Record, is_certain

NAMES = ("hv1", "hv2", "hv3")
NODES = ("a", "b", "c")
Pins = dict[str, str | None]


def records(*names: str, members: tuple[str, ...] = NAMES) -> tuple[Record, dict[str, Record | None]]:
    newest = Record(7, {}, list(members))
    return newest, dict.fromkeys(names, newest)


@pytest.mark.parametrize(
    ("members", "answering", "certain"),
    [
        (NAMES, ("hv2", "hv3"), True),
        (NAMES, ("hv1",), False),
        (("hv1", "hv2"), ("hv1",), True),
        (("hv1", "hv2"), ("hv2",), False),
        (("hv1", "hv2"), ("hv2", "hv3", "hv4"), False),
        (("hv2",), ("hv2",), True),
        ((), ("hv1",), False),
    ],
)
def test_more_than_half_of_those_that_were_there_are_enough_or_half_with_the_first(
    members: tuple[str, ...], answering: tuple[str, ...], certain: bool
) -> None:
    assert is_certain(*records(*answering, members=members)) is certain


def test_who_lost_its_record_does_not_count() -> None:
    newest, found = records("hv1", "hv3")
    assert is_certain(newest, found)
    assert not is_certain(newest, {**found, "hv3": None})


def test_nobody_is_certain_without_a_record() -> None:
    assert not is_certain(None, {"hv1": None, "hv2": None})


@dataclass
class World:
    """Hypervisors as they really are, with what is on their disks."""

    domains: dict[str, set[str]] = field(default_factory=lambda: {name: set() for name in NAMES})
    records: dict[str, Any] = field(default_factory=lambda: dict.fromkeys(NAMES))

    def run(self, pins: Pins, away: set[str], members: tuple[str, ...] = NAMES, ends_early: bool = False) -> Plan:
        """A run of bring_up; one that ends early has written the record and nothing else."""
        own = {name: {"lab_hypervisor": pin, "bmc_password": "x", "lab_memory_mb": 10} for name, pin in pins.items()}
        hypervisors: dict[str, dict[str, Any]] = {name: {} for name in members}
        lab = read_lab({"hypervisors": list(members), "nodes": list(own)}, {**hypervisors, **own})
        assert lab.problems == []
        plan = make_plan(lab.nodes, hypervisors, {name: self.survey(name) for name in members if name not in away})
        self.write(plan.record_on, plan.record)
        if not ends_early:
            for name, nodes in plan.moves.items():
                self.domains[name] -= {node.name for node in nodes}
            if plan.moves:
                self.write(plan.noted_on, plan.record_after)
            for node in plan.nodes:
                self.domains[node.hypervisor or ""].add(node.name)
        return plan

    def write(self, names: list[str], record: Record | None) -> None:
        for name in names:
            assert record is not None
            self.records[name] = record.document()

    def survey(self, name: str) -> dict[str, Any]:
        domains = [
            {"name": one, "owner": "lab", "memory_mb": 10, "vcpus": 1, "uuid": f"{name}/{one}"}
            for one in sorted(self.domains[name])
        ]
        host = {"memory_mb": 1000, "cpus": 10}
        return {"libvirt": {"running": True}, "host": host, "domains": domains, "record": self.records[name]}

    def copies(self, node: str) -> list[str]:
        return [name for name, found in self.domains.items() if node in found]


def test_a_node_that_was_made_while_one_was_away_is_not_made_again_when_it_is_back_and_the_other_away() -> None:
    world = World()
    world.run({"a": "hv1"}, away=set(), members=NAMES[:2])
    world.run({"a": "hv1", "b": "hv1"}, away={"hv2"}, members=NAMES[:2])
    assert world.copies("b") == ["hv1"]
    plan = world.run({"a": "hv1", "b": "hv2"}, away={"hv1"}, members=NAMES[:2])
    assert world.copies("b") == ["hv1"]
    assert plan.failed["b"][0].startswith("node 'b' may have been made on 'hv1' meanwhile, which does not answer")


def test_the_smaller_part_makes_nothing_and_writes_nothing_down() -> None:
    world = World()
    world.run({"a": "hv2"}, away=set(), members=NAMES[:2])
    plan = world.run({"a": "hv2", "b": "hv2"}, away={"hv1"}, members=NAMES[:2])
    assert [node.name for node in plan.nodes] == ["a"]
    assert (plan.record, plan.record_on) == (None, [])
    assert world.copies("b") == []


def test_a_first_run_with_one_away_leaves_no_record_by_which_the_next_would_go() -> None:
    world = World()
    for _run in range(2):
        assert world.run({"a": "hv1"}, away={"hv2"}, members=NAMES[:2]).failed
    assert world.records["hv1"] is None


def test_nothing_moves_in_the_smaller_part() -> None:
    world = World()
    world.domains["hv1"] = {"a"}
    world.run({"a": None}, away=set(), members=("hv1", "hv2", "hv3"))
    world.records = {**world.records, "hv2": None}
    plan = world.run({"a": "hv2"}, away={"hv3"})
    assert (world.copies("a"), plan.moves) == (["hv1"], {})
    assert plan.placement["a"] == "hv1"


@settings(max_examples=300)
@given(
    st.lists(
        st.tuples(
            st.dictionaries(st.sampled_from(NODES), st.sampled_from([None, *NAMES]), min_size=1),
            st.sets(st.sampled_from(NAMES), max_size=2),
            st.booleans(),
        ),
        max_size=8,
    )
)
def test_whoever_is_away_in_whichever_run_no_machine_is_ever_there_twice(
    runs: list[tuple[Pins, set[str], bool]],
) -> None:
    world = World()
    for pins, away, ends_early in runs:
        world.run(pins, away, ends_early=ends_early)
        for node in NODES:
            assert len(world.copies(node)) <= 1
