# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""RMCP and the two IPMI session headers (IPMI 2.0, 13.1.3, 13.6).

Session-less IPMI 1.5 framing carries the few commands that come before a login; everything else is
RMCP+ framing. Nothing is decrypted or verified here.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import NamedTuple, Tuple, Union

from vbmcd.rmcp.errors import Malformed

RMCP_IPMI = b"\x06\x00\xff\x07"
"""RMCP version 1.0, no RMCP acknowledge, class IPMI (13.1.3)."""

Address = Tuple[str, int]
"""Where a datagram came from: host and port."""

AUTH_NONE = 0x00
AUTH_RMCP_PLUS = 0x06

ENCRYPTED = 0x80
AUTHENTICATED = 0x40

PAYLOAD_IPMI = 0x00
PAYLOAD_SOL = 0x01
PAYLOAD_OPEN_SESSION_REQUEST = 0x10
PAYLOAD_RAKP1 = 0x12
PAYLOAD_RAKP3 = 0x14

SESSION_OFFSET = len(RMCP_IPMI)
"""Where the session header starts; the integrity code covers the datagram from here (13.28.4)."""

_PLUS_CLASS = bytes((RMCP_IPMI[3], AUTH_RMCP_PLUS))
_NO_SESSION = bytes(4)
_V15 = struct.Struct("<BIIB")
_PLUS = struct.Struct("<BBIIH")
_PLUS_START = SESSION_OFFSET + _PLUS.size
_FLAGS = ENCRYPTED | AUTHENTICATED


@dataclass(frozen=True)
class SessionlessMessage:
    """An IPMI 1.5 packet outside of a session (13.6, authentication type none)."""

    payload: bytes

    def encode(self) -> bytes:
        return RMCP_IPMI + _V15.pack(AUTH_NONE, 0, 0, len(self.payload)) + self.payload


class PlusHeader(NamedTuple):
    """The RMCP+ session header, payload and trailer of a datagram. A tuple, as one is made for each datagram."""

    kind: int
    """Payload type without its two flag bits."""
    flags: int
    """ENCRYPTED, AUTHENTICATED."""
    session_id: int
    sequence: int
    payload: bytes
    trailer: bytes
    """What follows the payload: pad, pad length, next header and code of an authenticated one."""


def encode_plus(kind: int, session_id: int, sequence: int, payload: bytes) -> bytes:
    """An RMCP+ packet up to the end of its payload; `kind` includes the flag bits."""
    return RMCP_IPMI + _PLUS.pack(AUTH_RMCP_PLUS, kind, session_id, sequence, len(payload)) + payload


def names_session(datagram: bytes) -> bool:
    """Whether `datagram` is an RMCP+ packet, as far as can be seen, of a session: its session id is not 0."""
    return datagram[3:5] == _PLUS_CLASS and datagram[0] == RMCP_IPMI[0] and datagram[6:10] != _NO_SESSION


def parse(datagram: bytes) -> Union[SessionlessMessage, PlusHeader]:
    """Raises Malformed for whatever is neither session-less IPMI 1.5 nor RMCP+."""
    if len(datagram) < SESSION_OFFSET + 1 or datagram[0] != 0x06 or datagram[3] != 0x07:
        raise Malformed("not an RMCP message of class IPMI")
    auth = datagram[SESSION_OFFSET]
    if auth == AUTH_RMCP_PLUS:
        return parse_plus(datagram)
    if auth == AUTH_NONE:
        return _parse_sessionless(datagram)
    raise Malformed("an IPMI 1.5 authentication type that is not offered")


def _parse_sessionless(datagram: bytes) -> SessionlessMessage:
    start = SESSION_OFFSET + _V15.size
    if len(datagram) < start:
        raise Malformed("IPMI 1.5 header is cut short")
    _auth, sequence, session_id, length = _V15.unpack_from(datagram, SESSION_OFFSET)
    if session_id or sequence:
        raise Malformed("IPMI 1.5 sessions are not offered")
    # One legacy pad byte may follow (13.6, table 13-8).
    if not 0 <= len(datagram) - start - length <= 1:
        raise Malformed("IPMI 1.5 payload length is wrong")
    return SessionlessMessage(datagram[start : start + length])


def parse_plus(datagram: bytes) -> PlusHeader:
    """The same for what is RMCP+ as far as names_session() looks."""
    start = _PLUS_START
    if len(datagram) < start:
        raise Malformed("RMCP+ header is cut short")
    _auth, kind, session_id, sequence, length = _PLUS.unpack_from(datagram, SESSION_OFFSET)
    end = start + length
    if len(datagram) < end:
        raise Malformed("RMCP+ payload is cut short")
    return PlusHeader(kind & 0x3F, kind & _FLAGS, session_id, sequence, datagram[start:end], datagram[end:])
