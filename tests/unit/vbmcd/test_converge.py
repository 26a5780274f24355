# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Convergence: plans for what is wanted, and what no plan ever does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vbmcd.config import ALLOCATED_PORTS, Connection, Instance, User
from vbmcd.converge import Plan, plan, plan_names, report
from vbmcd.documents import State, parse_specs
from vbmcd.endpoints import Endpoints
from vbmcd.errors import Conflict, InvalidRequest, NotFound, StateError

FIRST = ALLOCATED_PORTS.start


def having(*instances: Instance) -> dict[str, Instance]:
    return {instance.name: instance for instance in instances}


def bmc(name: str, port: int, address: str = "::", **more: Any) -> Instance:
    return Instance(name, name, port, address, **more)


def planned(current: dict[str, Instance], *specs: dict[str, Any], **options: Any) -> Plan:
    return plan(current, parse_specs(list(specs)), **options)


def actions(done: Plan) -> dict[str, tuple[str, ...]]:
    return {change.name: change.actions for change in done.changes}


@pytest.mark.parametrize(
    ("active", "state", "expected"),
    [
        (None, "present", ("create",)),
        (None, "stopped", ("create",)),
        (None, "started", ("create", "start")),
        (None, "absent", ()),
        (False, "present", ()),
        (False, "stopped", ()),
        (False, "started", ("start",)),
        (False, "absent", ("delete",)),
        (True, "present", ()),
        (True, "stopped", ("stop",)),
        (True, "started", ()),
        (True, "absent", ("delete",)),
    ],
)
def test_states(active: bool | None, state: str, expected: tuple[str, ...]) -> None:
    current = {} if active is None else having(bmc("a", 1, active=active))
    done = planned(current, {"name": "a", "state": state})
    assert actions(done) == {"a": expected}
    assert done.changed is bool(expected)


@pytest.mark.parametrize(
    "drift",
    [
        {"port": 7000},
        {"address": "192.0.2.1"},
        {"username": "other"},
        {"password": "other"},
        {"privilege": "user"},
        {"users": [{"name": "second", "password": "x"}]},
        {"libvirt_uri": "test:///default"},
        {"libvirt_sasl_username": "u", "libvirt_sasl_password": "p"},
        {"domain": "other"},
        {"owner": "first"},
    ],
)
def test_drift_is_an_update_that_leaves_it_running(drift: dict[str, Any]) -> None:
    current = having(bmc("a", 1, active=True))
    done = planned(current, {"name": "a", **drift})
    assert actions(done) == {"a": ("update",)}
    assert done.changes[0].after is not None and done.changes[0].after.active
    assert not planned(done.result(current), {"name": "a", **drift}).changed


def test_drift_and_a_start_are_two_actions() -> None:
    assert actions(planned(having(bmc("a", 1)), {"name": "a", "port": 2, "state": "started"})) == {
        "a": ("update", "start")
    }


def test_ports_are_allocated_in_the_order_of_the_list_around_named_ones() -> None:
    done = planned({}, {"name": "b"}, {"name": "a"}, {"name": "c", "port": FIRST})
    assert {name: one.port for name, one in done.result({}).items()} == {"b": FIRST + 1, "a": FIRST + 2, "c": FIRST}


def test_an_existing_instance_keeps_its_port() -> None:
    current = having(bmc("a", 7777))
    assert planned(current, {"name": "new"}, {"name": "a", "default_port": 623}).result(current)["a"].port == 7777


def test_addresses_of_their_own_all_get_the_default_port() -> None:
    done = planned(
        {}, *({"name": f"n{last}", "address": f"192.0.2.{last}", "default_port": 623} for last in range(1, 9))
    )
    assert {change.after.port for change in done.changes if change.after} == {623}


def test_a_taken_default_port_falls_back_to_an_allocated_one() -> None:
    done = planned(having(bmc("a", 623)), {"name": "b", "default_port": 623})
    assert done.changes[0].after is not None and done.changes[0].after.port == FIRST


def test_reserved_ports_are_not_allocated_but_can_be_asked_for() -> None:
    reserved = [("::", FIRST), ("192.0.2.9", 623)]
    done = planned(
        {}, {"name": "a"}, {"name": "b", "default_port": 623}, {"name": "c", "port": FIRST}, reserved=reserved
    )
    assert [change.after.port for change in done.changes if change.after] == [FIRST + 1, FIRST + 2, FIRST]
    assert not done.errors


def test_a_port_that_runs_out_is_told() -> None:
    current = having(*(bmc(str(port), port) for port in ALLOCATED_PORTS))
    (error,) = planned(current, {"name": "a"}).errors
    assert "instance 'a' finds no free port on ::" in str(error)


def test_a_conflict_names_both_and_the_remedy() -> None:
    current = having(bmc("node-03", 623, "192.0.2.7"))
    (error,) = planned(current, {"name": "node-07", "address": "192.0.2.7", "port": 623}).errors
    assert isinstance(error, Conflict) and error.instance == "node-07"
    assert str(error) == (
        "instance 'node-07' wants 192.0.2.7:623, which 'node-03' already has: "
        "give it another port, or leave the port out and one is allocated"
    )


@pytest.mark.parametrize("state", ["present", "absent", "started", "stopped"])
def test_an_instance_of_another_owner_is_left_alone(state: str) -> None:
    current = having(bmc("a", 1, owner="lab-a"))
    (error,) = planned(current, {"name": "a", "owner": "lab-b", "port": 2, "state": state}).errors
    assert isinstance(error, Conflict) and error.instance == "a"
    assert str(error).startswith("instance 'a' belongs to 'lab-a', not to 'lab-b', and stays: ")


@pytest.mark.parametrize("spec", [{}, {"owner": ""}, {"owner": "lab-a"}])
def test_an_owner_is_no_hindrance_to_itself_nor_to_who_names_none(spec: dict[str, Any]) -> None:
    current = having(bmc("a", 1, owner="lab-a"))
    assert actions(planned(current, {"name": "a", "state": "absent", **spec})) == {"a": ("delete",)}


def test_an_instance_changes_hands_by_way_of_no_owner() -> None:
    current = having(bmc("a", 1, owner="lab-a"))
    freed = planned(current, {"name": "a", "owner": ""}).result(current)
    assert planned(freed, {"name": "a", "owner": "lab-b"}).result(freed)["a"].owner == "lab-b"


def test_two_new_ones_on_one_port_are_a_conflict() -> None:
    (error,) = planned({}, {"name": "a", "port": 1}, {"name": "b", "port": 1, "address": "192.0.2.1"}).errors
    assert "instance 'b' wants 192.0.2.1:1, which 'a' is to have by the same request" in str(error)


def test_of_one_that_stays_and_one_that_comes_the_one_that_comes_is_refused() -> None:
    current = having(bmc("a", 1), bmc("b", 2))
    (error,) = planned(current, {"name": "a", "port": 2}, {"name": "b"}).errors
    assert "instance 'a' wants [::]:2, which 'b' already has" in str(error)


def test_an_address_on_which_the_kept_port_is_taken_is_a_conflict() -> None:
    current = having(bmc("a", 623, "192.0.2.1"), bmc("b", 623, "192.0.2.2"))
    (error,) = planned(current, {"name": "b", "address": "192.0.2.1"}).errors
    assert "instance 'b' wants 192.0.2.1:623, which 'a' already has: give one of the two another port" in str(error)


def test_every_conflict_is_told() -> None:
    done = planned(having(bmc("a", 1)), {"name": "b", "port": 1}, {"name": "c", "port": 1})
    assert [error.instance for error in done.errors] == ["b", "c"]


def test_two_instances_can_swap_ports_in_one_request() -> None:
    current = having(bmc("a", 1, active=True), bmc("b", 2, active=True))
    done = planned(current, {"name": "a", "port": 2}, {"name": "b", "port": 1})
    assert not done.errors
    assert {name: one.port for name, one in done.result(current).items()} == {"a": 2, "b": 1}


def test_the_port_of_a_deleted_instance_can_be_taken_in_the_same_request() -> None:
    done = planned(having(bmc("a", 1)), {"name": "b", "port": 1}, {"name": "a", "state": "absent"})
    assert not done.errors
    assert actions(done) == {"b": ("create",), "a": ("delete",)}


def test_purge_deletes_that_owners_others_only() -> None:
    current = having(
        bmc("mine", 1, owner="lab"), bmc("old", 2, owner="lab"), bmc("other", 3, owner="else"), bmc("free", 4)
    )
    done = planned(current, {"name": "mine"}, {"name": "new", "port": 2}, purge_owner="lab")
    assert actions(done) == {"mine": (), "new": ("create",), "old": ("delete",)}
    assert not done.errors


def test_without_an_owner_nothing_is_purged() -> None:
    assert not planned(having(bmc("free", 4)), purge_owner="").changed


def test_create_only_refuses_a_name_that_exists() -> None:
    (error,) = planned(having(bmc("a", 1)), {"name": "a"}, {"name": "b"}, create_only=True).errors
    assert isinstance(error, Conflict)
    assert "instance 'a' exists already" in str(error)
    (error,) = planned({}, {"name": "a"}, create_only=True, broken={"a": "it is not JSON"}).errors
    assert "it is not JSON" in str(error)


def test_a_broken_instance_is_created_anew() -> None:
    done = planned({}, {"name": "a", "port": 1}, broken={"a": "not JSON"})
    assert actions(done) == {"a": ("create",)}


def test_an_instance_that_is_broken_by_its_port_is_mended_with_the_rest_kept() -> None:
    current = having(bmc("a", 1), bmc("b", 1, users=(User("admin", "kept"),)))
    done = planned(current, {"name": "b", "port": 2}, broken={"b": "wants what a has"})
    assert actions(done) == {"b": ("update",)} and not done.errors
    assert done.result(current)["b"] == bmc("b", 2, users=(User("admin", "kept"),))
    assert planned(current, {"name": "b"}, broken={"b": "wants what a has"}).errors
    freed = having(bmc("b", 1))
    assert actions(planned(freed, {"name": "b"}, broken={"b": "wanted what a had"})) == {"b": ("update",)}


def test_what_is_wrong_only_together_with_the_present_state_is_an_error() -> None:
    current = having(bmc("a", 1, users=(User("admin", "x"), User("second", "x"))))
    (error,) = planned(current, {"name": "a", "username": "second"}).errors
    assert isinstance(error, InvalidRequest) and "two users named 'second'" in str(error)


def test_names_that_exist_can_be_started_stopped_and_deleted() -> None:
    current = having(bmc("a", 1, active=True), bmc("b", 2))
    assert actions(plan_names(current, ["a", "b", "a"], State.STARTED)) == {"a": (), "b": ("start",)}
    assert actions(plan_names(current, ["a", "b"], State.STOPPED)) == {"a": ("stop",), "b": ()}
    assert actions(plan_names(current, ["b"], State.ABSENT)) == {"b": ("delete",)}


def test_unknown_names_are_all_told_and_the_others_done() -> None:
    done = plan_names(having(bmc("a", 1)), ["x", "a", "y", "x"], State.STARTED)
    assert [error.instance for error in done.errors] == ["x", "y"]
    assert all(isinstance(error, NotFound) for error in done.errors)
    assert "No domain with matching name x was found" in str(done.errors[0])
    assert actions(done) == {"a": ("start",)}
    told = report(done)["instances"]
    assert isinstance(told, list)
    assert [(one["name"], bool(one["error"])) for one in told] == [("a", False), ("x", True), ("y", True)]


def test_a_broken_instance_can_be_deleted_but_not_started() -> None:
    broken = {"a": "file x is unusable"}
    done = plan_names({}, ["a"], State.ABSENT, broken)
    assert actions(done) == {"a": ("delete",)} and done.changed
    (error,) = plan_names({}, ["a"], State.STARTED, broken).errors
    assert isinstance(error, StateError) and "file x is unusable" in str(error)


def test_the_report_has_before_and_after_without_passwords() -> None:
    current = having(bmc("a", 1, users=(User("admin", "hidden-1"),), active=True), bmc("gone", 2))
    done = planned(
        current,
        {"name": "a", "password": "hidden-2"},
        {"name": "gone", "state": "absent"},
        {"name": "new", "port": 3, "password": "hidden-3"},
        {"name": "never", "state": "absent"},
    )
    result: Any = report(done)
    assert result["changed"] is True
    a, gone, new, never = result["instances"]
    assert (a["state"], a["actions"], a["address"], a["port"], a["error"]) == ("started", ["update"], "::", 1, None)
    assert (a["before"]["password"], a["after"]["password"]) == ("********", "******** (changed)")
    assert (gone["state"], gone["after"], gone["port"]) == ("absent", None, 2)
    assert (new["state"], new["before"], new["after"]["password"]) == ("stopped", None, "********")
    assert (never["state"], never["changed"], never["before"], never["after"], never["port"]) == (
        "absent",
        False,
        None,
        None,
        None,
    )
    assert "hidden" not in str(result)


NAMES = [f"n{number}" for number in range(6)]
PORTS = st.sampled_from([1, 2, 3, FIRST, FIRST + 1])
ADDRESSES = st.sampled_from(["::", "0.0.0.0", "192.0.2.1", "192.0.2.2", "2001:db8::1"])
OWNERS = st.sampled_from(["", "lab", "other"])


@st.composite
def lawful(draw: st.DrawFn) -> dict[str, Instance]:
    """Instances of which no two want one endpoint."""
    endpoints, current = Endpoints(), {}
    for name in draw(st.lists(st.sampled_from(NAMES), unique=True)):
        endpoint = (draw(ADDRESSES), draw(PORTS))
        if endpoints.is_free(endpoint):
            endpoints.claim(endpoint, name)
            current[name] = bmc(name, endpoint[1], endpoint[0], owner=draw(OWNERS), active=draw(st.booleans()))
    return current


specs = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from(NAMES), "state": st.sampled_from([state.value for state in State])},
        optional={
            "port": PORTS,
            "default_port": PORTS,
            "address": ADDRESSES,
            "owner": OWNERS,
            "password": st.just("x"),
        },
    ),
    unique_by=lambda spec: spec["name"],
)


@given(lawful(), specs, OWNERS)
def test_laws_of_every_plan(current: dict[str, Instance], wanted: list[dict[str, Any]], purge: str) -> None:
    done = planned(current, *wanted, purge_owner=purge)
    assert done.changes == planned(current, *wanted, purge_owner=purge).changes
    if done.errors:
        return
    final = done.result(current)
    endpoints = Endpoints()
    for instance in final.values():
        assert endpoints.is_free(instance.endpoint)
        endpoints.claim(instance.endpoint, instance.name)
    again = planned(final, *wanted, purge_owner=purge)
    assert not again.changed and not again.errors
    assert again.result(final) == final
    named = {spec["name"] for spec in wanted}
    for spec in wanted:
        if spec["name"] in current and spec.get("owner"):
            assert current[spec["name"]].owner in ("", spec["owner"])
    for name, instance in current.items():
        if name not in named and (not purge or instance.owner != purge):
            assert final[name] == instance
    assert set(final) <= set(current) | named
    for spec in wanted:
        assert (spec["name"] in final) is (spec["state"] != "absent")
        if spec["name"] in final and "port" in spec:
            assert final[spec["name"]].port == spec["port"]


@given(lawful(), specs)
def test_leaving_ports_addresses_and_owners_out_never_conflicts(
    current: dict[str, Instance], wanted: list[dict[str, Any]]
) -> None:
    for spec in wanted:
        for key in ("port", "address", "owner"):
            spec.pop(key, None)
    assert not planned(current, *wanted).errors


def test_a_connection_is_part_of_the_comparison() -> None:
    current = having(bmc("a", 1, connection=Connection("test:///default")))
    assert not planned(current, {"name": "a", "libvirt_uri": "test:///default"}).changed
