# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a BMC is reached, as clients write it. Pure."""

from __future__ import annotations

from typing import Optional

EVERY_ADDRESS = ("::", "0.0.0.0")

IPMI_PORT = 623
"""The registered port (IPMI 2.0, 13.1.2)."""


def reached_at(address: str, known_as: str) -> str:
    """`address`, or for a BMC that answers on every address the one by which its hypervisor is known."""
    return known_as if address in EVERY_ADDRESS else address


def with_port(address: str, port: int, default: Optional[int] = None) -> str:
    """``address:port``, IPv6 in brackets (RFC 3986, 3.2.2); the address alone where `port` is the default."""
    if port == default:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
