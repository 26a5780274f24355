# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hypervisor each node of a lab is on, or is to be on: the one decision, made for all nodes together.

Called by ``lab_plan``. Pure. Three promises rule everything here:

- A node that is on a hypervisor stays there, unless the inventory names another (``lab_hypervisor``).
- No machine is ever there twice, so none is made anew while a hypervisor that may have it does not answer.
- What a run decides, a later run decides again, also when a part of it has been carried out meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, Iterable, List, Mapping, Optional, Sequence, Set, Tuple

_PLENTY = 1e12
"""What a hypervisor has of which that is not known."""

Homes = Mapping[str, Sequence[str]]
"""Domain to the hypervisors that may have it, as an earlier run wrote down."""


@dataclass(frozen=True)
class Domain:
    """A domain that a hypervisor has, whosever it is."""

    name: str
    owner: str
    memory_mb: int
    vcpus: int
    uuid: str = ""


@dataclass(frozen=True)
class Hypervisor:
    """A hypervisor that answers."""

    name: str
    domains: Tuple[Domain, ...] = ()
    memory_mb: Optional[int] = None
    """Its memory; None where it is not known (check mode, before there is libvirt): everything fits then."""
    cpus: Optional[int] = None
    memory_ratio: float = 1.0
    cpu_ratio: float = 16.0
    """How many times its memory and CPUs its domains may have together, for another node to be placed there."""


@dataclass(frozen=True)
class Wanted:
    """A node of the inventory. `hypervisor`: the one that the inventory names, None to have it placed."""

    name: str
    domain: str
    memory_mb: int
    vcpus: int
    hypervisor: Optional[str] = None
    absent: bool = False


@dataclass(frozen=True)
class Place:
    """Where a node is to be. Without `hypervisor` nothing is to be done for it; `problem` may say why."""

    hypervisor: Optional[str] = None
    old: Tuple[str, ...] = ()
    """Hypervisors that have a copy of it, which has to go first."""
    home: Optional[str] = None
    """With a problem: where it is, as far as that is known."""
    problem: str = ""


def place(
    owner: str,
    answering: Sequence[Hypervisor],
    away: Mapping[str, str],
    wanted: Sequence[Wanted],
    homes: Optional[Homes] = None,
    anew: bool = True,
) -> Dict[str, Place]:
    """Node name to its place, for all of `wanted`, whose names and domains are unique.

    `owner`: the lab's label. `away`: hypervisors that do not answer, and why, if that is known. `homes` None: nobody
    knows of an earlier run. `anew` False: nodes that are nowhere stay so.
    """
    by_name = {hypervisor.name: hypervisor for hypervisor in answering}
    survey = _Survey(owner, by_name, dict(sorted(away.items())), homes)
    places: Dict[str, Place] = {}
    nowhere: List[Wanted] = []
    for node in wanted:
        decided = survey.named(node) if node.hypervisor else survey.found(node)
        if decided is None and not anew:
            decided = Place(problem=f"node '{node.name}' is on no hypervisor yet: bring_up places it")
        if decided is None:
            nowhere.append(node)
        else:
            places[node.name] = decided
    loads = _Loads(survey, wanted, places)
    # The large ones first: small ones fill what is left. The name makes it the same in every run.
    for node in sorted(nowhere, key=lambda one: (-one.memory_mb, -one.vcpus, one.name)):
        places[node.name] = loads.choose(node)
    return places


def next_homes(
    owner: str,
    answering: Sequence[Hypervisor],
    away: Iterable[str],
    wanted: Sequence[Wanted],
    places: Mapping[str, Place],
    homes: Optional[Homes] = None,
) -> Dict[str, List[str]]:
    """What is to be written down before anything is changed, so that no later run can miss a machine.

    `places`: of the nodes that are to be made now. A domain may be where it was found, where it is to be, and on
    hypervisors that do not answer if it was there before. One that is nowhere now, but in the inventory, keeps its
    home, where its disks may be.
    """
    result: Dict[str, Set[str]] = {}
    for hypervisor in answering:
        for domain in hypervisor.domains:
            if domain.owner == owner:
                result.setdefault(domain.name, set()).add(hypervisor.name)
    for name, before in (homes or {}).items():
        lost = set(before) & set(away)
        if lost:
            result.setdefault(name, set()).update(lost)
    for node in wanted:
        planned = places[node.name].hypervisor if node.name in places and not node.absent else None
        if planned:
            result.setdefault(node.domain, set()).add(planned)
        elif node.domain not in result and (homes or {}).get(node.domain):
            result[node.domain] = set((homes or {})[node.domain])
    return {name: sorted(result[name]) for name in sorted(result)}


@dataclass(frozen=True)
class _Survey:
    """What is known of where the lab's machines are."""

    owner: str
    answering: Mapping[str, Hypervisor]
    away: Mapping[str, str]
    homes: Optional[Homes]

    def having(self, domain: str) -> Dict[str, Domain]:
        """The hypervisors that have this domain of the lab, by name."""
        return {
            name: one
            for name, hypervisor in sorted(self.answering.items())
            for one in hypervisor.domains
            if one.name == domain and one.owner == self.owner
        }

    def named(self, node: Wanted) -> Place:
        """The place of a node whose hypervisor the inventory names."""
        target = node.hypervisor or ""
        copies = self.having(node.domain)
        if target not in self.answering:
            stays = f"; it stays on {_listed(copies)} until then" if copies else ""
            why = self._reasons([target])
            problem = f"hypervisor '{target}' of node '{node.name}' does not answer{why}: bring it back{stays}"
            return Place(home=next(iter(copies), target), problem=problem)
        if target in copies:
            twin = _twin(copies, target)
            if twin:
                return Place(home=target, problem=_one_machine(node, target, twin))
        else:
            lost = self._recorded(node) if copies or node.absent else self._may_have(node)
            if lost:
                return self._out_of_sight(node, lost)
        return Place(target, old=tuple(name for name in copies if name != target))

    def found(self, node: Wanted) -> Optional[Place]:
        """The place of a node whose hypervisor is left to us; None: it is nowhere, and may be placed anew."""
        copies = self.having(node.domain)
        if len(copies) > 1 and not node.absent:
            problem = (
                f"node '{node.name}' is on {_listed(copies)}, and can be on one only: give it lab_hypervisor, the one "
                "to stay on; its copy on the other is removed then, and the disks there are kept"
            )
            return Place(home=next(iter(copies)), problem=problem)
        if copies:
            first, *others = copies
            return Place(first, old=tuple(others))
        if self.away:
            return self._out_of_sight(node, self._recorded(node) or tuple(self.away))
        return Place() if node.absent else None

    def _recorded(self, node: Wanted) -> Tuple[str, ...]:
        return tuple(name for name in (self.homes or {}).get(node.domain, ()) if name in self.away)

    def _may_have(self, node: Wanted) -> Tuple[str, ...]:
        """The hypervisors out of sight that may have a node which the others don't have."""
        return tuple(self.away) if self.homes is None else self._recorded(node)

    def _out_of_sight(self, node: Wanted, lost: Sequence[str]) -> Place:
        names, reasons = _listed(lost), self._reasons(lost)
        if self._recorded(node):
            where = f"node '{node.name}' is on {names} as far as is known, which does not answer{reasons}"
        else:
            where = (
                f"node '{node.name}' may be on {names}, which does not answer{reasons}, and is on no other hypervisor"
            )
        problem = (
            f"{where}: bring it back. Should it be gone for good, take it out of the group hypervisors, and the node "
            "is made anew elsewhere"
        )
        return Place(home=lost[0] if self._recorded(node) else None, problem=problem)

    def _reasons(self, names: Sequence[str]) -> str:
        """Why hypervisors do not answer, in brackets; empty where that is not known."""
        known = [self.away[name] for name in names if self.away.get(name)]
        return f" ({'; '.join(known)})" if known else ""


@dataclass
class _Load:
    """What the domains of a hypervisor have together."""

    memory_mb: int = 0
    vcpus: int = 0

    def add(self, memory_mb: int, vcpus: int) -> None:
        self.memory_mb += memory_mb
        self.vcpus += vcpus


@dataclass
class _Loads:
    """Chooses hypervisors for nodes that are nowhere, one after the other."""

    survey: _Survey
    wanted: Sequence[Wanted]
    places: Mapping[str, Place]
    loads: Dict[str, _Load] = field(init=False)

    def __post_init__(self) -> None:
        own = {node.domain for node in self.wanted}
        self.loads = {}
        for name, hypervisor in self.survey.answering.items():
            load = self.loads[name] = _Load()
            for domain in hypervisor.domains:
                # The lab's own count below, where they are to be, and with what they are to have.
                if domain.owner != self.survey.owner or domain.name not in own:
                    load.add(domain.memory_mb, domain.vcpus)
        for node in self.wanted:
            place_of = self.places.get(node.name)
            if place_of is None or node.absent:
                continue
            for name in filter(None, {place_of.hypervisor or place_of.home}):
                if name in self.loads:
                    self.loads[name].add(node.memory_mb, node.vcpus)

    def choose(self, node: Wanted) -> Place:
        """The home that it had if it fits there, or the hypervisor with the least load afterwards."""
        fitting = [name for name in sorted(self.survey.answering) if self._fits(node, self.survey.answering[name])]
        if not fitting:
            return Place(problem=self._full(node))
        before = [name for name in (self.survey.homes or {}).get(node.domain, ()) if name in fitting]
        chosen = min(before or fitting, key=lambda name: (self._share(node, self.survey.answering[name]), name))
        self.loads[chosen].add(node.memory_mb, node.vcpus)
        return Place(chosen)

    def _fits(self, node: Wanted, hypervisor: Hypervisor) -> bool:
        if any(domain.name == node.domain for domain in hypervisor.domains):
            return False  # another's, as nobody has it of this lab
        load = self.loads[hypervisor.name]
        # Whatever the ratios, a node shares a hypervisor with others and not with itself.
        return _within(node.memory_mb, load.memory_mb, hypervisor.memory_mb, hypervisor.memory_ratio) and _within(
            node.vcpus, load.vcpus, hypervisor.cpus, hypervisor.cpu_ratio
        )

    def _share(self, node: Wanted, hypervisor: Hypervisor) -> Tuple[float, float]:
        """Of memory and CPUs the one that would be scarcer, and then the other."""
        load = self.loads[hypervisor.name]
        memory = _ratio(load.memory_mb + node.memory_mb, hypervisor.memory_mb, hypervisor.memory_ratio)
        cpu = _ratio(load.vcpus + node.vcpus, hypervisor.cpus, hypervisor.cpu_ratio)
        return max(memory, cpu), min(memory, cpu)

    def _full(self, node: Wanted) -> str:
        left = []
        for name, hypervisor in sorted(self.survey.answering.items()):
            load = self.loads[name]
            if any(domain.name == node.domain for domain in hypervisor.domains):
                left.append(f"{name} has another's domain '{node.domain}'")
                continue
            memory = _left(load.memory_mb, hypervisor.memory_mb, hypervisor.memory_ratio)
            left.append(
                f"{name} has {memory} MiB and {_left(load.vcpus, hypervisor.cpus, hypervisor.cpu_ratio)} CPUs left"
            )
        return (
            f"node '{node.name}' ({node.memory_mb} MiB, {node.vcpus} CPUs) fits on no hypervisor ({'; '.join(left)}): "
            "make it smaller, make room, raise hypervisor_memory_ratio or hypervisor_cpu_ratio, or name one with "
            "lab_hypervisor"
        )


def _within(asked: int, used: int, total: Optional[int], ratio: float) -> bool:
    return total is None or (asked <= total and used + asked <= total * ratio)


def _ratio(used: int, total: Optional[int], ratio: float) -> float:
    return used / (total * ratio if total and ratio else _PLENTY)


def _left(used: int, total: Optional[int], ratio: float) -> int:
    return max(0, int((total or 0) * ratio) - used)


def _twin(copies: Mapping[str, Domain], target: str) -> str:
    """Another hypervisor that shows the very same domain, so that one of the two is no copy."""
    own = copies[target].uuid
    return next((name for name, one in copies.items() if name != target and own and one.uuid == own), "")


def _one_machine(node: Wanted, target: str, twin: str) -> str:
    return (
        f"node '{node.name}' is on '{target}' and on '{twin}' with the same UUID, so they may be one hypervisor under "
        "two names: name it once in the group hypervisors, or remove one of the two domains by hand"
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
