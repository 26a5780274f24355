# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Follows the masters of one libvirt daemon: looks when there is reason to, and has their dependencies follow.

Nothing here is ever taken back, and a master is never acted on. One master's changes are dealt with one after the
other; different masters' side by side. What can't be done because libvirt is away is done when it is back.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field, replace
from typing import Any, Awaitable, Callable, Dict, FrozenSet, Iterable, List, Mapping, Optional, Set, Tuple

from vbmcd.background import Background
from vbmcd.config import Connection
from vbmcd.dependency import hypervisor
from vbmcd.dependency.carry import ActionFailed
from vbmcd.dependency.decide import Action, Stage, Transition, decide
from vbmcd.dependency.hypervisor import Seen
from vbmcd.dependency.model import Dependency, Graph, Level, Signal
from vbmcd.machine.base import MachineError, Unsupported, WrongState
from vbmcd.machine.libvirt_connection import METADATA, DomainEvent
from vbmcd.machine.libvirt_link import LibvirtLink
from vbmcd.watcher import memory
from vbmcd.watcher.memory import Remembered

log = logging.getLogger(__name__)

Remember = Callable[[str, Optional[Remembered]], Awaitable[None]]
"""Has the supervisor keep what is remembered of a master, by UUID; None: nothing any more."""

_DEFINED, _UNDEFINED, _STARTED, _SUSPENDED, _RESUMED, _STOPPED, _CRASHED = 0, 1, 2, 3, 4, 5, 8
"""virDomainEventType."""
_DECLARING = (METADATA, _DEFINED, _STARTED)
"""After these a domain may have got dependencies."""
_MOVING = (_STARTED, _SUSPENDED, _RESUMED, _STOPPED, _CRASHED)
"""After these its dependencies may have to follow it."""
ACTORS = 4
"""Dependencies that are acted on at a time: so many connections at most."""
RETRY_SECONDS = 1.0


@dataclass
class _Case:
    """A master that is to be looked at, or is being looked at."""

    again: bool = True
    ending: Optional[int] = None
    """Why it last stopped (virDomainShutoffReason), where an event told."""
    partners: Optional[Dict[str, int]] = None
    """The numbers of its dependencies when it stopped."""
    busy: bool = False
    fresh: bool = True
    """Whether the declaration is to be read anew."""
    moving: bool = False
    """Whether something may be to follow."""


@dataclass(frozen=True)
class Survey:
    """A master, its dependencies and their other masters, read in one go."""

    master: Optional[Seen]
    graph: Graph
    states: Dict[str, Level]
    numbers: Dict[str, int] = field(default_factory=dict)


class Follower:
    """Follows one connection's domains. Create it on the running loop."""

    def __init__(self, connection: Connection, known: Mapping[str, Remembered], remember: Remember) -> None:
        self._memory: Dict[str, Remembered] = dict(known)
        self._remember = remember
        self._graph = Graph()
        self._numbers: Dict[str, int] = {}
        self._cases: Dict[str, _Case] = {}
        self._early: List[DomainEvent] = []
        self._scanned = False
        self._background = Background()
        self._link = LibvirtLink(connection, self, actors=ACTORS)

    @property
    def masters(self) -> int:
        return len(self._graph.edges)

    @property
    def connected_now(self) -> bool:
        return self._link.connected

    async def close(self) -> None:
        """Let what is under way end, but not for long."""
        await self._background.drain(1.0)
        self._link.close()

    # --- What the link tells -----------------------------------------------------------------------------------------

    def connected(self) -> None:
        self._scanned = False
        self._background.start(self._catch_up())

    def happened(self, event: DomainEvent) -> None:
        if not self._scanned:
            self._early.append(event)
            return
        if event.kind == _STARTED:
            self._numbers[event.uuid] = event.id
        if event.uuid in self._graph.edges or event.uuid in self._memory:
            self._note(event)
        elif event.kind in _DECLARING:
            self._background.start(self._meet(event))
        if event.kind == _UNDEFINED and event.uuid not in self._memory:
            self._numbers.pop(event.uuid, None)

    def _note(self, event: DomainEvent) -> None:
        case = self._cases.setdefault(event.uuid, _Case(fresh=False))
        case.fresh = case.fresh or event.kind in _DECLARING
        case.moving = case.moving or event.kind in _MOVING
        if event.kind == _STOPPED:
            case.ending = event.detail + 1  # both lists have the same order, and one begins with "unknown"
            case.partners = {
                one.key: self._numbers[one.key] for one in self._graph.of(event.uuid) if one.key in self._numbers
            }
        self._attend(event.uuid)

    async def _meet(self, event: DomainEvent) -> None:
        """A domain that had no dependencies may have got some. Where it has just started, that is still to follow."""
        try:
            seen = await self._link.call(event.name, _look, event.uuid)
        except MachineError as error:
            log.debug("domain %r could not be looked at: %s", event.name, error)
            return
        if seen is None or event.uuid in self._memory:
            return
        _complain(seen)
        if seen.dependencies:
            self._graph.add(seen.uuid, seen.name, seen.dependencies)
            await self._begin(seen, fresh=event.kind == _STARTED)
            self._attend(seen.uuid)

    async def _begin(self, seen: Seen, fresh: bool = False) -> None:
        """Remember a master that was not known: as it is, or as if it had been off so far."""
        before = Remembered(seen.name, dependencies=seen.dependencies)
        if not fresh:
            before = memory.settled(before, memory.now(seen), seen, {})
        self._memory[seen.uuid] = before
        await self._remember(seen.uuid, before)

    async def _catch_up(self) -> None:
        """Look at everything, and act on what differs from what is remembered."""
        try:
            domains = await self._link.act("", hypervisor.scan)
        except MachineError as error:
            log.warning("the domains could not be listed: %s", error)
            if self._link.connected:
                asyncio.get_running_loop().call_later(RETRY_SECONDS, self.connected)
            return
        graph = hypervisor.graph_of(domains)
        for key, before in self._memory.items():
            if key not in domains:
                graph.add(key, before.name, before.dependencies)
        self._graph = graph
        self._numbers = {key: seen.id for key, seen in domains.items()}
        self._scanned = True
        for seen in domains.values():
            _complain(seen)
            if seen.dependencies and seen.uuid not in self._memory:
                await self._begin(seen)
        for key in list(self._memory):
            self._attend(key)
        early, self._early = self._early, []
        for event in early:
            self.happened(event)

    # --- One master --------------------------------------------------------------------------------------------------

    def _attend(self, key: str) -> None:
        case = self._cases.setdefault(key, _Case())
        case.again = True
        if not case.busy:
            case.busy = True
            self._background.start_at_once(self._work(key, case))

    async def _work(self, key: str, case: _Case) -> None:
        try:
            while case.again:
                case.again = False
                await self._follow(key, case)
            self._cases.pop(key, None)
        except MachineError as error:
            # A lost connection brings connected() again; a slow libvirt does not.
            log.debug("master %s has to wait: %s", key, error)
            asyncio.get_running_loop().call_later(RETRY_SECONDS, self._retry, key)
        finally:
            case.busy = False

    def _retry(self, key: str) -> None:
        if self._link.connected and self._scanned:
            self._attend(key)

    async def _follow(self, key: str, case: _Case) -> None:
        before = self._memory.get(key)
        if before is None:
            return
        if case.moving and not before.unsettled:
            # Before it is known whether anything follows: the act is not to wait for this.
            self._memory[key] = replace(before, unsettled=True)
            await self._remember(key, self._memory[key])
        fresh, case.fresh, case.moving = case.fresh, False, False
        ask = _Question(key, before, self._graph, case.ending, case.partners, fresh)
        answer = await self._link.act(before.name, ask.look_and_begin)
        survey = answer.survey
        if survey.master is not None:
            self._graph.add(key, survey.master.name, survey.graph.of(key))
        numbers = survey.numbers
        if answer.transitions:
            await self._finish(answer)
            numbers = (await self._link.call(before.name, _survey_only, key, self._graph)).numbers
        if not case.again:
            case.ending = case.partners = None
        after = memory.settled(before, answer.found, survey.master, numbers)
        await self._settle(key, after)

    async def _finish(self, answer: _Answer) -> None:
        """What is left to do of the transitions, each after the one before it."""
        first, *others = answer.transitions
        done = list(answer.done)
        for stage in answer.left:
            await self._act_all(first, stage, done)
        _tell(answer.survey, first, done)
        for transition in others:
            survey = await self._link.call("", _survey_only, transition.domain, self._graph)
            done = []
            for stage in decide(survey.graph, survey.states, transition):
                await self._act_all(transition, stage, done, settle=True)
            _tell(survey, transition, done)

    async def _act_all(self, transition: Transition, stage: Stage, done: List[str], settle: bool = False) -> None:
        acts = (self._act(transition, one, done, settle) for one in stage)
        results = await asyncio.gather(*acts, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _settle(self, key: str, after: Remembered) -> None:
        gone = after.level is Level.OFF and not await self._link.call(after.name, _exists, key)
        if gone or not after.dependencies:
            self._memory.pop(key, None)
            self._graph.drop(key)
            await self._remember(key, None)
            return
        if self._memory.get(key) != after:
            self._memory[key] = after
            await self._remember(key, after)

    async def _act(self, transition: Transition, action: Action, done: List[str], settle: bool) -> None:
        try:
            if await self._link.act(action.name, hypervisor.perform, action, None, settle):
                done.append(f"{action.verb}:{action.name}")
        except (ActionFailed, WrongState, Unsupported) as error:
            _complain_of(transition.domain, action, error)


@dataclass(frozen=True)
class _Answer:
    """What was found, what is to follow, and how far that has got already."""

    survey: Survey
    found: memory.Now
    transitions: List[Transition]
    done: Tuple[str, ...] = ()
    left: Tuple[Stage, ...] = ()
    """Of the first transition."""


@dataclass(frozen=True)
class _Question:
    """One look at a master, in a thread of the link."""

    key: str
    before: Remembered
    graph: Graph
    """Only read."""
    ending: Optional[int]
    partners: Optional[Dict[str, int]]
    fresh: bool
    """Whether its declaration may have changed."""

    def look_and_begin(self, connection: Any) -> _Answer:
        """Look, decide, and where one action is all that comes first, do it at once: a way through the loop less."""
        survey, domains = _survey(connection, self.key, self.graph, self.fresh)
        found = memory.now(survey.master, self.ending)
        then = self.partners
        if then is None:
            # No event told of a stop. What then is off has its dependencies stopped, however old they are.
            then = {} if found.level is Level.OFF else dict(self.before.partners)
        transitions = memory.since(self.key, self.before, found, self.ending, _spared(survey.numbers, then))
        stages = tuple(decide(survey.graph, survey.states, transitions[0])) if transitions else ()
        if not stages or len(stages[0]) > 1:
            return _Answer(survey, found, transitions, left=stages)
        (action,) = stages[0]
        done: Tuple[str, ...] = ()
        try:
            if hypervisor.perform(connection, action, domains[action.domain]):
                done = (f"{action.verb}:{action.name}",)
        except ActionFailed as error:
            _complain_of(self.before.name, action, error)
        return _Answer(survey, found, transitions, done, stages[1:])


def _complain_of(master: str, action: Action, error: Exception) -> None:
    fields = {"domain": master, "dependency": action.name, "action": action.verb}
    log.error("what a domain depends on can't follow it: %s", error, extra={"fields": fields})


def _tell(survey: Survey, transition: Transition, done: List[str]) -> None:
    if not done:
        return
    fields = {"domain": survey.graph.name(transition.domain), "signal": _word(transition), "done": ",".join(done)}
    first = [one for one in survey.graph.of(transition.domain) if one.order == "before"]
    if first and transition.signals & {Signal.START, Signal.RESUME}:
        fields["order"] = "it went first, so 'before' means after here"
    log.info("what a domain depends on follows it", extra={"fields": fields})


def _word(transition: Transition) -> str:
    return "crash" if transition.crashed else "+".join(sorted(signal.value for signal in transition.signals))


def _spared(numbers: Mapping[str, int], then: Mapping[str, int]) -> FrozenSet[str]:
    """Dependencies that were started anew after their master stopped: somebody is bringing the group up in order."""
    return frozenset(key for key, number in numbers.items() if number != -1 and then.get(key, number) != number)


_complained: Set[str] = set()


def _complain(seen: Seen) -> None:
    if seen.error and seen.error not in _complained:
        _complained.add(seen.error)
        log.error(seen.error)


def _look(connection: Any, key: str) -> Optional[Seen]:
    domain = hypervisor.by_uuid(connection, key)
    return None if domain is None else hypervisor.look(domain)


def _exists(connection: Any, key: str) -> bool:
    return hypervisor.by_uuid(connection, key) is not None


def _survey_only(connection: Any, key: str, known: Graph) -> Survey:
    return _survey(connection, key, known, fresh=False)[0]


def _survey(connection: Any, key: str, known: Graph, fresh: bool) -> Tuple[Survey, Dict[str, Any]]:
    """Blocking, in a thread of the link, which alone may have the dependencies' handles that come with it.

    `known` is only read; `fresh`: read the master's declaration anew.
    """
    domain = hypervisor.by_uuid(connection, key)
    kept = None if fresh else known.of(key)
    seen = None if domain is None else _with_reason(domain, hypervisor.look(domain, kept))
    graph = Graph(dict(known.edges), dict(known.names))
    declared = known.of(key) if seen is None or seen.error else seen.dependencies
    survey = Survey(seen, graph, {key: Level.OFF if seen is None else seen.level})
    dependencies: List[Dependency] = []
    domains: Dict[str, Any] = {}
    others: Set[str] = set()
    for dependency in declared:
        dependency, found = hypervisor.identified(connection, dependency)
        dependencies.append(dependency)
        level = survey.states[dependency.key] = hypervisor.level(found)
        survey.numbers[dependency.key] = -1 if found is None or level is Level.OFF else found.ID()
        domains[dependency.key] = found
    graph.add(key, known.name(key) if seen is None else seen.name, tuple(dependencies))
    for dependency in dependencies:
        others.update(master for master, _edge in graph.masters(dependency.key))
    survey.states.update(_levels(connection, others - survey.states.keys()))
    return survey, domains


def _with_reason(domain: Any, seen: Optional[Seen]) -> Optional[Seen]:
    """libvirtd forgets with its own end why a domain is off. One that has a saved image was saved."""
    if seen is None or seen.level is not Level.OFF or seen.reason != 0 or not domain.hasManagedSaveImage():
        return seen
    return replace(seen, reason=memory.SAVED)


def _levels(connection: Any, keys: Iterable[str]) -> List[Tuple[str, Level]]:
    return [(key, hypervisor.level(hypervisor.by_uuid(connection, key))) for key in keys]
