# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A BMC to control: where it is, how to talk to it, who to be."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, Mapping, Optional, Tuple

from .errors import BadRequest

SSH_PORT = 22


@dataclass(frozen=True)
class Tls:
    """What makes a BMC's certificate one to trust. Checked by the system's authorities unless told otherwise."""

    verify: bool = True
    ca_file: Optional[str] = None
    """Authorities in PEM, instead of the system's."""
    fingerprint: Optional[str] = None
    """SHA-256 of the certificate, in hexadecimal with or without colons; instead of any authority."""

    def __post_init__(self) -> None:
        if self.fingerprint is None:
            return
        digits = self.fingerprint.replace(":", "").lower()
        if len(digits) != 64 or set(digits) - set("0123456789abcdef"):
            raise BadRequest(
                f"the fingerprint {self.fingerprint!r} is not a SHA-256 one: give 64 hexadecimal digits, as "
                "`openssl x509 -fingerprint -sha256` prints them"
            )
        object.__setattr__(self, "fingerprint", digits)


@dataclass(frozen=True)
class Target:
    """One node's BMC."""

    name: str
    address: str
    protocol: str
    """One of `clients.PROTOCOLS`, or ssh."""
    username: str
    password: str = field(repr=False)
    port: int
    kg: Optional[str] = field(default=None, repr=False)
    """IPMI's BMC key, where the BMC wants one."""
    privilege: str = "administrator"
    """The IPMI session's privilege level."""
    plain_http: bool = False
    """Redfish without TLS."""
    system: Optional[str] = None
    """Redfish: which of several systems, by id, name or UUID."""
    tls: Tls = Tls()

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> Target:
        """A target from plain data, as a request carries it. Raises BadRequest."""
        given = {key: value for key, value in item.items() if value is not None}
        tls = Tls(
            verify=given.pop("validate_certs", True),
            ca_file=given.pop("ca_path", None),
            fingerprint=given.pop("fingerprint", None),
        )
        if not given.get("address"):
            raise BadRequest(f"target {given.get('name', '')!r} has no address")
        given["address"] = _without_brackets(given["address"])
        given.setdefault("name", given["address"])
        for key in ("protocol", "username", "password"):
            if given.get(key) is None:
                raise BadRequest(f"target {given['name']!r} has no {key}")
        ports = _default_ports()
        if given["protocol"] not in ports:
            raise BadRequest(
                f"target {given['name']!r} has the protocol {given['protocol']!r}: one of {', '.join(sorted(ports))}"
            )
        given.setdefault("port", ports[given["protocol"]])
        if not 0 < given["port"] < 65536:
            raise BadRequest(f"target {given['name']!r} has the port {given['port']}: give one of 1 to 65535")
        return cls(tls=tls, **given)

    @property
    def secrets(self) -> Tuple[str, ...]:
        """What no message about this target may show."""
        return tuple(secret for secret in (self.password, self.kg) if secret)


def _default_ports() -> Dict[str, int]:
    from .clients import PROTOCOLS  # not above, since clients know of targets

    return {"ssh": SSH_PORT, **{name: protocol.port for name, protocol in PROTOCOLS.items()}}


def _without_brackets(address: str) -> str:
    """An IPv6 address may come as in a URL."""
    return address[1:-1] if address.startswith("[") and address.endswith("]") else address
