# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sensors, records, event log and inventory: what each command answers, and what is kept of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rig.board import ADMIN
from rig.board import Board as AnyBoard
from rig.waiting import eventually_async
from vbmcd.commands import TABLES
from vbmcd.commands.journal import LOGIN_BURST
from vbmcd.commands.keep import Saver
from vbmcd.commands.users import note_failed_login
from vbmcd.config import Privilege
from vbmcd.machine.base import Action, BootDevice, BootOverride, Busy, Power, Statistics, WrongState
from vbmcd.storage.fru import SIZE
from vbmcd.storage.sensors import SENSORS

SENSOR, STORAGE = 0x04, 0x0A
EVENT = "0000 02 00000000 8110 04 0c11 6f 00ffff"
"""An entry as a client adds it: id and time are the log's."""


class Board(AnyBoard):
    """One that can tell what is in its log."""

    async def reservation(self) -> str:
        return (await self.ask(STORAGE, 0x42))[3:]

    async def entries(self) -> list[str]:
        """The log, read as clients do; each entry from its sensor type on, without the time."""
        found, number = [], "0000"
        while number != "ffff":
            answer = await self.ask(STORAGE, 0x43, f"0000 {number} 00 ff")
            if answer == "cb":
                break
            found.append(answer[9 + 30 :])
            number = answer[3:8].replace(" ", "")
        return found

    def again(self) -> Board:
        """The same BMC after a restart."""
        return Board(kept=self.records)


@pytest.fixture
def board() -> Board:
    return Board()


# Command, request data, answer: completion code and data, by the section that each handler names.
@pytest.mark.parametrize(("netfn", "command", "data", "answer"), [
    pytest.param(SENSOR, 0x2D, "01", "00 00 c0 01 80", id="power is off"),
    pytest.param(SENSOR, 0x2D, "02", "00 00 c0 00 80", id="the watchdog has not expired"),
    pytest.param(SENSOR, 0x2D, "10", "00 00 60 c0", id="no CPU use of a machine that is off"),
    pytest.param(SENSOR, 0x2D, "40", "cb", id="an event-only sensor has no reading"),
    pytest.param(SENSOR, 0x2D, "ff", "cb", id="a sensor that does not exist"),
    pytest.param(SENSOR, 0x2D, "", "c7", id="no sensor"),
    pytest.param(SENSOR, 0x27, "10", "00 18 00 00 00 5a 62 00", id="thresholds"),
    pytest.param(SENSOR, 0x27, "20", "00 00 00 00 00 00 00 00", id="no thresholds"),
    pytest.param(SENSOR, 0x27, "01", "cd", id="thresholds of a discrete sensor"),
    pytest.param(SENSOR, 0x25, "10ff", "00 00 00", id="hysteresis"),
    pytest.param(SENSOR, 0x25, "01ff", "cd", id="hysteresis of a discrete sensor"),
    pytest.param(SENSOR, 0x29, "10", "00 40", id="no events of an analog sensor"),
    pytest.param(SENSOR, 0x29, "02", "00 c0 0f 01 0f 01", id="events of a discrete one"),
    pytest.param(SENSOR, 0x26, "10 18 0000005a6200", "00", id="set thresholds as they are"),
    pytest.param(SENSOR, 0x26, "10 08 000000500000", "cd", id="set another threshold"),
    pytest.param(SENSOR, 0x26, "10 01 000000000000", "cd", id="set a threshold that there is not"),
    pytest.param(SENSOR, 0x26, "01 00 000000000000", "cd", id="set thresholds of a discrete sensor"),
    pytest.param(SENSOR, 0x26, "ff 00 000000000000", "cb", id="set thresholds of a sensor that does not exist"),
    pytest.param(SENSOR, 0x26, "10 08 0000005a00", "c7", id="set thresholds, cut short"),
    pytest.param(SENSOR, 0x24, "10ff 00 00", "00", id="set no hysteresis"),
    pytest.param(SENSOR, 0x24, "10ff 01 00", "cd", id="set hysteresis"),
    pytest.param(SENSOR, 0x28, "02 c0", "00", id="event enable as it is"),
    pytest.param(SENSOR, 0x28, "02 d0 0f01 0f01", "00", id="enable the events that there are"),
    pytest.param(SENSOR, 0x28, "02 d0 1000", "cd", id="enable an event that there is not"),
    pytest.param(SENSOR, 0x28, "02 e0 0100", "cd", id="disable an event"),
    pytest.param(SENSOR, 0x28, "02 40", "cd", id="disable all events"),
    pytest.param(SENSOR, 0x28, "10 40", "00", id="event enable of an analog sensor as it is"),
    pytest.param(SENSOR, 0x28, "10 00", "cd", id="stop scanning"),
    pytest.param(SENSOR, 0x2A, "02 00", "00", id="re-arm"),
    pytest.param(SENSOR, 0x2A, "ff 00", "cb", id="re-arm a sensor that does not exist"),
    pytest.param(SENSOR, 0x10, "", "00 51 00 00", id="no event filtering"),
    pytest.param(SENSOR, 0x13, "05 00 00", "00 11 00", id="no event filters"),
    pytest.param(SENSOR, 0x13, "06 00 00", "80", id="an entry of their table"),
    pytest.param(SENSOR, 0x13, "85 00 00", "00 11", id="the revision of event filtering alone"),
    pytest.param(SENSOR, 0x12, "00 01", "00", id="event filtering, set in progress"),
    pytest.param(SENSOR, 0x12, "01 00", "00", id="event filtering as it is"),
    pytest.param(SENSOR, 0x12, "01 01", "82", id="turn event filtering on"),
    pytest.param(SENSOR, 0x12, "06 00", "80", id="set an event filter"),
    pytest.param(SENSOR, 0x12, "01", "c7", id="set nothing of event filtering"),
    pytest.param(SENSOR, 0x15, "", "00 ff ff ff ff ff ff 00 00 00 00", id="no event was processed"),
    pytest.param(SENSOR, 0x2B, "01", "00 c0 01 00 00 00", id="event status"),
    pytest.param(SENSOR, 0x2F, "01", "00 09 6f", id="a discrete type"),
    pytest.param(SENSOR, 0x2F, "10", "00 07 01", id="an analog type"),
    pytest.param(SENSOR, 0x02, "040c116f", "c7", id="an event cut short"),
    pytest.param(STORAGE, 0x22, "", "00 01 00", id="reserve the repository"),
    pytest.param(STORAGE, 0x23, "0000 0000 00 05", "00 02 00 01 00 51 12 0e", id="the first record's head"),
    pytest.param(STORAGE, 0x23, "0000 0000 05 02", "c5", id="a part without a reservation"),
    pytest.param(STORAGE, 0x23, "0100 0000 05 02", "00 02 00 20 00", id="a part with one"),
    pytest.param(STORAGE, 0x23, "0100 0000 ff 02", "c9", id="a part behind the end"),
    pytest.param(STORAGE, 0x23, "0100 ff00 00 ff", "cb", id="a record that does not exist"),
    pytest.param(STORAGE, 0x40, "", "00 51 00 00 00 20 ff ff ff ff ff ff ff ff 0b", id="an empty log"),
    pytest.param(STORAGE, 0x41, "", "00 00 02 10 00 00 02 00 02 01", id="its allocation"),
    pytest.param(STORAGE, 0x43, "0000 0000 00 ff", "cb", id="no first entry"),
    pytest.param(STORAGE, 0x44, EVENT[:-2], "c7", id="an entry cut short"),
    pytest.param(STORAGE, 0x44, EVENT.replace("02", "03", 1), "80", id="a record type that is reserved"),
    pytest.param(STORAGE, 0x46, "0000 0100", "c5", id="delete without a reservation"),
    pytest.param(STORAGE, 0x47, "0000 434c52 aa", "c5", id="clear without a reservation"),
    pytest.param(STORAGE, 0x47, "0000 434c53 aa", "cc", id="clear misspelt"),
    pytest.param(STORAGE, 0x47, "0000 434c52 00", "00 01", id="erasure is completed"),
    pytest.param(STORAGE, 0x5C, "", "00 00 00", id="UTC"),
    pytest.param(STORAGE, 0x5D, "a105", "cc", id="a UTC offset of more than a day"),
    pytest.param(STORAGE, 0x10, "00", "00 00 04 00", id="the inventory's size"),
    pytest.param(STORAGE, 0x10, "01", "cb", id="a FRU device that does not exist"),
    pytest.param(STORAGE, 0x11, "00 0000 03", "00 03 01 00 01", id="the inventory's header"),
    pytest.param(STORAGE, 0x11, "00 fe03 08", "00 02 00 00", id="its last bytes"),
    pytest.param(STORAGE, 0x11, "00 0004 01", "c9", id="behind its end"),
    pytest.param(STORAGE, 0x12, "00 ff03 0102", "c9", id="write over its end"),
    pytest.param(STORAGE, 0x12, "01 0000 01", "cb", id="write to a FRU device that does not exist"),
])  # fmt: skip
async def test_a_command_answers_as_specified(board: Board, netfn: int, command: int, data: str, answer: str) -> None:
    assert await board.ask(netfn, command, data) == answer


@pytest.mark.parametrize(
    ("netfn", "command", "data"),
    [(SENSOR, 0x02, "040c116f00"), (STORAGE, 0x44, EVENT), (STORAGE, 0x47, "0000434c52aa"), (STORAGE, 0x46, "00000100"),
     (STORAGE, 0x49, "00000000"), (STORAGE, 0x5D, "0000"), (STORAGE, 0x12, "00000000")],
)  # fmt: skip
async def test_what_changes_something_needs_an_operator(netfn: int, command: int, data: str) -> None:
    assert await Board(Privilege.USER).ask(netfn, command, data) == "d4"


# --- Sensors ---------------------------------------------------------------------------------------------------------


async def test_readings_are_the_machines(board: Board) -> None:
    board.machine.on = True
    board.machine.load = Statistics(99.4, 91.0, 50.0, 1e6, 4e6, 0.0, 1e12)
    wanted = {0x10: "63 40 d8", 0x11: "5b 40 c8", 0x12: "32 40 c0", 0x20: "05 40 c0", 0x21: "0a 40 c0",
              0x28: "00 40 c0", 0x29: "ff 40 c0", 0x01: "00 c0 00 80"}  # fmt: skip
    for number, reading in wanted.items():
        assert await board.ask(SENSOR, 0x2D, f"{number:02x}") == f"00 {reading}", hex(number)


@pytest.mark.parametrize("failure", [Busy("away"), WrongState("no such domain")])
async def test_without_the_machine_readings_are_unavailable_and_no_errors(board: Board, failure: Exception) -> None:
    board.machine.fails = failure
    for number in SENSORS:
        answer = await board.ask(SENSOR, 0x2D, f"{number:02x}")
        status = bytes.fromhex(answer)[2]
        assert answer.startswith("00 ") and bool(status & 0x20) is (number != 0x02)


async def test_the_watchdog_sensor_shows_how_it_expired(board: Board) -> None:
    board.bmc.journal.watchdog_expired(2, 0x03)
    assert await board.ask(SENSOR, 0x2D, "02") == "00 00 c0 04 80"
    assert await board.entries() == ["23 02 6f c2 03 ff"]


@pytest.mark.parametrize(("use", "noted"), [("04", ["23 02 6f c0 04 ff"]), ("84", [])])
async def test_the_watchdog_timer_shows_in_its_sensor_and_in_the_log(board: Board, use: str, noted: list[str]) -> None:
    assert await board.ask(0x06, 0x24, f"{use} 00 00 00 0100") == "00"
    assert await board.ask(0x06, 0x22) == "00"
    await eventually_async(lambda: _shows(board, "00 00 c0 01 80"), what="the sensor shows that the timer expired")
    assert await board.entries() == noted
    assert await board.ask(0x06, 0x22) == "00" and await _shows(board, "00 00 c0 00 80")


async def _shows(board: Board, reading: str) -> bool:
    return await board.ask(SENSOR, 0x2D, "02") == reading


# --- The event log ---------------------------------------------------------------------------------------------------


async def test_an_entry_that_was_acknowledged_is_there_after_a_restart(board: Board) -> None:
    assert await board.ask(STORAGE, 0x44, EVENT) == "00 01 00"
    assert await board.ask(STORAGE, 0x49, "00000010") == "00"
    assert await board.ask(STORAGE, 0x5D, "3c00") == "00"
    after = board.again()
    assert await after.entries() == ["0c 11 6f 00 ff ff"]
    assert (await after.ask(STORAGE, 0x48)).startswith("00 0") and (await after.ask(STORAGE, 0x48)).endswith("00 10")
    assert await after.ask(STORAGE, 0x5C) == "00 3c 00"
    assert await after.ask(STORAGE, 0x44, EVENT) == "00 02 00"


async def test_an_entry_that_can_not_be_stored_is_refused(board: Board) -> None:
    board.full = True
    assert await board.ask(STORAGE, 0x44, EVENT) == "c0"
    assert await board.entries() == []


async def test_delete_and_clear_need_a_reservation_that_still_holds(board: Board) -> None:
    for _turn in range(3):
        await board.ask(STORAGE, 0x44, EVENT)
    first, second = await board.reservation(), await board.reservation()
    assert await board.ask(STORAGE, 0x46, f"{first} 0200") == "c5"
    assert await board.ask(STORAGE, 0x46, f"{second} 0900") == "cb"
    assert await board.ask(STORAGE, 0x46, f"{second} 0200") == "00 02 00"
    assert await board.ask(STORAGE, 0x46, f"{second} 0300") == "c5"
    assert len(await board.again().entries()) == 2
    assert await board.ask(STORAGE, 0x47, f"{await board.reservation()} 434c52 aa") == "00 01"
    assert await board.entries() == await board.again().entries() == []


async def test_a_part_of_an_entry_needs_a_reservation(board: Board) -> None:
    await board.ask(STORAGE, 0x44, EVENT)
    assert await board.ask(STORAGE, 0x43, "0000 0100 07 02") == "c5"
    assert await board.ask(STORAGE, 0x43, f"{await board.reservation()} 0100 07 02") == "00 ff ff 81 10"
    assert await board.ask(STORAGE, 0x43, "0000 0100 00 11") == "c9"


async def test_a_full_log_drops_its_oldest_entry_and_says_so(board: Board) -> None:
    for _turn in range(513):
        board.bmc.journal.sel.add(bytes.fromhex(EVENT), 0.0)
    assert (await board.ask(STORAGE, 0x40)).startswith("00 51 00 02 00 00") and len(await board.entries()) == 512
    assert (await board.ask(STORAGE, 0x40)).endswith("8b")
    assert (await board.ask(STORAGE, 0x43, "0000 0000 00 02")) == "00 03 00 02 00"


async def test_a_remote_event_is_logged_as_that_consoles(board: Board) -> None:
    assert await board.ask(SENSOR, 0x02, "04 01 30 81 00") == "00"
    assert (await board.ask(STORAGE, 0x43, "0000 0000 00 ff"))[30:] == "81 10 04 01 30 81 00 ff ff"


async def test_power_boot_and_reset_are_noted(board: Board) -> None:
    assert board.machine.observer is not None
    board.machine.observer.switched(Power(True))
    board.machine.observer.switched(Power(False))
    assert await board.ask(0x00, 0x02, "03") == "00"
    network = BootOverride(BootDevice.NETWORK)
    board.bmc.journal.controlled(Action.CYCLE, network)
    wanted = ["09 01 ef 00 ff ff", "1d 40 6f 00 ff ff", "09 01 6f 00 ff ff", "1d 40 6f 01 ff ff", "1d 40 6f 03 ff ff"]
    assert await board.entries() == wanted
    await board.bmc.journal.drain()
    assert await board.again().entries() == wanted


async def test_entries_in_a_row_are_stored_together(board: Board) -> None:
    for turn in range(100):
        board.bmc.journal.power(bool(turn % 2))
    await board.bmc.journal.drain()
    assert board.writes <= 3 and len(await board.again().entries()) == 150


async def test_failed_logins_are_noted_but_a_flood_of_them_is_not(board: Board) -> None:
    note_failed_login(board.bmc, ADMIN)
    for _turn in range(1000):
        note_failed_login(board.bmc, None)
    assert await board.entries() == ["2a 41 6f f2 02 01"] + ["2a 41 6f f2 00 01"] * (LOGIN_BURST - 1)


async def test_a_journal_that_another_took_over_from_notes_nothing(board: Board) -> None:
    board.bmc.journal.close()
    assert board.machine.observer is not None
    board.machine.observer.switched(Power(True))
    await board.bmc.journal.drain()
    assert await board.entries() == [] and not board.writes


async def test_what_the_board_notes_waits_for_no_disk(board: Board) -> None:
    board.full = True
    board.bmc.journal.power(False)
    await board.bmc.journal.drain()
    assert await board.entries() == ["09 01 6f 00 ff ff"]
    board.full = False
    board.bmc.journal.power(False)
    await board.bmc.journal.drain()
    assert len(await board.again().entries()) == 2


# --- The inventory ---------------------------------------------------------------------------------------------------


async def inventory(board: Board) -> bytes:
    parts = [await board.ask(STORAGE, 0x11, f"00 {at.to_bytes(2, 'little').hex()} 80") for at in range(0, SIZE, 0x80)]
    assert all(part.startswith("00 80 ") for part in parts)
    return b"".join(bytes.fromhex(part)[2:] for part in parts)


async def test_the_inventory_follows_the_machine_until_it_is_written(board: Board) -> None:
    assert str(board.machine.uuid).encode() in await inventory(board)
    board.machine.uuid = type(board.machine.uuid)(int=7)
    assert str(board.machine.uuid).encode() in await inventory(board)
    before = await inventory(board)
    assert await board.ask(STORAGE, 0x12, "00 0a00 414243") == "00 03"
    wanted = before[:10] + b"ABC" + before[13:]
    board.machine.fails = Busy("away")
    assert await inventory(board) == wanted
    after = board.again()
    after.machine.fails = Busy("away")
    assert await inventory(after) == wanted


async def test_a_write_that_can_not_be_stored_changes_nothing(board: Board) -> None:
    before = await inventory(board)
    board.full = True
    assert await board.ask(STORAGE, 0x12, "00 0a00 414243") == "c0"
    assert await inventory(board) == before


async def test_an_inventory_of_zeros_is_one_that_was_written(board: Board) -> None:
    for at in range(0, SIZE, 128):
        await board.ask(STORAGE, 0x12, f"00 {at.to_bytes(2, 'little').hex()} {'00' * 128}")
    assert await inventory(board.again()) == bytes(SIZE)


async def test_without_the_machine_an_inventory_that_was_never_read_is_busy(board: Board) -> None:
    board.machine.fails = Busy("away")
    assert await board.ask(STORAGE, 0x11, "00 0000 08") == "c0"


# --- All of them -----------------------------------------------------------------------------------------------------


async def test_a_record_is_written_once_at_a_time_and_last_as_it_is_last() -> None:
    state, running, written = {"value": 0}, [], []

    async def keep(record: str, data: bytes) -> None:
        assert not running
        running.append(record)
        await asyncio.sleep(0.001)
        running.clear()
        written.append(data[0])

    saver = Saver(keep, "sel", lambda: bytes((state["value"],)))

    async def change(value: int) -> None:
        state["value"] = value
        await saver.save()
        assert written[-1] >= value

    await asyncio.gather(*(change(value) for value in range(1, 50)))
    await eventually_async(lambda: _equals(written[-1], 49), what="the last state is stored")
    assert len(written) <= 3


async def _equals(one: int, other: int) -> bool:
    return one == other


@given(netfn=st.sampled_from([SENSOR, STORAGE]), command=st.integers(0, 255), data=st.binary(max_size=40))
def test_no_data_makes_a_handler_fail(netfn: int, command: int, data: bytes) -> None:
    async def ask() -> Any:
        board = Board()
        if TABLES[netfn].find(command) is not None:
            return await board.ask(netfn, command, data.hex())
        return "c1"

    assert asyncio.run(ask())[:2] in {"00", "80", "c0", "c1", "c5", "c7", "c9", "cb", "cc", "cd"}
