# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hypervisor each node of a lab is on, or is to be on: the one decision, made for all nodes together.

Called by ``lab_plan``. Pure. Four promises rule everything here:

- A node that is on a hypervisor stays there, unless the inventory names another (``lab_hypervisor``).
- Nodes that depend on each other (``lab_depends_on``) are on one hypervisor.
- No machine is ever there twice, so none is made anew while a hypervisor that may have it does not answer.
- What a run decides, a later run decides again, also when a part of it has been carried out meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.baremetal.lab.plugins.plugin_utils.placement_load import Loads, Unplaced
from ansible_collections.baremetal.lab.plugins.plugin_utils.placement_model import (
    Domain,
    Homes,
    Hypervisor,
    Place,
    Wanted,
    listed,
)


def place(
    owner: str,
    answering: Sequence[Hypervisor],
    away: Mapping[str, str],
    wanted: Sequence[Wanted],
    homes: Optional[Homes] = None,
    anew: bool = True,
    certain: bool = True,
) -> Dict[str, Place]:
    """Node name to its place, for all of `wanted`, whose names and domains are unique.

    `owner`: the lab's label. `away`: hypervisors that do not answer, and why, if that is known. `homes` None: nobody
    knows of an earlier run. `anew` False: nodes that are nowhere stay so. `certain` False: after the run that `homes`
    is of, another may have seen only those that are away now (``placement_record.is_certain``).
    """
    by_name = {hypervisor.name: hypervisor for hypervisor in answering}
    survey = _Survey(owner, by_name, dict(sorted(away.items())), homes, certain)
    places: Dict[str, Place] = {}
    waiting: List[Unplaced] = []
    for parts in _machines(wanted) if anew else [(node,) for node in wanted]:
        decided = survey.together(parts)
        settled = {name: found for name, found in decided.items() if found is not None}
        places.update(settled)
        nowhere = tuple(node for node in parts if node.name not in settled)
        if nowhere and anew:
            on = next((found.hypervisor for found in settled.values()), None)
            waiting.append(Unplaced(nowhere, on, tuple(node for node in parts if node.name in settled)))
        for node in nowhere if not anew else ():
            places[node.name] = Place(problem=f"node '{node.name}' is on no hypervisor yet: bring_up places it")
    return _chosen(
        lambda: Loads(owner, by_name, wanted, places, homes or {}), sorted(waiting, key=Unplaced.order), places
    )


def _chosen(loads_of: Callable[[], Loads], waiting: List[Unplaced], places: Dict[str, Place]) -> Dict[str, Place]:
    """`places` with those of `waiting`, by their order; `loads_of` weighs what `places` has."""
    found: Dict[str, Place] = {}
    loads = loads_of()
    for unplaced in waiting:
        chosen, problem = loads.choose(unplaced)
        found.update({node.name: Place(chosen, problem=problem) for node in unplaced.nodes})
        if problem and unplaced.beside:
            # Their others stay as they are, and so weigh what they have: begin anew.
            others = {node.name: Place(home=unplaced.on, problem=problem) for node in unplaced.beside}
            told = {node.name: Place(problem=problem) for node in unplaced.nodes}
            places.update({**others, **told})
            return _chosen(loads_of, [one for one in waiting if one is not unplaced], places)
    return {**places, **found}


def _machines(wanted: Sequence[Wanted]) -> List[Tuple[Wanted, ...]]:
    """The nodes, those together that have to be on one hypervisor."""
    parts: Dict[str, List[Wanted]] = {}
    for node in wanted:
        own = node.machine if node.machine and not node.absent else "\0" + node.name
        parts.setdefault(own, []).append(node)
    return [tuple(sorted(nodes, key=lambda node: node.name)) for nodes in parts.values()]


@dataclass(frozen=True)
class _Survey:
    """What is known of where the lab's machines are."""

    owner: str
    answering: Mapping[str, Hypervisor]
    away: Mapping[str, str]
    homes: Optional[Homes]
    certain: bool

    def having(self, domain: str) -> Dict[str, Domain]:
        """The hypervisors that have this domain of the lab, by name."""
        return {
            name: one
            for name, hypervisor in sorted(self.answering.items())
            for one in hypervisor.domains
            if one.name == domain and one.owner == self.owner
        }

    def together(self, parts: Sequence[Wanted]) -> Dict[str, Optional[Place]]:
        """The places of nodes that have to be on one hypervisor; None: it is nowhere, and may be placed anew.

        If one of them names a hypervisor, all go there. What can't be done for one is done for none.
        """
        names = sorted({node.hypervisor for node in parts if node.hypervisor})
        pinned = [replace(node, hypervisor=names[0]) if names else node for node in parts]
        decided = {node.name: self.named(node) if node.hypervisor else self.found(node) for node in pinned}
        if len(parts) == 1:
            return decided
        on = {name: found.hypervisor for name, found in decided.items() if found and found.hypervisor}
        if len(names) > 1:
            problem = _torn({node.name: node.hypervisor for node in parts if node.hypervisor})
        elif len(set(on.values())) > 1:
            problem = _torn(on)
        else:
            problem = next(
                (_with(name, found.problem) for name, found in decided.items() if found and found.problem), ""
            )
        if not problem:
            return decided
        return {node.name: self._held(node, decided[node.name], problem) for node in parts}

    def _held(self, node: Wanted, decided: Optional[Place], problem: str) -> Place:
        """The place of a node for which nothing is done because of another."""
        if decided and decided.problem:
            return decided
        return Place(home=next(iter(self.having(node.domain)), None), problem=f"node '{node.name}' {problem}")

    def named(self, node: Wanted) -> Place:
        """The place of a node whose hypervisor the inventory names."""
        target = node.hypervisor or ""
        copies = self.having(node.domain)
        if target not in self.answering:
            stays = f"; it stays on {listed(copies)} until then" if copies else ""
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
            if self.away and not self.certain and not node.absent:
                return Place(home=next(iter(copies), None), problem=self._uncertain(node))
        return Place(target, old=tuple(name for name in copies if name != target))

    def found(self, node: Wanted) -> Optional[Place]:
        """The place of a node whose hypervisor is left to us; None: it is nowhere, and may be placed anew."""
        copies = self.having(node.domain)
        if len(copies) > 1 and not node.absent:
            problem = (
                f"node '{node.name}' is on {listed(copies)}, and can be on one only: give it lab_hypervisor, the one "
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
        names, reasons = listed(lost), self._reasons(lost)
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

    def _uncertain(self, node: Wanted) -> str:
        names = tuple(self.away)
        return (
            f"node '{node.name}' may have been made on {listed(names)} meanwhile, which does not answer"
            f"{self._reasons(names)}, in a run that found the others away; those that answer are too few to tell. "
            "Bring it back, or if it is gone for good, take it out of the group hypervisors"
        )

    def _reasons(self, names: Sequence[str]) -> str:
        """Why hypervisors do not answer, in brackets; empty where that is not known."""
        known = [self.away[name] for name in names if self.away.get(name)]
        return f" ({'; '.join(known)})" if known else ""


def _twin(copies: Mapping[str, Domain], target: str) -> str:
    """Another hypervisor that shows the very same domain, so that one of the two is no copy."""
    own = copies[target].uuid
    return next((name for name, one in copies.items() if name != target and own and one.uuid == own), "")


def _one_machine(node: Wanted, target: str, twin: str) -> str:
    return (
        f"node '{node.name}' is on '{target}' and on '{twin}' with the same UUID, so they may be one hypervisor under "
        "two names: name it once in the group hypervisors, or remove one of the two domains by hand"
    )


def _torn(on: Mapping[str, Optional[str]]) -> str:
    where = ", ".join(f"'{name}' on '{hypervisor}'" for name, hypervisor in sorted(on.items()))
    return (
        f"is one machine with others (lab_depends_on), which has to be on one host, and is not: {where}. Give one of "
        "them lab_hypervisor; the others move there, with new disks"
    )


def _with(name: str, problem: str) -> str:
    return f"is one machine with '{name}' (lab_depends_on), for which nothing can be done: {problem}"
