# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told of a firmware run, while it runs and afterwards, from its journal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.baremetal.lab.plugins.plugin_utils.firmware_progress import Progress
from ansible_collections.baremetal.lab.plugins.plugin_utils.firmware_report import duration, report
from ansible_collections.baremetal.lab.plugins.plugin_utils.journal_tail import JournalTail


def at(second: float, **record: Any) -> dict[str, Any]:
    return {"time": f"2026-01-01T00:00:{second:06.3f}+00:00", "run": "r1", **record}


def step(second: float, target: str, state: str, **details: Any) -> dict[str, Any]:
    return at(second, target=target, key=f"{target}:443", state=state, **details)


def run() -> list[dict[str, Any]]:
    return [
        at(0, begin=3, targets=["a", "b", "c"], state="active", wanted=["bmc 2.0 0123456789abcdef"], bytes=100),
        step(0, "a", "INSPECT"),
        step(0, "b", "INSPECT"),
        step(2, "a", "UPLOAD"),
        step(4, "a", "ACCEPTED"),
        step(5, "b", "FAILED", status="failed", failed_in="INSPECT", kind="auth", msg="no"),
        step(6, "a", "FLASHED"),
        step(6, "a", "RESET"),
        step(6, "a", "WAIT"),
        step(8, "a", "VERIFY"),
        step(10, "a", "DONE", status="changed"),
        at(10, end={"changed": 1, "failed": 1}),
    ]


def test_each_bmc_has_its_time_line_and_its_end() -> None:
    told = report(run())
    a, b, c = told["bmcs"]
    assert [(piece["phase"], piece["left"], piece["width"]) for piece in a["pieces"]] == [
        ("look", 0, 20),
        ("upload", 20, 20),
        ("write", 40, 20),
        ("wait", 60, 0),
        ("reboot", 60, 20),
        ("verify", 80, 20),
    ]
    assert (a["end"], a["uploads"], a["duration"]) == ("changed", 1, "10 s")
    assert (b["end"], b["step"], b["kind"], b["msg"]) == ("failed", "INSPECT", "auth", "no")
    assert (c["end"], c["pieces"]) == ("open", [])
    assert told["counts"] == {"changed": 1, "done": 0, "failed": 1, "skipped": 0, "open": 1}
    assert (told["wanted"], told["ended"], told["seconds"]) == (["bmc 2.0"], True, 10.0)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.25, "0.2 s"), (59.4, "59 s"), (61, "1:01"), (3599.9, "1:00:00"), (3725, "1:02:05")]
)
def test_a_duration_reads_as_people_say_it(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_an_empty_journal_is_a_run_of_nothing() -> None:
    assert report([])["bmcs"] == []


def test_a_line_says_what_the_fleet_is_at() -> None:
    now = [0.0]
    progress = Progress(lambda: now[0])
    for record in run()[:5]:
        progress.feed(record)
    assert progress.line() == "[                        ] 0/3 done, 1 look, 1 write"
    now[0] = 10.0
    for record in run()[5:]:
        progress.feed(record)
    assert progress.line() == "[################        ] 1/3 done, 1 failed, about 5.0 s left"


def test_the_rate_is_that_of_the_uploads_under_way() -> None:
    now = [0.0]
    progress = Progress(lambda: now[0])
    progress.feed(at(0, begin=2, targets=["a", "b"], bytes=1))
    progress.feed(step(0, "a", "UPLOAD"))
    now[0] = 2.0
    progress.feed(at(2, sent=20 << 20))
    assert progress.line().endswith("1 upload, 10.0 MiB/s")


def test_bmcs_that_another_run_works_on_are_told_until_it_is_their_turn() -> None:
    progress = Progress(lambda: 0.0)
    progress.feed(at(0, begin=2, targets=["a", "b"]))
    for name in "ab":
        progress.feed(at(0, target=name, key=name, waits=True))
    progress.feed(step(5, "a", "INSPECT"))
    assert progress.line().endswith("0/2 done, 1 look, 1 wait for another run")


def test_a_journal_is_followed_from_where_it_grows(tmp_path: Path) -> None:
    old, new = tmp_path / "old.jsonl", tmp_path / "new.jsonl"
    old.write_text(json.dumps(at(0, begin=9)) + "\n")
    tail = JournalTail(str(tmp_path))
    assert list(tail.more()) == []
    new.write_text(json.dumps(at(0, begin=1)) + '\n{"half":')
    assert [one["begin"] for one in tail.more()] == [1]
    with new.open("a") as file:
        file.write(" 1}\nno json\n" + json.dumps(at(1, sent=5)) + "\n")
    assert [sorted(one) for one in tail.more()] == [["half"], ["run", "sent", "time"]]


def test_the_runs_of_many_hosts_are_one_and_one_in_the_background_is_none_of_them(tmp_path: Path) -> None:
    background = tmp_path / "background.jsonl"
    background.write_text(json.dumps(at(0, begin=500, run="background")) + "\n")
    tail, progress = JournalTail(str(tmp_path)), Progress(lambda: 0.0)
    for name in "abc":
        records = [at(0, begin=1, run=name), at(1, target=name, key=name, state="UPLOAD", run=name)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in records))
    for path, record in (
        (background, at(1, target="z", key="z", state="UPLOAD", run="background")),
        (tmp_path / "a.jsonl", at(1, target="a", key="a", state="DONE", run="a")),
        (tmp_path / "a.jsonl", at(1, end={"changed": 1}, run="a")),
    ):
        with path.open("a") as file:
            file.write(json.dumps(record) + "\n")
    for record in tail.more():
        progress.feed(record)
    assert progress.line().startswith("[########                ] 1/3 done, 2 upload")
    assert not progress.settled
    for name in "bc":
        progress.feed(at(1, end={"changed": 1}, run=name))
    assert progress.settled


def test_a_run_that_is_begun_anew_under_its_name_is_followed_too(tmp_path: Path) -> None:
    path = tmp_path / "week-12.jsonl"
    path.write_text(json.dumps(at(0, begin=9)) + "\n")
    tail = JournalTail(str(tmp_path))
    with path.open("a") as file:
        file.write(json.dumps(at(5, begin=2)) + "\n")
    assert [one["begin"] for one in tail.more()] == [2]
