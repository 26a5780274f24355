# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to be done so that the host has the wanted addresses, and no more of them. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, FrozenSet, Iterable, List, Mapping, Set, Tuple

Pair = Tuple[str, str]
"""Interface and address."""


@dataclass(frozen=True)
class Wish:
    """One owner's addresses, which all are on one interface."""

    interface: str
    own: bool
    """Whether the interface is to be made for this, and to go with the last address."""
    addresses: Tuple[str, ...]


@dataclass(frozen=True)
class Link:
    """An interface that there is."""

    name: str
    ours: bool
    """Whether it was made here."""
    up: bool
    addresses: FrozenSet[str]


@dataclass
class Steps:
    """What to do, in this order; empty lists: nothing."""

    links: List[str] = field(default_factory=list)
    """Interfaces to make."""
    up: List[str] = field(default_factory=list)
    add: List[Pair] = field(default_factory=list)
    delete: List[Pair] = field(default_factory=list)
    delete_links: List[str] = field(default_factory=list)

    def words(self) -> List[str]:
        """For people."""
        return [
            *(f"make interface {name}" for name in self.links),
            *(f"set interface {name} up" for name in self.up),
            *(f"add {address} to {name}" for name, address in self.add),
            *(f"remove {address} from {name}" for name, address in self.delete),
            *(f"remove interface {name}" for name in self.delete_links),
        ]


def plan(wishes: Iterable[Wish], links: Mapping[str, Link], added: Set[Pair]) -> Steps:
    """The steps from `links` to all of `wishes`. `added` are the pairs that were added here: no others are removed."""
    steps = Steps()
    wanted: Dict[str, Set[str]] = {}
    for wish in wishes:
        if wish.addresses:
            wanted.setdefault(wish.interface, set()).update(wish.addresses)
    held = {address: link.name for link in links.values() for address in link.addresses}
    for name in sorted(wanted):
        link = links.get(name)
        if link is None:
            steps.links.append(name)
        elif link.ours and not link.up:
            steps.up.append(name)
        # One that the host has on another interface is there already, and that interface's owner's.
        missing = [address for address in wanted[name] if _is_missing(name, address, held, added)]
        steps.add += [(name, address) for address in sorted(missing)]
    for name, address in sorted(added):
        on = links.get(name)
        if address not in wanted.get(name, ()) and on is not None and address in on.addresses:
            steps.delete.append((name, address))
    steps.delete_links = sorted(link.name for link in links.values() if link.ours and link.name not in wanted)
    gone = set(steps.delete_links)
    steps.delete = [pair for pair in steps.delete if pair[0] not in gone]  # they go with the interface
    return steps


def _is_missing(name: str, address: str, held: Mapping[str, str], added: Set[Pair]) -> bool:
    holder = held.get(address)
    return holder is None or (holder != name and (holder, address) in added)
