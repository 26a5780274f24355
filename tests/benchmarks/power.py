# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The power state of many BMCs by the module `power`, on one core, beside FreeIPMI's ipmipower, which is C."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.clients import ADDRESS
from benchmarks.console import PASSWORD, USERNAME
from benchmarks.scenarios import ipmipower
from benchmarks.servers import Server
from rig.module import Module


@dataclass
class PowerRead:
    """Seconds from a process's start to its end, with logins and logouts of all BMCs."""

    bmcs: int
    module: float
    ipmipower: float


def measure(server: Server, folder: Path, rounds: int) -> PowerRead:
    """In turn, each of them on the first core; the BMCs are where the system puts them."""
    module = Module("power", folder, python=sys.executable)
    targets = [{"name": f"{port}", "address": ADDRESS, "port": port} for port in server.ports]

    def read() -> None:
        done = module(check=True, targets=targets, username=USERNAME, password=PASSWORD, state="off")
        if done["summary"] != {"ok": server.count}:
            raise RuntimeError(f"the module power read {done['summary']}: {done.get('msg')}")

    with server:
        server.wait()
        times = [(_on_one_core(read), _on_one_core(lambda: ipmipower(server.ports))) for _turn in range(rounds)]
    return PowerRead(server.count, median(ours for ours, _theirs in times), median(theirs for _ours, theirs in times))


def _on_one_core(call: Callable[[], object]) -> float:
    """Seconds of `call`, whose processes inherit the one core."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        began = time.monotonic()
        call()
        return time.monotonic() - began
    finally:
        os.sched_setaffinity(0, cores)
