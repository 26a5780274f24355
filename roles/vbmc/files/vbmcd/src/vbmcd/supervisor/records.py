# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What BMCs remember besides their configuration, such as boot options, as opaque bytes.

Workers have it stored here before they acknowledge a command, and get it back when they start.
"""

from __future__ import annotations

import asyncio
from typing import Dict, Iterable

from vbmcd.store import RECORDS, Store

Kept = Dict[str, bytes]
"""Records of one instance by their kind (store.RECORDS); one that was never stored is not in it."""


class Records:
    """The records of all instances. What is in memory is on disk."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: Dict[str, Kept] = {}
        self._locks: Dict[str, asyncio.Lock] = {}
        """By instance: what was asked to be stored last has to be on disk last."""

    def load(self, names: Iterable[str]) -> None:
        self._kept = {name: self._load(name) for name in names}

    def _load(self, name: str) -> Kept:
        found = ((record, self._store.load_record(name, record)) for record in RECORDS)
        return {record: data for record, data in found if data is not None}

    def know(self, names: Iterable[str]) -> None:
        """There are instances of these names."""
        for name in names:
            self._kept.setdefault(name, {})

    def of(self, name: str) -> Kept:
        return self._kept.get(name, {})

    async def keep(self, name: str, record: str, data: bytes) -> None:
        """Store a record durably; nothing for an instance that is not known (any more). Raises StateError."""
        async with self._locks.setdefault(name, asyncio.Lock()):
            if name not in self._kept:
                return
            await asyncio.to_thread(self._store.save_record, name, record, data)
            self._kept[name][record] = data

    async def forget(self, name: str) -> None:
        """Its records are to be deleted next: none that is being stored may come after that."""
        async with self._locks.setdefault(name, asyncio.Lock()):
            self._kept.pop(name, None)
        self._locks.pop(name, None)
