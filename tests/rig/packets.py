# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A remote console's packets: the client side of a login and a session as bytes, without a socket.

Packets come out as bytes and answers go in as bytes, so that a test can flip, cut, reorder or repeat any
of them. Nothing of ``vbmcd.rmcp`` is used: a mistake there must not be made twice.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import struct
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

HEAD = bytes.fromhex("0600ff07")
HASHES = {1: (hashlib.sha1, 12), 2: (hashlib.md5, 16), 3: (hashlib.sha256, 16)}
"""Of the authentication algorithms: the hash, and how much of it RAKP 4 has."""
SUITES = {
    1: (1, 0, 0), 2: (1, 1, 0), 3: (1, 1, 1), 6: (2, 0, 0), 7: (2, 2, 0), 8: (2, 2, 1), 11: (2, 3, 0), 12: (2, 3, 1),
    15: (3, 0, 0), 16: (3, 4, 0), 17: (3, 4, 1),
}  # fmt: skip
"""Authentication, integrity and confidentiality algorithm (table 22-20)."""
CODE_SIZES = {0: 0, 1: 12, 2: 16, 3: 16, 4: 16}
KEYED_MD5 = 3


def ipmi_message(netfn: int, command: int, data: bytes = b"", rqseq: int = 1, lun: int = 0) -> bytes:
    """An IPMI request of a console (81h) to the BMC (20h), with both checksums."""
    head = bytes((0x20, netfn << 2 | lun))
    body = bytes((0x81, rqseq << 2, command)) + data
    return head + bytes((-sum(head) & 0xFF,)) + body + bytes((-sum(body) & 0xFF,))


def sessionless(netfn: int, command: int, data: bytes = b"") -> bytes:
    """A request outside of a session, in IPMI 1.5 framing."""
    message = ipmi_message(netfn, command, data)
    return HEAD + bytes(9) + bytes((len(message),)) + message


def plus(kind: int, payload: bytes, session_id: int = 0, sequence: int = 0) -> bytes:
    """An RMCP+ packet as it is before a login."""
    return HEAD + struct.pack("<BBIIH", 6, kind, session_id, sequence, len(payload)) + payload


def payload_of(datagram: bytes) -> bytes:
    (length,) = struct.unpack_from("<H", datagram, 14)
    return datagram[16 : 16 + length]


@dataclass
class ConsolePackets:
    """One console: first the login's packets in their order, then a session's."""

    name: bytes
    password: bytes
    suite: int = 17
    role: int = 4
    console_id: int = 0xA0A2A3A4
    session_id: int = 0
    random: bytes = field(default_factory=lambda: os.urandom(16))
    sequence: int = 0
    rqseq: int = 0
    kg: bytes = b""

    def __post_init__(self) -> None:
        self.auth, self.integrity, self.crypt = SUITES[self.suite]
        self.hash, self.check_size = HASHES[self.auth]
        self.code_size = CODE_SIZES[self.integrity]
        self.k1 = self.k2 = b""

    def _hmac(self, key: bytes, data: bytes) -> bytes:
        return hmac.new(key, data, self.hash).digest()

    def open_session(self) -> bytes:
        algorithms_ = ((0, self.auth), (1, self.integrity), (2, self.crypt))
        records = b"".join(bytes((kind, 0, 0, 8, value, 0, 0, 0)) for kind, value in algorithms_)
        return plus(0x10, struct.pack("<BBxxI", 0, self.role, self.console_id) + records)

    def opened(self, answer: bytes) -> int:
        """Take the Open Session Response; its status."""
        payload = payload_of(answer)
        if payload[1] == 0:
            (self.session_id,) = struct.unpack_from("<I", payload, 8)
        return payload[1]

    @property
    def _who(self) -> bytes:
        return bytes((self.role, len(self.name))) + self.name

    def rakp1(self) -> bytes:
        head = struct.pack("<BxxxI", 0, self.session_id)
        return plus(0x12, head + self.random + bytes((self.role, 0, 0, len(self.name))) + self.name)

    def took_rakp2(self, answer: bytes) -> bool:
        """Take RAKP 2; whether its code proves that the BMC knows the password."""
        payload = payload_of(answer)
        assert payload[1] == 0, f"RAKP 2 with status {payload[1]:02X}h"
        self.bmc_random, self.guid, code = payload[8:24], payload[24:40], payload[40:]
        ids = struct.pack("<II", self.console_id, self.session_id)
        expected = self._hmac(self.password, ids + self.random + self.bmc_random + self.guid + self._who)
        return code == expected

    def rakp3(self, status: int = 0) -> bytes:
        code = self._hmac(self.password, self.bmc_random + struct.pack("<I", self.console_id) + self._who)
        return plus(0x14, struct.pack("<BBxxI", 0, status, self.session_id) + (b"" if status else code))

    def took_rakp4(self, answer: bytes) -> int:
        """Take RAKP 4 and derive the session's keys; its status."""
        payload = payload_of(answer)
        if payload[1]:
            return payload[1]
        sik = self._hmac(self.kg or self.password, self.random + self.bmc_random + self._who)
        check = self._hmac(sik, self.random + struct.pack("<I", self.session_id) + self.guid)
        assert payload[8:] == check[: self.check_size]
        self.k1, self.k2 = self._hmac(sik, b"\1" * 20), self._hmac(sik, b"\2" * 20)[:16]
        return 0

    def request(self, netfn: int, command: int, data: bytes = b"", *, rqseq: int | None = None, lun: int = 0) -> bytes:
        """The next packet of the session; `rqseq` to ask the same again."""
        if rqseq is None:
            rqseq = self.rqseq = (self.rqseq + 1) % 64
        self.sequence += 1
        return self.seal(ipmi_message(netfn, command, data, rqseq, lun), self.sequence)

    def seal(self, message: bytes, sequence: int) -> bytes:
        if not self.crypt:
            return self.seal_ciphertext(message, sequence, 0x40 if self.integrity else 0)
        pad = -(len(message) + 1) % 16
        return self.seal_plain(message + bytes(range(1, pad + 1)) + bytes((pad,)), sequence)

    def seal_plain(self, plain: bytes, sequence: int) -> bytes:
        """A packet around `plain`, whose confidentiality pad is the caller's (and may be wrong)."""
        iv = os.urandom(16)
        encryptor = Cipher(algorithms.AES(self.k2), modes.CBC(iv)).encryptor()
        return self.seal_ciphertext(iv + encryptor.update(plain) + encryptor.finalize(), sequence)

    def seal_ciphertext(self, payload: bytes, sequence: int, kind: int = 0xC0) -> bytes:
        packet = plus(kind, payload, self.session_id, sequence)
        if not self.integrity:
            return packet
        pad = -(len(packet) - 4 + 2) % 4
        packet += b"\xff" * pad + bytes((pad, 7))
        return packet + self._code(packet[4:])

    def _code(self, data: bytes) -> bytes:
        if self.integrity == KEYED_MD5:
            key = self.password.ljust(20, b"\0")
            return hashlib.md5(key + data + key).digest()
        return self._hmac(self.k1, data)[: self.code_size]

    def answer(self, datagram: bytes) -> bytes:
        """Completion code and data of an answer."""
        return self.message(datagram)[6:-1]

    def message(self, datagram: bytes) -> bytes:
        """The IPMI message of an answer, whose code, pad and checksums have to be right."""
        if self.integrity:
            assert datagram[-self.code_size :] == self._code(datagram[4 : -self.code_size])
        else:
            assert len(datagram) == 16 + len(payload_of(datagram))
        assert datagram[5] >> 6 == (2 if self.crypt else 0) | (1 if self.integrity else 0)
        assert struct.unpack_from("<I", datagram, 6) == (self.console_id,)
        message = self._decrypted(payload_of(datagram)) if self.crypt else payload_of(datagram)
        assert sum(message[:3]) & 0xFF == 0
        assert sum(message[3:]) & 0xFF == 0
        return message

    def _decrypted(self, payload: bytes) -> bytes:
        decryptor = Cipher(algorithms.AES(self.k2), modes.CBC(payload[:16])).decryptor()
        plain = decryptor.update(payload[16:]) + decryptor.finalize()
        return plain[: -plain[-1] - 1]
