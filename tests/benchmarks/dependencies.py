# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long what depends on a domain takes to follow it: the watcher beside a client that acts on all by itself.

Both are measured in turns, in one run, by one clock: from the call that suspends the master to libvirt's event that
the last of its dependencies is paused.
"""

from __future__ import annotations

import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import libvirt

from rig.daemon import Vbmcd
from rig.groups import declare, follow, make
from rig.libvirtd import Libvirtd

LOST_SECONDS = 5.0
"""After so long what has not followed counts as lost."""


@dataclass
class Follow:
    """Milliseconds until all are paused, with so many dependencies; and what never followed."""

    dependencies: int
    toggles: int
    p50: float
    p95: float
    client_p50: float
    client_p95: float
    lost: int

    @property
    def ratio(self) -> tuple[float, float]:
        return self.p50 / self.client_p50, self.p95 / self.client_p95


class Witness:
    """Hears of every domain that is suspended or resumed, and when."""

    def __init__(self, uri: str) -> None:
        self._heard: dict[tuple[str, int], float] = {}
        self._changed = threading.Condition()
        self._connection = libvirt.open(uri)
        self._connection.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, self._hear, None)

    def _hear(self, _connection: Any, domain: Any, event: int, _detail: int, _opaque: object) -> None:
        now = time.monotonic()
        with self._changed:
            self._heard[domain.name(), event] = now
            self._changed.notify_all()

    def forget(self) -> None:
        with self._changed:
            self._heard.clear()

    def wait(self, names: list[str], event: int) -> float | None:
        """When the last of `names` had that event; None where one never had."""
        keys = [(name, event) for name in names]
        with self._changed:
            if not self._changed.wait_for(lambda: all(key in self._heard for key in keys), LOST_SECONDS):
                return None
            return max(self._heard[key] for key in keys)


class Pair:
    """A master with its dependencies, which follow by themselves or are told by this client."""

    def __init__(self, connection: Any, witness: Witness, master: str, others: list[str], told: bool) -> None:
        self._witness = witness
        self._master = connection.lookupByName(master)
        self._others = [connection.lookupByName(name) for name in others]
        self._names = others
        self._told = told
        self.suspends: list[float] = []
        self.lost = 0

    def toggle(self) -> None:
        self._act("suspend", libvirt.VIR_DOMAIN_EVENT_SUSPENDED, self.suspends)
        self._act("resume", libvirt.VIR_DOMAIN_EVENT_RESUMED, [])

    def _act(self, call: str, event: int, times: list[float]) -> None:
        self._witness.forget()
        began = time.monotonic()
        getattr(self._master, call)()
        for other in self._others if self._told else ():
            getattr(other, call)()
        ended = self._witness.wait(self._names, event)
        if ended is None:
            self.lost += 1
        else:
            times.append(1000 * (ended - began))


def measure(libvirtd: Libvirtd, folder: Path, rounds: tuple[tuple[int, int], ...]) -> list[Follow]:
    """`rounds` has numbers of dependencies, each with how often to suspend and resume."""
    _run_events()
    with Vbmcd(workers="1", folder=folder) as vbmcd:
        follow(vbmcd, libvirtd)
        return [_one(libvirtd, count, times) for count, times in rounds]


def _one(libvirtd: Libvirtd, count: int, times: int) -> Follow:
    groups = {kind: [f"{kind}-{count}-{number}" for number in range(count + 1)] for kind in ("watched", "told")}
    for names in groups.values():
        make(libvirtd, *names)
    declare(libvirtd, groups["watched"][0], *groups["watched"][1:])
    lines = "\n".join(f"start {name}" for names in groups.values() for name in reversed(names))
    subprocess.run(["virsh", "-q", "-c", libvirtd.uri], input=lines, text=True, check=True, capture_output=True)
    connection, witness = libvirt.open(libvirtd.uri), Witness(libvirtd.uri)
    pairs = {kind: Pair(connection, witness, names[0], names[1:], kind == "told") for kind, names in groups.items()}
    for _turn in range(times):
        for pair in pairs.values():
            pair.toggle()
    watched, told = (sorted(pairs[kind].suspends) for kind in ("watched", "told"))
    for names in groups.values():
        for name in names:
            libvirtd.remove(name)
    return Follow(
        count, 2 * times, _share(watched, 0.5), _share(watched, 0.95), _share(told, 0.5), _share(told, 0.95),
        pairs["watched"].lost,
    )  # fmt: skip


def _share(values: list[float], share: float) -> float:
    return values[min(len(values) - 1, int(share * len(values)))]


def _run_events() -> None:
    libvirt.virEventRegisterDefaultImpl()

    def run() -> None:
        while True:
            libvirt.virEventRunDefaultImpl()

    threading.Thread(target=run, daemon=True).start()
