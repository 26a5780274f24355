# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""MAC addresses that the same inventory always yields again. Pure."""

from __future__ import annotations

import hashlib
from typing import AbstractSet

_FIRST_BYTE = 0x52
"""Locally administered and unicast (IEEE 802, 8.2): bit 1 set, bit 0 clear."""


def stable_mac(name: str, owner: str, index: int) -> str:
    """The address of NIC `index` of the node `name` in the lab of `owner`.

    Five bytes of a hash: with 1,000 NICs on a network the chance that two are equal is below one in a million.
    """
    seed = "\0".join((owner, name, str(index))).encode("utf-8")
    address = bytes([_FIRST_BYTE]) + hashlib.sha256(seed).digest()[:5]
    return ":".join("%02x" % byte for byte in address)


def free_mac(name: str, owner: str, index: int, taken: AbstractSet[str]) -> str:
    """stable_mac() of the first index from `index` on whose address the machine doesn't have yet."""
    while True:
        address = stable_mac(name, owner, index)
        if address not in taken:
            return address
        index += 1
