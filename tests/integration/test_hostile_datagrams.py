# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Datagrams that end other responders, and random ones, against a daemon that has to go on as if nothing was."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from rig.console import DEVICE_ID, Console
from rig.daemon import NO_MACHINE, Vbmcd
from rig.packets import HEAD, ConsolePackets, ipmi_message, plus, sessionless

SEED = 20


@pytest.fixture(scope="module")
def vbmcd() -> Iterator[Vbmcd]:
    with Vbmcd(workers="1") as daemon:
        daemon.serve("a", **NO_MACHINE)
        yield daemon


@pytest.fixture
def console(vbmcd: Vbmcd) -> Iterator[Console]:
    """Logged in before; afterwards the same worker has to serve the same session."""
    workers = vbmcd.workers()
    with Console(vbmcd.status("a")["port"]) as console:
        console.login()
        yield console
        assert console.request(*DEVICE_ID)[0] == 0
        console.login()
    assert vbmcd.workers() == workers
    assert "Traceback" not in vbmcd.log


def without_login() -> dict[str, bytes]:
    """What anybody can send."""
    stranger = ConsolePackets(b"admin", b"password", session_id=1)
    rakp1 = stranger.rakp1()
    return {
        "nothing": b"",
        "four bytes of RMCP": HEAD,
        "ASF presence ping": bytes.fromhex("06 00 ff 06 00 00 11 be 80 00 00 00"),
        "06/38 without data in RMCP+": plus(0x00, ipmi_message(0x06, 0x38)),
        "06/38 without data": sessionless(0x06, 0x38),
        "an IPMI message of no bytes": plus(0x00, b""),
        "a length beyond the end": HEAD + bytes.fromhex("06 00 00000000 00000000 ffff"),
        "RAKP 1 cut short": plus(0x12, rakp1[16:30]),
        "RAKP 1 with a name longer than the packet": plus(0x12, rakp1[16:43] + b"\x10x"),
        "RAKP 1 with a name that is not UTF-8": plus(0x12, rakp1[16:43] + b"\x04\xff\xfe\xfd\xfc"),
        "RAKP 3 before RAKP 1": plus(0x14, bytes.fromhex("00 00 0000 01000000") + bytes(32)),
        "Open Session cut short": plus(0x10, bytes(31)),
        "Open Session with other records": plus(0x10, bytes(range(32))),
        "an authenticated payload before the login": plus(0x40, ipmi_message(0x06, 0x01) + bytes(20)),
        "an encrypted payload before the login": plus(0xC0, bytes(64), session_id=77, sequence=1),
        "an OEM payload": plus(0x02, bytes(16)),
        "IPMI 1.5 with MD5": HEAD + bytes.fromhex("02 01000000 01000000") + bytes(16) + b"\x07" + bytes(7),
        "a whole packet of ff": b"\xff" * 2048,
    }


@pytest.mark.parametrize("what", without_login())
def test_no_datagram_of_a_stranger_ends_or_upsets_a_worker(console: Console, what: str) -> None:
    console.send(without_login()[what])


def in_session(packets: ConsolePackets) -> list[bytes]:
    """What somebody with a session can send, each with a number of its own so that it is looked into."""

    def number() -> int:
        packets.sequence += 1
        return packets.sequence

    return [
        packets.seal_ciphertext(b"", number()),
        packets.seal_ciphertext(bytes(16), number()),
        packets.seal_ciphertext(bytes(23), number()),
        packets.seal_ciphertext(ipmi_message(0x06, 0x01), number(), kind=0x40),
        packets.seal_plain(bytes(15) + b"\xff", number()),
        packets.seal(b"", number()),
        packets.seal(b"\x20", number()),
        packets.seal(bytes(1024), number()),
        packets.request(0x06, 0x3B, b"\x05"),
        packets.request(0x06, 0x3B, b"\xff\xff"),
        packets.request(0x00, 0x08, b"\x05"),
        packets.request(0x00, 0x08, b"\x7f" + bytes(64)),
        packets.request(0x3F, 0xFF, bytes(200)),
    ]


def test_no_datagram_of_a_session_ends_it_or_upsets_a_worker(console: Console) -> None:
    for datagram in in_session(console.packets):
        console.send(datagram)
    console.answers(0.1)


def test_random_and_damaged_datagrams_upset_nothing(console: Console) -> None:
    """Seeded, so that a failure comes again."""
    dice = random.Random(SEED)
    stock = [*without_login().values(), ConsolePackets(b"admin", b"password").open_session()]
    for _turn in range(3000):
        datagram = bytearray(dice.choice(stock) or b"\x06")
        for _turn in range(dice.randrange(1, 4)):
            datagram[dice.randrange(len(datagram))] = dice.randrange(256)
        console.send(bytes(datagram[: dice.randrange(len(datagram) + 1)] if dice.random() < 0.3 else datagram))
    console.answers(0.1)
