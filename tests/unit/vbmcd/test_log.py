# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Log lines: one a record, whatever is in it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from vbmcd.log import LineFormatter, configure, rotate


def formatted(message: str, **fields: object) -> str:
    record = logging.LogRecord("vbmcd.test", logging.INFO, __file__, 1, message, None, None)
    record.fields = fields
    return LineFormatter(with_time=False).format(record)


def test_fields_follow_the_message_and_empty_ones_are_left_out() -> None:
    line = formatted("power", action="on", instance="node-07", reason="")
    assert line.endswith("]: power action=on instance=node-07")


def test_no_value_can_forge_a_line_or_a_field() -> None:
    line = formatted("hello\nworld", user='x" result=ok', name="a\nb")
    assert line.count("\n") == 0
    assert r'user="x\" result=ok"' in line
    assert r'name="a\nb"' in line


def test_who_did_what_is_told_however_quiet_the_log_is() -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        configure("error")
        assert logging.getLogger("vbmcd.audit").isEnabledFor(logging.INFO)
        assert not logging.getLogger("vbmcd.worker").isEnabledFor(logging.INFO)
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


@pytest.fixture
def log_file(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    path = tmp_path / "vbmcd.log"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    yield path, descriptor
    os.close(descriptor)


def test_a_log_file_that_has_grown_too_long_begins_anew_and_one_more_is_kept(log_file: tuple[Path, int]) -> None:
    path, descriptor = log_file
    for turn in (b"first", b"second", b"third"):
        os.write(descriptor, turn * 100)
        rotate(path, descriptor, limit=200)
        assert path.read_bytes() == b""
        old = path.with_name("vbmcd.log.1")
        assert old.read_bytes() == turn * 100 and old.stat().st_mode & 0o777 == 0o600
    os.write(descriptor, b"short")
    rotate(path, descriptor, limit=200)
    assert path.read_bytes() == b"short", "all that write to it go on at its end"


def test_a_file_that_is_not_the_daemons_own_is_left_alone(log_file: tuple[Path, int], tmp_path: Path) -> None:
    path, descriptor = log_file
    os.write(descriptor, b"x" * 300)
    rotate(tmp_path / "another.log", descriptor, limit=200)
    (tmp_path / "another.log").symlink_to(path)
    rotate(tmp_path / "another.log", descriptor, limit=200)
    assert path.stat().st_size == 300
