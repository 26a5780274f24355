# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is remembered of commands that change something, however much a client asks for."""

from __future__ import annotations

from vbmcd.rmcp.engine import Request
from vbmcd.rmcp.message import Message
from vbmcd.worker.repeats import KEEP_SECONDS, MAX_RUNS, MAX_WAITING, Repeats
from vbmcd.worker.udp import Peer

PEER = Peer(("192.0.2.1", 50000), ("192.0.2.1", 50000))


def request(data: int, sequence: int = 1) -> Request:
    return Request(Message(0x00, 0, 0x02, data.to_bytes(4, "little"), 0x81, 0, sequence), None)


def test_a_client_that_repeats_itself_without_end_gets_some_answers_only() -> None:
    repeats = Repeats()
    repeats.begin(request(1))
    for _turn in range(1000):
        run = repeats.find(request(1), 0.0)
        assert run is not None
        repeats.wait(run, request(1), PEER)
    assert len(repeats.finish(request(1), b"\x00", 0.0)) == MAX_WAITING


def test_a_client_that_repeats_all_it_may_while_nothing_ends_can_still_ask_for_more() -> None:
    repeats, rounds = Repeats(), MAX_RUNS // 64 + 1
    for number in range(rounds):
        repeats.begin(request(number))
        assert all(repeats.find(request(number, sequence), 0.0) for sequence in range(64))
    repeats.begin(request(rounds))
    assert repeats.find(request(rounds), 0.0) is not None


def test_a_client_that_changes_without_end_takes_a_bounded_amount_of_memory() -> None:
    repeats = Repeats()
    repeats.begin(request(0))
    for number in range(1, 3 * MAX_RUNS):
        repeats.begin(request(number))
        repeats.finish(request(number), b"\x00", 0.0)
    assert len(repeats._by_sequence) == MAX_RUNS
    assert repeats.find(request(number), 0.0) is not None, "the latest is remembered"
    assert repeats.find(request(0), 0.0) is not None, "and so is the one that still runs"
    assert repeats.find(request(1), 0.0) is None
    repeats.expire(KEEP_SECONDS + 1)
    assert len(repeats._by_sequence) == 1
