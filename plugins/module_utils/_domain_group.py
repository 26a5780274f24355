# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A domain's state together with those that it depends on: what a task does to the whole group, and what is told of it.

Used by _domain_converge. What is to be done is decided by _dependency.decide, as for BMCs and for the daemon's watcher.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional

from ansible_collections.baremetal.lab.plugins.module_utils._dependency import decide
from ansible_collections.baremetal.lab.plugins.module_utils._dependency.carry import ActionFailed, Report
from ansible_collections.baremetal.lab.plugins.module_utils._dependency.hypervisor import Group, failing
from ansible_collections.baremetal.lab.plugins.module_utils._dependency.model import Level
from ansible_collections.baremetal.lab.plugins.module_utils._domain_merge import Difference
from ansible_collections.baremetal.lab.plugins.module_utils._domain_state import SHUT_OFF
from ansible_collections.baremetal.lab.plugins.module_utils._errors import LabError

WORDS: Dict[Level, str] = {Level.OFF: SHUT_OFF, Level.PAUSED: "paused", Level.RUNNING: "running"}


@dataclass
class Member:
    """What became of one dependency, or would."""

    name: str
    actions: List[str]
    difference: Optional[Difference] = None
    error: Optional[str] = None

    def document(self) -> Dict[str, Any]:
        return {"name": self.name, "actions": self.actions, "error": self.error}


def transition_to(group: Group, wanted: str, found: str) -> Optional[decide.Transition]:
    """What the wanted state asks of the group; None for what it has already, or what asks nothing of others.

    A master that runs has what is missing of its dependencies started. One that is off already asks nothing: they may
    be up for a reason of their own.
    """
    if wanted == "running":
        if found == "paused":
            return decide.resume(group.master, starting=True)
        return decide.start(group.master, done=found in ("running", "pmsuspended"))
    if wanted == "paused" and found == "running":
        return decide.suspend(group.master)
    if wanted == "paused" and found in (SHUT_OFF, "crashed"):
        return decide.start(group.master, paused=True)
    if wanted == "destroyed" and found != SHUT_OFF:
        return decide.destroy(group.master)
    return None


def run(
    group: Group,
    transition: decide.Transition,
    own: Callable[[], None],
    undo_own: Callable[[], None],
    members: List[Member],
) -> None:
    """Carry it out, and tell of each dependency in `members`. Raises LabError where something failed that matters."""

    def act(_action: decide.Action) -> bool:
        try:
            own()
        except LabError as error:
            raise ActionFailed(str(error)) from error
        return True

    def undo(*_arguments: Any) -> None:
        with failing(group.connection):
            undo_own()

    report = Report()
    try:
        group.run(transition, report, act, undo)
    finally:
        members.extend(_members(report))
    error = report.error(group.name)
    if error:
        raise LabError(error)


def foresee(group: Group, transition: decide.Transition) -> List[Member]:
    """What would become of the dependencies."""
    stages = decide.decide(group.graph, group.states(), transition)
    return [_member(action) for stage in stages for action in stage if action.dependency is not None]


def _members(report: Report) -> List[Member]:
    undone = {action.domain for action in report.undone}
    found: Dict[str, Member] = {}
    for action in report.done:
        if action.dependency is not None:
            member = found[action.domain] = _member(action)
            if action.domain in undone:
                member.actions.append("destroy")
                member.difference = None
    for failure in [*report.failures, *report.ignored]:
        action = failure.action
        if action.dependency is not None:
            member = found.setdefault(action.domain, Member(action.name, []))
            member.error = str(failure)
    return list(found.values())


def _member(action: decide.Action) -> Member:
    path = "dependency[%s]/state" % action.name
    return Member(action.name, [action.verb], Difference(path, WORDS[action.found], WORDS[action.wanted]))
