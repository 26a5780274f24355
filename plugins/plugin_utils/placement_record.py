# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the lab's machines may be, as every hypervisor has it written down: what a run goes by that finds one away.

Called by ``lab_plan``, which reads the records, and has the next one written before anything is changed. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Set

from ansible_collections.baremetal.lab.plugins.plugin_utils.placement_model import (
    Homes,
    Hypervisor,
    Place,
    Wanted,
)


@dataclass(frozen=True)
class Record:
    """Which hypervisors may have which domain. The highest number is the newest."""

    number: int
    homes: Mapping[str, List[str]]
    members: Sequence[str] = ()
    """The hypervisors of the inventory then."""

    @classmethod
    def of(cls, document: Any) -> Optional[Record]:
        """None where there is none, or where it is not understood."""
        if not isinstance(document, Mapping):
            return None
        number, homes, members = document.get("number"), document.get("homes"), document.get("members", [])
        if not isinstance(number, int) or not isinstance(homes, Mapping) or not isinstance(members, list):
            return None
        named = {str(name): [str(one) for one in found] for name, found in homes.items()}
        return cls(number, named, [str(one) for one in members])

    def document(self) -> Dict[str, Any]:
        return {"number": self.number, "homes": dict(self.homes), "members": list(self.members)}

    def without(self, old: Mapping[str, Sequence[str]]) -> Record:
        """The record once the copies are gone that `old` has, hypervisor to domains."""
        homes = {
            domain: [name for name in found if domain not in old.get(name, ())] for domain, found in self.homes.items()
        }
        return replace(self, number=self.number + 1, homes=homes)


def newest_of(records: Mapping[str, Optional[Record]]) -> Optional[Record]:
    return max((one for one in records.values() if one), key=lambda one: one.number, default=None)


def is_certain(newest: Optional[Record], records: Mapping[str, Optional[Record]]) -> bool:
    """Whether nobody else can have a newer record, for which those that answer (`records`) have to be enough.

    Two runs of which none saw a hypervisor that the other saw must not both make machines, or one is there twice when
    all are back. So it takes more than half of them, or half with the first by name.
    """
    if newest is None:
        return False
    have = [name for name in newest.members if records.get(name)]
    return 2 * len(have) > len(newest.members) or (
        2 * len(have) == len(newest.members) and min(newest.members, default="") in have
    )


def next_record(newest: Optional[Record], homes: Dict[str, List[str]], members: Iterable[str]) -> Record:
    """The record to be: the newest, where nothing is new."""
    named = sorted(members)
    if newest and newest.homes == homes and list(newest.members) == named:
        return newest
    return Record(newest.number + 1 if newest else 1, homes, named)


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
