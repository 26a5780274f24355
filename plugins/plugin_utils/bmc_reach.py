# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a BMC is reached, as clients write it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional

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


@dataclass(frozen=True)
class RedfishService:
    """The Redfish service of a BMC, as others reach it."""

    address: str
    port: int
    tls: bool
    own_certificate: bool
    """The BMC made it itself, so no authority vouches for it."""
    fingerprint: str
    """Of the certificate that the BMC made, SHA-256; empty until there is one."""

    @classmethod
    def of(cls, instance: Mapping[str, Any], known_as: str) -> Optional[RedfishService]:
        """From what the module vbmc_info returns of an instance; None without Redfish."""
        told = instance.get("redfish") or {}
        if not told.get("enabled"):
            return None
        own = not told.get("certificate")
        return cls(
            address=reached_at(told.get("address") or instance["address"], known_as),
            port=int(told["port"]),
            tls=bool(told["tls"]),
            own_certificate=own,
            # One that was given is renewed some day, and has an authority to go by.
            fingerprint=str(told.get("fingerprint") or "") if own else "",
        )

    @property
    def url(self) -> str:
        """With the port always, as some clients take 443 for HTTP as well."""
        return f"{'https' if self.tls else 'http'}://{with_port(self.address, self.port)}"

    def target(self, name: str, username: str) -> Dict[str, Any]:
        """An item of the option targets of the modules for BMCs, but for the password."""
        found = {"name": name, "protocol": "redfish", "address": self.address, "port": self.port, "username": username}
        if not self.tls:
            return {**found, "plain_http": True}
        return {**found, "fingerprint": self.fingerprint} if self.fingerprint else found


def ipmi_target(name: str, address: str, port: int, username: str) -> Dict[str, Any]:
    """The same for IPMI."""
    return {"name": name, "protocol": "ipmi", "address": address, "port": port, "username": username}
