# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hypervisor with room and the least load, for nodes that are nowhere yet. Called by ``placement``. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.baremetal.lab.plugins.plugin_utils.placement_model import (
    Homes,
    Hypervisor,
    Place,
    Wanted,
    listed,
)

_PLENTY = 1e12
"""What a hypervisor has of which that is not known."""


@dataclass(frozen=True)
class Unplaced:
    """Nodes that are nowhere and have to be on one hypervisor; mostly there is one of them."""

    nodes: Tuple[Wanted, ...]
    on: Optional[str] = None
    """Where the others of their machine are, so that they have to go there."""
    beside: Tuple[Wanted, ...] = ()
    """Those others."""

    @property
    def memory_mb(self) -> int:
        return sum(node.memory_mb for node in self.nodes)

    @property
    def vcpus(self) -> int:
        return sum(node.vcpus for node in self.nodes)

    def order(self) -> Tuple[bool, int, int, str]:
        """Those that have no choice go first, then the large ones: small ones fill what is left. The name makes it the
        same in every run."""
        return self.on is None, -self.memory_mb, -self.vcpus, self.nodes[0].name

    def called(self) -> str:
        size = f"({self.memory_mb} MiB, {self.vcpus} CPUs)"
        if len(self.nodes) == 1:
            return f"node '{self.nodes[0].name}' {size} fits"
        return f"nodes {listed(node.name for node in self.nodes)}, one machine by lab_depends_on {size}, fit"


@dataclass
class _Load:
    """What the domains of a hypervisor have together."""

    memory_mb: int = 0
    vcpus: int = 0

    def add(self, memory_mb: int, vcpus: int) -> None:
        self.memory_mb += memory_mb
        self.vcpus += vcpus


@dataclass
class Loads:
    """Chooses hypervisors for nodes that are nowhere, one machine after the other. `places`: of the other nodes."""

    owner: str
    answering: Mapping[str, Hypervisor]
    wanted: Sequence[Wanted]
    places: Mapping[str, Place]
    homes: Homes
    loads: Dict[str, _Load] = field(init=False)

    def __post_init__(self) -> None:
        seen_to = [node for node in self.wanted if node.name in self.places and self.places[node.name].hypervisor]
        own = {node.domain for node in seen_to}
        self.loads = {}
        for name, hypervisor in self.answering.items():
            load = self.loads[name] = _Load()
            for domain in hypervisor.domains:
                # Those that the run sees to count below, where they are to be, and with what they are to have.
                if domain.owner != self.owner or domain.name not in own:
                    load.add(domain.memory_mb, domain.vcpus)
        for node in seen_to:
            if not node.absent:
                self.loads[self.places[node.name].hypervisor or ""].add(node.memory_mb, node.vcpus)

    def choose(self, unplaced: Unplaced) -> Tuple[Optional[str], str]:
        """The home that they had if they fit there, or the hypervisor with the least load then; or the problem."""
        candidates = [unplaced.on] if unplaced.on else sorted(self.answering)
        fitting = [name for name in candidates if self._fits(unplaced, self.answering[name])]
        if not fitting:
            return None, self._full(unplaced, candidates)
        had = {name for node in unplaced.nodes for name in self.homes.get(node.domain, ())}
        before = [name for name in fitting if name in had]
        chosen = min(before or fitting, key=lambda name: (self._share(unplaced, self.answering[name]), name))
        self.loads[chosen].add(unplaced.memory_mb, unplaced.vcpus)
        return chosen, ""

    def _fits(self, unplaced: Unplaced, hypervisor: Hypervisor) -> bool:
        if _anothers(unplaced, hypervisor):
            return False
        load = self.loads[hypervisor.name]
        # Whatever the ratios, a machine shares a hypervisor with others and not with itself.
        return _within(unplaced.memory_mb, load.memory_mb, hypervisor.memory_mb, hypervisor.memory_ratio) and _within(
            unplaced.vcpus, load.vcpus, hypervisor.cpus, hypervisor.cpu_ratio
        )

    def _share(self, unplaced: Unplaced, hypervisor: Hypervisor) -> Tuple[float, float]:
        """Of memory and CPUs the one that would be scarcer, and then the other."""
        load = self.loads[hypervisor.name]
        memory = _ratio(load.memory_mb + unplaced.memory_mb, hypervisor.memory_mb, hypervisor.memory_ratio)
        cpu = _ratio(load.vcpus + unplaced.vcpus, hypervisor.cpus, hypervisor.cpu_ratio)
        return max(memory, cpu), min(memory, cpu)

    def _full(self, unplaced: Unplaced, candidates: Sequence[str]) -> str:
        left = []
        for name in candidates:
            hypervisor, load = self.answering[name], self.loads[name]
            foreign = _anothers(unplaced, hypervisor)
            if foreign:
                left.append(f"{name} has another's domain {listed(foreign)}")
                continue
            memory = _left(load.memory_mb, hypervisor.memory_mb, hypervisor.memory_ratio)
            left.append(
                f"{name} has {memory} MiB and {_left(load.vcpus, hypervisor.cpus, hypervisor.cpu_ratio)} CPUs left"
            )
        where = "on no hypervisor"
        if unplaced.on:
            where = f"not on '{unplaced.on}', where {listed(node.name for node in unplaced.beside)} of its machine is"
        return (
            f"{unplaced.called()} {where} ({'; '.join(left)}): "
            "make it smaller, make room, raise hypervisor_memory_ratio or hypervisor_cpu_ratio, or name one with "
            "lab_hypervisor"
        )


def _anothers(unplaced: Unplaced, hypervisor: Hypervisor) -> List[str]:
    """Domains of the machine's names on the hypervisor: another's, as nobody has them of this lab."""
    wanted = {node.domain for node in unplaced.nodes}
    return sorted(domain.name for domain in hypervisor.domains if domain.name in wanted)


def _within(asked: int, used: int, total: Optional[int], ratio: float) -> bool:
    return total is None or (asked <= total and used + asked <= total * ratio)


def _ratio(used: int, total: Optional[int], ratio: float) -> float:
    return used / (total * ratio if total and ratio else _PLENTY)


def _left(used: int, total: Optional[int], ratio: float) -> int:
    return max(0, int((total or 0) * ratio) - used)
