# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One outcome for each node, whatever happens to it or to the others."""

from __future__ import annotations

import json
import threading
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest

from ansible_collections.baremetal.lab.plugins.module_utils.hwctl import executor
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl import node as node_module
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.deadline import Deadline
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.errors import (
    AuthFailed,
    BadRequest,
    Busy,
    FellSilent,
    Refused,
    Unreachable,
)
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.executor import ParallelNodes
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.limits import Limits
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.managers import MANAGERS
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.managers.power import PowerManager
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.masking import masked
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.node import Node
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.outcome import OK, Outcome
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.target import Target
from rig.scripted_bmc import Fleet
from rig.waiting import eventually


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch) -> Fleet:
    monkeypatch.setattr(node_module, "FIRST_PAUSE", 0.001)
    return Fleet(monkeypatch)


def test_every_manager_is_known_by_the_name_of_its_file() -> None:
    from ansible_collections.baremetal.lab.plugins.module_utils.hwctl import managers

    files = {path.stem for path in Path(str(managers.__file__)).parent.glob("*.py")} - {"__init__"}
    assert {manager.__module__.rpartition(".")[2]: name for name, manager in MANAGERS.items()} == {
        name: name for name in files
    }


def test_outcomes_come_in_the_order_of_the_targets(fleet: Fleet) -> None:
    names = [f"node-{number}" for number in range(50)]
    outcomes = PowerManager(fleet.targets(*names), Limits(fan_out=7)).run("get_state")
    assert [outcome.name for outcome in outcomes] == names
    assert {outcome.status for outcome in outcomes} == {OK}


def test_a_failed_node_says_why_and_where_and_the_others_are_done(fleet: Fleet) -> None:
    fleet.bmc("a").fails["connect"] = [AuthFailed("no")]
    fleet.bmc("b").fails["power"] = [Refused("not now")]
    a, b, c = PowerManager(fleet.targets("a", "b", "c"), Limits()).run("get_state")
    assert a.failure is not None and b.failure is not None
    assert (a.failure.kind, a.failure.step) == ("auth", "connect")
    assert (b.failure.kind, b.failure.step) == ("refused", "read")
    assert c.data == {"power": "off"}


def test_a_read_is_tried_again_where_that_may_help(fleet: Fleet) -> None:
    fleet.bmc("a").fails["power"] = [Unreachable("once"), Unreachable("twice")]
    (outcome,) = PowerManager(fleet.targets("a"), Limits()).run("get_state")
    assert outcome.status == OK


def test_what_was_waited_for_long_is_not_waited_for_again(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_module, "LONG_SILENCE", 0.0)
    fleet.bmc("away").fails["connect"] = [Unreachable("timed out")]
    fleet.bmc("there").fails["connect"] = [FellSilent("answers, but not to the login")]
    away, there = PowerManager(fleet.targets("away", "there"), Limits()).run("get_state")
    assert away.failure is not None and away.failure.kind == "unreachable"
    assert there.status == OK


def test_a_bmc_that_is_busy_is_asked_more_often(fleet: Fleet) -> None:
    fleet.bmc("a").fails["power"] = [Busy("not now")] * 5
    fleet.bmc("b").fails["power"] = [Unreachable("gone")] * 5
    a, b = PowerManager(fleet.targets("a", "b"), Limits()).run("get_state")
    assert (a.status, b.failed) == (OK, True)


def test_a_bmc_that_wants_to_be_asked_later_than_there_is_time_is_told_as_busy(fleet: Fleet) -> None:
    later = Busy("not now")
    later.retry_after = 3600.0
    fleet.bmc("a").fails["power"] = [later]
    (outcome,) = PowerManager(fleet.targets("a"), Limits()).run("get_state")
    assert outcome.failure is not None and outcome.failure.kind == "busy"


def test_an_error_nobody_foresaw_is_that_nodes_failure_alone(fleet: Fleet) -> None:
    fleet.bmc("a").fails["power"] = [ZeroDivisionError("oops")]
    a, b = PowerManager(fleet.targets("a", "b"), Limits()).run("get_state")
    assert a.failure is not None and a.failure.message == "ZeroDivisionError: oops"
    assert b.status == OK


def test_no_failure_shows_a_password(fleet: Fleet) -> None:
    fleet.bmc("a").fails["connect"] = [Refused("admin:pa55word is no user")]
    (outcome,) = PowerManager(fleet.targets("a"), Limits()).run("get_state")
    assert outcome.failure is not None
    assert outcome.failure.message == "admin:******** is no user"
    assert "pa55word" not in repr(fleet.targets("a"))


class Clock:
    """Of an executor's deadlines. It stands still, but for what a test lets pass."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(executor, "Deadline", partial(Deadline, clock=lambda: self.now))

    def go_on(self, seconds: float, manager: ParallelNodes) -> None:
        self.now += seconds
        manager._done.put(None)  # wakes who waits by the clock on the wall


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_a_node_that_hangs_is_given_up_and_holds_up_nobody(fleet: Fleet, clock: Clock) -> None:
    manager = PowerManager(fleet.targets("stuck", "other"), Limits(fan_out=1, node_timeout=100))

    class Login(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            clock.go_on(1000, manager)
            return super().wait(timeout)

    let_go = fleet.bmc("stuck").hangs = Login()
    try:
        stuck, other = manager.run("get_state")
    finally:
        let_go.set()
    assert stuck.failure is not None
    assert (stuck.failure.kind, stuck.failure.step) == ("timeout", "connect")
    assert other.status == OK


def test_the_place_of_a_node_that_hangs_is_taken_again_while_others_run(fleet: Fleet, clock: Clock) -> None:
    let_go, both = threading.Event(), threading.Barrier(2, timeout=30)

    class Busy(ParallelNodes):
        def work(self, node: Node) -> Outcome:
            if node.name == "hangs":
                let_go.wait()
            elif node.name != "third":
                clock.go_on(60, self)  # so that the second has time left when the one that hangs is given up
            if node.name in ("second", "third"):
                both.wait()
            return Outcome(node.name, OK)

    try:
        targets = fleet.targets("hangs", "first", "second", "third")
        outcomes = Busy(targets, Limits(fan_out=2, node_timeout=100)).run("work")
    finally:
        let_go.set()
    assert [outcome.status for outcome in outcomes] == ["failed", OK, OK, OK]


def test_a_node_that_ended_in_time_did_so_even_when_nobody_looked(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "GRACE", 0.0)

    class Starved(ParallelNodes):
        def work(self, node: Node) -> Outcome:
            return Outcome(node.name, OK)

        def _next(self) -> list[Outcome]:
            eventually(lambda: self._done.qsize() == 2, what="they have ended")
            eventually(lambda: all(one.deadline.passed for one in self._active.values()), what="their time is over")
            return super()._next()

    outcomes = Starved(fleet.targets("a", "b"), Limits(node_timeout=0.2)).run("work")
    assert [outcome.status for outcome in outcomes] == [OK, OK]


def test_when_the_run_is_out_of_time_nodes_that_never_began_say_so(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "GRACE", 0.05)
    let_go = fleet.bmc("stuck").hangs = threading.Event()
    try:
        limits = Limits(fan_out=1, overall_timeout=0.1)
        stuck, never = PowerManager(fleet.targets("stuck", "never"), limits).run("get_state")
    finally:
        let_go.set()
    assert stuck.failure is not None and never.failure is not None
    assert (stuck.failure.kind, never.failure.kind, never.failure.step) == ("timeout", "timeout", "start")


def test_a_run_that_is_called_off_accounts_for_every_node(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "GRACE", 0.05)
    let_go = fleet.bmc("stuck").hangs = threading.Event()
    manager = PowerManager(fleet.targets("first", "stuck", "never"), Limits(fan_out=1))
    canceller = threading.Thread(
        target=lambda: (eventually(lambda: "stuck" in manager._active, what="it began"), manager.cancel())
    )
    canceller.start()
    try:
        first, stuck, never = manager.run("get_state")
    finally:
        let_go.set()
        canceller.join()
    assert first.status == OK
    assert [one.failure.kind for one in (stuck, never) if one.failure] == ["cancelled", "cancelled"]


def test_sessions_are_closed_whatever_happened(fleet: Fleet) -> None:
    fleet.bmc("a").fails["power"] = [Refused("no")]
    PowerManager(fleet.targets("a", "b"), Limits()).run("get_state")
    assert fleet.bmc("a").sessions == fleet.bmc("b").sessions == 0


class Hooked(ParallelNodes):
    """Writes down what is called."""

    called: list[str]

    def validate_look(self, depth: int) -> None:
        self.called = [f"validate {depth}"]
        if depth < 0:
            raise BadRequest("no depth below 0")

    def pre_look(self, targets: list[Target]) -> None:
        self.called.append(f"pre {len(targets)}")

    def look(self, node: Node, depth: int) -> Outcome:
        self.called.append(f"look {node.name} {depth}")
        return Outcome(node.name, OK)

    def post_look(self, outcomes: list[Outcome]) -> None:
        self.called.append(f"post {len(outcomes)}")


def test_hooks_run_once_a_command_and_the_operation_once_a_node(fleet: Fleet) -> None:
    manager = Hooked(fleet.targets("a", "b"), Limits(fan_out=1))
    manager.run("look", depth=3)
    assert manager.called == ["validate 3", "pre 2", "look a 3", "look b 3", "post 2"]


def test_what_is_not_valid_reaches_no_node(fleet: Fleet) -> None:
    manager = Hooked(fleet.targets("a"), Limits())
    with pytest.raises(BadRequest, match="no depth below 0"):
        manager.run("look", depth=-1)
    assert manager.called == ["validate -1"]


def test_two_targets_of_one_name_are_refused(fleet: Fleet) -> None:
    with pytest.raises(BadRequest, match="'a' is given more than once"):
        PowerManager(fleet.targets("a", "a"), Limits())


def test_nodes_are_worked_on_at_one_time(fleet: Fleet) -> None:
    together = threading.Barrier(20, timeout=30)

    class Meeting(ParallelNodes):
        def meet(self, node: Node) -> Outcome:
            together.wait()
            return Outcome(node.name, OK)

    outcomes = Meeting(fleet.targets(*(str(number) for number in range(20))), Limits(fan_out=20)).run("meet")
    assert {outcome.status for outcome in outcomes} == {OK}


@pytest.mark.parametrize("wrong", [{"fan_out": 0}, {"fan_out": 1001}, {"node_timeout": 0}, {"overall_timeout": -1}])
def test_limits_that_make_no_sense_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(BadRequest):
        Limits(**wrong)


def test_a_secret_is_masked_in_whatever_way_a_message_quotes_it() -> None:
    secret = 'pa"ss\\w0rd é'
    for shown in (secret, json.dumps({"Password": secret}), quote(secret), repr([secret])):
        assert "ss" not in masked(f"the BMC said {shown}", [secret]).replace("Password", "")
