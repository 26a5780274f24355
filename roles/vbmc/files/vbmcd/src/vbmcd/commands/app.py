# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Application commands (IPMI 2.0, chapters 20 and 22): identity, channel, session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Sequence

from vbmcd import __version__
from vbmcd.commands.bmc import Context
from vbmcd.commands.codes import Code, CommandError
from vbmcd.commands.journal import Journal
from vbmcd.commands.table import CommandTable, NetFn, of_length
from vbmcd.config import Privilege, User
from vbmcd.rmcp.suites import SUITES
from vbmcd.storage.sensors import DEVICE_SUPPORT

app = CommandTable(NetFn.APP)

LAN_CHANNEL = 0x1
THIS_CHANNEL = 0xE
MANUFACTURER = (0).to_bytes(3, "little")
"""Unspecified: an IANA number of our own is not to be had, another's would be a lie (20.1)."""
PRODUCT = (1).to_bytes(2, "little")


def channel(number: int) -> int:
    """The channel meant by `number`, which may be 'this one'. CCh for one that does not exist."""
    number &= 0x0F
    if number not in (LAN_CHANNEL, THIS_CHANNEL):
        raise CommandError(Code.INVALID_FIELD)
    return LAN_CHANNEL


@app.command(0x01, privilege=Privilege.USER)
async def get_device_id(context: Context, request: None) -> bytes:
    """Get Device ID (20.1): IPMI 2.0, the devices of chapters 28 to 35; 3 bytes of manufacturer, 2 of product."""
    major, minor = (int(part) for part in __version__.split(".")[:2])
    bcd = minor // 10 << 4 | minor % 10
    return bytes((0x20, 0x01, major & 0x7F, bcd, 0x02, DEVICE_SUPPORT)) + MANUFACTURER + PRODUCT


@app.command(0x04, privilege=Privilege.USER)
async def get_self_test(context: Context, request: None) -> bytes:
    """Get Self Test Results (20.4): no error."""
    return b"\x55\x00"


@app.command(0x37, privilege=None)
async def get_system_guid(context: Context, request: None) -> bytes:
    """Get System GUID (22.14): the domain's UUID, least significant byte first (20.8)."""
    return (await context.bmc.machine.system_uuid()).bytes[::-1]


@dataclass(frozen=True)
class AuthCapabilitiesRequest:
    """The request of Get Channel Authentication Capabilities."""

    extended: bool
    """The console wants to know of IPMI 2.0 too (data 1, bit 7)."""

    @classmethod
    def parse(cls, data: bytes) -> AuthCapabilitiesRequest:
        if len(data) != 2:
            raise CommandError(Code.REQUEST_LENGTH_INVALID)
        channel(data[0])
        if not Privilege.CALLBACK <= data[1] & 0x0F <= 5:
            raise CommandError(Code.INVALID_FIELD)
        return cls(bool(data[0] & 0x80))


@app.command(0x38, privilege=None, parse=AuthCapabilitiesRequest.parse)
async def get_channel_auth_capabilities(context: Context, request: AuthCapabilitiesRequest) -> bytes:
    """Get Channel Authentication Capabilities (22.13): no IPMI 1.5 login, RMCP+ with named users."""
    types = 0x80 if request.extended else 0x00
    named_users = 0x04
    supports = 0x02 if request.extended else 0x00
    return bytes((LAN_CHANNEL, types, named_users, supports, 0, 0, 0, 0))


@app.command(0x54, privilege=None, parse=of_length(3))
async def get_channel_cipher_suites(context: Context, request: bytes) -> bytes:
    """Get Channel Cipher Suites (22.15): 16 bytes of the records a call, by list index."""
    number = channel(request[0])
    index = request[2] & 0x3F
    by_suite = bool(request[2] & 0x80)
    records = b"".join(suite.record() for suite in SUITES) if by_suite else algorithm_list()
    return bytes((number,)) + records[index * 16 : index * 16 + 16]


def algorithm_list() -> bytes:
    """Every algorithm once, tagged by kind (22.15.1), for a console that asks for no suites."""
    kinds = zip(*(suite.algorithms() for suite in SUITES))
    return bytes(tag | value for tag, values in zip((0x00, 0x40, 0x80), kinds) for value in dict.fromkeys(values))


@app.command(0x3B, privilege=Privilege.CALLBACK, parse=of_length(1))
async def set_session_privilege(context: Context, request: bytes) -> bytes:
    """Set Session Privilege Level (22.18); level 0 only reads the present one."""
    session = context.session
    assert session is not None
    level = request[0] & 0x0F
    if level > Privilege.ADMINISTRATOR or level == Privilege.CALLBACK:
        raise CommandError(Code.INVALID_FIELD)
    if level > session.limit:
        raise CommandError(Code.SESSION_LEVEL_ABOVE_LIMIT)
    if level:
        session.privilege = Privilege(level)
    return bytes((session.privilege,))


@app.command(0x3C, privilege=Privilege.CALLBACK, parse=of_length(4, 5))
async def close_session(context: Context, request: bytes) -> bytes:
    """Close Session (22.19); another's needs an administrator. 87h for one that does not exist."""
    session = context.session
    assert session is not None
    wanted = int.from_bytes(request[:4], "little")
    if wanted != session.id and session.privilege < Privilege.ADMINISTRATOR:
        raise CommandError(Code.INSUFFICIENT_PRIVILEGE)
    if not context.bmc.engine.close(wanted):
        raise CommandError(Code.INVALID_SESSION_ID)
    return b""


def note_failed_login(journal: Journal, users: Sequence[User], user: Optional[User]) -> None:
    """Have the event log tell of a failed login; ids of users begin with 2 (22.26)."""
    journal.login_failed(users.index(user) + 2 if user else 0, LAN_CHANNEL)
