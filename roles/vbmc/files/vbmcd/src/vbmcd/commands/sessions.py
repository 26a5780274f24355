# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Application commands about sessions (IPMI 2.0, 22.18 to 22.20)."""

from __future__ import annotations

import ipaddress
from typing import Optional

from vbmcd.commands.app import app
from vbmcd.commands.bmc import Context
from vbmcd.commands.channel import LAN_CHANNEL
from vbmcd.commands.codes import Code, CommandError
from vbmcd.commands.table import of_length
from vbmcd.commands.user_table import FIRST_ID
from vbmcd.commands.users import Users
from vbmcd.config import Privilege
from vbmcd.rmcp.engine import MAX_SESSIONS
from vbmcd.rmcp.session import Session

BY_HANDLE = 0xFE
BY_ID = 0xFF
RMCP_PLUS = 0x10
"""The session's protocol (22.20, byte 6, bits 7:4)."""


@app.change(0x3B, privilege=Privilege.CALLBACK, parse=of_length(1))
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


@app.change(0x3C, privilege=Privilege.CALLBACK, parse=of_length(4, 5))
async def close_session(context: Context, request: bytes) -> bytes:
    """Close Session (22.19), by id, or by handle where that is 0; another's needs an administrator. 87h and 88h for
    one that does not exist."""
    session, engine = context.session, context.bmc.engine
    assert session is not None
    wanted = int.from_bytes(request[:4], "little")
    by_handle = not wanted and len(request) == 5
    if by_handle:
        wanted = next((one.id for one in engine.sessions if one.handle == request[4]), 0)
    if wanted != session.id and session.privilege < Privilege.ADMINISTRATOR:
        raise CommandError(Code.INSUFFICIENT_PRIVILEGE)
    if not engine.close(wanted):
        raise CommandError(Code.INVALID_SESSION_HANDLE if by_handle else Code.INVALID_SESSION_ID)
    return b""


def session_query(data: bytes) -> bytes:
    """The parser of Get Session Info: an index, followed by a handle or an id where it says so."""
    lengths = {BY_HANDLE: 2, BY_ID: 5}
    if not data or len(data) != lengths.get(data[0], 1):
        raise CommandError(Code.REQUEST_LENGTH_INVALID)
    return data


@app.read(0x3D, privilege=Privilege.USER, parse=session_query)
async def get_session_info(context: Context, request: bytes) -> bytes:
    """Get Session Info (22.20): the present session, the Nth, or one by handle or id. CCh for no such one."""
    sessions = context.bmc.engine.sessions
    session = find_session(context, request)
    counts = bytes((min(MAX_SESSIONS, 0x3F), min(len(sessions), 0x3F)))
    if session is None:
        return b"\x00" + counts
    users = context.bmc.part(Users)
    who = bytes((users.id_of(session.user) or FIRST_ID, session.privilege, RMCP_PLUS | LAN_CHANNEL))
    return bytes((session.handle,)) + counts + who + console_address(session)


def find_session(context: Context, request: bytes) -> Optional[Session]:
    """None for an index beyond the active ones: then only the counts are told."""
    sessions = context.bmc.engine.sessions
    if request[0] == 0:
        return context.session
    if request[0] == BY_HANDLE:
        found = [one for one in sessions if one.handle == request[1]]
    elif request[0] == BY_ID:
        found = [one for one in sessions if one.id == int.from_bytes(request[1:], "little")]
    else:
        return sessions[request[0] - 1] if request[0] <= len(sessions) else None
    if not found:
        raise CommandError(Code.INVALID_FIELD)
    return found[0]


def console_address(session: Session) -> bytes:
    """IPv4 address, MAC, and port; zeros for what is not known, such as an IPv6 address in these 4 bytes."""
    host, port = session.source
    address = ipaddress.ip_address(host.partition("%")[0])
    packed = address.packed if address.version == 4 else bytes(4)
    return packed + bytes(6) + port.to_bytes(2, "little")
