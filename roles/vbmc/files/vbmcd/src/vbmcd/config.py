# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an instance is: the dataclasses that cross every boundary of the daemon, and their limits.

Used by the store (files), the control protocol (requests), the supervisor and the workers. Pure: no I/O.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field, replace
from typing import Optional, Tuple

from vbmcd.firmware.options import FirmwareOptions
from vbmcd.media.options import MediaOptions

DEFAULT_ADDRESS = "::"
DEFAULT_PORT = 623
"""The RMCP port (IPMI 2.0, 13.1.2), and VirtualBMC's default."""
DEFAULT_REDFISH_PORT = 443
DEFAULT_URI = "qemu:///system"
DEFAULT_USERNAME = "admin"
DEFAULT_PASSWORD = "password"
"""VirtualBMC's default, kept so that its users' scripts go on working."""

ALLOCATED_PORTS = range(6230, 16230)
"""Where a port comes from when none is named."""

MAX_NAME = 200
MAX_USERNAME = 16
"""Bytes (IPMI 2.0, 22.28 Set User Name)."""
MAX_PASSWORD = 20
"""Bytes (IPMI 2.0, 22.30 Set User Password, 20-byte form)."""
HEX = "0x"
"""How a K_g that is no text begins, as for FreeIPMI's -k."""
MAX_KG = 20
"""Bytes (IPMI 2.0, 13.33)."""
DEFAULT_CIPHER_SUITES = (3, 17)
MAX_USERS = 15
"""User ids 2 to 16; id 1 is the null user, which does not exist here."""


class Privilege(enum.IntEnum):
    """Privilege levels (IPMI 2.0, 6.8)."""

    CALLBACK = 1
    USER = 2
    OPERATOR = 3
    ADMINISTRATOR = 4


@dataclass(frozen=True)
class User:
    """Who may log in to an instance, and how far."""

    name: str
    password: str = field(repr=False)
    privilege: Privilege = Privilege.ADMINISTRATOR


@dataclass(frozen=True)
class Connection:
    """How the libvirt daemon of an instance is reached; workers keep one connection for each."""

    uri: str = DEFAULT_URI
    sasl_username: str = ""
    sasl_password: str = field(default="", repr=False)


@dataclass(frozen=True)
class Redfish:
    """The Redfish service of an instance."""

    port: int
    """Of TCP."""
    address: str = ""
    """Empty: the instance's own."""
    tls: bool = True
    """False: HTTP, in the clear."""
    certificate: str = ""
    """A file with the certificate and those that lead from it to one that clients know; empty: one is made."""
    key: str = ""
    """The file with its key; empty: it is in the certificate's file."""


@dataclass(frozen=True)
class Instance:
    """One virtual BMC: where it listens, who may log in, and which domain stands behind it."""

    name: str
    domain: str
    port: int
    address: str = DEFAULT_ADDRESS
    users: Tuple[User, ...] = (User(DEFAULT_USERNAME, DEFAULT_PASSWORD),)
    """Never empty; the first is the one that ``username`` and ``password`` of a request mean."""
    connection: Connection = Connection()
    kg: str = field(default="", repr=False)
    """The BMC key K_g (IPMI 2.0, 13.31) that clients have to know as well: text, or 0x and digits; empty for none."""
    cipher_suites: Tuple[int, ...] = DEFAULT_CIPHER_SUITES
    """The cipher suites that are offered (IPMI 2.0, 22.15.2), in ascending order; of rmcp.suites.SUITES."""
    redfish: Optional[Redfish] = None
    """None: IPMI only."""
    firmware: FirmwareOptions = field(default_factory=FirmwareOptions)
    media: MediaOptions = field(default_factory=MediaOptions)
    owner: str = ""
    """A label; purging is limited to one."""
    active: bool = False
    """Whether the instance is to answer: kept over a restart of the daemon."""

    @property
    def endpoint(self) -> Tuple[str, int]:
        return (self.address, self.port)

    @property
    def redfish_endpoint(self) -> Optional[Tuple[str, int]]:
        return (self.redfish.address or self.address, self.redfish.port) if self.redfish else None

    @property
    def kg_bytes(self) -> bytes:
        return bytes.fromhex(self.kg[2:]) if self.kg.startswith(HEX) else self.kg.encode()

    def with_active(self, active: bool) -> Instance:
        return self if self.active is active else replace(self, active=active)
