# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""RMCP presence ping: answered without a login, and nothing else of its class is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vbmcd.config import User
from vbmcd.rmcp.engine import Engine

HERE = ("192.0.2.1", 50000)
# ASF 2.0, 3.2.4: the enterprise number, type, tag, a reserved byte, no data.
PING = bytes.fromhex("0600ff06 000011be 80 07 00 00")
PONG = bytes.fromhex("0600ff06 000011be 40 07 00 10 000011be 00000000 81 00 000000000000")


def engine() -> Engine:
    return Engine((User("admin", "secret"),), bytes(16))


def test_a_ping_is_answered_with_its_tag() -> None:
    assert engine().receive(PING, HERE, 0.0) == PONG


@pytest.mark.parametrize("datagram", [
    PING[:11], bytes.fromhex("0600ff06 000011be 40 07 00 00"), bytes.fromhex("0600ff06 000011bf 80 07 00 00"),
    bytes.fromhex("0500ff06 000011be 80 07 00 00"), bytes.fromhex("0600ff86 000011be 80 07 00 00"),
])  # fmt: skip
def test_what_is_no_ping_gets_no_answer(datagram: bytes) -> None:
    assert engine().receive(datagram, HERE, 0.0) is None


@given(st.binary(max_size=40))
def test_whatever_comes_in_that_class_is_survived(rest: bytes) -> None:
    answer = engine().receive(b"\x06\x00\xff\x06" + rest, HERE, 0.0)
    assert answer is None or isinstance(answer, bytes)
