# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever a client sends, before a login or in a session: nothing raises, nothing grows, nothing is let through."""

from __future__ import annotations

import gc
import logging
import random
import struct
import weakref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rig.packets import ConsolePackets, ipmi_message, plus, sessionless
from vbmcd.config import User
from vbmcd.rmcp.engine import Engine, Request, SolPacket
from vbmcd.rmcp.handshake import Exchange
from vbmcd.rmcp.logins import MAX_FAILED_HOSTS, MAX_LOGINS
from vbmcd.rmcp.session import Session
from vbmcd.rmcp.suites import SUITES

HERE = ("192.0.2.1", 50000)
PASSWORD = b"a-secret-to-find"
SEED = 4
USUAL = (3, 17)
PLAIN = (1, 2)
"""Suites without encryption, the first without integrity, too."""


class Bmc:
    """An engine and a console that is logged in to it."""

    def __init__(self, suite: int = 17) -> None:
        self.engine = Engine((User("admin", PASSWORD.decode()),), bytes(range(16)), suites=SUITES)
        self.console = ConsolePackets(b"admin", PASSWORD, suite)
        for step, take in (
            (self.console.open_session, self.console.opened),
            (self.console.rakp1, self.console.took_rakp2),
            (self.console.rakp3, self.console.took_rakp4),
        ):
            answer = self.engine.receive(step(), HERE, 0.0)
            assert isinstance(answer, bytes)
            take(answer)
        assert self.engine.session_count == 1

    def hear(self, datagram: bytes, now: float = 0.0) -> bytes | Request | SolPacket | None:
        return self.engine.receive(datagram, HERE, now)

    def still_serves(self) -> bool:
        request = self.hear(self.console.request(0x06, 0x01))
        return isinstance(request, Request) and self.console.answer(request.reply(b"\x00")) == b"\x00"

    def session(self) -> Session:
        (session,) = self.engine.sessions
        return session


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(USUAL), st.lists(st.binary(max_size=80), max_size=8))
def test_authentic_rubbish_inside_of_a_session_harms_nothing(suite: int, payloads: list[bytes]) -> None:
    """From who has a session: ciphertext of any length, plaintext of any pad, messages of any bytes."""
    bmc = Bmc(suite)
    for payload in payloads:
        bmc.console.sequence += 3
        number = bmc.console.sequence
        bmc.hear(bmc.console.seal_ciphertext(payload, number))
        bmc.hear(bmc.console.seal_plain(payload + bytes(-len(payload) % 16), number + 1))
        bmc.hear(bmc.console.seal(payload, number + 2))
        bmc.console.sequence = number + 2
    assert bmc.still_serves()


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(SUITES)), st.binary(max_size=60), st.integers(0, 63))
def test_a_message_of_any_bytes_never_raises_in_any_suite(suite: int, message: bytes, kind: int) -> None:
    bmc = Bmc(suite)
    bmc.console.sequence += 1
    datagram = bytearray(bmc.console.seal(message, bmc.console.sequence))
    bmc.hear(bytes(datagram))
    datagram[5] = datagram[5] & 0xC0 | kind
    bmc.hear(bytes(datagram))
    assert bmc.still_serves()


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(USUAL), st.data())
def test_no_change_of_a_packet_lets_it_through(suite: int, data: st.DataObject) -> None:
    """Bits flipped, bytes cut, added or moved: what is not as the console sent it is dropped."""
    bmc = Bmc(suite)
    packet = bmc.console.request(0x00, 0x02, b"\x00")
    # RMCP's second and third byte are no part of the session, and ignored.
    place = data.draw(st.integers(3, len(packet) - 1))
    changed = data.draw(
        st.sampled_from((
            packet[:place] + bytes((packet[place] ^ data.draw(st.integers(1, 255)),)) + packet[place + 1 :],
            packet[:place],
            packet[:place] + b"\x00" + packet[place:],
            packet + b"\x00",
            packet[:4] + packet[place:],
            packet[:14] + struct.pack("<H", place) + packet[16:],
        ))
    )  # fmt: skip
    if changed != packet:
        assert bmc.hear(changed) is None
    assert isinstance(bmc.hear(packet), Request)
    assert bmc.hear(packet) is None, "a replay"


@pytest.mark.parametrize("suite", [*USUAL, *PLAIN])
def test_less_protection_than_the_session_has_is_dropped_and_so_is_more(suite: int) -> None:
    bmc = Bmc(suite)
    message = ipmi_message(0x00, 0x02, b"\x00")
    own = bmc.session().suite
    flags = (0x80 if own.encrypts else 0) | (0x40 if own.code_size else 0)
    for number, kind in enumerate((0x00, 0x40, 0x80, 0xC0), 1):
        if kind != flags:
            assert bmc.hear(plus(kind, message, bmc.console.session_id, number)) is None
            assert bmc.hear(bmc.console.seal_ciphertext(message, number, kind)) is None


def conversation() -> list[bytes]:
    """A good login, some requests, a logout, and what may come before."""
    bmc = Bmc()
    console = bmc.console
    sealed = [console.request(0x06, 0x3B, b"\x04"), console.request(0x00, 0x01), console.request(0x06, 0x3C, bytes(4))]
    before = [sessionless(0x06, 0x38, b"\x8e\x04"), bytes.fromhex("0600ff06000011be80000000")]
    return [*before, console.open_session(), console.rakp1(), console.rakp3(), *sealed]


def mutated(dice: random.Random, stock: list[bytes], session_ids: list[int]) -> bytes:
    datagram = bytearray(dice.choice(stock))
    for _turn in range(dice.randrange(4)):
        match dice.randrange(6):
            case 0:
                datagram[dice.randrange(len(datagram))] = dice.randrange(256)
            case 1:
                del datagram[dice.randrange(len(datagram)) :]
            case 2:
                datagram += dice.randbytes(dice.randrange(64))
            case 3:
                datagram[14:16] = struct.pack("<H", dice.choice((0, 1, 15, 255, 0xFFFF)))
            case 4 if session_ids:
                # A session id where a login's message has it, or where a session's packet has it.
                place = dice.choice((20, 6))
                datagram[place : place + 4] = struct.pack("<I", dice.choice(session_ids))
            case _:
                other = dice.choice(stock)
                datagram += other[dice.randrange(len(other)) :]
        if not datagram:
            break
    return bytes(datagram)


def test_a_seeded_corpus_of_damaged_conversations_harms_nothing() -> None:
    """In any order, from many hosts, with the ids of real logins: the same again on every run."""
    dice = random.Random(SEED)
    bmc = Bmc()
    stock, known = conversation(), [bmc.console.session_id]
    for number in range(20000):
        now = number * 0.001
        source = (f"10.0.{dice.randrange(16)}.{dice.randrange(256)}", dice.randrange(1, 65536))
        sent = mutated(dice, stock, known)
        answer = bmc.engine.receive(sent, source, now)
        if isinstance(answer, bytes):
            assert len(answer) <= 120, "nobody is hit by much more than somebody sends in his name"
            if answer[5:6] == b"\x11" and len(answer) > 28:
                known = [*known[-20:], int.from_bytes(answer[24:28], "little")]
        elif isinstance(answer, Request):
            assert answer.session is None, "no stranger gets into a session"
        if number % 1000 == 0:
            bmc.engine.expire(now)
    assert bmc.engine.session_count == 1
    assert len(bmc.engine._logins) <= MAX_LOGINS
    assert len(bmc.engine._failures) <= MAX_FAILED_HOSTS
    bmc.engine.expire(59.0)
    assert not len(bmc.engine._logins)
    assert bmc.still_serves()


@given(st.binary(min_size=1, max_size=16))
def test_a_name_of_any_bytes_is_answered_like_a_wrong_password(name: bytes) -> None:
    engine = Engine((User("admin", PASSWORD.decode()),), bytes(16))
    console = ConsolePackets(name, b"wrong")
    opened = engine.receive(console.open_session(), HERE, 0.0)
    assert isinstance(opened, bytes)
    console.opened(opened)
    rakp2 = engine.receive(console.rakp1(), HERE, 0.0)
    assert isinstance(rakp2, bytes) and len(rakp2) == 16 + 40 + 32
    assert not console.took_rakp2(rakp2)
    rakp4 = engine.receive(console.rakp3(), HERE, 0.0)
    assert isinstance(rakp4, bytes) and console.took_rakp4(rakp4) == 0x0F


def test_an_unknown_user_costs_the_same_steps_as_a_wrong_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not measured by the clock, which other processes would disturb: the same codes are computed, over as many bytes,
    and as much randomness is drawn."""
    steps: list[tuple[str, int]] = []
    honest = Exchange._hmac

    def noted(exchange: Exchange, key: bytes, data: bytes) -> bytes:
        steps.append(("hmac", len(data)))
        return honest(exchange, key, data)

    def drawn(size: int) -> bytes:
        steps.append(("random", size))
        return bytes(size - 1) + bytes((len(steps) % 256,))

    monkeypatch.setattr(Exchange, "_hmac", noted)
    taken = []
    for name in (b"admin", b"nimda"):
        engine = Engine((User("admin", "p" * 20),), bytes(16), drawn)
        console = ConsolePackets(name, b"wrong")
        console.opened(engine.receive(console.open_session(), HERE, 0.0))  # type: ignore[arg-type]
        steps.clear()
        console.took_rakp2(engine.receive(console.rakp1(), HERE, 0.0))  # type: ignore[arg-type]
        console.took_rakp4(engine.receive(console.rakp3(), HERE, 0.0))  # type: ignore[arg-type]
        taken.append(list(steps))
    assert taken[0] == taken[1]


@pytest.mark.parametrize("end", ["closed", "idle", "reset", "the user has gone"])
def test_a_sessions_keys_are_gone_when_it_ends(end: str) -> None:
    bmc = Bmc()
    session = weakref.ref(bmc.session())
    bmc.hear(bmc.console.request(0x06, 0x01))
    if end == "closed":
        bmc.engine.close(bmc.console.session_id)
    elif end == "idle":
        bmc.engine.expire(1000.0)
    elif end == "reset":
        bmc.engine.close_all()
    else:
        bmc.engine.set_users((User("another", "x"),))
    assert session() is None, gc.get_referrers(session())


def test_a_logins_secrets_are_gone_when_it_has_become_a_session() -> None:
    bmc = Bmc()
    left = [one for one in gc.get_objects() if isinstance(one, Exchange) and one.password == PASSWORD]
    assert not left
    assert bmc.still_serves()


def test_no_secret_is_in_a_log_nor_in_a_text_of_what_holds_it(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        bmc = Bmc()
        bmc.still_serves()
        session = bmc.session()
        user = User("admin", PASSWORD.decode())
        exchange = Exchange(session.suite, 1, 2, bytes(16), bytes(16), bytes(16), 4, b"admin", PASSWORD, b"a-bmc-key")
        texts = [caplog.text, repr(bmc.engine), repr(session), repr(vars(session)), repr(user), repr(exchange)]
    for secret in (PASSWORD.decode(), "a-bmc-key", bmc.console.k1.hex(), repr(bmc.console.k2)[2:-1]):
        assert not [text for text in texts if secret in text]
