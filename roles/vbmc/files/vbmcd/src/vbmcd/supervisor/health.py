# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a worker that has not been heard for long hangs, or only waits for a core on a machine with too much to do.

To kill one that waits makes things worse: its successor has all to set up, and waits as well. ``workers`` asks.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Tuple

SUSPECT_SECONDS = 1.5
"""Silent for so long, a worker is looked at."""
HUNG_SECONDS = 3.0
STARVED_SECONDS = 30.0
"""After this it is replaced in any case."""

_RUNNABLE = "R"
_CPU_CLOCK = 2
"""CPUCLOCK_SCHED: a process's run time (clock_getcpuclockid(3))."""


def look(pid: int) -> Tuple[str, float]:
    """The state of a process (proc(5)), and the seconds of CPU that it has had. Raises OSError when it is gone."""
    state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]
    return state, time.clock_gettime((~pid << 3) | _CPU_CLOCK)


def hangs(silent: float, state: str, ran: float) -> bool:
    """For a worker that was silent for so many seconds, and ran for `ran` of them since it was suspected.

    One that could run and was let for less than half of that time is not to blame.
    """
    if silent <= HUNG_SECONDS:
        return False
    starved = state == _RUNNABLE and ran < (silent - SUSPECT_SECONDS) / 2
    return not starved or silent > STARVED_SECONDS
