# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a board has besides power: identity, resets, channel, sessions, LAN configuration, mailbox, time-outs."""

from __future__ import annotations

import pytest

from rig.board import Board
from vbmcd.commands.boot import BootOptions

CHASSIS, APP, TRANSPORT = 0x00, 0x06, 0x0C


@pytest.fixture
def board() -> Board:
    board = Board().at("2001:db8::7")
    board.machine.on = True
    return board


@pytest.mark.parametrize(("netfn", "command", "data", "answer"), [
    pytest.param(APP, 0x07, "", "00 00 00", id="acpi state of a running machine"),
    pytest.param(APP, 0x06, "8282", "00", id="set acpi states"),
    pytest.param(APP, 0x06, "8b80", "cc", id="a system state that does not exist"),
    pytest.param(APP, 0x06, "8084", "cc", id="a device state that does not exist"),
    pytest.param(APP, 0x06, "80", "c7", id="half of the states"),
    pytest.param(APP, 0x08, "", "00" + " 00" * 16, id="device guid"),
    pytest.param(APP, 0x2F, "", "00 08", id="global enables: events are logged"),
    pytest.param(APP, 0x2E, "08", "00", id="global enables as they are"),
    pytest.param(APP, 0x2E, "09", "cc", id="an interrupt of no interface"),
    pytest.param(APP, 0x30, "ff", "00", id="clear message flags"),
    pytest.param(APP, 0x31, "", "00 00", id="message flags"),
    pytest.param(APP, 0x33, "", "80", id="no message waits"),
    pytest.param(APP, 0x3D, "00", "00 00 3f 00 02 04 11 00 00 00 00 00 00 00 00 00 00 00 00", id="this session"),
    pytest.param(APP, 0x3D, "01", "00 00 3f 00", id="no first session in the engine"),
    pytest.param(APP, 0x3D, "fe01", "cc", id="no session of that handle"),
    pytest.param(APP, 0x3D, "ff01000000", "cc", id="no session of that id"),
    pytest.param(APP, 0x3D, "ff01", "c7", id="half an id"),
    pytest.param(APP, 0x3D, "", "c7", id="no index"),
    pytest.param(APP, 0x40, "016244", "00", id="channel access as it is"),
    pytest.param(APP, 0x40, "010000", "00", id="channel access, nothing to set"),
    pytest.param(APP, 0x40, "016100", "83", id="pre-boot access only"),
    pytest.param(APP, 0x40, "014200", "cc", id="alerts"),
    pytest.param(APP, 0x40, "010042", "cc", id="a privilege limit of the channel"),
    pytest.param(APP, 0x41, "0e40", "00 22 04", id="channel access, stored"),
    pytest.param(APP, 0x41, "0180", "00 22 04", id="channel access, present"),
    pytest.param(APP, 0x41, "0100", "cc", id="neither"),
    pytest.param(APP, 0x42, "0e", "00 01 04 01 80 f2 1b 00 00 00", id="channel info"),
    pytest.param(APP, 0x42, "07", "cc", id="of a channel that does not exist"),
    pytest.param(APP, 0x56, "01 00 00", "84", id="there is no K_R"),
    pytest.param(APP, 0x56, "01 01 01" + "aa" * 20, "80", id="K_G is the instance's"),
    pytest.param(APP, 0x56, "01 00 02", "cc", id="a key that there is not"),
    pytest.param(APP, 0x56, "01 00", "c7", id="no key"),
    pytest.param(APP, 0x59, "00020000", "00 11 00 01 09 64 6f 6d 61 69 6e 2d 30 37" + " 00" * 5, id="system name"),
    pytest.param(APP, 0x59, "00021000", "c9", id="a block beyond any text"),
    pytest.param(APP, 0x59, "00030000", "80", id="an operating system that nobody told of"),
    pytest.param(APP, 0x58, "02000101", "82", id="the system name is the domain's"),
    pytest.param(CHASSIS, 0x06, "03", "00 07", id="which restore policies there are"),
    pytest.param(CHASSIS, 0x06, "04", "cc", id="a restore policy that is reserved"),
    pytest.param(CHASSIS, 0x0F, "", "00 01 00 00 00 00", id="not on for a minute yet"),
    pytest.param(CHASSIS, 0x07, "", "00 00 00", id="restart cause, unknown"),
    pytest.param(CHASSIS, 0x08, "07", "00", id="mark the mailbox as valid"),
    pytest.param(CHASSIS, 0x08, "0709aa", "c9", id="a block of the mailbox that there is not"),
    pytest.param(CHASSIS, 0x08, "0700" + "aa" * 17, "c7", id="too much for a block"),
    pytest.param(CHASSIS, 0x09, "070900", "c9", id="read a block that there is not"),
    pytest.param(TRANSPORT, 0x02, "01030000", "00 11 00 00 00 00", id="no IPv4 address"),
    pytest.param(TRANSPORT, 0x02, "01040000", "00 11 01", id="static"),
    pytest.param(TRANSPORT, 0x02, "01080000", "00 11 56 18", id="the port"),
    pytest.param(TRANSPORT, 0x02, "81030000", "00 11", id="the revision alone"),
    pytest.param(TRANSPORT, 0x02, "01c00000", "80", id="a parameter that there is not"),
    pytest.param(TRANSPORT, 0x02, "01380100", "c9", id="a second IPv6 address"),
    pytest.param(TRANSPORT, 0x02, "05030000", "cc", id="of a channel that does not exist"),
    pytest.param(TRANSPORT, 0x02, "0103", "c7", id="half a request"),
    pytest.param(TRANSPORT, 0x01, "0103c0000201", "82", id="the address is the instance's"),
    pytest.param(TRANSPORT, 0x01, "010300000000", "00", id="the address as it is"),
    pytest.param(TRANSPORT, 0x01, "01c000", "80", id="set a parameter that there is not"),
])  # fmt: skip
async def test_a_command_answers_as_specified(board: Board, netfn: int, command: int, data: str, answer: str) -> None:

    assert await board.ask(netfn, command, data) == answer


@pytest.mark.parametrize(("address", "parameter", "value"), [
    ("127.62.3.7", "03", "7f 3e 03 07"), ("127.62.3.7", "06", "ff 00 00 00"), ("127.62.3.7", "0c", "00 00 00 00"),
    ("127.62.3.7", "33", "00"), ("2001:db8::7", "33", "01"), ("::", "33", "02"),
    ("2001:db8::7", "38", "00 80 20 01 0d b8" + " 00" * 11 + " 07 80 00"),
    ("127.62.3.7", "05", "02 00 00 00 00 00"),
])  # fmt: skip
async def test_the_lan_configuration_is_the_instances(address: str, parameter: str, value: str) -> None:
    assert await Board().at(address).ask(TRANSPORT, 0x02, f"01{parameter}0000") == f"00 11 {value}"


async def test_a_second_writer_of_the_lan_configuration_waits_for_the_first(board: Board) -> None:
    assert [await board.ask(TRANSPORT, 0x01, f"0100{value}") for value in ("01", "01", "00", "01")] == [
        "00", "81", "00", "00",
    ]  # fmt: skip


async def test_a_machine_without_power_is_in_soft_off(board: Board) -> None:
    await board.ask(APP, 0x06, "8282")
    assert await board.ask(APP, 0x07) == "00 02 02"
    board.machine.on = False
    assert await board.ask(APP, 0x07) == "00 06 02"


@pytest.mark.parametrize("command", [0x02, 0x03])
async def test_a_reset_of_the_bmc_leaves_the_machine_alone(board: Board, command: int) -> None:
    assert await board.ask(APP, command) == "00"
    assert board.machine.calls == []


async def test_who_switched_the_machine_on_is_told(board: Board) -> None:
    assert (await board.ask(CHASSIS, 0x01))[6:8] == "00"
    await board.ask(CHASSIS, 0x02, "02")
    assert (await board.ask(CHASSIS, 0x01))[6:8] == "10"
    assert await board.ask(CHASSIS, 0x07) == "00 01 01"
    board.machine.on = False
    assert (await board.ask(CHASSIS, 0x01))[6:8] == "00"


async def test_the_mailbox_has_blocks(board: Board) -> None:
    await board.ask(CHASSIS, 0x08, "0701" + "ab" * 16)
    await board.ask(CHASSIS, 0x08, "0702cd")
    assert await board.ask(CHASSIS, 0x09, "070100") == "00 01 07 01" + " ab" * 16
    assert await board.ask(CHASSIS, 0x09, "070200") == "00 01 07 02 cd" + " 00" * 15
    assert await board.ask(CHASSIS, 0x09, "070000") == "00 01 07 00" + " 00" * 16


async def test_a_parameter_that_is_marked_as_invalid_does_not_count(board: Board) -> None:
    await board.ask(CHASSIS, 0x08, "058004000000")
    await board.ask(CHASSIS, 0x08, "85")
    assert await board.ask(CHASSIS, 0x09, "050000") == "00 01 85 80 04 00 00 00"
    await board.ask(CHASSIS, 0x02, "02")
    assert board.machine.calls[-1] == ("cycle", None)
    again = Board(kept=board.records)
    assert await again.ask(CHASSIS, 0x09, "050000") == "00 01 05 00 04 00 00 00", "nor after a restart"
    await board.ask(CHASSIS, 0x08, "05")
    assert await Board(kept=board.records).ask(CHASSIS, 0x09, "050000") == "00 01 05 80 04 00 00 00"


async def test_flags_that_come_marked_as_invalid_change_no_machine(board: Board) -> None:
    await board.ask(CHASSIS, 0x08, "058004000000")
    assert await board.ask(CHASSIS, 0x08, "85c004000000") == "00"
    assert await board.ask(CHASSIS, 0x09, "050000") == "00 01 85 c0 04 00 00 00"
    assert not [call for call in board.machine.calls if call[0] == "set_persistent_boot"]
    assert await Board(kept=board.records).ask(CHASSIS, 0x09, "050000") == "00 01 05 40 04 00 00 00"


async def test_a_cold_reset_leaves_of_the_boot_options_what_was_stored(board: Board) -> None:
    for data in ("058004000000", "0001", "0308", "0700ab", "81"):
        assert await board.ask(CHASSIS, 0x08, data) == "00"
    assert await board.ask(APP, 0x02) == "00"
    assert await board.ask(CHASSIS, 0x09, "050000") == "00 01 05 80 04 00 00 00"
    assert await board.ask(CHASSIS, 0x09, "030000") == "00 01 03 00"
    assert await board.ask(CHASSIS, 0x09, "010000") == "00 01 01 00"
    assert await board.ask(CHASSIS, 0x09, "070000") == "00 01 07 00" + " 00" * 16
    assert await board.ask(CHASSIS, 0x08, "0001") == "00", "nobody is about to write"


@pytest.mark.parametrize(("timeout", "clearing", "flags", "expires"), [
    (60.0, 0x00, 0x80, True), (60.0, 0x08, 0x80, False), (60.0, 0x00, 0xC0, False), (0.0, 0x00, 0x80, False),
])  # fmt: skip
def test_flags_for_one_start_expire_where_they_should(timeout: float, clearing: int, flags: int, expires: bool) -> None:
    now = 1000.0
    options = BootOptions(timeout, lambda: now)
    options.put(3, bytes((clearing,)))
    options.put(5, bytes((flags, 4, 0, 0, 0)))
    now += 59
    assert options.flags.valid
    now += 2
    assert options.flags.valid is not expires
    assert bool(options.get(5)[0] & 0x80) is not expires
    assert bool(options.to_bytes()[0] & 0x80) is not expires
    options.put(5, bytes((flags, 4, 0, 0, 0)))
    assert options.flags.valid, "set again, the time begins again"


async def test_a_chassis_control_command_gives_flags_their_time_again(board: Board) -> None:
    now = 1000.0
    board.bmc.boot = BootOptions(60.0, lambda: now)
    await board.ask(CHASSIS, 0x08, "058004000000")
    now += 50
    assert await board.ask(CHASSIS, 0x02, "04") == "00", "a diagnostic interrupt, which starts nothing"
    now += 50
    assert board.bmc.boot.flags.valid
    now += 11
    assert not board.bmc.boot.flags.valid
