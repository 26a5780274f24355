# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading journals: what a run is at, and what an earlier run that ended badly knew of a target."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from dataclasses import dataclass, field
from typing import Any, Collection, Dict, Iterable, Iterator, List, Mapping, Optional

from ..errors import BadRequest
from .journal import SUFFIX, journal_path
from .states import DONE, SKIPPED

DAY = 24 * 3600.0
HINT_AGE = 2 * DAY
"""Seconds for which a run that broke off is remembered."""

Record = Dict[str, Any]


@dataclass
class RunState:
    """What a journal says of its run."""

    run: str
    alive: bool = False
    """Whether the process that writes it lives."""
    ended: bool = False
    started: str = ""
    last: str = ""
    """The time of the first and of the latest record."""
    begun: Record = field(default_factory=dict)
    """The record that the run began with: how many targets, what is wanted."""
    targets: Dict[str, Record] = field(default_factory=dict)
    """The latest record of each target, by name."""

    @property
    def status(self) -> str:
        if self.alive:
            return "running"
        return "ended" if self.ended else "broken off"


def read_run(folder: str, run: str) -> RunState:
    """Raises BadRequest when there is none of that name."""
    path = journal_path(folder, run)
    if not os.path.exists(path):
        raise BadRequest(f"there is no run {run} in {folder}: its journal would be {path}")
    try:
        return _read(RunState(run, alive=is_alive(path)), records(path))
    except OSError as error:
        raise BadRequest(f"the journal {path} can't be read: {error.strerror}") from None


def _read(state: RunState, lines: Iterable[Record]) -> RunState:
    for record in lines:
        state.last = record["time"]
        if "begin" in record:
            state.begun, state.ended = record, False
            state.started = state.started or record["time"]
        elif "end" in record:
            state.ended = True
        elif "target" in record and "state" in record:
            state.targets[record["target"]] = record
    return state


def records(path: str, containing: str = "") -> Iterator[Record]:
    """The journal's lines; one that a crash cut short is left out. Raises OSError."""
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            if containing not in line:
                continue
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict) and isinstance(record.get("time"), str):
                yield record


def is_alive(path: str) -> bool:
    """Whether a run holds its journal."""
    with open(path, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def latest_run(folder: str) -> Optional[str]:
    paths = _journals(folder)
    return os.path.basename(paths[-1])[: -len(SUFFIX)] if paths else None


def hints(folder: str, keys: Collection[str]) -> Dict[str, List[Record]]:
    """By a target's key: what runs wrote of it since it was last done. They broke off, or failed."""
    wanted = set(keys)
    found: Dict[str, List[Record]] = {}
    for path in _journals(folder):
        with contextlib.suppress(OSError):  # somebody else's, or removed meanwhile
            if time.time() - os.stat(path).st_mtime <= HINT_AGE:
                # For one target, which many may ask for in turn, few of the lines are worth parsing.
                one = json.dumps(next(iter(wanted))) if len(wanted) == 1 else ""
                _remember(records(path, one), wanted, found)
    return found


def _remember(lines: Iterable[Record], wanted: Collection[str], found: Dict[str, List[Record]]) -> None:
    for record in lines:
        key = record.get("key")
        if not isinstance(key, str) or key not in wanted or "state" not in record:
            continue
        known = found.setdefault(key, [])
        known.append(record)
        if record["state"] in (DONE, SKIPPED):
            known.clear()


def latest(known: Collection[Mapping[str, Any]], name: str) -> Any:
    """The value that the latest record with it has."""
    return next((record[name] for record in reversed(list(known)) if name in record), None)


def prune(folder: str, days: float) -> None:
    """Remove the journals of runs that wrote nothing for so many days. None that lives, and none that is a hint yet."""
    oldest = time.time() - max(days * DAY, HINT_AGE)
    for path in _journals(folder):
        with contextlib.suppress(OSError):  # somebody else's, or removed meanwhile
            if os.stat(path).st_mtime < oldest:
                _remove(path)


def _remove(path: str) -> None:
    """With its lock, so that no run begins in it. Nothing of another kind that is in the folder. Raises OSError."""
    if next(records(path), {}).get("run") != os.path.basename(path)[: -len(SUFFIX)]:
        return
    with open(path, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(path)


def _journals(folder: str) -> List[str]:
    """By age, the latest last."""
    found = []
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if entry.name.endswith(SUFFIX):
                    found.append((entry.stat().st_mtime, entry.path))
    return [path for _time, path in sorted(found)]
