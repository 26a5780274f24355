# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The memory of each process of the daemon over time, and whether it grows."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

ALLOWED = 0.05
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass
class Record:
    """One process: MiB resident, sample after sample."""

    name: str
    resident: list[float] = field(default_factory=list)

    def growth(self, warm_up: int) -> float:
        """By how much the highest sample after the first `warm_up` ones exceeds the level right after these."""
        level = median(self.resident[warm_up : warm_up + 6])
        return max(self.resident[warm_up:]) / level - 1


class Memory:
    """Samples, by process id."""

    def __init__(self) -> None:
        self.records: dict[int, Record] = {}

    def sample(self, pids: Iterable[int]) -> None:
        for pid in pids:
            try:
                name = Path(f"/proc/{pid}/comm").read_text().strip()
                pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            except OSError:
                continue  # killed meanwhile
            self.records.setdefault(pid, Record(name)).resident.append(pages * _PAGE / (1 << 20))
