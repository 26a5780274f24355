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

from vbmcd.config import ALLOCATED_PORTS, DEFAULT_ADDRESS, DEFAULT_PORT, DEFAULT_REDFISH_PORT, Instance
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
    reserved_tcp: Collection[Endpoint] = (),
    broken: Optional[Mapping[str, str]] = None,
) -> Plan:
    """How `current` becomes `wanted`; names in `wanted` are unique (documents.parse_specs).

    `purge_owner`: also delete that owner's instances that `wanted` does not name. `create_only`: a name
    that exists is a conflict, and so is one that has another owner than the one wanted. `reserved` and
    `reserved_tcp`: endpoints of others, none of which is allocated. `broken`: names
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
    present = [one for one in wanted if one.state is not State.ABSENT]
    udp = _Ports(reserved, [(one.name, one.endpoint) for one in untouched])
    chosen = udp.choose([_udp_claim(one, current.get(one.name)) for one in present])
    tcp = _Ports(reserved_tcp, [(one.name, one.redfish_endpoint) for one in untouched if one.redfish_endpoint])
    claims = (_tcp_claim(one, current.get(one.name), chosen[one.name]) for one in present)
    chosen_tcp = tcp.choose([claim for claim in claims if claim is not None])
    changes: List[Change] = []
    for one in wanted:
        before = current.get(one.name)
        if before is not None and one.owner and before.owner not in ("", one.owner):
            errors.append(_belongs(before, one))
        if one.state is State.ABSENT:
            actions = ("delete",) if before is not None or one.name in broken else ()
            changes.append(Change(one.name, before, None, actions))
            continue
        after = one.applied_to(before, chosen[one.name], chosen_tcp.get(one.name, 0))
        errors += instance_errors(after)
        changes.append(Change(one.name, before, after, _actions(before, after, one.name in broken)))
    changes += [Change(name, current[name], None, ("delete",)) for name in purged]
    return Plan(tuple(changes), (*errors, *udp.errors, *tcp.errors))


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


@dataclass(frozen=True)
class _Claim:
    """What an instance wants of a port."""

    name: str
    address: str
    wanted: Optional[int]
    """The port that the request names."""
    before: Optional[Endpoint]
    preferred: Optional[int]
    """Of a new one without a port: this one if it is free, otherwise an allocated one."""
    what: str = ""
    """Which port it is, for errors; empty for IPMI's."""


def _udp_claim(one: Wanted, before: Optional[Instance]) -> _Claim:
    address = one.address or (before.address if before is not None else DEFAULT_ADDRESS)
    return _Claim(one.name, address, one.port, before.endpoint if before is not None else None, one.default_port)


def _tcp_claim(one: Wanted, before: Optional[Instance], udp_port: int) -> Optional[_Claim]:
    """None for an instance without Redfish."""
    had = before.redfish if before is not None else None
    wanted = one.redfish
    if (wanted is None and had is None) or (wanted is not None and not wanted.enabled):
        return None
    own = had.address if had is not None else ""
    if wanted is not None and wanted.address is not None:
        own = wanted.address
    address = own or _udp_claim(one, before).address
    # The number of its IPMI port, for people; 443 beside 623.
    preferred = DEFAULT_REDFISH_PORT if udp_port == DEFAULT_PORT else udp_port
    endpoint = before.redfish_endpoint if before is not None else None
    return _Claim(one.name, address, wanted.port if wanted is not None else None, endpoint, preferred, "Redfish's ")


class _Ports:
    """Chooses the ports of a request, UDP or TCP, so that the final state has every endpoint once.

    Endpoints that stay as they are come first, then the ports that the request names, then those that
    instances keep on another address, and last those that are allocated.
    """

    def __init__(self, reserved: Collection[Endpoint], untouched: Sequence[Tuple[str, Endpoint]]) -> None:
        self.errors: List[VbmcError] = []
        taken = Endpoints()
        for endpoint in reserved:
            taken.claim(endpoint, "")
        self._endpoints = Endpoints(taken)
        for name, endpoint in untouched:
            self._endpoints.claim(endpoint, name)
        self._before: Dict[str, Optional[Endpoint]] = {}

    def choose(self, claims: Sequence[_Claim]) -> Dict[str, int]:
        """The port of each of `claims`; where none is right, any, and an error."""
        self._before = {claim.name: claim.before for claim in claims}
        chosen: Dict[str, int] = {}
        for claim in sorted(claims, key=_rank):
            port = claim.wanted or (claim.before[1] if claim.before is not None else None)
            chosen[claim.name] = self._allocate(claim) if port is None else self._take(claim, port)
        return chosen

    def _take(self, claim: _Claim, port: int) -> int:
        endpoint = (claim.address, port)
        holder = self._endpoints.holder(endpoint)
        if holder is None:
            self._endpoints.claim(endpoint, claim.name)
            return port
        before = self._before.get(holder)
        has = "is to have by the same request" if holder in self._before else "already has"
        if before is not None and before[1] == port:
            has = "already has"
        if claim.wanted is None:
            # It keeps its port, on an address where that is taken, or against one that names it.
            remedy = "give one of the two another port"
        else:
            remedy = "give it another port, or leave the port out and one is allocated"
        message = f"instance {claim.name!r} wants {claim.what}{show(endpoint)}, which {holder!r} {has}: {remedy}"
        self.errors.append(Conflict(message, instance=claim.name))
        return port

    def _allocate(self, claim: _Claim) -> int:
        port = self._endpoints.allocate(claim.address, claim.name, claim.preferred)
        if port is not None:
            return port
        self.errors.append(
            Conflict(
                f"instance {claim.name!r} finds no free port on {claim.address}: all from {ALLOCATED_PORTS.start} to "
                f"{ALLOCATED_PORTS.stop - 1} are taken: give it a port, or an address of its own",
                instance=claim.name,
            )
        )
        return ALLOCATED_PORTS.start


def _rank(claim: _Claim) -> int:
    before = claim.before
    if before is not None and before == (claim.address, claim.wanted or before[1]):
        return 0
    if claim.wanted is not None:
        return 1
    return 2 if before is not None else 3


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
