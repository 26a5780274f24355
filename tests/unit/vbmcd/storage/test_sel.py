# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The event log as a ring: what it holds after any sequence of changes, and after a restart."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from vbmcd.storage import events
from vbmcd.storage.sel import CAPACITY, ENTRY_SIZE, FIRST, LAST, Sel

ENTRY = bytes(2) + b"\x02" + bytes(4) + b"\x20\x00\x04\x09\x01\x6f\x00\xff\xff"


def contents(sel: Sel) -> dict[int, bytes]:
    """All entries, read as a client reads them: from the first, by the id of the next one."""
    found: dict[int, bytes] = {}
    number = FIRST
    while number != LAST and (entry := sel.get(number)) is not None:
        found[int.from_bytes(entry[:2], "little")] = entry
        number = sel.next_after(number)
    return found


class SelMachine(RuleBasedStateMachine):
    """Beside a plain dictionary that does the same."""

    def __init__(self) -> None:
        super().__init__()
        self.sel = Sel()
        self.model: dict[int, int] = {}
        self.mark = 0

    @rule(count=st.sampled_from([1, 1, 1, CAPACITY - 1, 2 * CAPACITY]))
    def add(self, count: int) -> None:
        for _turn in range(count):
            self.mark = (self.mark + 1) % 256
            number = self.sel.add(ENTRY[:15] + bytes((self.mark,)), 1000.0)
            assert number not in self.model and FIRST < number < LAST
            if len(self.model) == CAPACITY:
                del self.model[next(iter(self.model))]
                assert self.sel.overflown
            self.model[number] = self.mark

    @rule(which=st.integers(0, 0xFFFF))
    def delete(self, which: int) -> None:
        wanted = next(iter(self.model), 0) if which == FIRST else which
        wanted = list(self.model)[-1] if which == LAST and self.model else wanted
        removed = self.model.pop(wanted, None)
        assert self.sel.delete(which, 2000.0) == (None if removed is None else wanted)

    @rule(place=st.integers(0, CAPACITY))
    def delete_one_that_is_there(self, place: int) -> None:
        if self.model:
            self.delete(list(self.model)[place % len(self.model)])

    @rule()
    def clear(self) -> None:
        self.sel.clear(3000.0)
        self.model.clear()
        assert not self.sel.overflown

    @rule()
    def restart(self) -> None:
        before = self.sel
        self.sel = Sel.from_bytes(before.to_bytes())
        assert self.sel.to_bytes() == before.to_bytes()

    @rule()
    def add_and_take_back(self) -> None:
        if len(self.model) < CAPACITY:
            self.sel.take_back(self.sel.add(ENTRY, 1.0))

    @invariant()
    def holds_the_same(self) -> None:
        assert {number: entry[15] for number, entry in contents(self.sel).items()} == self.model
        assert len(self.sel) == len(self.model) and self.sel.free == CAPACITY - len(self.model)


SelMachine.TestCase.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
TestSel = SelMachine.TestCase


def test_ids_go_round_and_leave_out_those_in_use() -> None:
    sel = Sel()
    kept = sel.add(ENTRY, 0.0)
    for _turn in range(0xFFFE - 1):
        sel.take_back(sel.add(ENTRY, 0.0))
    assert sel.add(ENTRY, 0.0) == kept + 1


def test_an_entry_gets_its_id_and_the_time_of_the_logs_clock() -> None:
    sel = Sel()
    sel.set_time(5000, 1000.0)
    number = sel.add(ENTRY, 1010.0)
    assert sel.get(number) == b"\x01\x00\x02" + (5010).to_bytes(4, "little") + ENTRY[7:]
    assert sel.added == 5010


def test_an_oem_entry_without_time_keeps_its_bytes() -> None:
    sel = Sel()
    entry = b"\x00\x00\xe0" + bytes(range(13))
    assert sel.get(sel.add(entry, 1000.0)) == b"\x01" + entry[1:]


def test_the_clock_is_kept_over_a_restart() -> None:
    sel = Sel()
    sel.set_time(0, 1_800_000_000.0)
    assert Sel.from_bytes(sel.to_bytes()).time(1_800_000_060.0) == 60


def test_a_reservation_holds_until_another_one_or_until_an_entry_goes() -> None:
    sel = Sel()
    first = sel.reserve()
    second = sel.reserve()
    assert not sel.is_reserved(first) and sel.is_reserved(second) and second
    number = sel.add(ENTRY, 0.0)
    assert sel.is_reserved(second)  # an entry more harms nobody who reads
    sel.delete(number, 0.0)
    assert not sel.is_reserved(second)
    third = sel.reserve()
    sel.clear(0.0)
    assert not sel.is_reserved(third)
    for _turn in range(CAPACITY):
        sel.add(ENTRY, 0.0)
    fourth = sel.reserve()
    sel.add(ENTRY, 0.0)
    assert not sel.is_reserved(fourth)


@given(st.binary(max_size=80))
def test_any_stored_bytes_make_a_log(kept: bytes) -> None:
    sel = Sel.from_bytes(kept)
    assert len(sel) <= len(kept) // ENTRY_SIZE
    number = sel.add(ENTRY, 1.0)
    assert sel.get(number) is not None and sel.get(LAST) == sel.get(number)


def test_events_are_written_as_table_42_3_has_them() -> None:
    # Generator, EvMRev, sensor type and number, direction and type, event data 1 to 3.
    assert events.power(on=False).entry()[7:].hex(" ") == "20 00 04 09 01 6f 00 ff ff"
    assert events.power(on=True).entry()[7:].hex(" ") == "20 00 04 09 01 ef 00 ff ff"
    assert events.boot(events.SystemBoot.HARD_RESET).entry()[7:].hex(" ") == "20 00 04 1d 40 6f 01 ff ff"
    assert events.failed_login(2, 1).entry()[7:].hex(" ") == "20 00 04 2a 41 6f f2 02 01"
    assert events.watchdog(1, 4).entry()[7:].hex(" ") == "20 00 04 23 02 6f c1 04 ff"
