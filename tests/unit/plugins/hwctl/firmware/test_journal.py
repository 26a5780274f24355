# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is written down of a run, and what others read of it."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from pathlib import Path

import pytest

from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.errors import BadRequest, Locked
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.firmware.history import (
    DAY,
    hints,
    latest_run,
    prune,
    read_run,
)
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.firmware.journal import Journal
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.firmware.locks import TargetLocks
from rig.waiting import eventually


def test_a_run_is_followed_while_it_runs_and_afterwards(tmp_path: Path) -> None:
    folder = str(tmp_path)
    journal = Journal(folder, "r1")
    journal.write(begin=1, targets=["a"])
    journal.write(target="a", key="a:443", state="INSPECT")
    journal.note(target="a", key="a:443", percent=40)
    running = read_run(folder, "r1")
    assert (running.status, running.targets["a"]["state"]) == ("running", "INSPECT")
    journal.write(target="a", key="a:443", state="DONE")
    journal.write(end={"changed": 1})
    journal.close()
    assert (read_run(folder, "r1").status, latest_run(folder)) == ("ended", "r1")


def test_a_run_that_broke_off_is_told_from_one_that_ended(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path), "r1")
    journal.write(begin=1)
    journal.close()
    assert read_run(str(tmp_path), "r1").status == "broken off"


def test_a_line_that_a_crash_cut_short_is_left_out(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path), "r1")
    journal.write(target="a", key="a:443", state="UPLOAD")
    journal.close()
    with (tmp_path / "r1.jsonl").open("a") as file:
        file.write('{"time":"2026","target":"a","key":"a:443","sta')
    assert [one["state"] for one in hints(str(tmp_path), ["a:443"])["a:443"]] == ["UPLOAD"]


def test_a_run_has_its_journal_to_itself(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path), "r1")
    with pytest.raises(Locked, match="r1 is under way"):
        Journal(str(tmp_path), "r1")
    journal.close()
    Journal(str(tmp_path), "r1").close()


@pytest.mark.parametrize("name", ["", "../r1", "a/b", ".hidden", "x" * 101, "a b"])
def test_a_run_has_a_name_that_is_one_of_a_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadRequest, match="no name for a run"):
        Journal(str(tmp_path), name)


def test_a_run_that_is_not_there_is_told_with_where_it_would_be(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="no run r9"):
        read_run(str(tmp_path), "r9")


def test_what_is_done_is_no_hint_and_what_failed_is_one(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path), "r1")
    for key, end in (("a:1", "DONE"), ("b:1", "FAILED")):
        journal.write(target=key, key=key, state="UPLOAD")
        journal.write(target=key, key=key, state=end)
    journal.close()
    found = hints(str(tmp_path), ["a:1", "b:1", "c:1"])
    assert {key: [one["state"] for one in known] for key, known in found.items()} == {
        "a:1": [],
        "b:1": ["UPLOAD", "FAILED"],
    }


def test_many_steps_at_once_share_the_wait_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    syncs = 0

    def fsync(file: int) -> None:
        """Of the first step it takes as long as until all the others have come."""
        nonlocal syncs
        syncs += 1
        eventually(lambda: journal._given == 50, what="all steps have come")

    monkeypatch.setattr(os, "fsync", fsync)
    journal = Journal(str(tmp_path), "r1")
    writers = [
        threading.Thread(target=journal.write, kwargs={"target": str(n), "key": str(n), "state": "UPLOAD"})
        for n in range(50)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    journal.close()
    assert len((tmp_path / "r1.jsonl").read_text().splitlines()) == 50
    assert syncs == 2


def test_a_disk_that_is_full_ends_the_run_and_not_the_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(str(tmp_path), "r1")

    def fsync(file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(BadRequest, match="No space left"):
        journal.write(target="a", key="a:1", state="UPLOAD")
    journal.close()


def test_a_run_of_a_name_whose_last_line_was_cut_short_begins_on_a_new_one(tmp_path: Path) -> None:
    (tmp_path / "r1.jsonl").write_bytes(b'{"time":"2026","beg\xff\x00')
    journal = Journal(str(tmp_path), "r1")
    journal.write(begin=3)
    journal.close()
    assert read_run(str(tmp_path), "r1").begun["begin"] == 3


def test_a_journal_that_can_not_be_read_is_no_hint_and_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / "theirs.jsonl").mkdir()  # to be root hides what a mode forbids
    assert hints(str(tmp_path), ["a:443"]) == {}
    with pytest.raises(BadRequest, match="can't be read: Is a directory"):
        read_run(str(tmp_path), "theirs")


def test_a_place_without_locks_is_not_taken_for_a_run_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*given: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    with pytest.raises(BadRequest, match="r1.jsonl can't be used: No locks available"):
        Journal(str(tmp_path), "r1")
    monkeypatch.setattr(fcntl, "lockf", none)
    with pytest.raises(BadRequest, match="No locks available; put journal_dir on a local disk"):
        TargetLocks(str(tmp_path)).take("a:443")


def aged(folder: Path, name: str, days: float) -> Path:
    """The journal of a run that wrote last so long ago."""
    journal = Journal(str(folder), name)
    journal.write(begin=1)
    journal.close()
    return back_dated(folder / f"{name}.jsonl", days)


def back_dated(path: Path, days: float) -> Path:
    moment = time.time() - days * DAY
    os.utime(path, (moment, moment))
    return path


def test_journals_are_removed_in_time_but_none_that_a_run_may_go_on_from(tmp_path: Path) -> None:
    for name, days in (("today", 0.0), ("yesterday", 1.9), ("recent", 89.0), ("old", 91.0)):
        aged(tmp_path, name, days)
    prune(str(tmp_path), 90)
    assert sorted(one.stem for one in tmp_path.iterdir()) == ["recent", "today", "yesterday"]
    prune(str(tmp_path), 0.1)
    assert sorted(one.stem for one in tmp_path.iterdir()) == ["today", "yesterday"]


def test_the_journal_of_a_run_that_lives_is_not_removed_however_long_it_wrote_nothing(tmp_path: Path) -> None:
    aged(tmp_path, "r1", 0)
    journal = Journal(str(tmp_path), "r1")
    back_dated(tmp_path / "r1.jsonl", 100)
    prune(str(tmp_path), 90)
    assert read_run(str(tmp_path), "r1").status == "running"
    journal.close()


def test_what_is_no_journal_stays_in_the_folder_whatever_it_is_called(tmp_path: Path) -> None:
    texts = ("", "a table\n", '{"time": "2026", "run": "other"}\n', "[]\n")
    theirs = [tmp_path / f"theirs-{number}.jsonl" for number in range(len(texts))]
    for path, text in zip(theirs, texts, strict=True):
        path.write_text(text)
        back_dated(path, 1000)
    prune(str(tmp_path), 1)
    assert [path.read_text() for path in theirs] == list(texts)


def test_a_run_that_begins_while_its_old_journal_is_removed_has_a_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = aged(tmp_path, "r1", 100)
    opened = os.open

    def removed_meanwhile(*given: object, **named: object) -> int:
        file = opened(*given, **named)  # type: ignore[arg-type]
        if old.exists() and old.stat().st_size:
            old.unlink()
        return file

    monkeypatch.setattr(os, "open", removed_meanwhile)
    journal = Journal(str(tmp_path), "r1")
    monkeypatch.undo()
    journal.write(begin=2)
    journal.close()
    assert read_run(str(tmp_path), "r1").begun["begin"] == 2
