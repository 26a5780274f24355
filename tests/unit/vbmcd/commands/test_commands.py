# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands a lab needs: what each answers, to whom, and what it does to the machine."""

from __future__ import annotations

import asyncio
import logging
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rig.board import Board
from vbmcd.commands import TABLES
from vbmcd.config import Privilege
from vbmcd.machine.base import Action, BootDevice, BootOverride, Busy, Unsupported, WrongState

CHASSIS, APP = 0x00, 0x06


@pytest.fixture
def board() -> Board:
    return Board()


# Command, request data, answer: completion code and data, by the section that each handler names.
@pytest.mark.parametrize(("netfn", "command", "data", "answer"), [
    pytest.param(APP, 0x01, "", "00 20 01 00 01 02 8f 00 00 00 01 00", id="device id: 3 bytes maker, 2 product"),
    pytest.param(APP, 0x01, "00", "c7", id="device id takes no data"),
    pytest.param(APP, 0x04, "", "00 55 00", id="self test"),
    pytest.param(APP, 0x37, "", "00 ff ee dd cc bb aa 99 88 77 66 55 44 33 22 11 00", id="system guid"),
    pytest.param(APP, 0x38, "8e04", "00 01 80 04 02 00 00 00 00", id="authentication capabilities, IPMI 2.0"),
    pytest.param(APP, 0x38, "8104", "00 01 80 04 02 00 00 00 00", id="the same for channel 1"),
    pytest.param(APP, 0x38, "0e04", "00 01 00 04 00 00 00 00 00", id="the same, 1.5 data"),
    pytest.param(APP, 0x38, "8504", "cc", id="a channel that does not exist"),
    pytest.param(APP, 0x38, "8e00", "cc", id="a privilege that does not exist"),
    pytest.param(APP, 0x38, "8e", "c7", id="half a request"),
    pytest.param(APP, 0x54, "0e0080", "00 01 c0 03 01 41 81 c0 11 03 44 81", id="cipher suites"),
    pytest.param(APP, 0x54, "0e0081", "00 01", id="the second 16 bytes of 10"),
    pytest.param(APP, 0x54, "0e0000", "00 01 01 03 41 44 81", id="algorithms"),
    pytest.param(APP, 0x54, "030080", "cc", id="cipher suites of no channel"),
    pytest.param(APP, 0x3B, "00", "00 04", id="read the session's privilege"),
    pytest.param(APP, 0x3B, "02", "00 02", id="lower it"),
    pytest.param(APP, 0x3B, "05", "cc", id="OEM is not there"),
    pytest.param(APP, 0x3B, "01", "cc", id="CALLBACK can't be set"),
    pytest.param(APP, 0x3C, "0f000000", "87", id="close a session that is not there"),
    pytest.param(APP, 0x3C, "0000000009", "88", id="close a session by a handle that is not there"),
    pytest.param(APP, 0x3C, "00000000", "87", id="close session 0, and no handle"),
    pytest.param(CHASSIS, 0x00, "", "00 00 20 20 20 20", id="chassis capabilities"),
    pytest.param(CHASSIS, 0x01, "", "00 60 00 40", id="chassis status, off"),
    pytest.param(CHASSIS, 0x02, "06", "cc", id="an action that does not exist"),
    pytest.param(CHASSIS, 0x02, "", "c7", id="no action"),
    pytest.param(CHASSIS, 0x04, "010203", "c7", id="identify with too much"),
    pytest.param(CHASSIS, 0x08, "", "c7", id="no boot option"),
    pytest.param(CHASSIS, 0x08, "0800", "80", id="a boot option that is not kept"),
    pytest.param(CHASSIS, 0x08, "0580", "c7", id="boot flags cut short"),
    pytest.param(CHASSIS, 0x08, "05", "00", id="only the mark 'valid'"),
    pytest.param(CHASSIS, 0x09, "050000", "00 01 05 00 00 00 00 00", id="boot flags, none set"),
    pytest.param(CHASSIS, 0x09, "090000", "80", id="read a boot option that is not kept"),
    pytest.param(CHASSIS, 0x09, "0500", "c7", id="read half a boot option"),
])  # fmt: skip
async def test_a_command_answers_as_specified(board: Board, netfn: int, command: int, data: str, answer: str) -> None:
    assert await board.ask(netfn, command, data) == answer


@pytest.mark.parametrize(("value", "action"), [
    ("00", Action.OFF), ("01", Action.ON), ("02", Action.CYCLE), ("03", Action.RESET), ("04", Action.DIAGNOSTIC),
    ("05", Action.SOFT),
])  # fmt: skip
async def test_chassis_control_reaches_the_machine(board: Board, value: str, action: Action) -> None:
    assert await board.ask(CHASSIS, 0x02, value) == "00"
    assert board.machine.calls == [(action.value, None)]


async def test_chassis_status_reads_what_the_machine_says(board: Board) -> None:
    board.machine.on = True
    assert await board.ask(CHASSIS, 0x01) == "00 61 00 40"


@pytest.mark.parametrize(
    ("failure", "code"), [(Busy("away"), "c0"), (WrongState("off"), "d5"), (Unsupported("no"), "cc")]
)
async def test_what_the_machine_can_not_do_becomes_a_completion_code(
    board: Board, failure: Exception, code: str
) -> None:
    board.machine.fails = failure  # type: ignore[assignment]
    assert await board.ask(CHASSIS, 0x01) == code
    assert await board.ask(CHASSIS, 0x02, "01") == code
    assert await board.ask(CHASSIS, 0x08, "058004000000") == code
    assert await board.ask(APP, 0x37) == code
    assert board.kept == []


WRITES = [(CHASSIS, 0x02, "00"), (CHASSIS, 0x04, "05"), (CHASSIS, 0x08, "058004000000")]
READS = [(CHASSIS, 0x00, ""), (CHASSIS, 0x01, ""), (APP, 0x01, ""), (APP, 0x04, "")]


@pytest.mark.parametrize("privilege", list(Privilege))
async def test_power_needs_an_operator_and_a_look_needs_a_user(privilege: Privilege) -> None:
    board = Board(privilege)
    for needed, requests in ((Privilege.OPERATOR, WRITES), (Privilege.USER, READS)):
        for request in requests:
            assert (await board.ask(*request) == "d4") is (privilege < needed), request
    if privilege < Privilege.OPERATOR:
        assert not {call for call, _argument in board.machine.calls} - {"is_on"}, "the machine was not touched"


@pytest.mark.parametrize("table", list(TABLES.values()), ids=lambda table: f"{table.netfn:02X}h")
async def test_without_a_session_nothing_but_the_way_to_one_is_answered(table: Any) -> None:
    board = Board()
    board.session = None
    for number in range(256):
        if table.find(number) is not None:
            open_to_all = (table.netfn, number) in ((APP, 0x37), (APP, 0x38), (APP, 0x54))
            assert (await board.ask(table.netfn, number) == "d4") is not open_to_all, f"{number:02X}h"


async def test_a_session_can_not_be_raised_above_its_limit(board: Board) -> None:
    assert board.session is not None
    board.session.limit = board.session.privilege = Privilege.USER
    assert await board.ask(APP, 0x3B, "04") == "81"
    assert board.session.privilege == Privilege.USER


async def test_somebody_elses_session_is_closed_by_an_administrator_only() -> None:
    assert await Board(Privilege.OPERATOR).ask(APP, 0x3C, "0f000000") == "d4"


async def test_boot_flags_are_void_for_another_machine(board: Board) -> None:
    for flags in ("8008000000", "c008000000"):
        await board.ask(CHASSIS, 0x08, "05" + flags)
        after = Board(kept=board.records)
        assert (await after.ask(CHASSIS, 0x09, "050000"))[9:11] == flags[:2]
        after.machine.fails = Busy("away")
        assert (await after.ask(CHASSIS, 0x09, "050000"))[9:11] == flags[:2], "what they were for is not known now"
        after.machine.fails = None
        after.machine.uuid = uuid.UUID(int=7)
        await after.ask(CHASSIS, 0x02, "01")
        assert after.machine.calls == [("on", None)]
        assert not int((await after.ask(CHASSIS, 0x09, "050000"))[9:11], 16) & 0x80
        assert not after.records["boot"][0] & 0x80


async def test_boot_flags_of_a_version_that_knew_no_machines_count() -> None:
    board = Board(kept={"boot": bytes.fromhex("8004000000")})
    assert await board.ask(CHASSIS, 0x02, "01") == "00"
    assert board.machine.calls == [("on", BootOverride(BootDevice.NETWORK))]


async def test_a_one_shot_device_is_handed_to_the_next_start_and_then_used_up(board: Board) -> None:
    assert await board.ask(CHASSIS, 0x08, "058004000000") == "00"
    assert board.kept == [bytes.fromhex("8004000000") + board.machine.uuid.bytes]
    assert await board.ask(CHASSIS, 0x02, "01") == "00"
    once = BootOverride(BootDevice.NETWORK)
    assert board.machine.calls == [("check_boot", once), ("on", once)]
    assert await board.ask(CHASSIS, 0x09, "050000") == "00 01 05 00 04 00 00 00"
    assert board.kept[-1][:5] == bytes.fromhex("0004000000"), "and so after a restart of the daemon"
    await board.ask(CHASSIS, 0x02, "02")
    assert board.machine.calls[-1] == ("cycle", None)


async def test_a_persistent_device_goes_into_the_machines_definition_and_stays(board: Board) -> None:
    assert await board.ask(CHASSIS, 0x08, "05e014000000") == "00"
    wanted = BootOverride(BootDevice.CDROM, True, True)
    assert board.machine.calls == [("check_boot", wanted), ("set_persistent_boot", wanted)]
    await board.ask(CHASSIS, 0x02, "01")
    assert board.machine.calls[-1] == ("on", None)
    assert await board.ask(CHASSIS, 0x09, "050000") == "00 01 05 e0 14 00 00 00"


async def test_a_start_that_used_an_override_is_told_as_done_though_that_can_not_be_kept(board: Board) -> None:
    """Node busy would have the client start it a second time."""
    await board.ask(CHASSIS, 0x08, "058004000000")
    board.full = True
    assert await board.ask(CHASSIS, 0x02, "01") == "00"
    assert await board.ask(CHASSIS, 0x02, "02") == "00"
    assert [boot for call, boot in board.machine.calls if call in ("on", "cycle")] == [
        BootOverride(BootDevice.NETWORK),
        None,
    ]


async def test_flags_that_are_set_while_the_machine_starts_are_for_the_next_start(board: Board) -> None:
    await board.ask(CHASSIS, 0x08, "058008000000")
    board.machine.gate = asyncio.Event()
    cycle = asyncio.ensure_future(board.ask(CHASSIS, 0x02, "02"))
    await asyncio.sleep(0)
    assert await board.ask(CHASSIS, 0x08, "058004000000") == "00"
    board.machine.gate.set()
    assert await cycle == "00"
    assert await board.ask(CHASSIS, 0x09, "050000") == "00 01 05 80 04 00 00 00"


async def test_an_override_taken_back_is_not_used(board: Board) -> None:
    await board.ask(CHASSIS, 0x08, "058004000000")
    await board.ask(CHASSIS, 0x08, "058000000000")
    await board.ask(CHASSIS, 0x02, "01")
    assert board.machine.calls[-1] == ("on", None)


@pytest.mark.parametrize("selector", [0x3, 0x4, 0x6, 0x9, 0xA, 0xB, 0xC, 0xD, 0xE])
async def test_a_device_that_no_domain_can_honour_is_refused_and_the_flags_stay(board: Board, selector: int) -> None:
    assert await board.ask(CHASSIS, 0x08, f"0580{selector << 2:02x}000000") == "cc"
    assert await board.ask(CHASSIS, 0x09, "050000") == "00 01 05 00 00 00 00 00"
    assert (board.machine.calls, board.kept) == ([], [])


async def test_boot_flags_are_there_again_after_a_restart(board: Board) -> None:
    await board.ask(CHASSIS, 0x08, "05c004000000")
    fresh = Board()
    fresh.bmc.boot.restore(board.kept[-1])
    assert await fresh.ask(CHASSIS, 0x09, "050000") == "00 01 05 c0 04 00 00 00"


async def test_set_in_progress_is_refused_to_a_second_one_until_it_is_given_back(board: Board) -> None:
    assert [await board.ask(CHASSIS, 0x08, f"00{value}") for value in ("01", "01", "02", "01", "00")] == [
        "00", "81", "00", "00", "00",
    ]  # fmt: skip


async def test_the_boot_info_acknowledge_is_written_by_its_mask(board: Board) -> None:
    await board.ask(CHASSIS, 0x08, "041f1f")
    await board.ask(CHASSIS, 0x08, "040100")
    assert await board.ask(CHASSIS, 0x09, "040000") == "00 01 04 00 1e"


async def test_identify_shows_in_the_chassis_status_until_it_ends(board: Board) -> None:
    states = []
    for data in ("ff", "0001", "00"):
        await board.ask(CHASSIS, 0x04, data)
        states.append((await board.ask(CHASSIS, 0x01))[-2:])
    assert states == ["50", "60", "40"], "timed, forced, off"


async def test_a_power_command_without_the_privilege_leaves_an_audit_line_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    board = Board(Privilege.USER)
    with caplog.at_level(logging.INFO, "vbmcd.audit"):
        assert await board.ask(CHASSIS, 0x02, "00") == "d4"
        assert await board.ask(CHASSIS, 0x02, "0f") == "d4"
        assert await board.ask(CHASSIS, 0x01) != "d4"
    (record,) = caplog.records
    fields: dict[str, Any] = record.__dict__["fields"]
    assert (fields["action"], fields["user"], fields["result"]) == ("off", "admin", "D4h insufficient_privilege")


async def test_a_power_command_leaves_an_audit_line_with_who_and_what(
    board: Board, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "vbmcd.audit"):
        await board.ask(CHASSIS, 0x02, "03")
        board.machine.fails = WrongState("domain 'domain-07' is off")
        await board.ask(CHASSIS, 0x02, "03")
        await board.ask(CHASSIS, 0x08, "000000")
    lines: list[dict[str, str]] = [record.fields for record in caplog.records]  # type: ignore[attr-defined]
    assert [line["result"] for line in lines] == ["ok", "D5h not_in_present_state"]
    assert lines[0] == {
        "event": "power", "action": "reset", "instance": "node-07", "domain": "domain-07", "user": "admin",
        "source": "192.0.2.1 50000", "result": "ok", "reason": "",
    }  # fmt: skip
    assert "secret" not in caplog.text


@given(st.sampled_from(sorted(TABLES)), st.integers(0, 255), st.binary(max_size=20), st.booleans())
async def test_no_data_makes_a_command_raise(netfn: int, command: int, data: bytes, session: bool) -> None:
    if TABLES[netfn].find(command) is None:
        return
    board = Board()
    if not session:
        board.session = None
    assert len(await board.ask(netfn, command, data.hex())) >= 2
