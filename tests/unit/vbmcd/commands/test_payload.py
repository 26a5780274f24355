# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The payload commands and the settings of Serial over LAN, and the bridge to a console that a test plays."""

from __future__ import annotations

import asyncio

import pytest

from rig.board import Board, until
from rig.machine import BREAK, ScriptedConsole
from vbmcd.commands.sol_port import FULL, SolPort
from vbmcd.config import Privilege
from vbmcd.rmcp.session import Session
from vbmcd.rmcp.sol import MAX_CHARACTERS

APP, TRANSPORT = 0x06, 0x0C
ACTIVATE = "0101c0000000"
ACTIVATED = "00 00 00 00 00 c8 00 c8 00 56 18 ff ff"


@pytest.mark.parametrize(("netfn", "command", "data", "answer"), [
    pytest.param(APP, 0x48, ACTIVATE, ACTIVATED, id="activate"),
    pytest.param(APP, 0x48, "010140000000", "84", id="activate without encryption"),
    pytest.param(APP, 0x48, "0102c0000000", "cc", id="activate a second instance"),
    pytest.param(APP, 0x48, "0001c0000000", "cc", id="activate IPMI messages"),
    pytest.param(APP, 0x48, "0101c0", "c7", id="activate, cut short"),
    pytest.param(APP, 0x49, "010100000000", "80", id="deactivate what is not active"),
    pytest.param(APP, 0x49, "020100000000", "cc", id="deactivate an OEM payload"),
    pytest.param(APP, 0x4A, "01", "00 01 00 00", id="activation status"),
    pytest.param(APP, 0x4A, "20", "cc", id="activation status of an OEM payload"),
    pytest.param(APP, 0x4B, "0101", "00" + " 00" * 12, id="instance info, nobody has it"),
    pytest.param(APP, 0x4B, "0102", "cc", id="instance info of a second one"),
    pytest.param(APP, 0x4C, "010202000000", "00", id="allow a user"),
    pytest.param(APP, 0x4C, "014202000000", "00", id="deny a user"),
    pytest.param(APP, 0x4C, "018202000000", "cc", id="user access, a reserved operation"),
    pytest.param(APP, 0x4C, "010002000000", "cc", id="user access of user 0"),
    pytest.param(APP, 0x4C, "011102000000", "cc", id="user access of a user that there is not"),
    pytest.param(APP, 0x4D, "0111", "cc", id="get user access of a user that there is not"),
    pytest.param(APP, 0x4C, "070202000000", "cc", id="user access on a channel that does not exist"),
    pytest.param(APP, 0x4C, "010202", "c7", id="user access, cut short"),
    pytest.param(APP, 0x4D, "0102", "00 02 00 00 00", id="user access"),
    pytest.param(APP, 0x4D, "0e02", "00 02 00 00 00", id="user access on this channel"),
    pytest.param(APP, 0x4D, "0100", "cc", id="get user access of user 0"),
    pytest.param(APP, 0x4D, "0702", "cc", id="get user access on a channel that does not exist"),
    pytest.param(APP, 0x4D, "01", "c7", id="get user access, cut short"),
    pytest.param(APP, 0x4E, "0e", "00 03 00 3f 00 00 00 00 00", id="channel support"),
    pytest.param(APP, 0x4E, "07", "cc", id="support of a channel that does not exist"),
    pytest.param(APP, 0x4E, "", "c7", id="channel support, no channel"),
    pytest.param(APP, 0x4F, "0100", "00 10", id="version of IPMI messages"),
    pytest.param(APP, 0x4F, "0101", "00 10", id="version of SOL"),
    pytest.param(APP, 0x4F, "0115", "00 10", id="version of RAKP 4"),
    pytest.param(APP, 0x4F, "0102", "80", id="version of an OEM payload"),
    pytest.param(APP, 0x4F, "0116", "80", id="version beyond RAKP 4"),
    pytest.param(APP, 0x4F, "0701", "cc", id="version on a channel that does not exist"),
    pytest.param(APP, 0x55, "010101", "83", id="resume encryption of what is not active"),
    pytest.param(APP, 0x55, "000101", "cc", id="resume encryption of IPMI messages"),
    pytest.param(APP, 0x55, "0101", "c7", id="resume encryption, cut short"),
    pytest.param(TRANSPORT, 0x22, "01000000", "00 11 00", id="set in progress"),
    pytest.param(TRANSPORT, 0x22, "01020000", "00 11 c2", id="authentication: forced, for users"),
    pytest.param(TRANSPORT, 0x22, "01070000", "00 11 01", id="channel"),
    pytest.param(TRANSPORT, 0x22, "01080000", "00 11 56 18", id="port"),
    pytest.param(TRANSPORT, 0x22, "81010000", "00 11", id="the revision alone"),
    pytest.param(TRANSPORT, 0x22, "01c00000", "80", id="a parameter that there is not"),
    pytest.param(TRANSPORT, 0x21, "010202", "cc", id="sessions without encryption"),
    pytest.param(TRANSPORT, 0x21, "01056f", "cc", id="a bit rate that there is not"),
    pytest.param(TRANSPORT, 0x21, "01086f02", "82", id="the port is the instance's"),
    pytest.param(TRANSPORT, 0x21, "01c000", "80", id="set a parameter that there is not"),
    pytest.param(TRANSPORT, 0x21, "0103", "c7", id="set nothing"),
])  # fmt: skip
async def test_a_command_answers_as_specified(board: Board, netfn: int, command: int, data: str, answer: str) -> None:
    assert await board.ask(netfn, command, data) == answer


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Board:
    board = Board()
    monkeypatch.setattr(board.engine, "has", lambda session: session is board.session)
    return board


class Attached:
    """A board whose session has the console: packets to it, characters from it."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.packets: list[bytes] = []
        board.bmc.transmit = self._sent

    def _sent(self, _session: Session, _kind: int, payload: bytes) -> None:
        self.packets.append(payload)

    @property
    def console(self) -> ScriptedConsole:
        return self.board.machine.consoles[-1]

    def send(self, packet: bytes) -> None:
        port = self.board.bmc.has(SolPort)
        assert port is not None and self.board.session is not None
        port.receive(self.board.session, packet)

    async def comes(self, packet: bytes) -> None:
        await until(lambda: packet in self.packets)


@pytest.fixture
async def attached(board: Board) -> Attached:
    attached = Attached(board)
    assert await board.ask(APP, 0x48, ACTIVATE) == ACTIVATED
    return attached


@pytest.mark.parametrize(("command", "data", "answer"), [
    pytest.param(0x48, ACTIVATE, "80", id="activate it again"),
    pytest.param(0x49, "010100000000", "00", id="deactivate"),
    pytest.param(0x4A, "01", "00 01 01 00", id="activation status"),
    pytest.param(0x4B, "0101", "00 02" + " 00" * 11, id="instance info: whose it is"),
    pytest.param(0x55, "010100", "81", id="suspend encryption: all of a session is encrypted"),
    pytest.param(0x55, "010101", "00", id="resume encryption"),
    pytest.param(0x55, "010102", "00", id="a new initialization vector: each packet has one"),
    pytest.param(0x55, "010103", "cc", id="a reserved operation"),
])  # fmt: skip
async def test_a_command_answers_as_specified_while_active(
    attached: Attached, command: int, data: str, answer: str
) -> None:
    assert await attached.board.ask(APP, command, data) == answer


async def test_a_user_who_was_denied_can_not_activate_it_and_that_is_kept(board: Board) -> None:
    assert await board.ask(APP, 0x4C, "014202000000") == "00"
    assert await board.ask(APP, 0x4D, "0102") == "00 00 00 00 00"
    assert await board.ask(APP, 0x48, ACTIVATE) == "d4"
    after = Board(kept=board.records)
    assert await after.ask(APP, 0x4D, "0102") == "00 00 00 00 00"
    assert await board.ask(APP, 0x4C, "010202000000") == "00"
    assert await board.ask(APP, 0x48, ACTIVATE) == ACTIVATED


@pytest.mark.parametrize(("command", "data"), [(0x4C, "010202000000"), (0x4D, "0102")])
async def test_a_user_may_not_tell_who_has_access(command: int, data: str) -> None:
    assert await Board(Privilege.USER).ask(APP, command, data) == "d4"


async def test_a_console_that_could_not_be_opened_is_nobodys(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(_on_output: object) -> ScriptedConsole:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(board.machine, "open_console", no_room)
        with pytest.raises(RuntimeError):
            await board.ask(APP, 0x48, ACTIVATE)
    assert await board.ask(APP, 0x48, ACTIVATE) == ACTIVATED


async def test_what_is_typed_reaches_the_machine_once_and_its_output_the_console(attached: Attached) -> None:
    for _turn in range(2):
        attached.send(b"\x01\0\0\0hello")
    assert attached.console.typed == b"hello"
    assert attached.packets == [b"\0\x01\x05\0"] * 2
    attached.console.on_output(b"world")
    await attached.comes(b"\x01\0\0\0world")


async def test_a_break_reaches_the_machine_once_and_before_what_follows_it(attached: Attached) -> None:
    attached.send(b"\x01\0\0\0before")
    for _turn in range(2):
        attached.send(b"\x02\0\0\x10after")
    assert attached.console.typed == b"before" + BREAK + b"after"


async def test_what_nobody_acknowledged_comes_first_for_the_next(attached: Attached) -> None:
    attached.console.on_output(b"unseen")
    await attached.comes(b"\x01\0\0\0unseen")
    assert await attached.board.ask(APP, 0x49, "010100000000") == "00"
    assert attached.console.closed
    attached.packets.clear()
    assert await attached.board.ask(APP, 0x48, ACTIVATE) == ACTIVATED
    await attached.comes(b"\x01\0\0\0unseen")


async def test_a_console_that_does_not_keep_up_misses_the_oldest_output(attached: Attached) -> None:
    attached.console.on_output(b"first!")
    await attached.comes(b"\x01\0\0\0first!")
    attached.console.on_output(b"second" + b"x" * FULL)
    attached.send(b"\0\x01\x06\0")
    await attached.comes(b"\x02\0\0\0" + b"x" * MAX_CHARACTERS)


async def test_it_is_free_once_its_session_has_ended(attached: Attached) -> None:
    attached.board.session = None
    await asyncio.sleep(0)
    assert attached.board.bmc.part(SolPort).owner is None
    assert attached.console.closed
