# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one function that says what follows from what happens to a domain: graph, states, transition -> actions. Pure.

A command (a module's, a BMC's) has it say what to do to the whole group, in order. The watcher has it say what is
left to do once a domain's state has changed. Each action holds for the states that it was decided on: who carries it
out looks again first.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from typing import Dict, FrozenSet, List, Mapping, Optional, Tuple

from .model import Dependency, Graph, Level, Signal

States = Mapping[str, Level]

VERBS: Dict[Tuple[Level, Level], str] = {
    (Level.OFF, Level.RUNNING): "start",
    (Level.OFF, Level.PAUSED): "start-paused",
    (Level.PAUSED, Level.RUNNING): "resume",
    (Level.RUNNING, Level.PAUSED): "suspend",
    (Level.RUNNING, Level.OFF): "destroy",
    (Level.PAUSED, Level.OFF): "destroy",
}
"""The way from one level to another."""

_RISING = frozenset([Signal.START, Signal.RESUME])


@dataclass(frozen=True)
class Transition:
    """A domain goes to a level, by these signals.

    `done`: it is there already, so that only its dependencies remain.
    `crashed`: it went off by a crash, which only dependencies with on_crash=stop follow.
    `spared`: keys of dependencies that are not to be acted on.
    """

    domain: str
    level: Level
    signals: FrozenSet[Signal]
    done: bool = False
    crashed: bool = False
    spared: FrozenSet[str] = frozenset()


@dataclass(frozen=True)
class Action:
    """What to do to one domain, if it is in state `found`."""

    domain: str
    name: str
    verb: str
    found: Level
    wanted: Level
    on_failure: str = "rollback"
    dependency: Optional[Dependency] = None
    """None for the domain that the transition is about."""


Stage = Tuple[Action, ...]
"""What may be done in any order, or at once."""


def start(domain: str, paused: bool = False, done: bool = False, spared: FrozenSet[str] = frozenset()) -> Transition:
    signals = frozenset([Signal.START, Signal.SUSPEND] if paused else [Signal.START])
    return Transition(domain, Level.PAUSED if paused else Level.RUNNING, signals, done, spared=spared)


def destroy(domain: str, done: bool = False, spared: FrozenSet[str] = frozenset()) -> Transition:
    return Transition(domain, Level.OFF, frozenset([Signal.DESTROY]), done, spared=spared)


def crash(domain: str) -> Transition:
    return Transition(domain, Level.OFF, frozenset([Signal.DESTROY]), done=True, crashed=True)


def suspend(domain: str, done: bool = False) -> Transition:
    return Transition(domain, Level.PAUSED, frozenset([Signal.SUSPEND]), done)


def resume(domain: str, done: bool = False, starting: bool = False) -> Transition:
    """`starting`: the domain is to run with all that it needs, so that what is off is started."""
    signals = frozenset([Signal.RESUME, Signal.START] if starting else [Signal.RESUME])
    return Transition(domain, Level.RUNNING, signals, done)


def decide(graph: Graph, states: States, transition: Transition) -> List[Stage]:
    """The actions in their stages; domains that `states` lacks are off. A domain is acted on once at most."""
    stages = _stages(graph, states, transition, transition.domain, None, frozenset())
    seen: Dict[str, None] = {}
    result: List[Stage] = []
    for stage in stages:
        fresh = []
        for action in stage:
            if action.domain not in seen:
                seen[action.domain] = None
                fresh.append(action)
        if fresh:
            result.append(tuple(fresh))
    return result


def _stages(
    graph: Graph,
    states: States,
    transition: Transition,
    domain: str,
    dependency: Optional[Dependency],
    above: FrozenSet[str],
) -> List[Stage]:
    """Those of `domain` and of all below it; `above` are the domains that led here, in case of a ring."""
    action = _action(graph, states, transition, domain, dependency, above)
    own: List[Stage] = [] if action is None else [(action,)]
    if dependency is not None and action is not None and action.wanted is not transition.level:
        return own  # others need it, and with it what it needs itself
    rising = bool(transition.signals & _RISING)
    early: List[List[Stage]] = []
    late: List[List[Stage]] = []
    for below in graph.of(domain):
        if below.key in above or below.key == domain or below.key in transition.spared:
            continue
        if transition.crashed and below.on_crash != "stop":
            continue
        group = early if (below.order == "before") == rising else late
        group.append(_stages(graph, states, transition, below.key, below, above | {domain}))
    return _abreast(early) + own + _abreast(late)


def _abreast(branches: List[List[Stage]]) -> List[Stage]:
    """Stages of several branches side by side."""
    return [tuple(action for stage in row for action in stage or ()) for row in zip_longest(*branches)]


def _action(
    graph: Graph,
    states: States,
    transition: Transition,
    domain: str,
    dependency: Optional[Dependency],
    above: FrozenSet[str],
) -> Optional[Action]:
    found = states.get(domain, Level.OFF)
    if dependency is None:
        if transition.done or found is transition.level:
            return None
        return Action(domain, graph.name(domain), VERBS[found, transition.level], found, transition.level)
    wanted = _wanted(transition.signals & dependency.signals, found)
    if wanted is not found and wanted < Level.RUNNING and dependency.shared == "running":
        needed = max(
            (states.get(master, Level.OFF) for master, _edge in graph.masters(domain) if master not in above),
            default=Level.OFF,
        )
        # What others need it for holds it up, at the level that it has at most; and it starts on the higher one.
        wanted = max(wanted, min(needed, found) if wanted < found else needed)
    if wanted is found:
        return None
    return Action(domain, dependency.name, VERBS[found, wanted], found, wanted, dependency.on_failure, dependency)


def _wanted(signals: FrozenSet[Signal], found: Level) -> Level:
    """The level to which the signals that reach it bring a dependency, were it nobody else's."""
    if Signal.DESTROY in signals:
        return Level.OFF
    if Signal.START in signals:
        return Level.PAUSED if Signal.SUSPEND in signals else Level.RUNNING
    if Signal.SUSPEND in signals and found is Level.RUNNING:
        return Level.PAUSED
    if Signal.RESUME in signals and found is Level.PAUSED:
        return Level.RUNNING
    return found
