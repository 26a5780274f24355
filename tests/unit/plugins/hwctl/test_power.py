# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the power state that is read to the one that is wanted."""

from __future__ import annotations

import threading
from itertools import count
from typing import Any

import pytest

from ansible_collections.baremetal.lab.plugins.module_utils.hwctl import node
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.deadline import Deadline
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.errors import (
    BadRequest,
    Busy,
    HwctlError,
    Refused,
    Unreachable,
    Unsupported,
)
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.limits import Limits
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.managers import power
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.managers.power import PowerManager, PowerRequest
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.node import Node
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.outcome import Outcome
from rig.scripted_bmc import Fleet


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch) -> Fleet:
    monkeypatch.setattr(node, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(power, "FIRST_POLL", 0.001)
    monkeypatch.setattr(power, "SLOWEST_POLL", 0.001)
    monkeypatch.setattr(power, "CYCLE_OFF", 0.05)
    monkeypatch.setattr(power, "LOST_ANSWER", 0.05)
    return Fleet(monkeypatch)


def act(fleet: Fleet, wanted: str, **options: Any) -> Outcome:
    (outcome,) = PowerManager(fleet.targets("a"), Limits()).run("set_state", request=PowerRequest(wanted, **options))
    return outcome


@pytest.mark.parametrize(
    ("before", "wanted", "calls", "status", "after"),
    [
        ("off", "on", ["on"], "changed", "on"),
        ("on", "on", [], "ok", "on"),
        ("on", "off", ["off"], "changed", "off"),
        ("off", "off", [], "ok", "off"),
        ("on", "soft", ["soft"], "changed", "off"),
        ("off", "soft", [], "ok", "off"),
        ("on", "cycle", ["cycle"], "changed", "on"),
        ("off", "cycle", ["on"], "changed", "on"),
        ("on", "reset", ["reset"], "changed", "on"),
        ("on", "nmi", ["nmi"], "changed", "on"),
    ],
)
def test_each_state_is_reached_with_no_more_than_is_needed(
    fleet: Fleet, before: str, wanted: str, calls: list[str], status: str, after: str
) -> None:
    fleet.bmc("a").state = before
    outcome = act(fleet, wanted)
    assert (outcome.status, outcome.data["power"]) == (status, after)
    assert fleet.bmc("a").calls == calls


@pytest.mark.parametrize("wanted", ["on", "off", "soft", "cycle"])
@pytest.mark.parametrize("before", ["on", "off"])
def test_check_mode_says_the_same_and_does_nothing(fleet: Fleet, before: str, wanted: str) -> None:
    fleet.bmc("a").state = before
    foreseen = act(fleet, wanted, check=True)
    assert fleet.bmc("a").calls == []
    done = act(fleet, wanted)
    assert (foreseen.status, foreseen.before, foreseen.after) == (done.status, done.before, done.after)


@pytest.mark.parametrize("wanted", ["reset", "nmi"])
def test_a_machine_that_is_off_is_not_signalled(fleet: Fleet, wanted: str) -> None:
    outcome = act(fleet, wanted)
    assert outcome.failure is not None
    assert "switch it on first" in outcome.failure.message
    assert fleet.bmc("a").calls == []


def test_a_machine_that_does_not_shut_down_is_switched_off(fleet: Fleet) -> None:
    bmc = fleet.bmc("a")
    bmc.state, bmc.deaf = "on", True
    outcome = act(fleet, "soft", soft_timeout=0.02)
    assert bmc.calls == ["soft", "off"]
    assert outcome.data == {"power": "off", "escalated": True}


def test_without_escalation_it_fails_and_stays_on(fleet: Fleet) -> None:
    bmc = fleet.bmc("a")
    bmc.state, bmc.deaf = "on", True
    outcome = act(fleet, "soft", soft_timeout=0.02, escalate=False)
    assert bmc.calls == ["soft"]
    assert outcome.failure is not None
    assert (outcome.failure.kind, outcome.failure.step) == ("not-reached", "wait")


def test_a_lost_answer_is_no_failure_where_the_state_is_there(fleet: Fleet) -> None:
    bmc = fleet.bmc("a")
    bmc.loses_answers, bmc.fails["set_power"] = True, [Unreachable("no answer")]
    assert act(fleet, "on").status == "changed"
    assert bmc.calls == ["on"]


@pytest.mark.parametrize("error", [Unreachable("lost"), Busy("not now")])
@pytest.mark.parametrize("wanted", ["on", "off", "soft"])
def test_a_request_that_came_to_nothing_is_sent_again(fleet: Fleet, wanted: str, error: Exception) -> None:
    bmc = fleet.bmc("a")
    bmc.state = "off" if wanted == "on" else "on"
    bmc.fails["set_power"] = [error, error]
    assert act(fleet, wanted).status == "changed"
    assert bmc.calls == [wanted]


def test_what_a_bmc_never_takes_is_given_up(fleet: Fleet) -> None:
    fleet.bmc("a").fails["set_power"] = [Busy("not now")] * 9
    outcome = act(fleet, "on")
    assert outcome.failure is not None
    assert (outcome.failure.kind, outcome.failure.step) == ("busy", "change")
    assert len(fleet.bmc("a").fails["set_power"]) == 6


def test_a_lost_answer_to_a_reset_is_told_and_the_reset_not_sent_again(fleet: Fleet) -> None:
    bmc = fleet.bmc("a")
    bmc.state, bmc.loses_answers, bmc.fails["set_power"] = "on", True, [Unreachable("no answer")]
    outcome = act(fleet, "reset")
    assert outcome.failure is not None and outcome.failure.kind == "unreachable"
    assert bmc.calls == ["reset"]


def test_a_soft_shutdown_that_the_nodes_time_cut_short_switches_nothing_off(fleet: Fleet) -> None:
    bmc = fleet.bmc("a")
    bmc.state, bmc.deaf = "on", True
    # By this clock a second passes with each look at it.
    node_time = Deadline(30, count().__next__)
    node = Node(fleet.targets("a")[0], node_time, threading.Event())
    with pytest.raises(HwctlError):
        PowerManager(fleet.targets("a"), Limits()).set_state(node, PowerRequest("soft"))
    assert bmc.calls == ["soft"]


def test_a_soft_timeout_beyond_the_nodes_own_is_refused(fleet: Fleet) -> None:
    with pytest.raises(BadRequest, match="give a longer timeout"):
        act(fleet, "soft", soft_timeout=120)


def test_a_cycle_is_over_when_the_machine_is_back(fleet: Fleet) -> None:
    bmc = fleet.bmc("a")
    bmc.state, bmc.cycles_slowly = "on", True
    assert act(fleet, "cycle").data == {"power": "on"}
    assert (bmc.calls, bmc.state, bmc.comes_back_after) == (["cycle"], "on", 0)


def test_a_bmc_that_can_not_cycle_is_told_off_and_on(fleet: Fleet) -> None:
    bmc = fleet.bmc("a")
    bmc.state, bmc.fails["set_power"] = "on", [Unsupported("no such reset")]
    assert act(fleet, "cycle").status == "changed"
    assert (bmc.calls, bmc.state) == (["off", "on"], "on")


def test_a_refusal_is_told(fleet: Fleet) -> None:
    fleet.bmc("a").fails["set_power"] = [Refused("not in this state")]
    outcome = act(fleet, "on")
    assert outcome.failure is not None
    assert (outcome.failure.step, outcome.failure.message) == ("change", "not in this state")


def test_an_unknown_state_is_refused_before_any_bmc_is_asked(fleet: Fleet) -> None:
    with pytest.raises(BadRequest, match="'up'"):
        act(fleet, "up")
    assert fleet.bmc("a").calls == []
