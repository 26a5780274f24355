# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cipher suites (IPMI 2.0, 22.15.2, and the errata that added HMAC-SHA256).

A suite is one authentication, one integrity and one confidentiality algorithm; only such triples are
accepted, never a mix of a console's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Iterable, Tuple

NONE = 0x00
RAKP_HMAC_SHA1 = 0x01
RAKP_HMAC_MD5 = 0x02
RAKP_HMAC_SHA256 = 0x03
HMAC_SHA1_96 = 0x01
HMAC_MD5_128 = 0x02
MD5_128 = 0x03
HMAC_SHA256_128 = 0x04
AES_CBC_128 = 0x01

DIGESTS = {RAKP_HMAC_SHA1: "sha1", RAKP_HMAC_MD5: "md5", RAKP_HMAC_SHA256: "sha256"}
CHECK_SIZES = {RAKP_HMAC_SHA1: 12, RAKP_HMAC_MD5: 16, RAKP_HMAC_SHA256: 16}
CODE_SIZES = {NONE: 0, HMAC_SHA1_96: 12, HMAC_MD5_128: 16, MD5_128: 16, HMAC_SHA256_128: 16}


@dataclass(frozen=True)
class CipherSuite:
    """One triple of algorithms."""

    id: int
    authentication: int
    integrity: int
    confidentiality: int

    @property
    def digest(self) -> str:
        """hashlib's name of the hash behind authentication and, but for MD5-128, integrity."""
        return DIGESTS[self.authentication]

    @property
    def check_size(self) -> int:
        """Bytes of RAKP 4's check value (13.28.1)."""
        return CHECK_SIZES[self.authentication]

    @property
    def code_size(self) -> int:
        """Bytes of a packet's integrity code; 0 where packets have none."""
        return CODE_SIZES[self.integrity]

    @property
    def encrypts(self) -> bool:
        return self.confidentiality != NONE

    def record(self) -> bytes:
        """The record of Get Channel Cipher Suites (22.15.1): standard suite, then tagged algorithms."""
        return bytes((0xC0, self.id, self.authentication, 0x40 | self.integrity, 0x80 | self.confidentiality))

    def algorithms(self) -> Tuple[int, int, int]:
        return (self.authentication, self.integrity, self.confidentiality)


SUITES: Dict[int, CipherSuite] = {
    suite.id: suite
    for suite in (
        CipherSuite(6, RAKP_HMAC_MD5, NONE, NONE),
        CipherSuite(1, RAKP_HMAC_SHA1, NONE, NONE),
        CipherSuite(15, RAKP_HMAC_SHA256, NONE, NONE),
        CipherSuite(11, RAKP_HMAC_MD5, MD5_128, NONE),
        CipherSuite(7, RAKP_HMAC_MD5, HMAC_MD5_128, NONE),
        CipherSuite(2, RAKP_HMAC_SHA1, HMAC_SHA1_96, NONE),
        CipherSuite(16, RAKP_HMAC_SHA256, HMAC_SHA256_128, NONE),
        CipherSuite(12, RAKP_HMAC_MD5, MD5_128, AES_CBC_128),
        CipherSuite(8, RAKP_HMAC_MD5, HMAC_MD5_128, AES_CBC_128),
        CipherSuite(3, RAKP_HMAC_SHA1, HMAC_SHA1_96, AES_CBC_128),
        CipherSuite(17, RAKP_HMAC_SHA256, HMAC_SHA256_128, AES_CBC_128),
    )
}
"""By number (table 22-20), the weakest first. Not there: 0, which lets everybody in, and those with xRC4."""

SUITE_3, SUITE_17 = SUITES[3], SUITES[17]


def by_strength(numbers: Iterable[int]) -> Tuple[CipherSuite, ...]:
    """The suites of these numbers, the strongest first."""
    wanted = set(numbers)
    return tuple(suite for suite in reversed(list(SUITES.values())) if suite.id in wanted)
