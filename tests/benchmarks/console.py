# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a console says to a BMC, exchange by exchange: bytes only, no sockets, no clock."""

from __future__ import annotations

import os
from collections.abc import Generator

from rig.packets import ConsolePackets, sessionless

USERNAME = "admin"
PASSWORD = "password"
ROLE = 0x14
"""ADMINISTRATOR, and bit 4: look the user up by name alone (13.20)."""

GET_CHASSIS_STATUS = (0x00, 0x01)
GET_AUTH_CAPABILITIES = (0x06, 0x38)
CLOSE_SESSION = (0x06, 0x3C)

Exchange = Generator[bytes, bytes, None]
"""Yields a datagram to send and is sent the datagram that answers it; ends when all is said."""


class Refused(RuntimeError):
    """The server answered something else than success."""


def console(suite: int) -> ConsolePackets:
    name, password = USERNAME.encode(), PASSWORD.encode()
    return ConsolePackets(name, password, suite, ROLE, int.from_bytes(os.urandom(4), "little") | 1)


def capabilities() -> Exchange:
    """Get Channel Authentication Capabilities (22.13), which needs no login: is anybody there?"""
    yield sessionless(*GET_AUTH_CAPABILITIES, b"\x8e\x04")


def login(packets: ConsolePackets) -> Exchange:
    """Open Session, RAKP 1 and RAKP 3. Raises Refused."""
    if status := packets.opened((yield packets.open_session())):
        raise Refused(f"Open Session Response with status {status:02X}h")
    if not packets.took_rakp2((yield packets.rakp1())):
        raise Refused("RAKP 2 with a wrong code")
    if status := packets.took_rakp4((yield packets.rakp3())):
        raise Refused(f"RAKP 4 with status {status:02X}h")


def status(packets: ConsolePackets) -> bytes:
    return packets.request(*GET_CHASSIS_STATUS)


def close(packets: ConsolePackets) -> bytes:
    return packets.request(*CLOSE_SESSION, packets.session_id.to_bytes(4, "little"))


def check(packets: ConsolePackets, datagram: bytes) -> None:
    """Raises Refused unless `datagram` is a success."""
    code = packets.answer(datagram)[0]
    if code:
        raise Refused(f"completion code {code:02X}h")


def whole_session(suite: int) -> Exchange:
    """Log in, ask for the power state, log out: what a client does that polls a BMC now and then."""
    packets = console(suite)
    yield from login(packets)
    answer = yield status(packets)
    check(packets, (yield close(packets)))
    check(packets, answer)
