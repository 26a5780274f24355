# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Following a run of firmware by its journal, whatever became of the run."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.errors import BadRequest
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.firmware.journal import Journal
from ansible_collections.baremetal.lab.plugins.modules import firmware_info


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firmware_info, "LOOK", 0.01)


def test_a_run_that_never_begins_is_not_waited_for_as_long_as_one_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(firmware_info, "BEGIN", 0.05)
    with pytest.raises(BadRequest, match=r"no run r1 in .*async_status"):
        firmware_info.followed(str(tmp_path), "r1", wait=True, seconds=600)


def test_a_run_that_begins_late_is_followed_to_its_end(tmp_path: Path) -> None:
    def run() -> None:
        journal = Journal(str(tmp_path), "r1")
        journal.write(begin=0)
        journal.write(end={})
        journal.close()

    late = threading.Timer(0.05, run)
    late.start()
    assert firmware_info.followed(str(tmp_path), "r1", wait=True, seconds=600).status == "ended"
    late.join()


def test_the_latest_run_of_a_folder_without_any_is_told_with_the_folder(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match=f"there is no run in {tmp_path}"):
        firmware_info.followed(str(tmp_path), "latest", wait=False, seconds=600)
