# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who has which UDP endpoint, and which port is free: the one place that knows what collides.

Used by convergence (requests) and the store (files that contradict each other). Pure.
"""

from __future__ import annotations

from typing import Dict, Optional, Tuple

from vbmcd.config import ALLOCATED_PORTS

Endpoint = Tuple[str, int]

ANY_IPV6 = "::"
"""Bound dual-stack, so it takes the port on every IPv4 address, too."""
ANY_IPV4 = "0.0.0.0"


def _is_ipv4(address: str) -> bool:
    return ":" not in address


def show(endpoint: Endpoint) -> str:
    """``192.0.2.7:623`` or ``[::]:623``."""
    address, port = endpoint
    return f"{address}:{port}" if _is_ipv4(address) else f"[{address}]:{port}"


class Endpoints:
    """The endpoints that instances have. Looking one up costs the same for ten instances or thousands."""

    def __init__(self, reserved: Optional[Endpoints] = None) -> None:
        """`reserved`: what something else is known to have; none of it is allocated."""
        self._names: Dict[int, Dict[str, str]] = {}
        self._next: Dict[str, int] = {}
        self._reserved = reserved

    def claim(self, endpoint: Endpoint, name: str) -> None:
        """Note that `name` has `endpoint`; who had it before keeps it."""
        address, port = endpoint
        self._names.setdefault(port, {}).setdefault(address, name)

    def holder(self, endpoint: Endpoint) -> Optional[str]:
        """Who has `endpoint`, or one that can't be bound beside it."""
        address, port = endpoint
        names = self._names.get(port)
        if not names:
            return None
        if address in names:
            return names[address]
        if address == ANY_IPV6:
            return next(iter(names.values()))
        if ANY_IPV6 in names:
            return names[ANY_IPV6]
        if address == ANY_IPV4:
            return next((names[other] for other in names if _is_ipv4(other)), None)
        return names.get(ANY_IPV4) if _is_ipv4(address) else None

    def is_free(self, endpoint: Endpoint) -> bool:
        if self._reserved is not None and not self._reserved.is_free(endpoint):
            return False
        return self.holder(endpoint) is None

    def allocate(self, address: str, name: str, preferred: Optional[int] = None) -> Optional[int]:
        """Claim `preferred` if it is free on `address`, otherwise the first free port; None: no port left.

        Claims are never given back, so each address's search goes on where its last one ended.
        """
        if preferred is not None and self.is_free((address, preferred)):
            self.claim((address, preferred), name)
            return preferred
        for port in range(self._next.get(address, ALLOCATED_PORTS.start), ALLOCATED_PORTS.stop):
            if self.is_free((address, port)):
                self._next[address] = port + 1
                self.claim((address, port), name)
                return port
        return None
