# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Log lines: one a record, whatever is in it."""

from __future__ import annotations

import logging

from vbmcd.log import LineFormatter, configure


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
