# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where nodes go: cases, and the laws that hold for every lab."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.baremetal.lab.plugins.plugin_utils.placement import place
from ansible_collections.baremetal.lab.plugins.plugin_utils.placement_model import Domain, Hypervisor, Place, Wanted
from ansible_collections.baremetal.lab.plugins.plugin_utils.placement_record import next_homes

LAB = "rack"


def having(*domains: str | Domain, name: str = "hv1", memory_mb: int = 1000, cpus: int = 10, **more: Any) -> Hypervisor:
    """A hypervisor with these domains, of the lab and 100 MiB each unless they say otherwise."""
    made = [one if isinstance(one, Domain) else Domain(one, LAB, 100, 1, f"{name}/{one}") for one in domains]
    return Hypervisor(name, tuple(made), memory_mb, cpus, **more)


def node(name: str, memory_mb: int = 100, vcpus: int = 1, **more: Any) -> Wanted:
    return Wanted(name, name, memory_mb, vcpus, **more)


def where(places: dict[str, Place]) -> dict[str, str | None]:
    return {name: found.hypervisor for name, found in places.items()}


def placed(answering: list[Hypervisor], *wanted: Wanted, away: tuple[str, ...] = (), **more: Any) -> dict[str, Place]:
    return place(LAB, answering, dict.fromkeys(away, ""), wanted, **more)


EMPTY = [having(name="hv1"), having(name="hv2")]


def test_new_nodes_are_spread() -> None:
    assert where(placed(EMPTY, node("a"), node("b"), node("c"))) == {"a": "hv1", "b": "hv2", "c": "hv1"}


def test_the_large_ones_go_first() -> None:
    assert where(placed(EMPTY, node("a"), node("b", 300), node("c"))) == {"b": "hv1", "a": "hv2", "c": "hv2"}


def test_load_is_a_share_of_what_a_hypervisor_has() -> None:
    small, large = having("x", name="hv1"), having("y", name="hv2", memory_mb=10_000, cpus=100)
    assert where(placed([small, large], node("a"), node("b"))) == {"a": "hv2", "b": "hv2"}


def test_load_is_of_what_is_scarcer() -> None:
    busy = having(Domain("x", LAB, 10, 100), name="hv1")
    assert where(placed([busy, having("y", name="hv2")], node("a"))) == {"a": "hv2"}


def test_other_labs_domains_count() -> None:
    full = having(Domain("x", "other", 900, 1), Domain("y", "", 100, 1), name="hv1")
    assert where(placed([full, having("z", name="hv2")], node("a"))) == {"a": "hv2"}


def test_what_a_node_is_to_have_counts_and_not_what_it_has() -> None:
    growing = node("x", 800)
    assert where(placed([having("x", name="hv1"), having("y", name="hv2")], growing, node("y"), node("a", 150))) == {
        "x": "hv1",
        "y": "hv2",
        "a": "hv2",
    }


def test_a_node_stays_where_it_is_however_full_that_is() -> None:
    full = having("a", Domain("x", "", 5000, 500), name="hv2")
    assert where(placed([having(name="hv1"), full], node("a"))) == {"a": "hv2"}


def test_a_node_that_is_named_a_hypervisor_goes_there_however_full_that_is() -> None:
    full = having(Domain("x", "", 5000, 500), name="hv2")
    assert where(placed([having(name="hv1"), full], node("a", hypervisor="hv2"))) == {"a": "hv2"}


@pytest.mark.parametrize(
    ("wanted", "hypervisor"),
    [
        (node("a", 901), {}),
        (node("a", 100, 11), {}),
        (node("a", 100, 11), {"cpu_ratio": 100.0}),
        (node("a", 1001), {"memory_ratio": 2.0}),
        (node("a"), {"memory_ratio": 0.0}),
        (node("a"), {"cpu_ratio": 0.0}),
    ],
)
def test_a_node_that_fits_nowhere_is_told_with_what_is_left(wanted: Wanted, hypervisor: dict[str, Any]) -> None:
    found = placed([having("x", **hypervisor)], node("x"), wanted)["a"]
    assert found.hypervisor is None
    assert found.problem.startswith(
        f"node 'a' ({wanted.memory_mb} MiB, {wanted.vcpus} CPUs) fits on no hypervisor (hv1 has "
    )


@pytest.mark.parametrize(
    ("wanted", "hypervisor"), [(node("a", 901), {"memory_ratio": 1.5}), (node("a", 900), {}), (node("a", 100, 10), {})]
)
def test_ratios_say_how_much_there_is(wanted: Wanted, hypervisor: dict[str, Any]) -> None:
    assert where(placed([having("x", **hypervisor)], node("x"), wanted))["a"] == "hv1"


def test_a_node_avoids_a_hypervisor_where_its_name_is_anothers() -> None:
    foreign = having(Domain("a", "other", 1, 1), name="hv1")
    assert where(placed([foreign, having("x", "y", name="hv2")], node("a"))) == {"a": "hv2"}
    assert "hv1 has another's domain 'a'" in placed([foreign], node("a"))["a"].problem


def test_a_node_that_is_named_another_hypervisor_moves() -> None:
    found = placed([having("a", name="hv1"), having(name="hv2")], node("a", hypervisor="hv2"))["a"]
    assert found == Place("hv2", old=("hv1",))


def test_a_copy_beside_the_named_hypervisors_goes() -> None:
    found = placed([having("a", name="hv1"), having("a", name="hv2")], node("a", hypervisor="hv2"))["a"]
    assert found == Place("hv2", old=("hv1",))


def test_one_hypervisor_under_two_names_loses_no_domain() -> None:
    twins = [replace(having("a"), name=name) for name in ("hv1", "hv2")]
    found = placed(twins, node("a", hypervisor="hv2"))["a"]
    assert (found.hypervisor, found.old) == (None, ())
    assert "may be one hypervisor under two names" in found.problem


def test_a_node_on_two_hypervisors_is_left_alone_until_one_is_named() -> None:
    found = placed([having("a", name="hv1"), having("a", name="hv2")], node("a"))["a"]
    assert found.hypervisor is None
    assert "is on 'hv1', 'hv2', and can be on one only: give it lab_hypervisor" in found.problem


def test_a_node_whose_hypervisor_is_away_is_not_placed_anew() -> None:
    found = placed([having()], node("a"), away=("hv2",), homes={"a": ["hv2"]})["a"]
    assert (found.hypervisor, found.home) == (None, "hv2")
    assert found.problem.startswith("node 'a' is on 'hv2' as far as is known, which does not answer: bring it back.")


@pytest.mark.parametrize("homes", [None, {}, {"a": ["hv1"]}])
def test_a_node_that_may_be_on_one_that_is_away_is_not_placed_anew(homes: dict[str, list[str]] | None) -> None:
    found = placed([having()], node("a"), away=("hv2",), homes=homes)["a"]
    assert (found.hypervisor, found.home) == (None, None)
    assert "may be on 'hv2', which does not answer" in found.problem


def test_why_a_hypervisor_does_not_answer_is_told() -> None:
    found = place(LAB, [having()], {"hv2": "No route to host"}, [node("a"), node("b", hypervisor="hv2")])
    assert "may be on 'hv2', which does not answer (No route to host), and" in found["a"].problem
    assert found["b"].problem == "hypervisor 'hv2' of node 'b' does not answer (No route to host): bring it back"


def test_nodes_on_other_hypervisors_mind_nobody_being_away() -> None:
    assert where(placed([having("a")], node("a"), away=("hv2",), homes=None)) == {"a": "hv1"}


def test_a_new_node_is_made_where_it_is_named_while_another_is_away() -> None:
    assert where(placed([having()], node("a", hypervisor="hv1"), away=("hv2",), homes={})) == {"a": "hv1"}


@pytest.mark.parametrize("homes", [None, {"a": ["hv2"]}])
def test_a_node_does_not_move_away_from_one_that_is_away(homes: dict[str, list[str]] | None) -> None:
    found = placed([having()], node("a", hypervisor="hv1"), away=("hv2",), homes=homes)["a"]
    assert found.hypervisor is None
    assert "'hv2'" in found.problem


def test_a_node_stays_until_the_one_that_it_is_to_move_to_answers() -> None:
    found = placed([having("a")], node("a", hypervisor="hv2"), away=("hv2",))["a"]
    assert (found.hypervisor, found.old, found.home) == (None, (), "hv1")
    assert "it stays on 'hv1' until then" in found.problem


def test_a_hypervisor_that_left_the_inventory_keeps_no_node() -> None:
    assert where(placed([having()], node("a"), homes={"a": ["hv2"]})) == {"a": "hv1"}


def test_a_node_comes_back_to_where_its_disks_are() -> None:
    hypervisors = [having(name="hv1"), having("x", "y", name="hv2")]
    assert where(placed(hypervisors, node("a"), homes={"a": ["hv2"]})) == {"a": "hv2"}


def test_a_node_that_is_to_be_absent_is_removed_where_it_is_and_placed_nowhere() -> None:
    gone = [node(name, absent=True) for name in ("a", "b", "c")]
    found = placed([having("a", "c", name="hv1"), having("c", name="hv2")], *gone)
    assert found == {"a": Place("hv1"), "b": Place(), "c": Place("hv1", old=("hv2",))}


def test_nodes_that_are_nowhere_stay_so_where_that_is_asked() -> None:
    found = placed([having("a")], node("a"), node("b"), anew=False)
    assert where(found) == {"a": "hv1", "b": None}
    assert "is on no hypervisor yet" in found["b"].problem


def test_a_hypervisor_of_which_nothing_is_known_takes_everything() -> None:
    assert where(placed([Hypervisor("hv1"), Hypervisor("hv2")], node("a", 10**6), node("b", 10**6))) == {
        "a": "hv1",
        "b": "hv2",
    }


# --- Nodes that are one machine ---------------------------------------------------------------------------------------


def machine(*names: str, memory_mb: int = 100, vcpus: int = 1, **pinned: str) -> list[Wanted]:
    """Nodes that depend on each other; `pinned` name hypervisors."""
    return [node(name, memory_mb, vcpus, machine="m", hypervisor=pinned.get(name)) for name in names]


def test_one_machine_goes_to_one_hypervisor_with_all_its_memory_and_cpus() -> None:
    hypervisors = [having("x", name="hv1", memory_mb=250), having(name="hv2", memory_mb=250)]
    hypervisors.append(having("y", "z", name="hv3", memory_mb=500))
    assert set(where(placed(hypervisors, *machine("a", "b", "c"))).values()) == {"hv3"}
    few = [having(name="hv1", cpus=1, cpu_ratio=2.0), having("y", "z", name="hv3")]
    assert set(where(placed(few, *machine("a", "b", vcpus=2))).values()) == {"hv3"}


def test_a_machine_that_fits_nowhere_as_a_whole_is_made_nowhere_in_part() -> None:
    found = placed([having(name=name, memory_mb=250) for name in ("hv1", "hv2")], *machine("a", "b", "c"), node("d"))
    assert where(found) == {"a": None, "b": None, "c": None, "d": "hv1"}
    assert found["c"].problem.startswith(
        "nodes 'a', 'b', 'c', one machine by lab_depends_on (300 MiB, 3 CPUs), fit on no hypervisor (hv1 has 250 MiB"
    )


def test_who_names_a_hypervisor_names_it_for_the_whole_machine() -> None:
    found = placed([having("b", name="hv1"), having(name="hv2")], *machine("a", "b", "c", a="hv2"))
    assert found == {"a": Place("hv2"), "b": Place("hv2", old=("hv1",)), "c": Place("hv2")}


def test_a_new_part_joins_the_machine_and_goes_before_others_who_have_a_choice() -> None:
    hypervisors = [having("a", name="hv1", memory_mb=300), having("x", "y", name="hv2")]
    assert where(placed(hypervisors, *machine("a", "b"), node("large", 200))) == {
        "a": "hv1",
        "b": "hv1",
        "large": "hv2",
    }


def test_a_new_part_that_finds_no_room_beside_its_machine_is_told_so() -> None:
    found = placed([having("a", name="hv1", memory_mb=150), having(name="hv2")], *machine("a", "b"))
    assert where(found) == {"a": None, "b": None}
    assert found["a"].home == "hv1"
    assert "fits not on 'hv1', where 'a' of its machine is (hv1 has 50 MiB" in found["b"].problem


def test_who_is_left_alone_counts_with_what_it_has() -> None:
    torn = [having(Domain("a", LAB, 800, 1), name="hv1"), having("b", name="hv2")]
    assert where(placed(torn, *machine("a", "b", memory_mb=0), node("new", 300)))["new"] == "hv2"
    alone = [having(Domain("a", LAB, 800, 1), name="hv1", cpus=2, cpu_ratio=1.0), having("x", "y", name="hv2")]
    found = placed(alone, *machine("a", memory_mb=0), *machine("b", vcpus=2), node("new", 300, 0))
    assert where(found) == {"a": None, "b": None, "new": "hv2"}


def test_a_machine_that_is_torn_is_left_alone_until_a_hypervisor_is_named() -> None:
    found = placed([having("a", name="hv1"), having("b", name="hv2")], *machine("a", "b", "c"))
    assert where(found) == {"a": None, "b": None, "c": None}
    assert [found[name].home for name in "abc"] == ["hv1", "hv2", None]
    assert "which has to be on one host, and is not: 'a' on 'hv1', 'b' on 'hv2'. Give one" in found["c"].problem


def test_a_machine_that_names_two_hypervisors_is_told_of_both() -> None:
    found = placed(EMPTY, *machine("a", "b", "c", a="hv1", c="hv2"))
    assert where(found) == {"a": None, "b": None, "c": None}
    assert "'a' on 'hv1', 'c' on 'hv2'" in found["b"].problem


def test_what_can_not_be_done_for_one_part_is_done_for_none() -> None:
    found = placed([having("a", name="hv1")], *machine("a", "b"), away=("hv2",), homes={"b": ["hv2"]})
    assert where(found) == {"a": None, "b": None}
    assert found["a"].problem.startswith(
        "node 'a' is one machine with 'b' (lab_depends_on), for which nothing can be done: node 'b' is on 'hv2'"
    )
    assert found["b"].problem.startswith("node 'b' is on 'hv2' as far as is known")


def test_a_machine_out_of_sight_keeps_nobody_elsewhere_from_anything() -> None:
    lost = replace(node("z"), machine="other")
    found = placed([having("a", "b", name="hv1")], *machine("a", "b"), lost, away=("hv2",), homes={"z": ["hv2"]})
    assert where(found) == {"a": "hv1", "b": "hv1", "z": None}


def test_who_is_to_be_absent_holds_nobody() -> None:
    gone = replace(machine("b")[0], absent=True)
    found = placed([having("b", name="hv1"), having("a", name="hv2")], *machine("a"), gone)
    assert where(found) == {"a": "hv2", "b": "hv1"}


def test_a_torn_machine_can_be_shown_and_removed() -> None:
    found = placed([having("a", name="hv1"), having("b", name="hv2")], *machine("a", "b", "c"), anew=False)
    assert where(found) == {"a": "hv1", "b": "hv2", "c": None}


def test_the_record_has_where_nodes_are_and_where_they_are_to_be() -> None:
    answering = [having("a", "gone", name="hv1"), having(Domain("z", "other", 1, 1), name="hv2")]
    wanted = [node("a", hypervisor="hv2"), node("b"), node("off", absent=True), node("lost")]
    before = {"lost": ["hv3"], "off": ["hv2"], "forgotten": ["hv1"], "old": ["hv1", "hv3"]}
    places = placed(answering, *wanted, away=("hv3",), homes=before)
    assert next_homes(LAB, answering, ["hv3"], wanted, places, before) == {
        "a": ["hv1", "hv2"],
        "gone": ["hv1"],
        "lost": ["hv3"],
        "off": ["hv2"],
        "old": ["hv3"],
    }


NAMES = ("hv1", "hv2", "hv3")
NODES = [f"n{number}" for number in range(8)]
SIZES = st.tuples(st.sampled_from([0, 100, 250, 400]), st.integers(1, 4))


@st.composite
def labs(draw: st.DrawFn) -> tuple[list[Hypervisor], list[Wanted], dict[str, list[str]]]:
    """Hypervisors with some of the nodes and with others' domains, and what is wanted there."""
    homes = {name: draw(st.sampled_from([*NAMES, None])) for name in NODES}
    hypervisors = []
    for name in draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=1)):
        own = [Domain(one, LAB, *draw(SIZES), uuid=f"{name}/{one}") for one, home in homes.items() if home == name]
        others = [Domain(f"x{index}", "other", *size) for index, size in enumerate(draw(st.lists(SIZES, max_size=3)))]
        memory_mb, cpus = draw(st.sampled_from([500, 1000, 2000])), draw(st.sampled_from([2, 4]))
        hypervisors.append(
            Hypervisor(name, (*own, *others), memory_mb, cpus, cpu_ratio=draw(st.sampled_from([1.0, 4.0])))
        )
    wanted = []
    for name in draw(st.lists(st.sampled_from(NODES), unique=True)):
        memory_mb, vcpus = draw(SIZES)
        pinned = draw(st.sampled_from([None, None, None, hypervisors[0].name, hypervisors[-1].name]))
        absent = draw(st.sampled_from([False, False, False, True]))
        wanted.append(Wanted(name, name, memory_mb, vcpus, pinned, absent, draw(st.sampled_from(["", "", "m", "o"]))))
    return hypervisors, wanted, {name: [home] for name, home in homes.items() if home}


def carried_out(hypervisors: list[Hypervisor], wanted: list[Wanted], places: dict[str, Place]) -> list[Hypervisor]:
    """The hypervisors once `places`, as far as they are of `wanted`, are real."""
    result = []
    for hypervisor in hypervisors:
        domains = {domain.name: domain for domain in hypervisor.domains}
        for one in wanted:
            found = places[one.name]
            if hypervisor.name in found.old or (one.absent and found.hypervisor == hypervisor.name):
                domains.pop(one.domain, None)
            elif found.hypervisor == hypervisor.name:
                domains[one.domain] = Domain(
                    one.domain, LAB, one.memory_mb, one.vcpus, f"{hypervisor.name}/{one.domain}"
                )
        result.append(replace(hypervisor, domains=tuple(domains.values())))
    return result


def copies(hypervisors: list[Hypervisor], name: str) -> list[str]:
    return [one.name for one in hypervisors if any((d.name, d.owner) == (name, LAB) for d in one.domains)]


def partners(wanted: list[Wanted], one: Wanted) -> list[Wanted]:
    """The others of its machine."""
    return [
        other for other in wanted if one.machine and other.machine == one.machine and not (one.absent or other.absent)
    ]


@given(labs())
def test_a_machine_is_on_one_hypervisor_or_left_alone(
    lab: tuple[list[Hypervisor], list[Wanted], dict[str, list[str]]],
) -> None:
    hypervisors, wanted, _homes = lab
    places = placed(hypervisors, *wanted)
    for one in wanted:
        for other in partners(wanted, one):
            assert places[one.name].hypervisor == places[other.name].hypervisor


@given(labs())
def test_a_second_run_changes_nothing(lab: tuple[list[Hypervisor], list[Wanted], dict[str, list[str]]]) -> None:
    hypervisors, wanted, _homes = lab
    first = placed(hypervisors, *wanted)
    after = carried_out(hypervisors, wanted, first)
    for one in wanted:
        assert len(copies(after, one.name)) <= 1
    again = placed(after, *wanted)
    assert carried_out(after, wanted, again) == after
    for one in wanted:
        if not one.absent and first[one.name].hypervisor:
            assert again[one.name] == Place(first[one.name].hypervisor)


@given(labs(), st.randoms(use_true_random=False))
def test_no_order_matters(lab: tuple[list[Hypervisor], list[Wanted], dict[str, list[str]]], chance: Any) -> None:
    hypervisors, wanted, homes = lab
    expected = placed(hypervisors, *wanted, homes=homes)
    for items in (hypervisors, wanted):
        chance.shuffle(items)
    shuffled = [replace(one, domains=tuple(chance.sample(one.domains, len(one.domains)))) for one in hypervisors]
    assert placed(shuffled, *wanted, homes=homes) == expected


@given(labs(), st.sampled_from(NAMES))
def test_a_batch_that_was_made_changes_nothing_for_the_rest(
    lab: tuple[list[Hypervisor], list[Wanted], dict[str, list[str]]], first: str
) -> None:
    """As with serial, or a run limited to one hypervisor and another limited to the next."""
    hypervisors, wanted, _homes = lab
    whole = placed(hypervisors, *wanted)
    batch = [one for one in wanted if whole[one.name].hypervisor == first and not one.absent]
    rest = placed(carried_out(hypervisors, batch, whole), *wanted)
    assert {one.name: rest[one.name].hypervisor for one in wanted} == where(whole)


@given(labs())
def test_nobody_is_overcommitted_by_placing(lab: tuple[list[Hypervisor], list[Wanted], dict[str, list[str]]]) -> None:
    hypervisors, wanted, _homes = lab
    places = placed(hypervisors, *wanted)
    for hypervisor in carried_out(hypervisors, wanted, places):
        new = [
            one
            for one in wanted
            if places[one.name].hypervisor == hypervisor.name
            and not any(other.hypervisor for other in [one, *partners(wanted, one)])
            and not copies(hypervisors, one.name)
        ]
        if any(not one.absent for one in new):
            # Of those that are there without having been placed, nobody knows better.
            assert sum(domain.memory_mb for domain in hypervisor.domains) <= (hypervisor.memory_mb or 0)
            assert sum(domain.vcpus for domain in hypervisor.domains) <= (hypervisor.cpus or 0) * hypervisor.cpu_ratio


@given(labs(), st.sampled_from(NAMES))
def test_whoever_is_away_no_machine_is_ever_there_twice(
    lab: tuple[list[Hypervisor], list[Wanted], dict[str, list[str]]], away: str
) -> None:
    """The record is the one that the run before this left: all nodes are where it says."""
    hypervisors, wanted, homes = lab
    known = {name: found for name, found in homes.items() if found[0] in [one.name for one in hypervisors]}
    seen = [one for one in hypervisors if one.name != away]
    lost = [one for one in hypervisors if one.name == away]
    places = placed(seen, *wanted, away=tuple(one.name for one in lost), homes=known)
    after = carried_out(seen, wanted, places) + lost
    for one in wanted:
        assert len(copies(after, one.name)) <= 1
        if lost and known.get(one.name) == [away]:
            assert places[one.name].hypervisor is None or one.absent
