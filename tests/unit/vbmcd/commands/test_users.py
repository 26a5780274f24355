# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Users over IPMI: what a client may change, what is stored of it, and who wins where two say different things."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rig.board import ADMIN, Board
from rig.packets import ConsolePackets
from vbmcd.commands.user_table import FIRST_ID, LAST_ID, Slot, from_bytes, logins, reconcile, to_bytes
from vbmcd.config import MAX_USERS, Privilege, User

APP = 0x06
JOE = User("joe", "j" * 20, Privilege.USER)


def name(number: int, text: str) -> str:
    return bytes((number,)).hex() + text.encode().ljust(16, b"\0").hex()


def password(number: int, operation: int, text: str, size: int = 16) -> str:
    head = bytes((number | (0x80 if size == 20 else 0), operation))
    return (head + text.encode().ljust(size, b"\0")).hex()


async def add_bob(board: Board) -> None:
    for command, data in (
        (0x45, name(5, "bob")), (0x47, password(5, 2, "b0b")), (0x43, "910503"), (0x47, "0501"),
    ):  # fmt: skip
        assert await board.ask(APP, command, data) == "00"


async def test_a_user_that_a_client_adds_can_log_in_once_it_is_complete() -> None:
    board = Board()
    await add_bob(board)
    assert board.users == [(ADMIN, User("bob", "b0b", Privilege.OPERATOR))], "stored once, when it could log in"
    console = ConsolePackets(b"bob", b"b0b", role=3)
    for packet, take in ((console.open_session, console.opened), (console.rakp1, console.took_rakp2)):
        take(board.engine.receive(packet(), ("192.0.2.1", 1), 0.0))  # type: ignore[arg-type]
    reply = board.engine.receive(console.rakp3(), ("192.0.2.1", 1), 0.0)
    assert isinstance(reply, bytes) and console.took_rakp4(reply) == 0


async def test_ids_names_and_limits_are_told() -> None:
    board = Board(users=(ADMIN, JOE))
    assert await board.ask(APP, 0x46, "02") == "00 61 64 6d 69 6e" + " 00" * 11
    assert await board.ask(APP, 0x46, "04") == "00" + " 00" * 16
    assert await board.ask(APP, 0x44, "0103") == "00 10 42 00 12"
    assert await board.ask(APP, 0x44, "0104") == "00 10 82 00 0f"
    assert await board.ask(APP, 0x44, "0111") == "cc"


@pytest.mark.parametrize(("command", "data", "answer"), [
    pytest.param(0x45, name(1, "root"), "cc", id="the null user gets no name"),
    pytest.param(0x45, name(2, ""), "cc", id="the first user stays"),
    pytest.param(0x47, "0200", "cc", id="and stays enabled"),
    pytest.param(0x43, "81020f", "cc", id="and may log in"),
    pytest.param(0x45, name(3, "admin"), "cc", id="a name that another has"),
    pytest.param(0x45, name(17, "bob"), "cc", id="an id that there is not"),
    pytest.param(0x45, "03" + "ff" * 16, "cc", id="a name that is no UTF-8"),
    pytest.param(0x45, "03" + "0a" + "00" * 15, "cc", id="a name of control characters"),
    pytest.param(0x47, "0202" + "00" * 16, "cc", id="no password"),
    pytest.param(0x47, "0202" + "ff" * 16, "cc", id="a password that is no UTF-8"),
    pytest.param(0x47, "0202" + "61" * 20, "c7", id="20 bytes without the mark of 20"),
    pytest.param(0x47, "0202", "c7", id="a password that is not there"),
    pytest.param(0x43, "810305", "cc", id="an OEM privilege"),
    pytest.param(0x43, "81030401", "cc", id="a session limit"),
    pytest.param(0x43, "850304", "cc", id="another channel"),
])  # fmt: skip
async def test_what_can_not_be_is_refused_and_stores_nothing(command: int, data: str, answer: str) -> None:
    board = Board()
    assert await board.ask(APP, command, data) == answer
    assert (board.users, board.records) == ([], {})


@pytest.mark.parametrize(("text", "size", "answer"), [
    ("secret", 16, "00"), ("secret", 20, "00"), ("wrong", 16, "80"), ("", 16, "80"),
])  # fmt: skip
async def test_a_password_can_be_tested(text: str, size: int, answer: str) -> None:
    assert await Board().ask(APP, 0x47, password(2, 3, text, size)) == answer


async def test_the_last_administrator_stays_one() -> None:
    """Or nobody could change anything over IPMI any more."""
    board = Board(users=(ADMIN, JOE))
    assert await board.ask(APP, 0x43, "910203") == "cc"
    assert (board.users, board.records) == ([], {})
    assert await board.ask(APP, 0x43, "910304") == "00"
    assert await board.ask(APP, 0x43, "910203") == "00", "there is another now"
    assert await board.ask(APP, 0x47, "0300") == "cc"


async def test_a_password_of_20_bytes_does_not_fit_into_a_test_of_16() -> None:
    board = Board(users=(ADMIN, JOE))
    assert await board.ask(APP, 0x47, password(3, 3, "j" * 16)) == "81"
    assert await board.ask(APP, 0x47, password(3, 3, "j" * 20, 20)) == "00"


async def test_a_test_tells_whether_a_password_was_stored_as_16_or_as_20_bytes() -> None:
    """81h, "wrong password size was used" (22.30); it is what `ipmitool user test` is for."""
    board = Board()
    await add_bob(board)
    for size, other in ((16, 20), (20, 16)):
        assert await board.ask(APP, 0x47, password(5, 2, "b0b", size)) == "00"
        assert await board.ask(APP, 0x47, password(5, 3, "b0b", size)) == "00"
        assert await board.ask(APP, 0x47, password(5, 3, "wrong", size)) == "80"
        assert await board.ask(APP, 0x47, password(5, 3, "b0b", other)) == "81"
    again = Board(users=board.users[-1], kept=board.records)
    assert await again.ask(APP, 0x47, password(5, 3, "b0b", 16)) == "81", "kept"
    changed = Board(users=(ADMIN, User("bob", "another", Privilege.OPERATOR)), kept=board.records)
    assert await changed.ask(APP, 0x47, password(5, 3, "another", 16)) == "00", "one of the instance has no form"


async def test_nobody_but_an_administrator_changes_users() -> None:
    board = Board(Privilege.OPERATOR)
    for command, data in ((0x43, "810304"), (0x45, name(3, "bob")), (0x47, password(2, 3, "secret"))):
        assert await board.ask(APP, command, data) == "d4"


async def test_a_user_who_is_disabled_is_gone_from_the_instance_and_can_come_back() -> None:
    board = Board()
    await add_bob(board)
    assert await board.ask(APP, 0x47, "0500") == "00"
    assert board.users[-1] == (ADMIN,)
    assert (await board.ask(APP, 0x46, "05"))[:11] == "00 62 6f 62"
    again = Board(users=board.users[-1], kept=board.records)
    assert await again.ask(APP, 0x47, "0501") == "00"
    assert again.users == [(ADMIN, User("bob", "b0b", Privilege.OPERATOR))]


def log_in(board: Board, user: User) -> None:
    console = ConsolePackets(user.name.encode(), user.password.encode(), role=user.privilege)
    console.opened(board.engine.receive(console.open_session(), ("192.0.2.1", 1), 0.0))  # type: ignore[arg-type]
    console.took_rakp2(board.engine.receive(console.rakp1(), ("192.0.2.1", 1), 0.0))  # type: ignore[arg-type]
    board.engine.receive(console.rakp3(), ("192.0.2.1", 1), 0.0)


async def test_a_users_sessions_go_on_under_another_name() -> None:
    """Or who renames itself could not even close its session."""
    board = Board(users=(ADMIN, JOE))
    log_in(board, ADMIN)
    log_in(board, JOE)
    assert await board.ask(APP, 0x45, name(2, "root")) == "00"
    assert [session.user for session in board.engine.sessions] == ["root", "joe"]


async def test_a_session_is_closed_by_its_handle() -> None:
    board = Board(users=(ADMIN, JOE))
    log_in(board, ADMIN)
    log_in(board, JOE)
    joe = board.engine.sessions[1]
    assert await board.ask(APP, 0x3C, f"00000000{joe.handle:02x}") == "00"
    assert [session.user for session in board.engine.sessions] == ["admin"]


async def test_a_disabled_users_sessions_end_and_others_stay() -> None:
    board = Board(users=(ADMIN, JOE))
    log_in(board, ADMIN)
    log_in(board, JOE)
    assert await board.ask(APP, 0x47, "0300") == "00"
    assert [session.user for session in board.engine.sessions] == ["admin"]


async def test_what_could_not_be_stored_did_not_happen() -> None:
    board = Board()
    board.full = True
    assert await board.ask(APP, 0x45, name(2, "root")) == "c0"
    assert (await board.ask(APP, 0x46, "02"))[:11] == "00 61 64 6d"


async def test_passwords_are_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        await add_bob(Board())
    assert "password of id 5" in str([record.__dict__ for record in caplog.records])
    assert "b0b" not in str([record.__dict__ for record in caplog.records])


users = st.builds(
    User, st.sampled_from([f"u{number}" for number in range(20)]), st.sampled_from(["a", "b"]),
    st.sampled_from(list(Privilege)),
)  # fmt: skip
configured = st.lists(users, min_size=1, max_size=MAX_USERS, unique_by=lambda user: user.name).map(tuple)
slots = st.dictionaries(
    st.integers(FIRST_ID, LAST_ID),
    st.builds(
        Slot, st.sampled_from([f"u{number}" for number in range(20)]), st.sampled_from(["", "a", "b"]),
        st.sampled_from([1, 2, 3, 4, 15]), st.booleans(), st.sampled_from([0, 0x10]),
    ),
)  # fmt: skip


@given(slots, configured)
def test_what_the_instance_says_of_who_may_log_in_counts(kept: dict[int, Slot], wanted: tuple[User, ...]) -> None:
    by_name = {slot.name: (number, slot) for number, slot in kept.items()}
    agreed = reconcile(dict(by_name.values()), wanted)
    assert logins(agreed, wanted) == wanted
    assert all(FIRST_ID <= number <= LAST_ID for number in agreed)
    assert len({slot.name for slot in agreed.values()}) == len(agreed)
    assert reconcile(agreed, logins(agreed, wanted)) == agreed, "agreed is agreed"


@given(slots)
def test_a_record_reads_as_it_was_written(kept: dict[int, Slot]) -> None:
    assert from_bytes(to_bytes(kept)) == kept


@given(st.binary(max_size=60))
def test_a_damaged_record_reads_as_none(record: bytes) -> None:
    assert isinstance(from_bytes(record), dict)
