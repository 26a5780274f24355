# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The four messages of a login (IPMI 2.0, 13.17 to 13.24), and the codes in them (13.28, 13.31).

Wire formats and key derivation; who may log in is ``engine``'s business.
"""

from __future__ import annotations

import enum
import hmac
import struct
from dataclasses import dataclass, field
from typing import Optional, Tuple

from vbmcd.config import MAX_PASSWORD
from vbmcd.rmcp.errors import Malformed
from vbmcd.rmcp.suites import MD5_128, CipherSuite

KEY_CONSTANT_SIZE = 20
"""Bytes of the constants that K1 and K2 are made of (13.32). Consoles (ipmitool, FreeIPMI, pyghmi) keep 20
with SHA-256 too, whose digest is longer."""


class Status(enum.IntEnum):
    """RMCP+ and RAKP message status codes (13.24)."""

    OK = 0x00
    INSUFFICIENT_RESOURCES = 0x01
    INVALID_SESSION_ID = 0x02
    INVALID_ROLE = 0x09
    UNAUTHORIZED_ROLE = 0x0A
    INVALID_NAME_LENGTH = 0x0C
    INVALID_INTEGRITY_CHECK = 0x0F
    NO_MATCHING_SUITE = 0x11
    ILLEGAL_PARAMETER = 0x12


@dataclass(frozen=True)
class OpenSessionRequest:
    """RMCP+ Open Session Request (13.17)."""

    tag: int
    privilege: int
    """The highest level the console will ask for; 0 leaves it to the BMC."""
    console_id: int
    proposal: Tuple[Optional[int], Optional[int], Optional[int]]
    """Authentication, integrity, confidentiality; None is a null record: the BMC chooses."""

    @classmethod
    def parse(cls, data: bytes) -> OpenSessionRequest:
        """Raises Malformed: shorter than 32 bytes, or a payload record of the wrong type."""
        if len(data) < 32:
            raise Malformed("Open Session Request is cut short")
        records = [_algorithm(data, offset, kind) for kind, offset in enumerate((8, 16, 24))]
        return cls(
            tag=data[0],
            privilege=data[1] & 0x0F,
            console_id=int.from_bytes(data[4:8], "little"),
            proposal=(records[0], records[1], records[2]),
        )


def _algorithm(data: bytes, offset: int, kind: int) -> Optional[int]:
    if data[offset] != kind or data[offset + 3] not in (0, 8):
        raise Malformed("an algorithm record of the wrong type or length")
    return data[offset + 4] & 0x3F if data[offset + 3] else None


def open_session_error(request: OpenSessionRequest, status: Status) -> bytes:
    return struct.pack("<BBBxI", request.tag, status, 0, request.console_id)


def open_session_response(request: OpenSessionRequest, session_id: int, privilege: int, suite: CipherSuite) -> bytes:
    """RMCP+ Open Session Response (13.18)."""
    head = struct.pack("<BBBxII", request.tag, Status.OK, privilege, request.console_id, session_id)
    records = (bytes((kind, 0, 0, 8, value, 0, 0, 0)) for kind, value in enumerate(suite.algorithms()))
    return head + b"".join(records)


@dataclass(frozen=True)
class Rakp1:
    """RAKP Message 1 (13.20)."""

    tag: int
    session_id: int
    console_random: bytes
    role: int
    """The whole byte, as the codes cover it: bits 3:0 the privilege, bit 4 name-only lookup."""
    name: bytes

    @property
    def privilege(self) -> int:
        return self.role & 0x0F

    @classmethod
    def parse(cls, data: bytes) -> Rakp1:
        """Raises Malformed: cut short, or a name length that says more than there is."""
        if len(data) < 28 or len(data) < 28 + data[27]:
            raise Malformed("RAKP 1 is cut short")
        return cls(
            tag=data[0],
            session_id=int.from_bytes(data[4:8], "little"),
            console_random=data[8:24],
            role=data[24],
            name=data[28 : 28 + data[27]],
        )


@dataclass(frozen=True)
class Rakp3:
    """RAKP Message 3 (13.22)."""

    tag: int
    status: int
    session_id: int
    code: bytes

    @classmethod
    def parse(cls, data: bytes) -> Rakp3:
        if len(data) < 8:
            raise Malformed("RAKP 3 is cut short")
        return cls(tag=data[0], status=data[1], session_id=int.from_bytes(data[4:8], "little"), code=data[8:])


def rakp_error(tag: int, status: Status, console_id: int) -> bytes:
    """RAKP 2 or 4 with a status and no code (13.21, 13.23)."""
    return struct.pack("<BBxxI", tag, status, console_id)


@dataclass(frozen=True)
class Exchange:
    """All that both sides know after RAKP 1; every code of the login is derived from it (13.31)."""

    suite: CipherSuite
    console_id: int
    session_id: int
    console_random: bytes
    bmc_random: bytes
    guid: bytes
    role: int
    name: bytes
    password: bytes = field(repr=False)
    kg: bytes = field(default=b"", repr=False)
    """The BMC key; empty where there is none, and the password stands for it."""

    def rakp2(self, tag: int) -> bytes:
        code = self._hmac(
            self.password,
            self._ids() + self.console_random + self.bmc_random + self.guid + self._who(),
        )
        return struct.pack("<BBxxI", tag, Status.OK, self.console_id) + self.bmc_random + self.guid + code

    def rakp3_code(self) -> bytes:
        return self._hmac(self.password, self.bmc_random + struct.pack("<I", self.console_id) + self._who())

    def rakp4(self, tag: int) -> bytes:
        code = self._hmac(
            self.session_integrity_key(),
            self.console_random + struct.pack("<I", self.session_id) + self.guid,
        )
        return struct.pack("<BBxxI", tag, Status.OK, self.console_id) + code[: self.suite.check_size]

    def session_integrity_key(self) -> bytes:
        """SIK (13.31), keyed with K_g or, where that is not set, the user's password."""
        return self._hmac(self.kg or self.password, self.console_random + self.bmc_random + self._who())

    def keys(self) -> Tuple[bytes, bytes]:
        """The key for integrity, and the AES key out of K2 (13.32)."""
        sik = self.session_integrity_key()
        k1, k2 = (self._hmac(sik, constant * KEY_CONSTANT_SIZE) for constant in (b"\x01", b"\x02"))
        # MD5-128 is keyed with the password itself (13.28.3), zeros behind it.
        return self.password.ljust(MAX_PASSWORD, b"\0") if self.suite.integrity == MD5_128 else k1, k2[:16]

    def _hmac(self, key: bytes, data: bytes) -> bytes:
        return hmac.digest(key, data, self.suite.digest)

    def _ids(self) -> bytes:
        return struct.pack("<II", self.console_id, self.session_id)

    def _who(self) -> bytes:
        return bytes((self.role, len(self.name))) + self.name
