# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a dependency is, the graph that dependencies make, and the rules that it has to keep. Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Dict, FrozenSet, Iterator, List, Mapping, Optional, Tuple


class DependencyError(Exception):
    """A dependency that can't be; the message names the domains and the remedy."""


class Signal(enum.Enum):
    """What happens to a domain, and through a dependency to another."""

    START = "start"
    DESTROY = "destroy"
    SUSPEND = "suspend"
    RESUME = "resume"


class Level(enum.IntEnum):
    """How much a domain is up. Of several masters the highest level counts."""

    OFF = 0
    PAUSED = 1
    RUNNING = 2


ALL_SIGNALS = frozenset(Signal)
ORDERS = ("before", "after")
ON_FAILURE = ("rollback", "keep", "ignore")
ON_CRASH = ("ignore", "stop")
SHARED = ("running", "any")


@dataclass(frozen=True)
class Dependency:
    """One domain that another, its master, needs. Either `uuid` or `file` says which.

    `order`: whether it starts and resumes before its master or after; stopping and pausing go the other way round.
    `on_failure`: where it does not start: stop what was started, keep that, or go on as if nothing was.
    `on_crash`: whether it is stopped when its master crashes.
    `shared`: whether what another master needs `running` stays so, or obeys `any` master.
    """

    name: str
    uuid: Optional[str] = None
    file: Optional[str] = None
    """The absolute path of a domain XML: a transient domain is made from it."""
    signals: FrozenSet[Signal] = ALL_SIGNALS
    order: str = "before"
    on_failure: str = "rollback"
    on_crash: str = "ignore"
    shared: str = "running"

    @property
    def key(self) -> str:
        """What tells it from other domains: its UUID, or its name where a file leaves libvirt to throw dice."""
        return self.uuid or self.name

    @property
    def required(self) -> bool:
        """Whether its master is complete only with it. What is not started with the master is not waited for."""
        return self.on_failure != "ignore" and Signal.START in self.signals

    def __str__(self) -> str:
        """For differences: everything that is not as it is by default."""
        words = [self.file or self.uuid or "?"]
        if self.signals != ALL_SIGNALS:
            words.append("signals=" + ",".join(signal.value for signal in Signal if signal in self.signals))
        for attribute, default in DEFAULTS.items():
            if getattr(self, attribute) != default:
                words.append("%s=%s" % (attribute, getattr(self, attribute)))
        return " ".join(words)


DEFAULTS: Dict[str, str] = {"order": "before", "on_failure": "rollback", "on_crash": "ignore", "shared": "running"}
CHOICES: Dict[str, Tuple[str, ...]] = {
    "order": ORDERS,
    "on_failure": ON_FAILURE,
    "on_crash": ON_CRASH,
    "shared": SHARED,
}


@dataclass
class Graph:
    """Masters and their dependencies, by the key of each domain. Any number of levels; rules() allows one."""

    edges: Dict[str, Tuple[Dependency, ...]] = field(default_factory=dict)
    names: Dict[str, str] = field(default_factory=dict)

    def of(self, master: str) -> Tuple[Dependency, ...]:
        return self.edges.get(master, ())

    def all(self) -> Iterator[Tuple[str, Dependency]]:
        for master, dependencies in self.edges.items():
            for dependency in dependencies:
                yield master, dependency

    def masters(self, key: str) -> Iterator[Tuple[str, Dependency]]:
        """Who needs `key`, and how."""
        return ((master, dependency) for master, dependency in self.all() if dependency.key == key)

    def master_called(self, name: str) -> str:
        """The key of the domain of that name, if it has dependencies; empty where it has none."""
        return next((key for key in self.edges if self.names.get(key) == name), "")

    def name(self, key: str) -> str:
        return self.names.get(key, key)

    def add(self, key: str, name: str, dependencies: Tuple[Dependency, ...]) -> None:
        """Put a domain in, in place of what was known of it."""
        self.names[key] = name
        if dependencies:
            self.edges[key] = dependencies
        else:
            self.edges.pop(key, None)
        for dependency in dependencies:
            self.names.setdefault(dependency.key, dependency.name)

    def drop(self, key: str) -> None:
        self.edges.pop(key, None)


def rules(graph: Graph, types: Mapping[str, str]) -> List[str]:
    """What is wrong with a graph, each with the domains' names; `types` are virtualisation types by key, where known.

    That a domain is there, and its file readable, is for who looks at the hypervisor to say.
    """
    return [problem for master in graph.edges for problem in rules_of(graph, master, types)]


def rules_of(graph: Graph, master: str, types: Mapping[str, str]) -> List[str]:
    """The same for one master."""
    problems = []
    name = graph.name(master)
    seen: Dict[str, str] = {}
    for dependency in graph.of(master):
        other = dependency.name
        if dependency.key == master or dependency.name == name:
            problems.append("domain '%s' can't depend on itself: name another one" % name)
            continue
        if dependency.key in seen or other in seen.values():
            problems.append("domain '%s' depends twice on '%s': name it once" % (name, other))
        seen[dependency.key] = other
        deeper = graph.of(dependency.key) or graph.of(graph.master_called(other) if dependency.file else "")
        if deeper:
            problems.append(
                "domain '%s' can't depend on '%s', which itself depends on '%s': dependencies have one level: "
                "remove one of the two" % (name, other, deeper[0].name)
            )
        problems.extend(_types(name, other, types.get(master), types.get(dependency.key)))
    for above, dependency in graph.all():
        if above != master and (dependency.key == master or (dependency.file and dependency.name == name)):
            problems.append(
                "domain '%s' can't have dependencies, for '%s' depends on it: dependencies have one level: "
                "remove one of the two" % (name, graph.name(above))
            )
    return problems


def _types(name: str, other: str, mine: Optional[str], others: Optional[str]) -> Iterator[str]:
    for kind in (mine, others):
        if kind not in (None, "qemu", "kvm"):
            yield (
                "domain '%s' can't depend on '%s': '%s' is of type '%s', and both have to be QEMU's (kvm or qemu)"
                % (name, other, name if kind == mine else other, kind)
            )
            return
