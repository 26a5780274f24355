# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cipher suites (IPMI 2.0, 22.15.2, and the errata that added HMAC-SHA256).

A suite is one authentication, one integrity and one confidentiality algorithm; only such triples are
accepted, never a mix of a console's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple

RAKP_HMAC_SHA1 = 0x01
RAKP_HMAC_SHA256 = 0x03
HMAC_SHA1_96 = 0x01
HMAC_SHA256_128 = 0x04
AES_CBC_128 = 0x01


@dataclass(frozen=True)
class CipherSuite:
    """One triple of algorithms, with the sizes that follow from it."""

    id: int
    authentication: int
    integrity: int
    confidentiality: int
    digest: str
    """hashlib's name of the hash behind authentication and integrity."""
    code_size: int
    """Bytes of a packet's integrity code, and of RAKP 4's check value."""

    def record(self) -> bytes:
        """The record of Get Channel Cipher Suites (22.15.1): standard suite, then tagged algorithms."""
        return bytes((0xC0, self.id, self.authentication, 0x40 | self.integrity, 0x80 | self.confidentiality))

    def algorithms(self) -> Tuple[int, int, int]:
        return (self.authentication, self.integrity, self.confidentiality)


SUITE_3 = CipherSuite(3, RAKP_HMAC_SHA1, HMAC_SHA1_96, AES_CBC_128, "sha1", 12)
SUITE_17 = CipherSuite(17, RAKP_HMAC_SHA256, HMAC_SHA256_128, AES_CBC_128, "sha256", 16)
SUITES: Tuple[CipherSuite, ...] = (SUITE_3, SUITE_17)
