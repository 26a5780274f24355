# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Serial over LAN: two links face to face over a bad network, and packet by packet."""

from __future__ import annotations

import heapq

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vbmcd.rmcp.sol import (
    BREAK,
    CTS_PAUSE,
    DEAD_AFTER,
    FLUSH_TO_CONSOLE,
    NACK,
    UNAVAILABLE,
    Received,
    SolLink,
    Timing,
)

TIMING = Timing(accumulate=0.02, threshold=8, retries=3, interval=0.1)
LATEST = 0.04
"""Seconds that the network keeps a packet at most. Of 15 numbers 7 are new, so it may not outlive 7 new packets."""


class Network:
    """Two links, a clock, and packets on their way: `fates` says what happens to one after the other."""

    def __init__(self, fates: list[tuple[int, float]], room: int) -> None:
        self.now = 0.0
        self.links = (SolLink(TIMING), SolLink(TIMING))
        self.taken = (bytearray(), bytearray())
        self._fates = fates
        self._count = 0
        self._room = room
        self._travelling: list[tuple[float, int, int, bytes]] = []

    def run(self, until: float) -> None:
        while self.now < until and (self._travelling or any(link.backlog for link in self.links)):
            for side, link in enumerate(self.links):
                for packet in link.poll(self.now):
                    self._send(1 - side, packet)
            while self._travelling and self._travelling[0][0] <= self.now:
                _when, _order, side, packet = heapq.heappop(self._travelling)
                received = self.links[side].receive(packet, self.now, self._room)
                self.taken[side].extend(received.characters)
            self.now += 0.01

    def _send(self, side: int, packet: bytes) -> None:
        copies, delay = self._fates[self._count % len(self._fates)] if self._fates else (1, 0.0)
        self._count += 1
        for copy in range(copies):
            heapq.heappush(self._travelling, (self.now + delay * (copy + 1) / 2, self._count, side, packet))


fates = st.lists(st.tuples(st.integers(0, 2), st.floats(0, LATEST)), max_size=40).map(
    lambda some: [*some, (1, 0.0), (1, 0.0), (1, 0.0)]
)


@given(fates, st.lists(st.binary(max_size=600), max_size=6), st.lists(st.binary(max_size=60), max_size=6))
def test_every_character_arrives_once_and_in_order(
    network: list[tuple[int, float]], output: list[bytes], keys: list[bytes]
) -> None:
    both = Network(network, room=1 << 16)
    for text in output:
        both.links[0].put(text, both.now)
        both.run(both.now + 0.05)
    for text in keys:
        both.links[1].put(text, both.now)
        both.run(both.now + 0.05)
    both.run(2000.0)
    assert bytes(both.taken[1]) == b"".join(output)
    assert bytes(both.taken[0]) == b"".join(keys)


@given(fates, st.binary(max_size=300), st.integers(1, 30))
def test_who_has_little_room_gets_everything_nevertheless(
    network: list[tuple[int, float]], text: bytes, room: int
) -> None:
    both = Network(network, room)
    both.links[0].put(text, 0.0)
    both.run(2000.0)
    assert bytes(both.taken[1]) == text


@given(st.lists(st.binary(max_size=12), max_size=30), st.integers(0, 20))
def test_no_packet_raises_or_passes_on_more_than_there_is_room(packets: list[bytes], room: int) -> None:
    link = SolLink(TIMING)
    link.put(b"some output", 0.0)
    for number, packet in enumerate(packets):
        assert len(link.receive(packet, number * 0.1, room).characters) <= room
        link.poll(number * 0.1)


def test_few_characters_wait_for_more_and_many_go_at_once() -> None:
    link = SolLink(TIMING)
    link.put(b"ab", 0.0)
    assert link.poll(0.01) == []
    assert link.due(0.01) == pytest.approx(0.02)
    assert link.poll(0.02) == [b"\x01\0\0\0ab"]
    link.receive(b"\0\x01\x02\0", 0.02)
    link.put(b"12345678", 0.02)
    assert link.poll(0.02) == [b"\x02\0\0\x0012345678"]


def test_it_is_sent_again_until_it_is_acknowledged_ever_more_slowly_and_given_up() -> None:
    link = SolLink(TIMING)
    link.put(b"12345678", 0.0)
    times = [step / 100 for step in range(500) if link.poll(step / 100)]
    assert times == pytest.approx([0.0, 0.1, 0.2, 0.3, 1.3, 2.3, 3.3, 4.3], abs=0.05)
    assert not link.is_dead(DEAD_AFTER - 1)
    assert link.is_dead(DEAD_AFTER + 1)
    assert link.undelivered() == b"12345678"


@pytest.mark.parametrize("acknowledgement", [
    pytest.param(b"\0\x02\x08\0", id="of another packet"),
    pytest.param(b"\0\0\0\0", id="of none"),
    pytest.param(b"\0\x01", id="cut short"),
])  # fmt: skip
def test_what_acknowledges_nothing_changes_nothing(acknowledgement: bytes) -> None:
    link = SolLink(TIMING)
    link.put(b"12345678", 0.0)
    link.poll(0.0)
    link.receive(acknowledgement, 0.01)
    assert link.backlog == 8
    assert link.poll(0.1) == [b"\x01\0\0\x0012345678"]


def test_the_rest_of_what_was_taken_in_part_goes_as_a_new_packet() -> None:
    link = SolLink(TIMING)
    link.put(b"12345678", 0.0)
    link.poll(0.0)
    link.receive(bytes((0, 1, 3, NACK)), 0.01)
    assert link.poll(0.05) == []  # the other side had no room: later
    assert link.poll(0.2) == [b"\x02\0\0\x0045678"]


def test_a_repeated_packet_is_answered_as_before_and_passed_on_once() -> None:
    link = SolLink(TIMING)
    assert link.receive(b"\x01\0\0\0hello", 0.0, room=2) == Received(b"he")
    assert link.receive(b"\x01\0\0\0hello", 0.1) == Received()
    assert link.poll(0.1) == [bytes((0, 1, 2, NACK))] * 2


def test_an_acknowledgement_tells_that_the_machine_is_off() -> None:
    link = SolLink(TIMING)
    link.receive(b"\x01\0\0\0x", 0.0, status=UNAVAILABLE)
    assert link.poll(0.0) == [bytes((0, 1, 1, UNAVAILABLE))]


def test_a_console_may_pause_flush_and_ask_for_a_break() -> None:
    link = SolLink(TIMING)
    link.receive(bytes((0, 0, 0, CTS_PAUSE)), 0.0)
    link.put(b"12345678", 0.0)
    assert link.poll(5.0) == []
    link.receive(bytes((0, 0, 0, 0)), 5.0)
    assert link.receive(bytes((1, 0, 0, FLUSH_TO_CONSOLE | BREAK)), 5.0).control == FLUSH_TO_CONSOLE | BREAK
    assert link.backlog == 0
    assert link.poll(6.0) == [b"\0\x01\0\0"]
