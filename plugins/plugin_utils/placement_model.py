# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What placement is about: hypervisors with their domains, the nodes that are wanted, and the places that they get.

Pure data. ``placement`` decides, ``placement_load`` chooses by load, ``lab_plan`` fills it in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterable, Mapping, Optional, Sequence, Tuple

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
    machine: str = ""
    """What nodes have in common that have to be on one hypervisor; empty for a node that goes where it likes."""


@dataclass(frozen=True)
class Place:
    """Where a node is to be. Without `hypervisor` nothing is to be done for it; `problem` may say why."""

    hypervisor: Optional[str] = None
    old: Tuple[str, ...] = ()
    """Hypervisors that have a copy of it, which has to go first."""
    home: Optional[str] = None
    """With a problem: where it is, as far as that is known."""
    problem: str = ""


def listed(names: Iterable[str]) -> str:
    """Names as messages have them."""
    return ", ".join(f"'{name}'" for name in names)
