# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dependencies of domains, declared in their metadata: what a task wants against what is, and both ways to look.

Used by the modules domain_dependency and domain_info. plan() compares and checks the rules, and changes nothing.
"""

from __future__ import annotations

import uuid
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field, replace
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.baremetal.lab.plugins.module_utils._dependency import document, hypervisor
from ansible_collections.baremetal.lab.plugins.module_utils._dependency.model import (
    DEFAULTS,
    Dependency,
    DependencyError,
    Graph,
    Signal,
    rules_of,
)
from ansible_collections.baremetal.lab.plugins.module_utils._domain_state import ABSENT, STATE_NAMES
from ansible_collections.baremetal.lab.plugins.module_utils._errors import LabError
from ansible_collections.baremetal.lab.plugins.module_utils._libvirt import libvirt, reason

Dependencies = Tuple[Dependency, ...]


@dataclass(frozen=True)
class Wanted:
    """One master as a task wants it. `dependencies` is None where the task means all that there are."""

    name: str
    present: bool
    exclusive: bool
    dependencies: Optional[Sequence[Mapping[str, Any]]]


@dataclass
class Outcome:
    """What became of one master, or would."""

    name: str
    uuid: Optional[str] = None
    actions: List[str] = field(default_factory=list)
    before: Dependencies = ()
    after: Dependencies = ()
    before_live: Optional[Dependencies] = None
    """What the running machine has, where that is not as wanted."""
    error: Optional[str] = None
    warnings: List[str] = field(default_factory=list)

    def document(self) -> Dict[str, Any]:
        return {
            "name": self.name,
            "uuid": self.uuid,
            "changed": bool(self.actions),
            "actions": self.actions,
            "dependencies": [described(one) for one in self.after],
            "error": self.error,
        }

    def diff(self) -> List[Dict[str, str]]:
        """For Ansible's diff mode."""
        parts = [("dependencies", self.before)]
        if self.before_live is not None:
            parts.append(("dependencies of the running machine", self.before_live))
        return [
            {
                "before_header": "%s (%s)" % (self.name, part),
                "after_header": "%s (%s)" % (self.name, part),
                "before": _text(before),
                "after": _text(self.after),
            }
            for part, before in parts
            if self.actions and _text(before) != _text(self.after)
        ]


def described(one: Dependency) -> Dict[str, Any]:
    """A dependency as plain values, for results."""
    found: Dict[str, Any] = {"name": one.name, "uuid": one.uuid, "file": one.file}
    found["signals"] = [signal.value for signal in Signal if signal in one.signals]
    return {**found, **{attribute: getattr(one, attribute) for attribute in DEFAULTS}}


def _text(dependencies: Dependencies) -> str:
    return "".join(sorted("%s: %s\n" % (one.name, one) for one in dependencies))


class Declarer:
    """One task's work over one connection."""

    def __init__(self, connection: Any, check: bool) -> None:
        self._connection = connection
        self._check = check

    def converge(self, wanted: Sequence[Wanted]) -> List[Outcome]:
        """Plan all, check all together, then declare. One that fails holds up no other; no rule is broken for it."""
        found = hypervisor.scan(self._connection)
        by_name = {seen.name: seen for seen in found.values()}
        plans = [(one, Outcome(one.name)) for one in wanted]
        for one, outcome in plans:
            _guarded(outcome, lambda one=one, outcome=outcome: self._plan(one, outcome, by_name))
        graph = hypervisor.graph_of(found)
        good = [outcome for _one, outcome in plans if outcome.error is None]
        for outcome in good:
            graph.add(outcome.uuid or outcome.name, outcome.name, outcome.after)
        for outcome in good:
            _guarded(outcome, lambda outcome=outcome: self._check_rules(outcome, graph))
        for outcome in good:
            if outcome.error is None and not self._check:
                _guarded(outcome, lambda outcome=outcome: self._apply(outcome))
        return [outcome for _one, outcome in plans]

    def _plan(self, wanted: Wanted, outcome: Outcome, known: Mapping[str, hypervisor.Seen]) -> None:
        seen = known.get(wanted.name)
        if seen is None:
            if wanted.present:
                self._missing(outcome, wanted.name, "define it first")
                outcome.after = self._merged((), wanted, outcome, known)
                outcome.actions = ["set-metadata"]
            return  # what is not there depends on nothing
        outcome.uuid = seen.uuid
        domain = self._connection.lookupByUUIDString(seen.uuid)
        persistent, active = bool(domain.isPersistent()), bool(domain.isActive())
        stored = _read(domain, wanted, config=True) if persistent else None
        live = _read(domain, wanted, config=False) if active else None
        outcome.before = (live if stored is None else stored) or ()
        outcome.after = self._merged(outcome.before, wanted, outcome, known)
        if stored is not None and not _same(stored, outcome.after):
            outcome.actions.append("set-metadata")
        if live is not None and not _same(live, outcome.after):
            outcome.actions.append("set-live-metadata")
            outcome.before_live = live

    def _missing(self, outcome: Outcome, name: str, remedy: str) -> None:
        """A domain that is not there: an error, but in check mode an earlier task may be about to make it."""
        text = "there is no domain '%s' on %s: %s" % (name, self._connection.getURI(), remedy)
        if not self._check:
            raise LabError(text)
        outcome.warnings.append(text)

    def _merged(
        self, before: Dependencies, wanted: Wanted, outcome: Outcome, known: Mapping[str, hypervisor.Seen]
    ) -> Dependencies:
        if wanted.dependencies is None:
            return before if wanted.present else ()
        if not wanted.present:
            named = [_named(one) for one in wanted.dependencies]
            return tuple(one for one in before if not any(_is(one, name, known) for name in named))
        asked = [self._resolved(one, wanted, outcome, known) for one in wanted.dependencies]
        if wanted.exclusive:
            return tuple(asked)
        kept = [one for one in before if not any(one.key == new.key or one.name == new.name for new in asked)]
        return tuple(kept + asked)

    def _resolved(
        self, item: Mapping[str, Any], wanted: Wanted, outcome: Outcome, known: Mapping[str, hypervisor.Seen]
    ) -> Dependency:
        name, identity, path = _named(item)
        if path is not None:
            found = document.of_file(path, wanted.name)
            if name is not None and name != found.name:
                raise LabError(
                    "domain '%s' is to depend on '%s', and the file '%s' describes '%s': correct one of the two"
                    % (wanted.name, name, path, found.name)
                )
        else:
            found = self._defined(name, identity, wanted, outcome, known)
        signals = item.get("signals")
        if signals is not None:
            found = replace(found, signals=frozenset(Signal(word) for word in signals))
        given = {attribute: item[attribute] for attribute in DEFAULTS if item.get(attribute) is not None}
        return replace(found, **given)

    def _defined(
        self,
        name: Optional[str],
        identity: Optional[str],
        wanted: Wanted,
        outcome: Outcome,
        known: Mapping[str, hypervisor.Seen],
    ) -> Dependency:
        found = [seen for seen in known.values() if seen.name == name or (name is None and seen.uuid == identity)]
        if not found:
            self._missing(
                outcome,
                name or identity or "",
                "domain '%s' can't depend on it: define it first, or give its 'file'" % wanted.name,
            )
            return Dependency(name or identity or "", identity)
        if identity is not None and found[0].uuid != identity:
            raise LabError(
                "domain '%s' is to depend on '%s' with the uuid %s, and that has %s: correct one of the two, "
                "or leave it out" % (wanted.name, name, identity, found[0].uuid)
            )
        return Dependency(found[0].name, found[0].uuid)

    def _check_rules(self, outcome: Outcome, graph: Graph) -> None:
        if not outcome.after or not outcome.actions:
            return
        types = {}
        for one in [Dependency(outcome.name, outcome.uuid), *outcome.after]:
            domain = hypervisor.find(self._connection, one)
            if domain is not None:
                types[one.key] = ET.fromstring(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)).get("type", "")
        problems = rules_of(graph, outcome.uuid or outcome.name, types)
        if problems:
            outcome.actions = []
            raise LabError("; ".join(problems))

    def _apply(self, outcome: Outcome) -> None:
        done, outcome.actions = outcome.actions, []
        if not done:
            return
        domain = self._connection.lookupByUUIDString(outcome.uuid)
        for action in done:
            hypervisor.declare(domain, outcome.after, live=action == "set-live-metadata")
            outcome.actions.append(action)


def _guarded(outcome: Outcome, work: Any) -> None:
    try:
        work()
    except (LabError, DependencyError) as error:
        outcome.error = str(error)
    except libvirt.libvirtError as error:
        outcome.error = "libvirt refused work on the dependencies of domain '%s': %s: correct that and run again" % (
            outcome.name,
            reason(error),
        )
    if outcome.error is not None:
        outcome.after = outcome.before


def _read(domain: Any, wanted: Wanted, config: bool) -> Dependencies:
    """One of the two copies. What can't be read counts as nothing where it is about to be replaced as a whole."""
    try:
        return hypervisor.dependencies_of(domain, config)
    except DependencyError:
        if wanted.exclusive or (not wanted.present and wanted.dependencies is None):
            return ()
        raise


def _named(item: Mapping[str, Any]) -> Tuple[Optional[str], Optional[str], Optional[str]]:
    return item.get("name"), item.get("uuid"), item.get("file")


def _is(
    one: Dependency,
    named: Tuple[Optional[str], Optional[str], Optional[str]],
    known: Mapping[str, hypervisor.Seen],
) -> bool:
    """Whether a task means this one, by what it was called when it was declared or by what it is called now."""
    name, identity, path = named
    return (
        (name is None or one.name == name or (name in known and known[name].uuid == one.uuid))
        and (identity is None or one.uuid == identity)
        and (path is None or one.file == path)
    )


def _same(one: Dependencies, other: Dependencies) -> bool:
    return sorted(map(_comparable, one)) == sorted(map(_comparable, other))


def _comparable(one: Dependency) -> str:
    return "%s: %s %s" % (one.name, one.uuid, one)


class Relations:
    """Who depends on whom among domains that were looked at, for results."""

    def __init__(self, domains: Dict[str, hypervisor.Seen]) -> None:
        self._domains = domains
        self._graph = hypervisor.graph_of(domains)

    def of(self, key: str) -> Dict[str, Any]:
        """Both directions for one domain."""
        dependencies = [
            {**described(one), "uuid": one.uuid, "state": self._state(one.key)} for one in self._graph.of(key)
        ]
        dependents = [
            {"name": self._graph.name(master), "uuid": master, "state": self._state(master)}
            for master, _edge in self._graph.masters(key)
        ]
        return {"dependencies": dependencies, "dependents": sorted(dependents, key=lambda one: str(one["name"]))}

    def _state(self, key: str) -> str:
        seen = self._domains.get(key)
        return ABSENT if seen is None else STATE_NAMES.get(seen.state, "running")


def request(params: Mapping[str, Any]) -> List[Wanted]:
    """The masters that the module's parameters ask for. Raises LabError for what can't be meant."""
    items = [params] if params.get("domains") is None else params["domains"]
    wanted = []
    for item in items:
        state = item.get("state") or params["state"]
        exclusive = item.get("exclusive")
        dependencies = item.get("dependencies")
        for one in dependencies or ():
            _check_item(item["name"], one)
        wanted.append(
            Wanted(
                item["name"],
                state == "present",
                bool(params.get("exclusive") if exclusive is None else exclusive),
                None if dependencies is None else [_normal(one) for one in dependencies],
            )
        )
    names = [one.name for one in wanted]
    for name in names:
        if names.count(name) > 1:
            raise LabError("domain '%s' is in the list twice: name it once, with all that it depends on" % name)
    return wanted


def _check_item(name: str, item: Mapping[str, Any]) -> None:
    if not any(_named(item)):
        raise LabError("domain '%s' has a dependency without a name: give name, uuid or file" % name)
    if item.get("uuid") and item.get("file"):
        raise LabError("domain '%s' has a dependency with uuid and file: give one of the two" % name)


def _normal(item: Mapping[str, Any]) -> Dict[str, Any]:
    if not item.get("uuid"):
        return dict(item)
    try:
        return {**item, "uuid": str(uuid.UUID(item["uuid"]))}
    except ValueError as error:
        raise LabError("the uuid '%s' of a dependency is none: correct it, or give its name" % item["uuid"]) from error
