# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel says of a server's processes: which there are, their memory and their CPU time (proc(5))."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_CPU_CLOCK = 2
"""CPUCLOCK_SCHED: a process's run time in nanoseconds, its ended threads included (clock_getcpuclockid(3))."""


def tree(root: int) -> list[int]:
    """`root` and all its descendants."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # ended meanwhile
        children.setdefault(parent, []).append(int(folder.name))
    found, queue = [], [root]
    while queue:
        pid = queue.pop()
        found.append(pid)
        queue.extend(children.get(pid, ()))
    return found


@dataclass
class Memory:
    """MiB of some processes together."""

    pss: float
    """Proportional set size: a page that n processes share counts a n-th for each."""
    private: float


def memory(pids: Iterable[int]) -> Memory:
    total = Memory(0.0, 0.0)
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
            name, value = line.split()[:2]
            if name == "Pss:":
                total.pss += int(value) / 1024
            elif name in ("Private_Clean:", "Private_Dirty:"):
                total.private += int(value) / 1024
    return total


def cpu(pids: Iterable[int]) -> float:
    """Seconds of CPU (user and system) that the processes have used since they began."""
    return sum(time.clock_gettime((~pid << 3) | _CPU_CLOCK) for pid in pids)
