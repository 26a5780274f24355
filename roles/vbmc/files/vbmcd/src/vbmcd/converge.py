# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to change: wanted instances against current ones.

The one comparison that gives check mode, diff and change. The supervisor calls it under its own lock and
carries the plan out, or not (check). Pure: no I/O, the same input gives the same plan.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Dict, List, Optional, Tuple

from vbmcd.config import ALLOCATED_PORTS, DEFAULT_ADDRESS, Instance
from vbmcd.documents import Document, State, Wanted, changed_document, instance_errors, instance_to_document
from vbmcd.endpoints import Endpoint, Endpoints, show
from vbmcd.errors import Conflict, NotFound, StateError, VbmcError


@dataclass(frozen=True)
class Change:
    """What a request does to one instance; no actions: nothing."""

    name: str
    before: Optional[Instance]
    after: Optional[Instance]
    actions: Tuple[str, ...] = ()
    """Of create, update, delete, start, stop. An update of a running instance keeps it running."""

    @property
    def state(self) -> State:
        """What the instance is afterwards: absent, started or stopped."""
        if self.after is None:
            return State.ABSENT
        return State.STARTED if self.after.active else State.STOPPED


@dataclass(frozen=True)
class Plan:
    """The changes, in the order of the request and then of the purge, or why there can be none."""

    changes: Tuple[Change, ...]
    errors: Tuple[VbmcError, ...] = ()
    """Not empty: nothing of the plan may be carried out."""

    @property
    def changed(self) -> bool:
        return any(change.actions for change in self.changes)

    def result(self, current: Mapping[str, Instance]) -> Dict[str, Instance]:
        """The instances that there are once the plan is carried out on `current`."""
        instances = dict(current)
        for change in self.changes:
            if change.after is not None:
                instances[change.name] = change.after
            else:
                instances.pop(change.name, None)
        return instances


def plan(
    current: Mapping[str, Instance],
    wanted: Sequence[Wanted],
    *,
    purge_owner: Optional[str] = None,
    create_only: bool = False,
    reserved: Collection[Endpoint] = (),
    broken: Optional[Mapping[str, str]] = None,
) -> Plan:
    """How `current` becomes `wanted`; names in `wanted` are unique (documents.parse_specs).

    `purge_owner`: also delete that owner's instances that `wanted` does not name. `create_only`: a name
    that exists is a conflict, and so is one that has another owner than the one wanted. `reserved`: endpoints of
    others, none of which is allocated. `broken`: names
    whose file is unusable, with the reason; a wanted one is written anew (from its old values, where
    `current` has it as well).
    """
    broken = broken or {}
    named = {one.name for one in wanted}
    errors: List[VbmcError] = []
    if create_only:
        errors += [_exists(one.name, broken) for one in wanted if one.name in current or one.name in broken]
    others = {name: instance for name, instance in current.items() if name not in named}
    purged = sorted(name for name, instance in others.items() if purge_owner and instance.owner == purge_owner)
    gone = set(purged)
    untouched = [instance for name, instance in others.items() if name not in gone]
    ports = _Ports(current, untouched, reserved)
    present = [one for one in wanted if one.state is not State.ABSENT]
    chosen = ports.choose(present)
    changes: List[Change] = []
    for one in wanted:
        before = current.get(one.name)
        if before is not None and one.owner and before.owner not in ("", one.owner):
            errors.append(_belongs(before, one))
        if one.state is State.ABSENT:
            actions = ("delete",) if before is not None or one.name in broken else ()
            changes.append(Change(one.name, before, None, actions))
            continue
        after = one.applied_to(before, chosen[one.name])
        errors += instance_errors(after)
        changes.append(Change(one.name, before, after, _actions(before, after, one.name in broken)))
    changes += [Change(name, current[name], None, ("delete",)) for name in purged]
    return Plan(tuple(changes), (*errors, *ports.errors))


def plan_names(
    current: Mapping[str, Instance], names: Sequence[str], state: State, broken: Optional[Mapping[str, str]] = None
) -> Plan:
    """The plan of delete, start and stop: what can be done of it, and an error for each of the others."""
    broken = broken or {}
    errors: List[VbmcError] = []
    good: List[str] = []
    for name in dict.fromkeys(names):
        if name not in current and name not in broken:
            errors.append(unknown(name))
        elif name in broken and state is not State.ABSENT:
            errors.append(
                StateError(
                    f"instance {name!r} can't be {state.value}: {broken[name]}: mend it with vbmc apply, or delete it",
                    instance=name,
                )
            )
        else:
            good.append(name)
    done = plan(current, [Wanted(name, state=state) for name in good], broken=broken)
    return Plan(done.changes, (*errors, *done.errors))


def unknown(name: str) -> NotFound:
    """The error for a name that there is no instance of, in VirtualBMC's words."""
    message = f"No domain with matching name {name} was found: vbmc list shows those that there are"
    return NotFound(message, instance=name)


def _exists(name: str, broken: Mapping[str, str]) -> Conflict:
    if name in broken:
        remedy = f"but is broken ({broken[name]}): mend it with vbmc apply, or delete it first"
    else:
        remedy = "choose another name, or change it with vbmc apply"
    return Conflict(f"instance {name!r} exists already: {remedy}", instance=name)


def _belongs(before: Instance, one: Wanted) -> Conflict:
    """Whoever names an owner means an instance of that owner, and not one that another has under this name."""
    if one.state is State.ABSENT:
        remedy = "leave the owner out to delete it all the same"
    else:
        remedy = "choose another name, or delete that one, or clear its owner, first"
    message = f"instance {before.name!r} belongs to {before.owner!r}, not to {one.owner!r}, and stays: {remedy}"
    return Conflict(message, instance=before.name)


def _actions(before: Optional[Instance], after: Instance, broken: bool) -> Tuple[str, ...]:
    actions: List[str] = []
    if before is None:
        actions.append("create")
    elif broken or before.with_active(after.active) != after:
        actions.append("update")
    was_active = before is not None and before.active
    if was_active is not after.active:
        actions.append("start" if after.active else "stop")
    return tuple(actions)


class _Ports:
    """Chooses the ports of a request, so that the final state has every endpoint once.

    Endpoints that stay as they are come first, then the ports that the request names, then those that
    instances keep on another address, and last those that are allocated.
    """

    def __init__(
        self, current: Mapping[str, Instance], untouched: Sequence[Instance], reserved: Collection[Endpoint]
    ) -> None:
        self.errors: List[VbmcError] = []
        taken = Endpoints()
        for endpoint in reserved:
            taken.claim(endpoint, "")
        self._endpoints = Endpoints(taken)
        for instance in untouched:
            self._endpoints.claim(instance.endpoint, instance.name)
        self._current = current

    def choose(self, wanted: Sequence[Wanted]) -> Dict[str, int]:
        """The port of each of `wanted`; where none is right, any, and an error."""
        chosen: Dict[str, int] = {}
        for one in sorted(wanted, key=self._rank):
            before = self._current.get(one.name)
            port = one.port or (before.port if before is not None else None)
            chosen[one.name] = self._allocate(one) if port is None else self._take(one, port)
        return chosen

    def _rank(self, one: Wanted) -> int:
        before = self._current.get(one.name)
        if before is not None and before.endpoint == (self._address(one), one.port or before.port):
            return 0
        if one.port is not None:
            return 1
        return 2 if before is not None else 3

    def _address(self, one: Wanted) -> str:
        before = self._current.get(one.name)
        return one.address or (before.address if before is not None else DEFAULT_ADDRESS)

    def _take(self, one: Wanted, port: int) -> int:
        endpoint = (self._address(one), port)
        holder = self._endpoints.holder(endpoint)
        if holder is None:
            self._endpoints.claim(endpoint, one.name)
            return port
        before = self._current.get(holder)
        has = "already has" if before is not None and before.port == port else "is to have by the same request"
        if one.port is None:
            # It keeps its port, on an address where that is taken, or against one that names it.
            remedy = "give one of the two another port"
        else:
            remedy = "give it another port, or leave the port out and one is allocated"
        message = f"instance {one.name!r} wants {show(endpoint)}, which {holder!r} {has}: {remedy}"
        self.errors.append(Conflict(message, instance=one.name))
        return port

    def _allocate(self, one: Wanted) -> int:
        address = self._address(one)
        port = self._endpoints.allocate(address, one.name, one.default_port)
        if port is not None:
            return port
        self.errors.append(
            Conflict(
                f"instance {one.name!r} finds no free port on {address}: all from {ALLOCATED_PORTS.start} to "
                f"{ALLOCATED_PORTS.stop - 1} are taken: give it a port, or an address of its own",
                instance=one.name,
            )
        )
        return ALLOCATED_PORTS.start


def report(done: Plan) -> Document:
    """`done` as the result of an apply, delete, start or stop request; passwords are masked."""
    changes = [_report_change(change) for change in done.changes]
    return {"changed": done.changed, "instances": [*changes, *map(_report_failed, done.errors)]}


def _report_failed(error: VbmcError) -> Document:
    """An instance that was named and could not be changed, beside others that were."""
    nothing = dict.fromkeys(("state", "before", "after", "address", "port"))
    return {"name": error.instance, **nothing, "changed": False, "actions": [], "error": str(error)}


def _report_change(change: Change) -> Document:
    before, after = change.before, change.after
    shown = after or before
    return {
        "name": change.name,
        "state": change.state.value,
        "changed": bool(change.actions),
        "actions": list(change.actions),
        "before": instance_to_document(before) if before is not None else None,
        "after": changed_document(before, after) if after is not None else None,
        "error": None,
        "address": shown.address if shown is not None else None,
        "port": shown.port if shown is not None else None,
    }
