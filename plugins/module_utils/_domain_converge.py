# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring domains to what a task wants, over one connection: first every definition, then every state.

Called by the module `domain`. In check mode the same plans are made and none is carried out. An item that
fails keeps its error and holds up no other.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any, Callable, Dict, List, Optional, Sequence

from ansible_collections.baremetal.lab.plugins.module_utils import _domain_facts as facts
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
    error: Optional[str] = None
    before: str = ""
    after: str = ""
    """The definition, where it changes."""
    beside: List[Difference] = field(default_factory=list)
    """Those of `differences` that the definition does not show."""
    warnings: List[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        return bool(self.actions)

    def document(self) -> Dict[str, Any]:
        """As plain values, for the module's result."""
        result = asdict(self)
        for key in ("before", "after", "beside", "warnings"):
            del result[key]
        return {**result, "changed": self.changed}

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
        except LabError as error:
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
            if self._check:
                outcome.actions.extend(plan.actions())
            else:
                removal.apply(plan, outcome.actions, self._power)
            return
        found = SHUT_OFF if item.domain is None else state_of(item.domain)
        needed = steps(item.request.state, found)
        for step in needed:
            item.fresh_start = item.fresh_start or step.startswith("start")
            if not self._check:
                self._power.take(step, item.domain)
            outcome.actions.append(step)
        if needed:
            outcome.add_beside([Difference("state", found, RESULTS[item.request.state])])

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


def _describe(outcome: Outcome, definition: ET.Element) -> None:
    outcome.uuid = definition.findtext("uuid")
    outcome.macs = facts.macs(definition)
    outcome.disks = facts.disks(definition)
