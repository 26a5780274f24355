# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Payload commands (IPMI 2.0, chapter 24): Serial over LAN is the one payload that can be activated."""

from __future__ import annotations

from dataclasses import replace

from vbmcd.commands.app import app
from vbmcd.commands.bmc import Context
from vbmcd.commands.channel import channel
from vbmcd.commands.codes import Code, CommandError
from vbmcd.commands.requests import change_of_length
from vbmcd.commands.sol_config import SolConfig
from vbmcd.commands.sol_port import SolPort
from vbmcd.commands.table import of_length
from vbmcd.commands.user_table import LAST_ID
from vbmcd.commands.users import Users
from vbmcd.config import Privilege
from vbmcd.rmcp.packet import PAYLOAD_IPMI, PAYLOAD_OPEN_SESSION_REQUEST, PAYLOAD_SOL
from vbmcd.rmcp.sol import MAX_CHARACTERS

INSTANCE = 1
ENCRYPTED = 0x80
SOL_BIT = 1 << PAYLOAD_SOL
NO_VLAN = b"\xff\xff"
VERSION = 0x10
"""1.0, of each payload."""
SETUP_PAYLOADS = 0x3F
"""Payload types 10h to 15h: Open Session and RAKP."""
SUSPEND, REGENERATE = 0, 2


def _user(number: int) -> int:
    """The user id in a request's byte. CCh for one that there is not."""
    number &= 0x3F
    if not 1 <= number <= LAST_ID:
        raise CommandError(Code.INVALID_FIELD)
    return number


def _sol(request: bytes) -> None:
    if request[0] & 0x3F != PAYLOAD_SOL or (len(request) > 1 and request[1] & 0x0F != INSTANCE):
        raise CommandError(Code.INVALID_FIELD)


@app.change(0x48, privilege=Privilege.USER, parse=change_of_length(6), audit="activate payload")
async def activate_payload(context: Context, request: bytes) -> bytes:
    """Activate Payload (24.1). 80h while another session has it, 81h for disabled, 84h without encryption."""
    _sol(request)
    session = context.session
    assert session is not None
    bmc = context.bmc
    config = SolConfig.of(bmc)
    if not config.enabled:
        raise CommandError(Code.PAYLOAD_DISABLED)
    user = bmc.part(Users).id_of(session.user) or 0
    if session.privilege < config.privilege or config.denied >> user & 1:
        raise CommandError(Code.INSUFFICIENT_PRIVILEGE)
    if not request[2] & ENCRYPTED or not session.suite.encrypts:
        raise CommandError(Code.ENCRYPTION_NEEDED)
    port = bmc.part(SolPort)
    if port.owner is not None:
        raise CommandError(Code.PAYLOAD_ACTIVE)
    port.activate(session, config.timing())
    size = MAX_CHARACTERS.to_bytes(2, "little")
    return bytes(4) + size + size + bmc.instance.port.to_bytes(2, "little") + NO_VLAN


@app.change(0x49, privilege=Privilege.USER, parse=change_of_length(6), audit="deactivate payload")
async def deactivate_payload(context: Context, request: bytes) -> bytes:
    """Deactivate Payload (24.2); another's needs an administrator. 80h when it is not active."""
    _sol(request)
    session = context.session
    assert session is not None
    port = context.bmc.has(SolPort)
    if port is None or port.owner is None:
        raise CommandError(Code.PAYLOAD_INACTIVE)
    if port.owner is not session and session.privilege < Privilege.ADMINISTRATOR:
        raise CommandError(Code.INSUFFICIENT_PRIVILEGE)
    port.deactivate(tell=port.owner is not session)
    return b""


@app.change(0x55, privilege=Privilege.USER, parse=change_of_length(3), audit="payload encryption")
async def set_payload_encryption(context: Context, request: bytes) -> bytes:
    """Suspend/Resume Payload Encryption (24.3). 81h to suspend it: all of a session is encrypted. 83h: not active."""
    _sol(request)
    port = context.bmc.has(SolPort)
    if port is None or port.owner is None or port.owner is not context.session:
        raise CommandError(Code.INSTANCE_INACTIVE)
    operation = request[2] & 0x1F
    if operation > REGENERATE:
        raise CommandError(Code.INVALID_FIELD)
    if operation == SUSPEND:
        raise CommandError(Code.OPERATION_NOT_ALLOWED)
    return b""


@app.read(0x4A, privilege=Privilege.USER, parse=of_length(1))
async def get_payload_activation_status(context: Context, request: bytes) -> bytes:
    """Get Payload Activation Status (24.4): one instance, and whether it is active."""
    _sol(request)
    port = context.bmc.has(SolPort)
    return bytes((INSTANCE, int(port is not None and port.owner is not None), 0))


@app.read(0x4B, privilege=Privilege.USER, parse=of_length(2))
async def get_payload_instance_info(context: Context, request: bytes) -> bytes:
    """Get Payload Instance Info (24.5): the owner's session id, 0 for none; SOL's port number, 0."""
    _sol(request)
    port = context.bmc.has(SolPort)
    owner = port.owner if port is not None else None
    return (owner.id if owner is not None else 0).to_bytes(4, "little") + bytes(8)


@app.change(0x4C, privilege=Privilege.ADMINISTRATOR, parse=change_of_length(6), audit="payload access")
async def set_user_payload_access(context: Context, request: bytes) -> bytes:
    """Set User Payload Access (24.6): enable (0) or disable (1) SOL for a user id. Kept."""
    channel(request[0])
    user, operation = _user(request[1]), request[1] >> 6
    if operation > 1:
        raise CommandError(Code.INVALID_FIELD)
    if not request[2] & SOL_BIT:
        return b""
    config = SolConfig.of(context.bmc)
    denied = config.denied | 1 << user if operation else config.denied & ~(1 << user)
    await context.bmc.remember(SolConfig.RECORD, replace(config, denied=denied).encode())
    return b""


@app.read(0x4D, privilege=Privilege.OPERATOR, parse=of_length(2))
async def get_user_payload_access(context: Context, request: bytes) -> bytes:
    """Get User Payload Access (24.7): standard and OEM payloads that a user id may activate."""
    channel(request[0])
    denied = SolConfig.of(context.bmc).denied >> _user(request[1]) & 1
    return bytes((0 if denied else SOL_BIT, 0, 0, 0))


@app.read(0x4E, privilege=Privilege.USER, parse=of_length(1))
async def get_channel_payload_support(context: Context, request: bytes) -> bytes:
    """Get Channel Payload Support (24.8): IPMI messages, SOL, and the login's."""
    channel(request[0])
    return bytes((1 << PAYLOAD_IPMI | SOL_BIT, 0, SETUP_PAYLOADS, 0, 0, 0, 0, 0))


@app.read(0x4F, privilege=Privilege.USER, parse=of_length(2))
async def get_channel_payload_version(context: Context, request: bytes) -> bytes:
    """Get Channel Payload Version (24.9). 80h for a payload that the channel has not."""
    channel(request[0])
    kind = request[1] & 0x3F
    setup = range(PAYLOAD_OPEN_SESSION_REQUEST, PAYLOAD_OPEN_SESSION_REQUEST + 6)
    if kind not in (PAYLOAD_IPMI, PAYLOAD_SOL, *setup):
        raise CommandError(Code.PAYLOAD_UNKNOWN)
    return bytes((VERSION,))
