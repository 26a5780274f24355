# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Workers that die and a libvirtd that restarts, at random times."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from contextlib import suppress

from rig.daemon import Vbmcd
from rig.libvirtd import Libvirtd

WORKER_EVERY, LIBVIRTD_EVERY = 8.0, 40.0
"""Seconds between two of a kind, on average."""
LIBVIRTD_AWAY = 3.0
"""Seconds, at most."""


class Faults:
    """Call act() every second or so."""

    def __init__(self, vbmcd: Vbmcd, libvirtd: Libvirtd, seed: int) -> None:
        self.done: Counter[str] = Counter()
        self._vbmcd, self._libvirtd = vbmcd, libvirtd
        self._dice = random.Random(seed)
        self._worker_due, self._libvirtd_due = self._soon(WORKER_EVERY), self._soon(LIBVIRTD_EVERY)

    def _soon(self, mean: float) -> float:
        return time.monotonic() + self._dice.uniform(0.5, 1.5) * mean

    def act(self) -> None:
        now = time.monotonic()
        if now >= self._worker_due:
            self._worker_due = self._soon(WORKER_EVERY)
            self._kill_worker()
        if now >= self._libvirtd_due:
            self._libvirtd_due = self._soon(LIBVIRTD_EVERY)
            self._restart_libvirtd()

    def _kill_worker(self) -> None:
        workers = list(self._vbmcd.workers().values())
        # Sometimes all at once, which leaves nobody to answer.
        victims = workers if self._dice.random() < 0.1 else [self._dice.choice(workers)]
        for pid in victims:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                self.done["workers killed"] += 1

    def _restart_libvirtd(self) -> None:
        self._libvirtd.kill()
        time.sleep(self._dice.uniform(0, LIBVIRTD_AWAY))
        self._libvirtd.start()
        self.done["libvirtd restarted"] += 1
