# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logins and sessions of one BMC, over bytes and with a clock of the test's own."""

from __future__ import annotations

import itertools
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rig.packets import SUITES, ConsolePackets, ipmi_message, payload_of, plus, sessionless
from vbmcd.config import Privilege, User
from vbmcd.rmcp.admission import WINDOW
from vbmcd.rmcp.engine import MAX_SESSIONS, SESSION_TIMEOUT, Engine, Request
from vbmcd.rmcp.logins import FORGET_SECONDS, LOGIN_TIMEOUT, MAX_FAILURES

HERE = ("192.0.2.1", 50000)
USERS = (User("admin", "secret"), User("joe", "j" * 20, Privilege.USER), User("op", "op", Privilege.OPERATOR))


@pytest.fixture
def engine() -> Engine:
    return Engine(USERS, bytes(range(16)))


def ask(engine: Engine, datagram: bytes, now: float = 0.0, source: tuple[str, int] = HERE) -> bytes:
    reply = engine.receive(datagram, source, now)
    assert isinstance(reply, bytes)
    return reply


def log_in(engine: Engine, console: ConsolePackets, now: float = 0.0) -> ConsolePackets:
    assert console.opened(ask(engine, console.open_session(), now)) == 0
    assert console.took_rakp2(ask(engine, console.rakp1(), now))
    assert console.took_rakp4(ask(engine, console.rakp3(), now)) == 0
    return console


def carried_out(engine: Engine, datagram: bytes, now: float = 0.0) -> Request:
    request = engine.receive(datagram, HERE, now)
    assert isinstance(request, Request)
    return request


@pytest.mark.parametrize("suite", [3, 17])
def test_a_console_logs_in_and_its_request_is_answered(engine: Engine, suite: int) -> None:
    console = log_in(engine, ConsolePackets(b"admin", b"secret", suite))
    request = carried_out(engine, console.request(0x00, 0x02, b"\x01"))
    message = request.message
    assert (message.netfn, message.command, message.data) == (0x00, 0x02, b"\x01")
    assert request.session is not None
    assert (request.session.user, request.session.privilege, request.session.limit) == ("admin", 2, 4)
    assert console.answer(request.reply(b"\x00\xaa\xbb")) == b"\x00\xaa\xbb"


@pytest.mark.parametrize(
    ("auth", "integrity", "crypt"), [(1, 1, 0), (1, 2, 1), (2, 2, 1), (3, 1, 1), (0, 0, 0), (3, 4, 2)]
)
def test_a_suite_that_is_not_offered_is_refused_with_11h(engine: Engine, auth: int, integrity: int, crypt: int) -> None:
    console = ConsolePackets(b"admin", b"secret")
    console.auth, console.integrity, console.crypt = auth, integrity, crypt
    assert console.opened(ask(engine, console.open_session())) == 0x11


@pytest.mark.parametrize("suite", sorted(SUITES))
def test_a_suite_that_was_turned_on_is_used_and_no_other(suite: int) -> None:
    engine = Engine(USERS, bytes(range(16)), suites=(suite,), kg=b"" if suite % 2 else b"key of the BMC")
    console = ConsolePackets(b"admin", b"secret", suite, kg=b"" if suite % 2 else b"key of the BMC")
    log_in(engine, console)
    request = carried_out(engine, console.request(0x06, 0x01, bytes(range(33))))
    assert request.message.data == bytes(range(33))
    assert console.answer(request.reply(b"\x00\xaa\xbb")) == b"\x00\xaa\xbb"
    for other in set(SUITES) - {suite}:
        assert ConsolePackets(b"admin", b"secret", other).opened(
            ask(engine, ConsolePackets(b"admin", b"secret", other).open_session())
        ) == 0x11  # fmt: skip


@pytest.mark.parametrize("suite", sorted(SUITES))
def test_a_packet_that_is_not_protected_as_its_session_is_dropped(suite: int) -> None:
    engine = Engine(USERS, bytes(range(16)), suites=(suite,))
    console = log_in(engine, ConsolePackets(b"admin", b"secret", suite))
    replayed = console.request(0x06, 0x01)
    carried_out(engine, replayed)
    assert engine.receive(replayed, HERE, 0.0) is None, "a sequence number counts once in every suite"
    own = (0x80 if console.crypt else 0) | (0x40 if console.integrity else 0)
    for flags in {0x00, 0x40, 0x80, 0xC0} - {own}:
        packet = bytearray(console.request(0x06, 0x01))
        packet[5] = flags
        assert engine.receive(bytes(packet), HERE, 0.0) is None
    if console.integrity:
        packet = bytearray(console.request(0x06, 0x01))
        packet[-1] ^= 1
        assert engine.receive(bytes(packet), HERE, 0.0) is None


def test_null_records_leave_the_choice_to_the_bmc_which_takes_the_strongest(engine: Engine) -> None:
    null = b"".join(bytes((kind, 0, 0, 0, 0, 0, 0, 0)) for kind in range(3))
    reply = payload_of(ask(engine, plus(0x10, struct.pack("<BBxxI", 9, 0, 5) + null)))
    assert reply[:3] == b"\x09\x00\x04", "the tag, no error, and the highest privilege for 'highest'"
    assert (reply[16], reply[24], reply[32]) == (3, 4, 1)


@pytest.mark.parametrize("suite", [3, 17])
def test_a_wrong_password_gets_a_rakp_4_with_0fh_at_once(engine: Engine, suite: int) -> None:
    console = ConsolePackets(b"admin", b"wrong", suite)
    console.opened(ask(engine, console.open_session()))
    assert not console.took_rakp2(ask(engine, console.rakp1()))
    assert console.took_rakp4(ask(engine, console.rakp3())) == 0x0F
    assert engine.session_count == 0


def test_an_unknown_user_can_not_be_told_from_a_wrong_password(engine: Engine) -> None:
    shapes = []
    for name in (b"admin", b"nobody", b"\xff\xfe"):
        console = ConsolePackets(name, b"wrong")
        console.opened(ask(engine, console.open_session()))
        rakp2 = ask(engine, console.rakp1())
        assert not console.took_rakp2(rakp2)
        shapes.append((len(rakp2), payload_of(ask(engine, console.rakp3()))[:2]))
    assert shapes[0] == shapes[1] == shapes[2]


@pytest.mark.parametrize(("name", "password", "role", "status"), [
    (b"joe", b"j" * 20, 4, 0x0A),
    (b"joe", b"j" * 20, 3, 0x0A),
    (b"joe", b"j" * 20, 2, 0x00),
    (b"op", b"op", 4, 0x0A),
    (b"op", b"op", 3, 0x00),
    (b"admin", b"secret", 2, 0x00),
])  # fmt: skip
def test_a_role_above_the_users_is_refused_after_the_password_was_proved(
    engine: Engine, name: bytes, password: bytes, role: int, status: int
) -> None:
    console = ConsolePackets(name, password, role=role)
    console.opened(ask(engine, console.open_session()))
    assert console.took_rakp2(ask(engine, console.rakp1()))
    assert console.took_rakp4(ask(engine, console.rakp3())) == status


def test_a_session_has_no_more_privilege_than_was_asked_for_at_login(engine: Engine) -> None:
    console = log_in(engine, ConsolePackets(b"admin", b"secret", role=2))
    session = carried_out(engine, console.request(0x06, 0x01)).session
    assert session is not None
    assert session.limit == Privilege.USER


@pytest.mark.parametrize("suite", [3, 17])
def test_a_bmc_key_has_to_be_known_as_well(suite: int) -> None:
    """K_g keys the session (13.31): who has another one can't read RAKP 4, nor be understood."""
    engine = Engine((User("admin", "secret"),), bytes(16), kg=b"bmc-key")
    console = log_in(engine, ConsolePackets(b"admin", b"secret", suite, kg=b"bmc-key"))
    assert isinstance(engine.receive(console.request(0x06, 0x01), HERE, 0.0), Request)
    for kg in (b"", b"another"):
        stranger = ConsolePackets(b"admin", b"secret", suite, kg=kg)
        with pytest.raises(AssertionError):
            log_in(engine, stranger)
        stranger.k1 = stranger.k2 = bytes(16)
        assert engine.receive(stranger.request(0x06, 0x01), HERE, 0.0) is None


def test_two_sessions_from_one_address_live_beside_each_other(engine: Engine) -> None:
    first, second = (log_in(engine, ConsolePackets(b"admin", b"secret")) for _turn in range(2))
    for console in (first, second, first):
        request = carried_out(engine, console.request(0x06, 0x01))
        assert console.answer(request.reply(b"\x00")) == b"\x00"


def test_a_session_survives_a_change_of_its_consoles_address(engine: Engine) -> None:
    console = log_in(engine, ConsolePackets(b"admin", b"secret"))
    assert isinstance(engine.receive(console.request(0x06, 0x01), ("192.0.2.99", 1), 0.0), Request)


def test_a_replayed_packet_is_dropped(engine: Engine) -> None:
    console = log_in(engine, ConsolePackets(b"admin", b"secret"))
    packet = console.request(0x00, 0x02, b"\x03")
    assert isinstance(engine.receive(packet, HERE, 0.0), Request)
    assert engine.receive(packet, HERE, 0.0) is None


def test_every_flipped_bit_of_a_packet_is_noticed(engine: Engine) -> None:
    console = log_in(engine, ConsolePackets(b"admin", b"secret"))
    packet = console.request(0x00, 0x02, b"\x00")
    for place in range(4, len(packet)):
        flipped = bytearray(packet)
        flipped[place] ^= 0x10
        assert engine.receive(bytes(flipped), HERE, 0.0) is None, f"byte {place}"
    assert isinstance(engine.receive(packet, HERE, 0.0), Request), "the window took none of them for the real one"


@pytest.mark.parametrize("kind", [0x00, 0x40, 0x80])
def test_a_packet_that_is_not_both_authentic_and_encrypted_is_dropped(engine: Engine, kind: int) -> None:
    console = log_in(engine, ConsolePackets(b"admin", b"secret"))
    message = ipmi_message(0x00, 0x02, b"\x00")
    assert engine.receive(console.seal_ciphertext(message, 1, kind), HERE, 0.0) is None
    assert engine.receive(plus(kind, message, console.session_id, 2), HERE, 0.0) is None


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 31, 33])
def test_ciphertext_of_an_impossible_size_is_dropped_though_authentic(engine: Engine, size: int) -> None:
    console = log_in(engine, ConsolePackets(b"admin", b"secret"))
    assert engine.receive(console.seal_ciphertext(bytes(size), 1), HERE, 0.0) is None
    assert isinstance(engine.receive(console.seal(ipmi_message(6, 1), 2), HERE, 0.0), Request)


@pytest.mark.parametrize("plain", [b"\xff" * 16, bytes(15) + b"\x10", bytes(15) + b"\x05", bytes(16)])
def test_a_wrong_confidentiality_pad_or_an_empty_message_is_dropped(engine: Engine, plain: bytes) -> None:
    console = log_in(engine, ConsolePackets(b"admin", b"secret"))
    assert engine.receive(console.seal_plain(plain, 1), HERE, 0.0) is None


def test_the_same_rakp_1_again_gets_the_same_rakp_2(engine: Engine) -> None:
    console = ConsolePackets(b"admin", b"secret")
    console.opened(ask(engine, console.open_session()))
    first = ask(engine, console.rakp1())
    assert ask(engine, console.rakp1()) == first


def test_the_same_rakp_3_again_gets_the_same_rakp_4_until_the_session_is_used(engine: Engine) -> None:
    console = log_in(engine, ConsolePackets(b"admin", b"secret"))
    again = ask(engine, console.rakp3())
    assert console.took_rakp4(again) == 0
    carried_out(engine, console.request(0x06, 0x01))
    assert engine.receive(console.rakp3(), HERE, 0.0) is None


def test_a_name_that_is_too_long_is_refused_with_0ch(engine: Engine) -> None:
    console = ConsolePackets(b"a" * 17, b"secret")
    assert console.opened(ask(engine, console.open_session())) == 0
    answer = payload_of(ask(engine, console.rakp1()))
    assert (answer[1], answer[4:]) == (0x0C, console.console_id.to_bytes(4, "little"))
    assert engine.receive(console.rakp1(), HERE, 0.0) is None, "the login has ended"


def test_steps_out_of_order_are_dropped(engine: Engine) -> None:
    console = ConsolePackets(b"admin", b"secret")
    console.opened(ask(engine, console.open_session()))
    console.bmc_random = bytes(16)
    assert engine.receive(console.rakp3(), HERE, 0.0) is None
    console.session_id = 0x12345678
    assert engine.receive(console.rakp1(), HERE, 0.0) is None


def test_a_console_that_gives_a_login_up_ends_it(engine: Engine) -> None:
    console = ConsolePackets(b"admin", b"secret")
    console.opened(ask(engine, console.open_session()))
    console.took_rakp2(ask(engine, console.rakp1()))
    assert engine.receive(console.rakp3(status=0x0F), HERE, 0.0) is None
    assert engine.receive(console.rakp3(), HERE, 0.0) is None


def test_a_closed_session_answers_nothing_more(engine: Engine) -> None:
    console = log_in(engine, ConsolePackets(b"admin", b"secret"))
    assert engine.close(console.session_id)
    assert engine.receive(console.request(0x06, 0x01), HERE, 0.0) is None
    assert not engine.close(console.session_id)


def test_an_idle_session_ends_and_one_in_use_stays(engine: Engine) -> None:
    idle, used = (log_in(engine, ConsolePackets(b"admin", b"secret")) for _turn in range(2))
    carried_out(engine, used.request(0x06, 0x01), now=SESSION_TIMEOUT)
    engine.expire(SESSION_TIMEOUT + 1)
    assert engine.session_count == 1
    assert engine.receive(idle.request(0x06, 0x01), HERE, SESSION_TIMEOUT + 1) is None
    carried_out(engine, used.request(0x06, 0x01), now=SESSION_TIMEOUT + 1)


def test_a_login_that_is_not_finished_in_time_is_forgotten(engine: Engine) -> None:
    console = ConsolePackets(b"admin", b"secret")
    console.opened(ask(engine, console.open_session()))
    engine.expire(LOGIN_TIMEOUT + 1)
    assert engine.receive(console.rakp1(), HERE, LOGIN_TIMEOUT + 1) is None


@pytest.mark.parametrize("flood", ["one port", "many ports", "many hosts"])
def test_unfinished_logins_do_not_keep_another_console_out(engine: Engine, flood: str) -> None:
    """They come as fast as they are heard (20 in a hundredth of a second) between the steps of a slow login."""
    numbers = itertools.count(1)

    def hundredth(now: float) -> float:
        for number in itertools.islice(numbers, 20):
            many = (f"10.0.{number >> 8 & 255}.{number & 255}", 623)
            source = {"one port": ("198.51.100.7", 1), "many ports": ("198.51.100.7", number)}.get(flood, many)
            ask(engine, ConsolePackets(b"x", b"y", console_id=number).open_session(), now, source)
        return now + 0.0101

    now = 0.0
    for _turn in range(100):
        now = hundredth(now)
    console = ConsolePackets(b"admin", b"secret")
    console.opened(ask(engine, console.open_session(), now))
    for _turn in range(10):
        now = hundredth(now)
    assert console.took_rakp2(ask(engine, console.rakp1(), now + WINDOW))
    for _turn in range(10):
        now = hundredth(now + WINDOW)
    assert console.took_rakp4(ask(engine, console.rakp3(), now + WINDOW)) == 0


def test_a_thousand_good_sessions_in_a_row_from_one_port_are_not_too_many(engine: Engine) -> None:
    for number in range(1000):
        console = log_in(engine, ConsolePackets(b"admin", b"secret"), now=number * 1e-5)
        engine.close(console.session_id)


def fail(engine: Engine, source: tuple[str, int], now: float, end: str = "a wrong code") -> int:
    """Try to log in with a wrong password; the status of the Open Session Response."""
    console = ConsolePackets(b"admin", b"wrong")
    status = console.opened(ask(engine, console.open_session(), now, source))
    if status:
        return status
    console.took_rakp2(ask(engine, console.rakp1(), now, source))
    if end != "no more word":
        engine.receive(console.rakp3(status=0x0F if end == "a status" else 0), source, now)
    return 0


@pytest.mark.parametrize("end", ["a wrong code", "a status", "no more word"])
def test_a_host_that_failed_too_often_is_refused_with_01h_and_others_are_not(engine: Engine, end: str) -> None:
    evil = ("198.51.100.7", 1)
    tried = [fail(engine, evil, number * 1e-3, end) for number in range(3 * MAX_FAILURES)]
    assert tried[:MAX_FAILURES] == [0] * MAX_FAILURES
    now = 0.1
    assert tried[-1] == fail(engine, (evil[0], 2), now) == 0x01
    log_in(engine, ConsolePackets(b"admin", b"secret"), now)
    assert fail(engine, (evil[0], 2), now + 2 * FORGET_SECONDS) == 0


def test_open_session_requests_alone_get_nobody_refused(engine: Engine) -> None:
    """Their address may be forged, and the one who has it must not pay for that."""
    for number in range(10 * MAX_FAILURES):
        ask(engine, ConsolePackets(b"x", b"y").open_session(), number * 1e-3)
    engine.expire(LOGIN_TIMEOUT + 1)
    log_in(engine, ConsolePackets(b"admin", b"secret"), LOGIN_TIMEOUT + 1)


def test_a_flood_of_strangers_does_not_touch_a_session(engine: Engine) -> None:
    console = log_in(engine, ConsolePackets(b"admin", b"secret"))
    for number in range(20000):
        engine.receive(sessionless(0x06, 0x38, b"\x8e\x04"), (f"10.0.{number >> 8 & 255}.{number & 255}", 1), 0.0)
        if number % 100 == 0:
            carried_out(engine, console.request(0x06, 0x01))


def test_one_session_too_many_is_refused_with_01h_and_the_others_stay(engine: Engine) -> None:
    consoles = [log_in(engine, ConsolePackets(b"admin", b"secret")) for _turn in range(MAX_SESSIONS)]
    one_more = ConsolePackets(b"admin", b"secret")
    one_more.opened(ask(engine, one_more.open_session()))
    one_more.took_rakp2(ask(engine, one_more.rakp1()))
    assert one_more.took_rakp4(ask(engine, one_more.rakp3())) == 0x01
    carried_out(engine, consoles[0].request(0x06, 0x01))


def test_a_message_without_a_session_is_answered_in_the_framing_it_came_in(engine: Engine) -> None:
    old = carried_out(engine, sessionless(0x06, 0x38, b"\x8e\x04"))
    assert old.session is None
    assert old.reply(b"\x00")[4] == 0x00
    new = carried_out(engine, plus(0x00, ipmi_message(0x06, 0x54, b"\x0e\x00\x80")))
    assert new.session is None
    assert new.reply(b"\x00")[4] == 0x06


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_no_datagram_raises(data: bytes) -> None:
    engine = Engine(USERS, bytes(16))
    for prefix in (b"", bytes.fromhex("0600ff07"), bytes.fromhex("0600ff0706"), bytes.fromhex("0600ff070600")):
        engine.receive(prefix + data, HERE, 0.0)


@settings(max_examples=200)
@given(st.sampled_from((0x10, 0x12, 0x14)), st.binary(max_size=60), st.data())
def test_no_step_of_a_login_raises_whatever_it_holds(kind: int, payload: bytes, data: st.DataObject) -> None:
    engine = Engine(USERS, bytes(16))
    console = ConsolePackets(b"admin", b"secret")
    console.opened(ask(engine, console.open_session()))
    if data.draw(st.booleans()):
        console.took_rakp2(ask(engine, console.rakp1()))
    known = payload[:4] + struct.pack("<I", console.session_id) + payload[4:]
    for one in (payload, known):
        engine.receive(plus(kind, one), HERE, 0.0)
        for cut in range(0, len(one), 7):
            engine.receive(plus(kind, one[:cut]), HERE, 0.0)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 40), max_size=60))
def test_each_sequence_number_is_accepted_at_most_once(numbers: list[int]) -> None:
    engine = Engine(USERS, bytes(16))
    console = log_in(engine, ConsolePackets(b"admin", b"secret", suite=3))
    accepted = [
        number
        for number in numbers
        if isinstance(engine.receive(console.seal(ipmi_message(6, 1), number), HERE, 0.0), Request)
    ]
    assert len(accepted) == len(set(accepted))


@pytest.mark.parametrize(("name", "user"), [(b"admin", USERS[0]), (b"nobody", None)])
@pytest.mark.parametrize("end", ["a wrong code", "given up", "no more word"])
def test_a_failed_login_is_told_of_once_however_it_ends(
    engine: Engine, name: bytes, user: User | None, end: str
) -> None:
    told: list[User | None] = []
    engine.on_failed_login = told.append
    console = ConsolePackets(name, b"wrong")
    console.opened(ask(engine, console.open_session()))
    console.took_rakp2(ask(engine, console.rakp1()))
    if end != "no more word":
        engine.receive(console.rakp3(status=0x0F if end == "given up" else 0), HERE, 0.0)
    engine.expire(LOGIN_TIMEOUT + 1)
    assert told == [user]


def test_neither_a_login_nor_one_that_named_no_user_is_a_failure(engine: Engine) -> None:
    told: list[User | None] = []
    engine.on_failed_login = told.append
    log_in(engine, ConsolePackets(b"admin", b"secret"))
    ask(engine, ConsolePackets(b"admin", b"secret").open_session())
    engine.expire(LOGIN_TIMEOUT + 1)
    assert not told
