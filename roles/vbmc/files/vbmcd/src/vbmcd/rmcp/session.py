# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One logged-in session: its keys, its sequence window, packets in and out (IPMI 2.0, 13.27 to 13.29)."""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import Any, Callable, Optional, Tuple

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import MD5, SHA1, SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from vbmcd.config import Privilege
from vbmcd.rmcp.errors import Malformed
from vbmcd.rmcp.handshake import Exchange
from vbmcd.rmcp.packet import AUTHENTICATED, ENCRYPTED, SESSION_OFFSET, PlusHeader, encode_plus
from vbmcd.rmcp.suites import MD5_128, CipherSuite

BLOCK = 16
_ZEROS = bytes(BLOCK)
NEXT_HEADER = 0x07
WINDOW = 16
"""How far a sequence number may be ahead of, or behind, the highest one seen (6.12.13)."""
_WINDOW_BITS = (1 << WINDOW) - 1
_HASHES = {"sha1": SHA1(), "md5": MD5(), "sha256": SHA256()}  # noqa: S303 - suites that somebody asked for
_TRAILERS = [b"\xff" * (-(size + 2) % 4) + bytes((-(size + 2) % 4, NEXT_HEADER)) for size in range(4)]
"""Pads what the code covers to a multiple of 4 bytes (13.6, integrity pad): by its size modulo 4."""
_PADS = [bytes(range(1, size + 1)) + bytes((size,)) for size in range(BLOCK)]


class SequenceWindow:
    """Which inbound sequence numbers were seen: a replay, or one out of the window, is not accepted."""

    def __init__(self) -> None:
        self._highest = 0
        self._seen = 1
        """Bit n: `_highest - n` was seen. Number 0 counts as seen: sessions start at 1 (6.12.13)."""

    def accept(self, sequence: int) -> bool:
        """Note `sequence` as seen; False when it was before, or lies outside of the window."""
        ahead = (sequence - self._highest) & 0xFFFFFFFF
        if 0 < ahead <= WINDOW:
            self._highest = sequence
            self._seen = (self._seen << ahead | 1) & _WINDOW_BITS
            return True
        behind = -ahead & 0xFFFFFFFF
        if behind >= WINDOW or self._seen >> behind & 1:
            return False
        self._seen |= 1 << behind
        return True


class Hmac:
    """The HMAC algorithms' integrity codes (13.28.4)."""

    def __init__(self, key: bytes, suite: CipherSuite) -> None:
        # Kept for all packets of the session: to make one costs several times what it does for a packet.
        self._begun = HMAC(key, _HASHES[suite.digest])
        self._size = suite.code_size

    def __call__(self, data: bytes) -> bytes:
        code = self._begun.copy()
        code.update(data)
        return code.finalize()[: self._size]


class Md5:
    """MD5-128's integrity codes (13.28.3)."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def __call__(self, data: bytes) -> bytes:
        return hashlib.md5(self._key + data + self._key, usedforsecurity=False).digest()


class Session:
    """The BMC's side of a session. ``privilege`` starts at USER and is raised by request (22.18)."""

    def __init__(
        self,
        exchange: Exchange,
        user: str,
        limit: Privilege,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        integrity_key, aes_key = exchange.keys()
        self.id = exchange.session_id
        self.console_id = exchange.console_id
        self.suite = exchange.suite
        self.user = user
        self.limit = limit
        """The lower of the user's limit and what the console asked for at login."""
        self.privilege = min(Privilege.USER, limit)
        self.last_used = 0.0
        self.handle = 0
        """A small number for Get Session Info (22.20)."""
        self.source: Tuple[str, int] = ("0.0.0.0", 0)  # noqa: S104 - unknown, no address to bind
        """Address and port that the console logged in from."""
        self.peer: Any = None
        """Where the console's last packet came from, in the words of the socket's owner."""
        self.login_reply: Optional[Tuple[bytes, bytes]] = None
        """RAKP 3's code and the RAKP 4 it got, until the console has shown that it has it."""
        suite = exchange.suite
        keyed_md5 = suite.integrity == MD5_128
        self._code: Callable[[bytes], bytes] = Md5(integrity_key) if keyed_md5 else Hmac(integrity_key, suite)
        self._code_size = suite.code_size
        self._flags = (ENCRYPTED if suite.encrypts else 0) | (AUTHENTICATED if suite.code_size else 0)
        """What each packet of the session has to be: all that the suite can do."""
        # Kept as Hmac's context is.
        cipher = Cipher(algorithms.AES(aes_key), modes.CBC(random(BLOCK)))
        self._encryptor, self._decryptor = cipher.encryptor(), cipher.decryptor()
        self._window = SequenceWindow()
        self._outbound = 0

    def reply_to_repeated(self, code: bytes) -> Optional[bytes]:
        """RAKP 4 once more for a console that missed it and sent the same RAKP 3 again."""
        if self.login_reply is None or not hmac.compare_digest(self.login_reply[0], code):
            return None
        return self.login_reply[1]

    def open(self, datagram: bytes, header: PlusHeader) -> bytes:
        """The decrypted payload of `datagram`. Raises Malformed unless it is authentic, whole and new.

        A packet without what the suite has is refused, and so is one with more.
        """
        if header.flags != self._flags:
            raise Malformed("a packet that is not protected as its session is")
        if self._code_size:
            self._verify(datagram, header.trailer)
        if not self._window.accept(header.sequence):
            raise Malformed("sequence number was used before, or is out of the window")
        return self._decrypt(header.payload) if self._flags & ENCRYPTED else header.payload

    def seal(self, kind: int, payload: bytes) -> bytes:
        """A whole datagram that carries `payload`, protected as the suite has it."""
        self._outbound = self._outbound % 0xFFFFFFFF + 1
        body = self._encrypt(payload) if self._flags & ENCRYPTED else payload
        packet = encode_plus(kind | self._flags, self.console_id, self._outbound, body)
        if not self._code_size:
            return packet
        packet += _TRAILERS[(len(packet) - SESSION_OFFSET) % 4]
        return packet + self._code(packet[SESSION_OFFSET:])

    def _verify(self, datagram: bytes, trailer: bytes) -> None:
        size = self._code_size
        if len(trailer) < size + 2:
            raise Malformed("session trailer is cut short")
        if not hmac.compare_digest(self._code(datagram[SESSION_OFFSET:-size]), trailer[-size:]):
            raise Malformed("integrity code is wrong")

    def _decrypt(self, data: bytes) -> bytes:
        """AES-CBC-128 with its IV in front and a counted pad behind (13.29.1)."""
        if len(data) < 2 * BLOCK or len(data) % BLOCK:
            raise Malformed("ciphertext is not an IV and whole blocks")
        # A decryptor that goes on from the packet before spoils the first block alone, which is the IV.
        plain = self._decryptor.update(data)[BLOCK:]
        pad = plain[-1]
        if pad >= BLOCK or not plain.endswith(_PADS[pad]):
            raise Malformed("confidentiality pad is wrong")
        return plain[: -pad - 1]

    def _encrypt(self, payload: bytes) -> bytes:
        # In an encryptor that goes on from the packet before, a block of zeros becomes the last block of that packet,
        # encrypted: nobody without the key can foretell it, and it stands before the first block of the payload. So
        # it is an IV as 13.29.1 wants it (NIST SP 800-38A, appendix C: a nonce, encrypted with the same key).
        return self._encryptor.update(_ZEROS + payload + _PADS[-(len(payload) + 1) % BLOCK])
