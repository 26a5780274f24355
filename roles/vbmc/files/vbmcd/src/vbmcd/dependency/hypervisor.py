# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dependencies on a libvirt connection: reading graph and states, and acting on one domain. Blocking.

Called by the modules, by the worker's power actions and by the watcher, each with a connection of its own.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Callable, Dict, Iterator, Optional, Tuple

from .carry import STARTS, ActionFailed, Report, carry_out
from .decide import Action, Transition, decide
from .document import NAMESPACE, PREFIX, bare, element, parse, read_target
from .model import Dependency, DependencyError, Graph, Level

try:
    import libvirt
except ImportError:  # a module says so itself
    libvirt = None

_PAUSED, _SHUTOFF, _CRASHED = 3, 5, 6
"""virDomainState."""
_STARTING_UP = 11
"""virDomainPausedReason."""


@dataclass(frozen=True)
class Seen:
    """A domain as it was when it was looked at."""

    uuid: str
    name: str
    id: int
    """New with each start; -1 while it is off."""
    state: int
    reason: int
    dependencies: Tuple[Dependency, ...] = ()
    error: str = ""
    """Why its dependencies can't be read."""

    @property
    def level(self) -> Level:
        return level_of(self.state)


def level_of(state: int) -> Level:
    if state == _SHUTOFF:
        return Level.OFF
    return Level.PAUSED if state in (_PAUSED, _CRASHED) else Level.RUNNING


def dependencies_of(domain: Any, config: bool = False) -> Tuple[Dependency, ...]:
    """What a domain depends on: as it runs or, while it is off or for `config`, as it is defined.

    Raises DependencyError for metadata that means nothing.
    """
    flags = libvirt.VIR_DOMAIN_AFFECT_CONFIG if config else libvirt.VIR_DOMAIN_AFFECT_CURRENT
    try:
        text = domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, NAMESPACE, flags)
    except libvirt.libvirtError as error:
        if error.get_error_code() in (libvirt.VIR_ERR_NO_DOMAIN_METADATA, libvirt.VIR_ERR_NO_SUPPORT):
            return ()
        raise
    return parse(text, domain.name())


def declare(domain: Any, dependencies: Tuple[Dependency, ...], live: bool) -> None:
    """Set the live or the stored copy of a domain's dependencies."""
    text = bare(element(dependencies)) if dependencies else None
    flags = libvirt.VIR_DOMAIN_AFFECT_LIVE if live else libvirt.VIR_DOMAIN_AFFECT_CONFIG
    domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, text, PREFIX if text else None, NAMESPACE, flags)


def look(domain: Any, known: Optional[Tuple[Dependency, ...]] = None) -> Optional[Seen]:
    """A domain as it is now; None where it is gone. `known` dependencies are not read again."""
    try:
        state, reason = domain.state()[:2]
        dependencies = known or ()
        problem = ""
        try:
            if known is None:
                dependencies = dependencies_of(domain)
        except DependencyError as error:
            problem = str(error)
        number = -1 if state == _SHUTOFF else domain.ID()
        if number == -1 and state != _SHUTOFF:  # started since this handle was made
            number = domain.connect().lookupByUUID(domain.UUID()).ID()
        return Seen(domain.UUIDString(), domain.name(), number, state, reason, dependencies, problem)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise


def scan(connection: Any) -> Dict[str, Seen]:
    """Every domain of the connection, by UUID."""
    found = (look(domain) for domain in connection.listAllDomains())
    return {seen.uuid: seen for seen in found if seen is not None}


def graph_of(domains: Dict[str, Seen]) -> Graph:
    """The graph of domains that were looked at. What names a domain by file or name gets its UUID, if it is there."""
    by_name = {seen.name: seen.uuid for seen in domains.values()}
    graph = Graph()
    for seen in domains.values():
        graph.add(seen.uuid, seen.name, tuple(resolved(one, domains, by_name) for one in seen.dependencies))
    return graph


def resolved(dependency: Dependency, domains: Dict[str, Seen], by_name: Dict[str, str]) -> Dependency:
    """A dependency with the UUID and the name that its domain has now."""
    if dependency.uuid in domains:
        return replace(dependency, name=domains[dependency.uuid or ""].name)
    if (dependency.uuid is None or dependency.file) and dependency.name in by_name:
        return replace(dependency, uuid=by_name[dependency.name])
    return dependency


def find(connection: Any, dependency: Dependency) -> Optional[Any]:
    """The domain that is depended on; None where there is none (yet).

    One that is made from a file may get another UUID each time, and is the one of that name.
    """
    lookups = [(connection.lookupByUUIDString, dependency.uuid)] if dependency.uuid else []
    if dependency.file or not dependency.uuid:
        lookups.append((connection.lookupByName, dependency.name))
    for lookup, word in lookups:
        try:
            return lookup(word)
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
                raise
    return None


def level(domain: Optional[Any]) -> Level:
    """How much a domain is up now; one that is gone is off."""
    if domain is None:
        return Level.OFF
    try:
        return level_of(domain.state()[0])
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return Level.OFF
        raise


_SETTLED, _PAUSE = 0.15, 0.02
"""Seconds in which a start can be lost, and between two looks. Shorter than the daemon keeps who asks meanwhile waiting
(libvirt_machine.PROMPT), so that it reads what was done."""
_LOST = (3, 6)
"""virDomainShutoffReason: crashed, failed."""


def start_after_stop(domain: Any, start: Callable[[], Any]) -> None:
    """Start a domain that was stopped just before; once more where libvirt (9.0) kills what it has started.

    It learns of the end of the process before when that has a successor already, and takes it for the successor's. On a
    busy host one start in fifty was lost so.
    """
    failed = None
    try:
        start()
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_OPERATION_FAILED:
            raise
        failed = error
    if _is_lost(domain):
        start()
    elif failed is not None and level(domain) is Level.OFF:
        raise failed


def _is_lost(domain: Any) -> bool:
    deadline = time.monotonic() + _SETTLED
    while True:
        over = time.monotonic() > deadline  # before the look: on a busy host the next one may come late
        state, why = domain.state()[:2]
        if state == _SHUTOFF:
            return why in _LOST
        if over:
            return False
        time.sleep(_PAUSE)


def perform(connection: Any, action: Action, looked_at: Optional[Any] = None, settle: bool = False) -> bool:
    """Do an action on a dependency if it is still to be done; whether it was. Raises ActionFailed.

    `looked_at` is its domain, if the caller has only just found it in the state that was decided on. `settle`: what is
    to be started was stopped just before.
    What is in another state than that has somebody else acting on it, and is left to them.
    """
    dependency = action.dependency
    if dependency is None:
        raise ValueError("the master's own action is its owner's to do")
    domain = looked_at
    if domain is None:
        with failing(connection):
            domain = find(connection, dependency)
            if level(domain) is not action.found:
                return False
    call = _call(connection, domain, action, dependency)
    try:
        if settle and domain is not None and action.verb in STARTS:
            start_after_stop(domain, call)
        else:
            call()
    except libvirt.libvirtError as error:
        with failing(connection):
            if level(find(connection, dependency)) is action.wanted:
                return False  # somebody else was faster
        raise ActionFailed(reason(error)) from error
    return True


def _call(connection: Any, domain: Optional[Any], action: Action, dependency: Dependency) -> Callable[[], Any]:
    paused = libvirt.VIR_DOMAIN_START_PAUSED if action.verb == "start-paused" else 0
    if domain is not None:
        calls: Dict[str, Callable[[], Any]] = {
            "start": domain.create,
            "start-paused": lambda: domain.createWithFlags(paused),
            "resume": domain.resume,
            "suspend": domain.suspend,
            "destroy": domain.destroy,
        }
        return calls[action.verb]
    if dependency.file is None:
        raise ActionFailed(_missing(connection, dependency))
    try:
        text = read_target(dependency)
    except DependencyError as error:
        raise ActionFailed(str(error)) from error
    return lambda: connection.createXML(text, paused)


def _missing(connection: Any, dependency: Dependency) -> str:
    text = "there is no domain with the uuid %s" % dependency.uuid
    with failing(connection):
        other = find(connection, Dependency(dependency.name))
    if other is None:
        return text + ": define it, or remove the dependency"
    return "%s, and '%s' has %s: declare the dependency anew" % (text, dependency.name, other.UUIDString())


def undo(connection: Any, action: Action) -> None:
    """Stop what `action` started. Raises ActionFailed."""
    perform(connection, replace(action, verb="destroy", found=action.wanted, wanted=Level.OFF))


@contextmanager
def failing(connection: Any) -> Iterator[None]:
    """libvirt's errors as ActionFailed, but for those of a connection that broke: whether it was done is not known."""
    try:
        yield
    except libvirt.libvirtError as error:
        if not connection.isAlive():
            raise
        raise ActionFailed(reason(error)) from error


def reason(error: Any) -> str:
    """What a libvirtError says, but for what may quote a line of a definition, which may hold a password."""
    if error.get_error_code() in (libvirt.VIR_ERR_XML_ERROR, libvirt.VIR_ERR_XML_DETAIL):
        return "libvirt refused its definition (error %d): correct that" % error.get_error_code()
    return str(error.get_error_message() or error)


def _is_up(domain: Optional[Any]) -> bool:
    """Whether a domain runs, or is paused by somebody: a QEMU that starts is paused as well, for a while."""
    if domain is None or level(domain) is Level.OFF:
        return False
    state, why = domain.state()[:2]
    return (state, why) != (_PAUSED, _STARTING_UP)


def states_of(connection: Any, graph: Graph, master: str) -> Dict[str, Level]:
    """Levels now of a master, of what it depends on, and of who else depends on that."""
    found = {master: level(by_uuid(connection, master))}
    for dependency in graph.of(master):
        found[dependency.key] = level(find(connection, dependency))
        for other, _edge in graph.masters(dependency.key):
            if other not in found:
                found[other] = level(by_uuid(connection, other))
    return found


def by_uuid(connection: Any, key: str) -> Optional[Any]:
    """A domain by its UUID; None where there is none."""
    return find(connection, Dependency(key, key))


@dataclass
class Group:
    """A master with what it depends on, for a command that acts on all of it. Made by group_of()."""

    connection: Any
    graph: Graph
    master: str

    @property
    def name(self) -> str:
        return self.graph.name(self.master)

    def states(self) -> Dict[str, Level]:
        """Levels of all domains of the graph that matter to the master, read now."""
        return states_of(self.connection, self.graph, self.master)

    def complete(self) -> bool:
        """Whether every dependency is up that has to be (the master may not). One that starts is not yet."""
        return all(_is_up(find(self.connection, one)) for one in self.graph.of(self.master) if one.required)

    def run(
        self,
        transition: Transition,
        report: Report,
        own: Callable[[Action], bool],
        undo_own: Callable[[], None],
        settle: bool = False,
    ) -> None:
        """Carry a transition of the master out; `own` does the master's part of it, and `undo_own` stops it again.

        `settle`: the group was stopped just before.
        """

        def act(action: Action) -> bool:
            return own(action) if action.dependency is None else perform(self.connection, action, settle=settle)

        def take_back(action: Action) -> None:
            if action.dependency is None:
                undo_own()
            else:
                undo(self.connection, action)

        carry_out(decide(self.graph, self.states(), transition), act, take_back, report)


def group_of(connection: Any, domain: Any, lowering: bool = True, config: bool = False) -> Optional[Group]:
    """The group of a domain; None where it depends on nothing.

    `lowering`: whether it may be stopped or paused, so that other masters of the same domains matter. They are looked
    for among all domains, which takes half a millisecond for each.
    """
    dependencies = dependencies_of(domain, config)
    return group_for(connection, domain.UUIDString(), domain.name(), dependencies, lowering)


def group_for(
    connection: Any, key: str, name: str, dependencies: Tuple[Dependency, ...], lowering: bool = True
) -> Optional[Group]:
    """The same for a domain with a UUID and a name that may not be there yet."""
    if not dependencies:
        return None
    shared = lowering and any(one.shared == "running" for one in dependencies)
    graph = graph_of(scan(connection)) if shared else Graph()
    graph.add(key, name, tuple(with_identity(connection, one) for one in dependencies))
    return Group(connection, graph, key)


def with_identity(connection: Any, dependency: Dependency) -> Dependency:
    """A dependency with the UUID and the name that its domain has now, if it is there."""
    return identified(connection, dependency)[0]


def identified(connection: Any, dependency: Dependency) -> Tuple[Dependency, Optional[Any]]:
    """The same, and its domain."""
    domain = find(connection, dependency)
    if domain is None:
        return dependency, None
    return replace(dependency, uuid=domain.UUIDString(), name=domain.name()), domain
