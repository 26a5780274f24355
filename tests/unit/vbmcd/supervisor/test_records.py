# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records: what was asked to be stored last is on disk last."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

from vbmcd.config import Instance
from vbmcd.store import Store
from vbmcd.supervisor.records import Records


class SlowStore(Store):
    """Takes long over the first record, and none over the others."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.first = threading.Event()

    def save_record(self, name: str, record: str, data: bytes) -> None:
        if not self.first.is_set():
            self.first.set()
            time.sleep(0.1)
        super().save_record(name, record, data)


async def test_two_records_asked_for_at_once_are_stored_in_their_order(tmp_path: Path) -> None:
    store = SlowStore(tmp_path)
    records = Records(store)
    records.know(["node-07"])
    await asyncio.gather(records.keep("node-07", "boot", b"older"), records.keep("node-07", "boot", b"newer"))
    assert store.load_record("node-07", "boot") == b"newer"
    assert records.of("node-07") == {"boot": b"newer"}


async def test_a_record_of_an_instance_that_is_being_deleted_does_not_come_back(tmp_path: Path) -> None:
    store = SlowStore(tmp_path)
    records = Records(store)
    store.save([Instance("node-07", "node-07", 6230)])
    records.know(["node-07"])
    storing = asyncio.ensure_future(records.keep("node-07", "boot", b"late"))
    await asyncio.to_thread(store.first.wait, 30)
    await records.forget("node-07")
    store.delete(["node-07"])
    await storing
    assert store.load_record("node-07", "boot") is None
