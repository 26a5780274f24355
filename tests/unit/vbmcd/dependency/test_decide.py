# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What follows from what happens to a domain: the table, and what holds for every graph."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vbmcd.dependency import decide as d
from vbmcd.dependency.carry import ActionFailed, Report, carry_out
from vbmcd.dependency.model import CHOICES, Dependency, Graph, Level, Signal

OFF, PAUSED, RUNNING = Level
B = Dependency("B", "B")
C = Dependency("C", "C")


def graph(*dependencies: Dependency, **others: Dependency) -> Graph:
    """A needs `dependencies`; each of `others` is a further master of one."""
    found = Graph()
    found.add("A", "A", dependencies)
    for name, dependency in others.items():
        found.add(name, name, (dependency,))
    return found


def plan(on: Graph, states: dict[str, Level], transition: d.Transition) -> str:
    """Stages as text: 'B:start C:start | A:start'."""
    stages = d.decide(on, states, transition)
    return " | ".join(" ".join(f"{action.domain}:{action.verb}" for action in stage) for stage in stages)


@pytest.mark.parametrize(
    ("transition", "a", "b", "expected"),
    [
        (d.start("A"), OFF, OFF, "B:start | A:start"),
        (d.start("A"), OFF, RUNNING, "A:start"),
        (d.start("A"), OFF, PAUSED, "B:resume | A:start"),
        (d.start("A"), RUNNING, OFF, "B:start"),
        (d.start("A", paused=True), OFF, OFF, "B:start-paused | A:start-paused"),
        (d.start("A", paused=True), OFF, RUNNING, "B:suspend | A:start-paused"),
        (d.destroy("A"), RUNNING, RUNNING, "A:destroy | B:destroy"),
        (d.destroy("A"), RUNNING, OFF, "A:destroy"),
        (d.destroy("A"), PAUSED, PAUSED, "A:destroy | B:destroy"),
        (d.suspend("A"), RUNNING, RUNNING, "A:suspend | B:suspend"),
        (d.suspend("A"), RUNNING, OFF, "A:suspend"),
        (d.suspend("A"), RUNNING, PAUSED, "A:suspend"),
        (d.resume("A"), PAUSED, PAUSED, "B:resume | A:resume"),
        (d.resume("A"), PAUSED, OFF, "A:resume"),
        (d.resume("A", starting=True), PAUSED, PAUSED, "B:resume | A:resume"),
        (d.resume("A", starting=True), PAUSED, OFF, "B:start | A:resume"),
        (d.start("A", done=True), RUNNING, OFF, "B:start"),
        (d.suspend("A", done=True), PAUSED, RUNNING, "B:suspend"),
        (d.resume("A", done=True), RUNNING, PAUSED, "B:resume"),
        (d.destroy("A", done=True), OFF, RUNNING, "B:destroy"),
        (d.crash("A"), OFF, RUNNING, ""),
    ],
)
def test_the_table(transition: d.Transition, a: Level, b: Level, expected: str) -> None:
    assert plan(graph(B), {"A": a, "B": b}, transition) == expected


def test_after_turns_the_order_round() -> None:
    both = graph(B, replace(C, order="after"))
    assert plan(both, {}, d.start("A")) == "B:start | A:start | C:start"
    up = {"A": RUNNING, "B": RUNNING, "C": RUNNING}
    assert plan(both, up, d.destroy("A")) == "C:destroy | A:destroy | B:destroy"


def test_what_is_in_no_order_is_one_stage() -> None:
    assert plan(graph(B, C), {}, d.start("A")) == "B:start C:start | A:start"


@pytest.mark.parametrize(
    ("signals", "expected"),
    [({Signal.START}, "A:suspend"), ({Signal.SUSPEND}, "A:suspend | B:suspend")],
)
def test_only_declared_signals_are_propagated(signals: set[Signal], expected: str) -> None:
    one = replace(B, signals=frozenset(signals))
    assert plan(graph(one), {"A": RUNNING, "B": RUNNING}, d.suspend("A")) == expected


@pytest.mark.parametrize(
    ("transition", "shared", "other", "expected"),
    [
        (d.destroy("A"), "running", RUNNING, "A:destroy"),
        (d.suspend("A"), "running", RUNNING, "A:suspend"),
        (d.destroy("A"), "running", PAUSED, "A:destroy | B:suspend"),
        (d.suspend("A"), "running", PAUSED, "A:suspend | B:suspend"),
        (d.destroy("A"), "running", OFF, "A:destroy | B:destroy"),
        (d.destroy("A"), "any", RUNNING, "A:destroy | B:destroy"),
        (d.suspend("A"), "any", RUNNING, "A:suspend | B:suspend"),
    ],
)
def test_a_shared_dependency_stays_as_up_as_another_master_needs_it(
    transition: d.Transition, shared: str, other: Level, expected: str
) -> None:
    both = graph(replace(B, shared=shared), M=B)
    assert plan(both, {"A": RUNNING, "B": RUNNING, "M": other}, transition) == expected


def test_a_start_paused_leaves_a_dependency_running_for_another_master() -> None:
    states = {"M": RUNNING, "B": RUNNING}
    assert plan(graph(B, M=B), states, d.start("A", paused=True)) == "A:start-paused"


def test_nobodys_need_brings_up_what_is_down() -> None:
    states = {"A": RUNNING, "M": RUNNING, "B": OFF}
    assert plan(graph(B, M=B), states, d.destroy("A")) == "A:destroy"


def test_a_crash_stops_what_is_to_stop() -> None:
    both = graph(replace(B, on_crash="stop"), C)
    assert plan(both, {"B": RUNNING, "C": RUNNING}, d.crash("A")) == "B:destroy"


def test_what_is_spared_is_left_alone() -> None:
    states = {"A": OFF, "B": RUNNING, "C": RUNNING}
    assert plan(graph(B, C), states, d.destroy("A", done=True, spared=frozenset("B"))) == "C:destroy"


def test_several_levels_would_go_in_order() -> None:
    deep = graph(B, B=C)
    assert plan(deep, {}, d.start("A")) == "C:start | B:start | A:start"
    assert plan(deep, dict.fromkeys("ABC", RUNNING), d.destroy("A")) == "A:destroy | B:destroy | C:destroy"


def test_a_ring_ends() -> None:
    assert plan(graph(B, B=Dependency("A", "A")), {}, d.start("A")) == "B:start | A:start"


# --- What holds always -----------------------------------------------------------------------------------------------

_KEYS = "BCDEF"
_dependencies = st.lists(
    st.builds(
        Dependency,
        st.just("?"),
        st.sampled_from(_KEYS),
        signals=st.frozensets(st.sampled_from(Signal)),
        **{name: st.sampled_from(choices) for name, choices in CHOICES.items()},
    ),
    unique_by=lambda one: one.uuid,
)
_graphs = st.dictionaries(st.sampled_from("AMN"), _dependencies)
_states = st.dictionaries(st.sampled_from("AMN" + _KEYS), st.sampled_from(Level))
_transitions = st.one_of(
    st.builds(d.start, st.just("A"), paused=st.booleans(), done=st.booleans()),
    st.builds(d.destroy, st.just("A"), done=st.booleans(), spared=st.frozensets(st.sampled_from(_KEYS))),
    st.builds(d.suspend, st.just("A"), done=st.booleans()),
    st.builds(d.resume, st.just("A"), done=st.booleans(), starting=st.booleans()),
    st.builds(d.crash, st.just("A")),
)


def _graph(edges: dict[str, list[Dependency]]) -> Graph:
    found = Graph()
    for master, dependencies in edges.items():
        found.add(master, master, tuple(replace(one, name=one.key) for one in dependencies))
    return found


@given(_graphs, _states, _transitions)
def test_actions_fit_states_and_declarations(
    edges: dict[str, list[Dependency]], states: dict[str, Level], transition: d.Transition
) -> None:
    on = _graph(edges)
    actions = [action for stage in d.decide(on, states, transition) for action in stage]
    assert len({action.domain for action in actions}) == len(actions)
    declared = {one.key: one for one in on.of("A")}
    for action in actions:
        assert action.found is states.get(action.domain, Level.OFF)
        assert action.verb == d.VERBS[action.found, action.wanted]
        if action.domain == "A":
            assert not transition.done
            continue
        assert declared[action.domain].signals & transition.signals
        assert action.domain not in transition.spared
        needs = max((states.get(m, OFF) for m, _e in on.masters(action.domain) if m != "A"), default=OFF)
        if action.wanted < action.found and declared[action.domain].shared == "running":
            assert action.wanted >= min(needs, action.found)


@given(_graphs, _states, _transitions)
def test_what_was_done_needs_not_be_done_again(
    edges: dict[str, list[Dependency]], states: dict[str, Level], transition: d.Transition
) -> None:
    on = _graph(edges)
    after = {**states, "A": transition.level}
    for stage in d.decide(on, states, transition):
        after.update({action.domain: action.wanted for action in stage})
    assert d.decide(on, after, transition) == []


@given(_graphs, _states)
def test_toggles_end_where_they_began(edges: dict[str, list[Dependency]], states: dict[str, Level]) -> None:
    """With all signals, and A running with all that it needs, pausing and resuming A leaves all as it was."""
    on = _graph({m: [replace(one, signals=frozenset(Signal)) for one in ones] for m, ones in edges.items()})
    before = {**states, "A": RUNNING, **{one.key: RUNNING for one in on.of("A")}}
    after = dict(before)
    for transition in (d.suspend("A"), d.resume("A")):
        for stage in d.decide(on, after, transition):
            after.update({action.domain: action.wanted for action in stage})
    assert after == before


# --- Carrying out ----------------------------------------------------------------------------------------------------


def carried(on: Graph, states: dict[str, Level], transition: d.Transition, failing: str) -> tuple[Report, list[str]]:
    report, calls = Report(), []

    def act(action: d.Action) -> bool:
        if action.domain in failing:
            raise ActionFailed("no memory")
        calls.append(f"{action.domain}:{action.verb}")
        return True

    carry_out(d.decide(on, states, transition), act, lambda action: calls.append(f"{action.domain}:undo"), report)
    return report, calls


def test_a_start_that_fails_stops_what_was_started() -> None:
    report, calls = carried(graph(C, replace(B, order="after")), {}, d.start("A"), "B")
    assert calls == ["C:start", "A:start", "A:undo", "C:undo"]
    assert report.error("A") == (
        "domain 'A' depends on others: could not start domain 'B': no memory; stopped again: 'C'"
    )


def test_what_ran_before_keeps_running_when_a_start_is_taken_back() -> None:
    _report, calls = carried(graph(C, B), {"C": RUNNING}, d.start("A"), "B")
    assert calls == []


def test_keep_goes_on_and_tells() -> None:
    report, calls = carried(graph(replace(B, on_failure="keep"), C), {}, d.start("A"), "B")
    assert calls == ["C:start", "A:start"]
    assert "could not start domain 'B'" in report.error("A")


def test_ignore_is_no_failure() -> None:
    report, calls = carried(graph(replace(B, on_failure="ignore")), {}, d.start("A"), "B")
    assert calls == ["A:start"]
    assert report.error("A") == ""
    assert [str(one) for one in report.ignored] == ["could not start domain 'B': no memory"]


def test_a_master_that_does_not_start_takes_its_dependencies_back() -> None:
    report, calls = carried(graph(B, replace(C, on_failure="keep")), {}, d.start("A"), "A")
    assert calls == ["B:start", "C:start", "B:undo"]
    assert report.error("A") == "no memory; stopped again: 'B'"


def test_a_dependency_that_can_not_be_paused_holds_up_no_other() -> None:
    states = dict.fromkeys("ABC", RUNNING)
    _report, calls = carried(graph(B, C), states, d.suspend("A"), "B")
    assert calls == ["A:suspend", "C:suspend"]
