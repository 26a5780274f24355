# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps what lives as long as its BMC out of the garbage collector's rounds.

A full round looks at every object, and nobody is answered meanwhile: with 4,000 BMCs that took 0.2 s. So they are
frozen (gc.freeze), some at a time. What is frozen is never looked at, so that BMCs that are dropped, which are cycles,
would stay: once they are a sizeable share all is looked at again.

A worker with few BMCs is left alone. What it shares with its siblings was frozen before the fork, and stays shared
only as long as the collector does not touch it.
"""

from __future__ import annotations

import gc

BATCH = 50
"""BMCs that are frozen at a time; a round over so many takes some 4 ms."""
SHARE = 4
"""One in so many that is dropped calls for a round over all."""


class Collector:
    """Counts the BMCs of one worker."""

    def __init__(self) -> None:
        self._new = 0
        """Not frozen yet."""
        self._frozen = 0
        self._dropped = 0
        """Since the last round over all."""

    def made(self) -> None:
        """A BMC was made."""
        self._new += 1
        if self._new >= BATCH:
            self._freeze()

    def dropped(self) -> None:
        """A BMC was dropped."""
        self._dropped += 1

    def tidy(self) -> None:
        """Free the BMCs that were dropped, once they are many. They must not be in use any more."""
        if self._frozen and self._dropped >= max(BATCH, self._frozen // SHARE):
            gc.unfreeze()
            self._frozen = max(0, self._frozen - self._dropped)
            self._dropped = 0
            self._freeze()

    def _freeze(self) -> None:
        # Garbage first, or it would be kept for good.
        gc.collect()
        gc.freeze()
        self._frozen += self._new
        self._new = 0
