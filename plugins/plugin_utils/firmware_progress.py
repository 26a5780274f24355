# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far firmware runs are, from journals as they grow, in a line: the callback ``firmware_progress`` calls it."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any, Callable, Mapping

from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.firmware.states import (
    ENDS,
    FAILED,
    SKIPPED,
)
from ansible_collections.baremetal.lab.plugins.plugin_utils.firmware_report import PHASES, duration

BAR = 24
SMOOTHING = 0.3
"""How much of the rate is the latest measure."""
MEBIBYTE = 1 << 20


class Progress:
    """Records in, a line out. Times are of `clock`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begun = clock()
        self._states: dict[str, str] = {}
        self._waiting: set[str] = set()
        """BMCs that another run works on."""
        self._counts: dict[str, int] = {}
        """By run, of which there is one a task or one a host."""
        self._ended: set[str] = set()
        self._sent_by: dict[str, int] = {}
        self._sent = 0
        self._sent_at = self._begun
        self._rate = 0.0

    @property
    def begun(self) -> bool:
        return bool(self._counts)

    @property
    def settled(self) -> bool:
        """Whether all runs that began have ended."""
        return self.begun and self._ended >= set(self._counts)

    @property
    def _count(self) -> int:
        return sum(self._counts.values())

    def feed(self, record: Mapping[str, Any]) -> None:
        run = str(record.get("run", ""))
        if "begin" in record:
            self._begun = self._begun if self._counts else self._clock()
            self._counts[run] = int(record["begin"])
            self._ended.discard(run)
        elif "end" in record:
            self._ended.add(run)
        elif "sent" in record:
            self._sent_by[run] = int(record["sent"])
            self._measure(sum(self._sent_by.values()))
        elif "target" in record and "state" in record:
            self._states[str(record["target"])] = str(record["state"])
            self._waiting.discard(str(record["target"]))
        elif record.get("waits"):
            self._waiting.add(str(record["target"]))

    def line(self) -> str:
        """Such as: [######      ] 412/1000 done, 3 failed, 80 upload, 44 reboot, 118 MiB/s, about 2:10 left."""
        ended = sum(state in ENDS for state in self._states.values())
        filled = BAR * ended // max(self._count, 1)
        counts = Counter(PHASES.get(state, "") for state in self._states.values() if state not in ENDS)
        failed = sum(state == FAILED for state in self._states.values())
        skipped = sum(state == SKIPPED for state in self._states.values())
        parts = [f"[{'#' * filled}{' ' * (BAR - filled)}] {ended - failed - skipped}/{self._count} done"]
        parts += [f"{count} {word}" for count, word in ((failed, "failed"), (skipped, "skipped")) if count]
        parts += [f"{counts[phase]} {phase}" for phase in dict.fromkeys(PHASES.values()) if counts[phase]]
        if self._waiting:
            parts.append(f"{len(self._waiting)} wait for another run")
        if counts["upload"] and self._rate >= MEBIBYTE / 10:
            parts.append(f"{self._rate / MEBIBYTE:.1f} MiB/s")
        left = self._left(ended)
        return ", ".join([*parts, *([f"about {left} left"] if left else [])])

    def _measure(self, sent: int) -> None:
        now = self._clock()
        if now > self._sent_at and sent > self._sent:
            rate = (sent - self._sent) / (now - self._sent_at)
            self._rate = rate if not self._rate else SMOOTHING * rate + (1 - SMOOTHING) * self._rate
        self._sent, self._sent_at = sent, now

    def _left(self, ended: int) -> str:
        """Of what has ended so far; nothing before a tenth has, since that would be a guess."""
        if ended >= self._count or ended * 10 < self._count:
            return ""
        return duration((self._clock() - self._begun) * (self._count - ended) / ended)
