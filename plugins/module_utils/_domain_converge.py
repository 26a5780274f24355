# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring domains to what a task wants, over one connection: first every definition, then every state.

Called by the module `domain`. In check mode the same plans are made and none is carried out. An item that
fails keeps its error and holds up no other.
"""

from __future__ import annotations

import uuid
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any, Callable, Dict, List, Optional, Sequence

from ansible_collections.baremetal.lab.plugins.module_utils import _domain_facts as facts
from ansible_collections.baremetal.lab.plugins.module_utils import _domain_group as groups
from ansible_collections.baremetal.lab.plugins.module_utils._dependency import decide, document
from ansible_collections.baremetal.lab.plugins.module_utils._dependency.hypervisor import (
    Group,
    graph_of,
    group_for,
    group_of,
    scan,
)
from ansible_collections.baremetal.lab.plugins.module_utils._dependency.model import DependencyError, rules_of
from ansible_collections.baremetal.lab.plugins.module_utils._domain_definition import Definition, Definitions, stored
from ansible_collections.baremetal.lab.plugins.module_utils._domain_disks import Volumes
from ansible_collections.baremetal.lab.plugins.module_utils._domain_merge import Difference
from ansible_collections.baremetal.lab.plugins.module_utils._domain_removal import Removal
from ansible_collections.baremetal.lab.plugins.module_utils._domain_request import Request
from ansible_collections.baremetal.lab.plugins.module_utils._domain_state import (
    ABSENT,
    RESULTS,
    SHUT_OFF,
    Power,
    state_of,
    steps,
)
from ansible_collections.baremetal.lab.plugins.module_utils._errors import LabError
from ansible_collections.baremetal.lab.plugins.module_utils._libvirt import libvirt, reason
from ansible_collections.baremetal.lab.plugins.module_utils._xml import text_of

_AT_ONCE = 8
"""Starts and stops that libvirt is asked for at once: QEMU takes a third of a second for one."""


@dataclass
class Outcome:
    """What became of one item, or would."""

    name: str
    uuid: Optional[str] = None
    state: str = ABSENT
    actions: List[str] = field(default_factory=list)
    differences: List[Difference] = field(default_factory=list)
    restart_required: List[str] = field(default_factory=list)
    macs: List[str] = field(default_factory=list)
    disks: List[Dict[str, Any]] = field(default_factory=list)
    dependencies: List[groups.Member] = field(default_factory=list)
    """What was done to the domains that this one depends on."""
    error: Optional[str] = None
    before: str = ""
    after: str = ""
    """The definition, where it changes."""
    beside: List[Difference] = field(default_factory=list)
    """Those of `differences` that the definition does not show."""
    warnings: List[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        return bool(self.actions) or any(member.actions for member in self.dependencies)

    def document(self) -> Dict[str, Any]:
        """As plain values, for the module's result."""
        result = asdict(self)
        for key in ("before", "after", "beside", "warnings"):
            del result[key]
        dependencies = [member.document() for member in self.dependencies]
        return {**result, "dependencies": dependencies, "changed": self.changed}

    def diff(self) -> List[Dict[str, Any]]:
        """For Ansible's diff mode: the definition, and what changes beside it."""
        if not self.changed:
            return []
        sides = [
            "".join("%s: %s\n" % (path, value) for path, value in side if value is not None)
            for side in (
                [(difference.path, difference.before) for difference in self.beside],
                [(difference.path, difference.after) for difference in self.beside],
            )
        ]
        parts = [("definition", self.before, self.after), ("state and disks", *sides)]
        return [
            {
                "before_header": "%s (%s)" % (self.name, part),
                "after_header": "%s (%s)" % (self.name, part),
                "before": before,
                "after": after,
            }
            for part, before, after in parts
            if before != after
        ]

    def add_beside(self, differences: Sequence[Difference]) -> None:
        self.differences.extend(differences)
        self.beside.extend(differences)


@dataclass
class _Item:
    request: Request
    outcome: Outcome
    domain: Optional[Any] = None
    definition: Optional[Definition] = None
    fresh_start: bool = False


class Converger:
    """One task's work. `wait_timeout` is in seconds, for all shutdowns together."""

    def __init__(self, connection: Any, check: bool, wait_timeout: float) -> None:
        self._connection = connection
        self._check = check
        self._wait_timeout = wait_timeout
        self._power = Power()
        self._volumes = Volumes(connection)

    def converge(self, requests: Sequence[Request]) -> List[Outcome]:
        known = {domain.name(): domain for domain in self._connection.listAllDomains()}
        items = [_Item(request, Outcome(request.name), known.get(request.name)) for request in requests]
        definitions = Definitions(self._connection, self._volumes, known.values())
        removal = Removal(self._volumes, known, [request.name for request in requests if request.state == ABSENT])
        self._check_dependencies(items)
        self._each(items, lambda item: self._define(item, definitions))
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            removal.prepare([item.request for item in items])
            list(pool.map(lambda item: self._guarded(item, lambda it: self._bring_to_state(it, removal)), items))
        self._await_shutdowns(items)
        for item in items:
            self._observe(item)
        return [item.outcome for item in items]

    def _each(self, items: Sequence[_Item], work: Callable[[_Item], None]) -> None:
        for item in items:
            self._guarded(item, work)

    def _guarded(self, item: _Item, work: Callable[[_Item], None]) -> None:
        """Do one item's work, unless it has failed already."""
        if item.outcome.error is not None:
            return
        try:
            work(item)
        except (LabError, DependencyError) as error:
            item.outcome.error = str(error)
        except libvirt.libvirtError as error:
            item.outcome.error = "libvirt refused work on domain '%s': %s: correct that and run again" % (
                item.request.name,
                reason(error),
            )

    def _define(self, item: _Item, definitions: Definitions) -> None:
        if item.request.state == ABSENT:
            return
        outcome = item.outcome
        definition = item.definition = definitions.plan(item.request, item.domain)
        outcome.warnings.extend(definition.warnings)
        outcome.differences.extend(definition.differences)
        if item.request.transient:
            _check_transient(item)
        outcome.add_beside(definition.beside)
        outcome.before, outcome.after = definition.diff()
        if not self._check:
            item.domain = definitions.apply(definition, outcome.actions)
            outcome.warnings.extend(definition.warnings_after)
        else:
            outcome.actions.extend(definition.actions())

    def _bring_to_state(self, item: _Item, removal: Removal) -> None:
        outcome = item.outcome
        if item.request.state == ABSENT:
            plan = removal.plan(item.request, item.domain)
            outcome.warnings.extend(plan.warnings)
            outcome.before = plan.before
            outcome.add_beside(plan.differences())
            group = group_of(self._connection, item.domain) if item.domain is not None and plan.active else None
            if self._check:
                outcome.actions.extend(plan.actions())
            else:
                removal.apply(plan, outcome.actions, self._power)
            if group is not None:
                self._follow(item, group, decide.destroy(group.master, done=True), ())
            return
        found = SHUT_OFF if item.domain is None else state_of(item.domain)
        needed = steps(item.request.state, found)
        group = self._group(item)
        transition = None if group is None else groups.transition_to(group, item.request.state, found)
        if group is None or transition is None:
            self._take(item, needed)
        else:
            self._follow(item, group, transition, needed)
        if needed:
            outcome.add_beside([Difference("state", found, RESULTS[item.request.state])])

    def _take(self, item: _Item, needed: Sequence[str]) -> None:
        """The domain's own steps."""
        for step in needed:
            item.fresh_start = item.fresh_start or step.startswith("start")
            if not self._check and item.domain is None:
                item.domain = self._create(item, step)
            elif not self._check:
                self._power.take(step, item.domain)
            item.outcome.actions.append(step)

    def _take_back(self, item: _Item) -> None:
        if item.domain is not None and state_of(item.domain) not in (SHUT_OFF, ABSENT):
            item.domain.destroy()
            item.outcome.actions.append("destroy")

    def _create(self, item: _Item, step: str) -> Any:
        """Start a transient domain, which is defined by nothing else."""
        flags = libvirt.VIR_DOMAIN_START_PAUSED if step == "start-paused" else 0
        try:
            return self._connection.createXML(text_of(_definition(item).merged), flags)
        except libvirt.libvirtError as error:
            raise LabError(
                "libvirt could not start the transient domain '%s': %s: correct the xml or the options"
                % (item.request.name, reason(error))
            ) from error

    def _group(self, item: _Item) -> Optional[Group]:
        """The domain with what it depends on, if there is anything; as it will be defined, where it is off."""
        lowering = item.request.state in ("paused", "destroyed", "shutdown")
        if item.domain is not None and item.domain.isActive():
            return group_of(self._connection, item.domain, lowering)
        if item.definition is None:
            return None
        merged = item.definition.merged
        key = str(uuid.uuid4()) if item.domain is None else item.domain.UUIDString()
        return group_for(self._connection, key, item.request.name, document.of_definition(merged), lowering)

    def _follow(self, item: _Item, group: Group, transition: decide.Transition, needed: Sequence[str]) -> None:
        """Take the domain's steps together with those of its dependencies, each at its time."""
        members = item.outcome.dependencies
        known = len(members)
        if self._check:
            members.extend(groups.foresee(group, transition))
            self._take(item, needed)
        else:
            groups.run(group, transition, lambda: self._take(item, needed), lambda: self._take_back(item), members)
        item.outcome.add_beside([one.difference for one in members[known:] if one.difference is not None])

    def _check_dependencies(self, items: Sequence[_Item]) -> None:
        """What the given XML declares has to keep the rules, together with what others have declared."""
        declaring = [item for item in items if item.request.dependencies]
        if not declaring:
            return
        domains = scan(self._connection)
        graph = graph_of(domains)
        keys = {seen.name: seen.uuid for seen in domains.values()}
        for item in items:
            if item.request.xml is not None:
                key = keys.setdefault(item.request.name, item.request.uuid or item.request.name)
                graph.add(key, item.request.name, item.request.dependencies or graph.of(key))
        for item in declaring:
            problems = rules_of(graph, keys[item.request.name], {keys[item.request.name]: _type(item.request)})
            if problems:
                item.outcome.error = "; ".join(problems)

    def _await_shutdowns(self, items: Sequence[_Item]) -> None:
        if self._check:
            return
        begun = {
            item.request.name: item
            for item in items
            if "shutdown" in item.outcome.actions and item.outcome.error is None and item.domain is not None
        }
        errors = self._power.await_off([item.domain for item in begun.values()], self._wait_timeout)
        for name, error in errors.items():
            begun[name].outcome.error = str(error)
        for name, item in begun.items():
            if name not in errors:
                self._guarded(item, self._shut_down_group)

    def _shut_down_group(self, item: _Item) -> None:
        """The guest is off, and what it depends on follows."""
        group = self._group(item)
        if group is not None:
            self._follow(item, group, decide.destroy(group.master, done=True), ())

    def _observe(self, item: _Item) -> None:
        """Fill in how the domain is now, failed or not; in check mode, how it would be."""
        try:
            if self._check and item.outcome.error is None:
                self._foresee(item)
            elif item.domain is not None:
                self._look_at(item, item.domain)
        except (LabError, libvirt.libvirtError) as error:
            item.outcome.error = item.outcome.error or "domain '%s' could not be read again: %s: run again" % (
                item.request.name,
                reason(error),
            )

    def _look_at(self, item: _Item, domain: Any) -> None:
        outcome = item.outcome
        outcome.state = state_of(domain)
        if outcome.state == ABSENT or (item.request.state == ABSENT and outcome.error is None):
            outcome.state = ABSENT
            return
        _describe(outcome, stored(domain))
        if item.definition is not None and outcome.state != SHUT_OFF:
            outcome.restart_required = item.definition.waiting_for_restart(domain)

    def _foresee(self, item: _Item) -> None:
        if item.definition is None:
            return  # to be removed
        outcome = item.outcome
        found = SHUT_OFF if item.domain is None else state_of(item.domain)
        outcome.state = RESULTS.get(item.request.state, found)
        _describe(outcome, item.definition.merged)
        if item.domain is not None and SHUT_OFF not in (found, outcome.state) and not item.fresh_start:
            outcome.restart_required = item.definition.waiting_for_restart(item.domain)


def _definition(item: _Item) -> Definition:
    if item.definition is None:
        raise AssertionError("a domain without a definition was to be started")
    return item.definition


def _type(request: Request) -> str:
    return "" if request.xml is None else request.xml.get("type", "")


def _check_transient(item: _Item) -> None:
    if item.domain is not None and item.domain.isPersistent():
        raise LabError(
            "domain '%s' is to be transient, and is defined: leave 'transient' out, or remove the domain first"
            % item.request.name
        )


def _describe(outcome: Outcome, definition: ET.Element) -> None:
    outcome.uuid = definition.findtext("uuid")
    outcome.macs = facts.macs(definition)
    outcome.disks = facts.disks(definition)
