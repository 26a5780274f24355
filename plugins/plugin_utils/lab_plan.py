# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run over a lab: which nodes it is about, where they are brought up, and what goes before.

Called by the filter ``lab_plan``, which the role ``lab`` uses once it has looked at the hypervisors. Pure. What the
inventory says is read by ``lab_nodes``, where nodes go is decided by ``placement``; here the two meet with ``--limit``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.baremetal.lab.plugins.plugin_utils.lab_nodes import Node, collisions, ratio
from ansible_collections.baremetal.lab.plugins.plugin_utils.placement import place
from ansible_collections.baremetal.lab.plugins.plugin_utils.placement_model import Domain, Hypervisor, Place, Wanted
from ansible_collections.baremetal.lab.plugins.plugin_utils.placement_record import (
    Record,
    is_certain,
    newest_of,
    next_homes,
    next_record,
)

DEFAULT_POOL = "lab"
"""The default of the role hypervisor's hypervisor_pool_name."""

Variables = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Plan:
    """What a run does."""

    nodes: List[Node]
    """Those that it is about and that have a hypervisor, with what that adds to domain and BMC."""
    placement: Dict[str, Optional[str]]
    """Every node of the inventory to its hypervisor, as far as that is known."""
    complete: bool
    """Whether these are all nodes of the hypervisors in the play, so that what is there besides is left over."""
    hosts: List[str]
    """The hosts of the play that work on hypervisors: these themselves, or a node of each that --limit leaves out."""
    moves: Dict[str, List[Node]] = field(default_factory=dict)
    """Hypervisor to the nodes of which it has an old copy, which goes first."""
    kept: List[str] = field(default_factory=list)
    """Nodes that keep the BMC that they have, wherever it is."""
    left: Dict[str, List[str]] = field(default_factory=dict)
    """Hypervisor to those of the lab's domains there that no node of the inventory means."""
    unplaced: List[Tuple[Node, str]] = field(default_factory=list)
    """Nodes that the run is about and can do nothing for, where they are as far as that is known, and why."""
    failed: Dict[str, List[str]] = field(default_factory=dict)
    """Host of the play to the problems that it has to tell at the end."""
    problems: List[str] = field(default_factory=list)
    """What has to be mended before anything is done."""
    record: Optional[Record] = None
    """What is to be written down before, and on which hypervisors."""
    record_on: List[str] = field(default_factory=list)
    record_after: Optional[Record] = None
    """The same once the old copies are gone."""
    noted_on: List[str] = field(default_factory=list)
    """The hypervisors that have a record then: all that answer."""

    def document(self) -> Dict[str, Any]:
        moves = [
            {
                "hypervisor": name,
                "bmcs": [{"name": node.name, "state": "absent"} for node in nodes],
                "domains": [{"name": node.domain["name"], "state": "absent"} for node in nodes],
            }
            for name, nodes in self.moves.items()
        ]
        return {
            "nodes": [node.document() for node in self.nodes],
            "placement": self.placement,
            "complete": self.complete,
            "hosts": self.hosts,
            "moves": moves,
            "kept": self.kept,
            "left": self.left,
            "unplaced": [{**node.document(), "problem": problem} for node, problem in self.unplaced],
            "failed": self.failed,
            "problems": self.problems,
            "record": self.record.document() if self.record else None,
            "record_on": self.record_on,
            "record_after": self.record_after.document() if self.record_after else None,
            "noted_on": self.noted_on,
        }


def make_plan(
    nodes: Sequence[Node],
    hypervisors: Variables,
    surveys: Variables,
    play_hosts: Optional[Sequence[str]] = None,
    anew: bool = True,
    foresee: bool = False,
) -> Plan:
    """The plan of a run over `nodes`, which have no problems.

    `hypervisors`: each one's variables. `surveys`: what the module hypervisor_info found there; who is missing does not
    answer. `play_hosts`: the hosts that ``--limit`` left; nodes among them are meant by name. `anew`: nodes that are
    nowhere are placed. `foresee`: check mode, in which a hypervisor without libvirt counts as an empty one.
    """
    owner = str(nodes[0].domain["owner"]) if nodes else ""
    answering = _answering(hypervisors, surveys, foresee)
    heard = {one.name for one in answering}
    away = {name: _reason(surveys.get(name) or {}) for name in hypervisors if name not in heard}
    records = {one.name: Record.of(surveys[one.name].get("record")) for one in answering}
    newest = newest_of(records)
    homes = newest.homes if newest else None
    certain = is_certain(newest, records)
    wanted = [_wanted(node) for node in nodes]
    run = _Limit(nodes, hypervisors, play_hosts)
    places = run.restrict(place(owner, answering, away, wanted, homes, anew, certain))
    selected = [_settled(node, places[node.name], hypervisors) for node in nodes if run.is_about(node, places)]
    making = {node.name: places[node.name] for node in selected}
    moves = _moves(selected, places)
    # What those know who are too few is written down nowhere: it would pass for the newest.
    writing = certain or not away
    seen = [name for name in records if writing and surveys[name].get("domains") is not None]
    noted = next_homes(owner, answering, away, wanted, making, homes)
    record = next_record(newest, noted, hypervisors) if writing else None
    failures = list(run.failures(nodes, places, answering))
    return Plan(
        nodes=selected,
        placement={node.name: places[node.name].hypervisor or places[node.name].home for node in nodes},
        complete=run.complete,
        hosts=run.workers(selected),
        moves=moves,
        kept=[node.name for node in nodes if places[node.name].problem or node.name not in making],
        left=_left(owner, answering, nodes),
        unplaced=[(replace(node, hypervisor=places[node.name].home), why) for node, why, _host in failures],
        failed=_by_host(failures),
        problems=list(collisions(selected)),
        record=record,
        record_on=[name for name in seen if records[name] != record],
        record_after=record.without(_old(moves)) if record and moves else None,
        noted_on=seen,
    )


def _answering(hypervisors: Variables, surveys: Variables, foresee: bool) -> List[Hypervisor]:
    """The hypervisors that were heard of."""
    found = []
    for name, own in hypervisors.items():
        survey = surveys.get(name) or {}
        if survey.get("domains") is None:
            if foresee and survey.get("libvirt") is not None:
                found.append(Hypervisor(name))
            continue
        domains = tuple(
            Domain(one["name"], one["owner"], int(one["memory_mb"]), int(one["vcpus"]), one["uuid"])
            for one in survey["domains"]
        )
        host = survey["host"]
        ratios = [ratio(own, variable) or 0.0 for variable in ("hypervisor_memory_ratio", "hypervisor_cpu_ratio")]
        found.append(Hypervisor(name, domains, int(host["memory_mb"]), int(host["cpus"]), *ratios))
    return found


def _reason(survey: Mapping[str, Any]) -> str:
    """Why a hypervisor that was looked at is none that answers."""
    told = str((survey.get("libvirt") or {}).get("reason") or survey.get("msg") or "").strip().rstrip(".")
    return told[len("Task failed: ") :] if told.startswith("Task failed: ") else told


def _wanted(node: Node) -> Wanted:
    memory_mb, vcpus = int(node.domain["memory_mb"]), int(node.domain["vcpus"])
    absent = node.domain["state"] == "absent"
    return Wanted(node.name, node.domain["name"], memory_mb, vcpus, node.hypervisor, absent, node.machine)


def _settled(node: Node, at: Place, hypervisors: Variables) -> Node:
    """The node on its hypervisor: its disks lie in the pool there, and its BMC goes by the libvirt there."""
    own = hypervisors[at.hypervisor or ""]
    pool = own.get("hypervisor_pool_name") or DEFAULT_POOL
    domain = {**node.domain, "disks": [_disk(disk, pool) for disk in node.domain["disks"]]}
    bmc = {**node.bmc, "libvirt_uri": own["hypervisor_uri"]} if own.get("hypervisor_uri") else node.bmc
    return replace(node, hypervisor=at.hypervisor, domain=domain, bmc=bmc)


def _disk(disk: Mapping[str, Any], pool: str) -> Dict[str, Any]:
    """A disk in the hypervisor's pool, unless it says where it is or is a CD drive."""
    made = "path" not in disk and disk.get("device", "disk") == "disk"
    return {"pool": pool, **disk} if made else dict(disk)


def _moves(selected: Sequence[Node], places: Mapping[str, Place]) -> Dict[str, List[Node]]:
    moves: Dict[str, List[Node]] = {}
    for node in selected:
        for name in places[node.name].old:
            moves.setdefault(name, []).append(node)
    return moves


def _old(moves: Mapping[str, Sequence[Node]]) -> Dict[str, List[str]]:
    """The same with the names of domains."""
    return {name: [node.domain["name"] for node in nodes] for name, nodes in moves.items()}


def _by_host(failures: Sequence[Tuple[Node, str, str]]) -> Dict[str, List[str]]:
    told: Dict[str, List[str]] = {}
    for _node, problem, host in failures:
        told.setdefault(host, []).append(problem)
    return told


def _left(owner: str, answering: Sequence[Hypervisor], nodes: Sequence[Node]) -> Dict[str, List[str]]:
    meant = {node.domain["name"] for node in nodes}
    return {
        one.name: [domain.name for domain in one.domains if domain.owner == owner and domain.name not in meant]
        for one in answering
    }


class _Limit:
    """What ``--limit`` leaves of a run. None: no limit."""

    def __init__(self, nodes: Sequence[Node], hypervisors: Variables, play_hosts: Optional[Sequence[str]]) -> None:
        hosts = set(hypervisors) | {node.name for node in nodes} if play_hosts is None else set(play_hosts)
        self._hypervisors = [name for name in hypervisors if name in hosts]
        self._named = {node.name for node in nodes if node.name in hosts}
        self.complete = not self._named or len(self._named) == len(nodes)

    def restrict(self, places: Mapping[str, Place]) -> Dict[str, Place]:
        """`places`, but no node moves away from a hypervisor that the run is not about."""
        return {name: self._restricted(name, found) for name, found in places.items()}

    def _restricted(self, name: str, found: Place) -> Place:
        outside = [old for old in found.old if old not in self._hypervisors]
        if not outside or name in self._named or found.hypervisor not in self._hypervisors:
            return found
        problem = (
            f"node '{name}' is to move from '{outside[0]}' to '{found.hypervisor}', and --limit leaves '{outside[0]}' "
            f"out: name that as well, or the node (--limit {name})"
        )
        return Place(home=outside[0], problem=problem)

    def is_about(self, node: Node, places: Mapping[str, Place]) -> bool:
        """Whether something is to be done for the node in this run."""
        target = places[node.name].hypervisor
        if target is None:
            return False
        return node.name in self._named if self._named else target in self._hypervisors

    def workers(self, selected: Sequence[Node]) -> List[str]:
        """The play's hypervisors, and for each other one that a selected node is on the first such node."""
        proxies: Dict[str, str] = {}
        for node in selected:
            if node.hypervisor and node.hypervisor not in self._hypervisors:
                proxies.setdefault(node.hypervisor, node.name)
        return self._hypervisors + list(proxies.values())

    def failures(
        self, nodes: Sequence[Node], places: Mapping[str, Place], answering: Sequence[Hypervisor]
    ) -> Iterator[Tuple[Node, str, str]]:
        """Node, problem, and the host of the play that tells it: a hypervisor where no node is in the play."""
        heard = {one.name for one in answering}
        speaker = next((name for name in self._hypervisors if name in heard), None)
        for node in nodes:
            found = places[node.name]
            if not found.problem:
                continue
            if self._named:
                host = node.name if node.name in self._named else None
            else:
                homes = [name for name in (node.hypervisor, found.home) if name]
                host = speaker if not homes or any(name in self._hypervisors for name in homes) else None
            if host is not None:
                yield node, found.problem, host
