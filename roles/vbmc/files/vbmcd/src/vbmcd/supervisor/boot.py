# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The boot options of all instances, as opaque bytes: workers have them stored here before they acknowledge."""

from __future__ import annotations

import asyncio
from typing import Dict, Iterable

from vbmcd.store import Store


class BootOptions:
    """What is in memory is on disk."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: Dict[str, bytes] = {}

    def load(self, names: Iterable[str]) -> None:
        self._kept = {name: self._store.load_boot(name) or b"" for name in names}

    def know(self, names: Iterable[str]) -> None:
        """There are instances of these names."""
        for name in names:
            self._kept.setdefault(name, b"")

    def of(self, name: str) -> bytes:
        return self._kept.get(name, b"")

    async def keep(self, name: str, boot: bytes) -> None:
        """Store the options of an instance durably; nothing for one that is not known (any more). Raises StateError."""
        if name not in self._kept:
            return
        await asyncio.to_thread(self._store.save_boot, name, boot)
        self._kept[name] = boot

    def forget(self, name: str) -> None:
        self._kept.pop(name, None)
