# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a watcher remembers of a master, and what has happened to it since: a comparison, not a reading of events. Pure.

Events only say when to look. libvirt replays none, a save looks like a suspend at first, and a start like a resume;
the state with its reason tells them apart.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, FrozenSet, List, Mapping, Optional, Tuple

from vbmcd.dependency import decide, document
from vbmcd.dependency.hypervisor import Seen
from vbmcd.dependency.model import Dependency, Level

_RUNNING, _PAUSED, _SHUTOFF, _CRASHED = 1, 3, 5, 6
"""virDomainState."""
_UP = (0, _RUNNING, 2)
_PAUSED_BY_USER = 1

_BROUGHT = frozenset([2, 4, 10])
"""virDomainRunningReason: migrated, from a snapshot, migrated and its memory still to come."""
_BROUGHT_PAUSED = frozenset([2, 7])
"""virDomainPausedReason: by a migration, from a snapshot."""

# virDomainShutoffReason. Unknown is what libvirtd says of what ended while it was away.
_ENDED = frozenset([0, 1, 2])
_BROKEN = frozenset([3, 6, 8])
SAVED = 5
"""Crashed, failed to start, lost by libvirtd. Migrated, saved and from a snapshot are the others: no end."""


@dataclass(frozen=True)
class Remembered:
    """A master as it was when its dependencies last had what follows from its state."""

    name: str
    level: Level = Level.OFF
    id: int = -1
    unsettled: bool = False
    """Whether something may still be to be done, since the watcher was at it when it ended."""
    partners: Mapping[str, int] = field(default_factory=dict)
    """The numbers that its dependencies had, by key: a new number is a new start."""
    dependencies: Tuple[Dependency, ...] = ()
    """For a transient one that is gone."""

    def to_wire(self) -> Dict[str, Any]:
        text = document.bare(document.element(self.dependencies))
        return {
            "name": self.name,
            "level": int(self.level),
            "id": self.id,
            "unsettled": self.unsettled,
            "partners": dict(self.partners),
            "dependencies": text,
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Remembered:
        """Raises KeyError, TypeError, ValueError or DependencyError for what is none."""
        return cls(
            str(wire["name"]),
            Level(wire["level"]),
            int(wire["id"]),
            bool(wire["unsettled"]),
            {str(key): int(number) for key, number in wire["partners"].items()},
            document.parse(wire["dependencies"], str(wire["name"])),
        )


@dataclass(frozen=True)
class Now:
    """A master as it is. `level` is None where it is neither up, nor paused by somebody, nor off: that says nothing."""

    level: Optional[Level]
    id: int
    broken: bool = False
    """It ended by a crash."""
    moved: bool = False
    """It came from, or went to, where its state is kept: a saved image, a snapshot or another host."""
    held: bool = False
    """It came from there paused: whoever resumes it does not start it."""


def now(seen: Optional[Seen], ending: Optional[int] = None) -> Now:
    """`seen` is None for a domain that is gone; `ending` is the reason of its last stop, if an event told of it."""
    if seen is None or seen.state == _SHUTOFF:
        reason = ending if seen is None else seen.reason
        if reason is None:
            reason = 0
        return Now(Level.OFF, -1, reason in _BROKEN, reason not in _ENDED | _BROKEN)
    if seen.state == _CRASHED:  # its guest has, and its QEMU is there still
        return Now(Level.OFF, seen.id, broken=True)
    if seen.state in _UP:
        return Now(Level.RUNNING, seen.id, moved=seen.reason in _BROUGHT)
    if seen.state == _PAUSED and seen.reason == _PAUSED_BY_USER:
        return Now(Level.PAUSED, seen.id)
    return Now(None, seen.id, held=seen.state == _PAUSED and seen.reason in _BROUGHT_PAUSED)


def since(
    key: str, before: Remembered, found: Now, ending: Optional[int] = None, spared: FrozenSet[str] = frozenset()
) -> List[decide.Transition]:
    """What happened to the master `key`, in its order. `spared` have been started anew since it stopped."""
    if found.level is None:
        return []
    if found.level is Level.OFF:
        if before.level is Level.OFF and not before.unsettled:
            return []
        if found.broken:
            return [decide.crash(key)]
        return [] if found.moved else [decide.destroy(key, done=True, spared=spared)]
    if found.moved:
        return []
    if before.level is Level.OFF or found.id != before.id:
        ended = before.level is not Level.OFF and (ending is None or ending in _ENDED)
        stopped = [decide.destroy(key, done=True, spared=spared)] if ended else []
        return [*stopped, decide.start(key, paused=found.level is Level.PAUSED, done=True)]
    if found.level is before.level and not before.unsettled:
        return []
    return [decide.suspend(key, done=True) if found.level is Level.PAUSED else decide.resume(key, done=True)]


def settled(before: Remembered, found: Now, seen: Optional[Seen], partners: Mapping[str, int]) -> Remembered:
    """What to remember once all that followed is done."""
    name, dependencies = before.name, before.dependencies
    if seen is not None:
        name = seen.name
        dependencies = before.dependencies if seen.error else seen.dependencies
    level, number = before.level, before.id
    if found.level is not None and not (found.broken and found.id != -1):  # a crashed one is still to be destroyed
        level, number = found.level, found.id
    elif found.held and found.id != before.id:
        level, number = Level.PAUSED, found.id
    return Remembered(name, level, number, False, dict(partners), dependencies)
