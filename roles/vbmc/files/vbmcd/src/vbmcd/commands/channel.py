# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Application commands about the LAN channel (IPMI 2.0, 22.13, 22.15, 22.22 to 22.24)."""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import Iterable

from vbmcd.commands.app import app
from vbmcd.commands.bmc import Context
from vbmcd.commands.codes import Code, CommandError
from vbmcd.commands.requests import Change, change_of_length
from vbmcd.commands.table import of_length
from vbmcd.config import Privilege
from vbmcd.rmcp.suites import CipherSuite

LAN_CHANNEL = 0x1
THIS_CHANNEL = 0xE
MEDIUM_LAN = 0x04
"""802.3 LAN (table 6-3)."""
PROTOCOL_IPMB = 0x01
"""The protocol of messages on a LAN channel (table 6-2)."""
MULTI_SESSION = 0x80
IPMI_ENTERPRISE = (7154).to_bytes(3, "little")
"""The vendor of channels that are IPMI's own (22.24)."""

K_R, K_G = range(2)
"""Key ids (22.25)."""
ALWAYS_AVAILABLE = 0x02
NO_ALERTS = 0x20
ACCESS_FLAGS = NO_ALERTS | ALWAYS_AVAILABLE
"""No alerts; messages of a session and users are always authenticated (22.22, data 2)."""


def channel(number: int) -> int:
    """The channel meant by `number`, which may be 'this one'. CCh for one that does not exist."""
    number &= 0x0F
    if number not in (LAN_CHANNEL, THIS_CHANNEL):
        raise CommandError(Code.INVALID_FIELD)
    return LAN_CHANNEL


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


@app.read(0x38, privilege=None, parse=AuthCapabilitiesRequest.parse)
async def get_channel_auth_capabilities(context: Context, request: AuthCapabilitiesRequest) -> bytes:
    """Get Channel Authentication Capabilities (22.13): no IPMI 1.5 login; RMCP+, named users, K_g or not."""
    types = 0x80 if request.extended else 0x00
    named_users = 0x04
    two_keys = 0x20 if context.bmc.instance.kg else 0x00
    supports = 0x02 if request.extended else 0x00
    return bytes((LAN_CHANNEL, types, named_users | two_keys, supports, 0, 0, 0, 0))


@app.read(0x54, privilege=None, parse=of_length(3))
async def get_channel_cipher_suites(context: Context, request: bytes) -> bytes:
    """Get Channel Cipher Suites (22.15): 16 bytes of the records a call, by list index."""
    number = channel(request[0])
    index = request[2] & 0x3F
    by_suite = bool(request[2] & 0x80)
    suites = sorted(context.bmc.engine.suites, key=attrgetter("id"))
    records = b"".join(suite.record() for suite in suites) if by_suite else algorithm_list(suites)
    return bytes((number,)) + records[index * 16 : index * 16 + 16]


def algorithm_list(suites: Iterable[CipherSuite]) -> bytes:
    """Every algorithm once, tagged by kind (22.15.1), for a console that asks for no suites."""
    kinds = zip(*(suite.algorithms() for suite in suites))
    return bytes(tag | value for tag, values in zip((0x00, 0x40, 0x80), kinds) for value in dict.fromkeys(values))


@app.change(0x40, privilege=Privilege.ADMINISTRATOR, parse=change_of_length(3), audit="channel access")
async def set_channel_access(context: Context, request: Change) -> bytes:
    """Set Channel Access (22.22). There is one kind of access, for all users alike: what differs is refused."""
    channel(request[0])
    if request[1] >> 6 == 3 or request[2] >> 6 == 3:
        raise CommandError(Code.INVALID_FIELD)
    if request[1] >> 6:
        if request[1] & 0x07 != ALWAYS_AVAILABLE:
            raise CommandError(Code.ACCESS_MODE_NOT_SUPPORTED)
        if request[1] & 0x3F != ACCESS_FLAGS:
            raise CommandError(Code.INVALID_FIELD, "there are no alerts, and no messages without authentication")
    if request[2] >> 6 and request[2] & 0x0F != Privilege.ADMINISTRATOR:
        raise CommandError(Code.INVALID_FIELD, "privileges are limited user by user")
    return b""


@app.read(0x41, privilege=Privilege.USER, parse=of_length(2))
async def get_channel_access(context: Context, request: bytes) -> bytes:
    """Get Channel Access (22.23): the present and the stored one are the same."""
    channel(request[0])
    if request[1] >> 6 not in (1, 2):
        raise CommandError(Code.INVALID_FIELD)
    return bytes((ACCESS_FLAGS, Privilege.ADMINISTRATOR))


@app.read(0x42, privilege=Privilege.USER, parse=of_length(1))
async def get_channel_info(context: Context, request: bytes) -> bytes:
    """Get Channel Info (22.24): one LAN channel, of many sessions."""
    number = channel(request[0])
    sessions = MULTI_SESSION | min(context.bmc.engine.session_count, 0x3F)
    return bytes((number, MEDIUM_LAN, PROTOCOL_IPMB, sessions)) + IPMI_ENTERPRISE + bytes(2)


@dataclass(frozen=True)
class SecurityKeys:
    """The request of Set Channel Security Keys. Its text never has the key."""

    key: int

    @classmethod
    def parse(cls, data: bytes) -> SecurityKeys:
        if len(data) < 3:
            raise CommandError(Code.REQUEST_LENGTH_INVALID)
        channel(data[0])
        if data[1] & 0x03 == 3 or data[2] not in (K_R, K_G):
            raise CommandError(Code.INVALID_FIELD)
        return cls(data[2])

    def __str__(self) -> str:
        return "K_R" if self.key == K_R else "K_G"


@app.change(0x56, privilege=Privilege.ADMINISTRATOR, parse=SecurityKeys.parse, audit="channel security keys")
async def set_channel_security_keys(context: Context, request: SecurityKeys) -> bytes:
    """Set Channel Security Keys (22.25): 84h, there is no K_R; 80h, K_G is the instance's, and shown to nobody."""
    if request.key == K_R:
        raise CommandError(Code.KEY_NOT_USED)
    raise CommandError(Code.KEY_LOCKED, "the BMC key is the instance's: change that")
