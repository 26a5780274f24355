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
SUITES = {3: (1, 1, 1, hashlib.sha1, 12), 17: (3, 4, 1, hashlib.sha256, 16)}


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
        self.auth, self.integrity, self.crypt, self.hash, self.code_size = SUITES[self.suite]
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
        assert payload[8:] == check[: self.code_size]
        self.k1, self.k2 = self._hmac(sik, b"\1" * 20), self._hmac(sik, b"\2" * 20)[:16]
        return 0

    def request(self, netfn: int, command: int, data: bytes = b"", *, rqseq: int | None = None, lun: int = 0) -> bytes:
        """The next packet of the session; `rqseq` to ask the same again."""
        if rqseq is None:
            rqseq = self.rqseq = (self.rqseq + 1) % 64
        self.sequence += 1
        return self.seal(ipmi_message(netfn, command, data, rqseq, lun), self.sequence)

    def seal(self, message: bytes, sequence: int) -> bytes:
        pad = -(len(message) + 1) % 16
        return self.seal_plain(message + bytes(range(1, pad + 1)) + bytes((pad,)), sequence)

    def seal_plain(self, plain: bytes, sequence: int) -> bytes:
        """A packet around `plain`, whose confidentiality pad is the caller's (and may be wrong)."""
        iv = os.urandom(16)
        encryptor = Cipher(algorithms.AES(self.k2), modes.CBC(iv)).encryptor()
        return self.seal_ciphertext(iv + encryptor.update(plain) + encryptor.finalize(), sequence)

    def seal_ciphertext(self, payload: bytes, sequence: int, kind: int = 0xC0) -> bytes:
        packet = plus(kind, payload, self.session_id, sequence)
        pad = -(len(packet) - 4 + 2) % 4
        packet += b"\xff" * pad + bytes((pad, 7))
        return packet + self._hmac(self.k1, packet[4:])[: self.code_size]

    def answer(self, datagram: bytes) -> bytes:
        """Completion code and data of an answer, whose code, pad and checksums have to be right."""
        covered, code = datagram[4 : -self.code_size], datagram[-self.code_size :]
        assert code == self._hmac(self.k1, covered)[: self.code_size]
        assert struct.unpack_from("<I", datagram, 6) == (self.console_id,)
        payload = payload_of(datagram)
        decryptor = Cipher(algorithms.AES(self.k2), modes.CBC(payload[:16])).decryptor()
        plain = decryptor.update(payload[16:]) + decryptor.finalize()
        message = plain[: -plain[-1] - 1]
        assert sum(message[:3]) & 0xFF == 0
        assert sum(message[3:]) & 0xFF == 0
        return message[6:-1]
