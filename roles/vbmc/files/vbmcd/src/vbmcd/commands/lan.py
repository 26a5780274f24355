# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""LAN configuration parameters (IPMI 2.0, table 23-4): what they are for an address of this host.

Read from the kernel when asked for, so that an address that moves is told as it is.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from dataclasses import dataclass
from typing import Callable, Dict, List, Tuple, Union

from vbmcd.commands.codes import Code, CommandError
from vbmcd.config import Privilege

ROUTES = "/proc/net/route"
STATIC = 1
IPV4_ONLY, IPV6_ONLY, BOTH = range(3)
LOOPBACK_MASK = bytes((255, 0, 0, 0))
NO_ADDRESS = bytes(4)
TTL, DONT_FRAGMENT, LOW_DELAY = 0x40, 0x40, 0x10
"""The IPv4 header parameters that are the default of parameter 7."""
STATIC_ENABLED = 0x80
ACTIVE = 0x00

Address = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]


@dataclass(frozen=True)
class Network:
    """What the parameters follow from."""

    bound: str
    port: int
    console: str
    """Who asks: of a BMC that answers everywhere, the address is the one this console reaches."""
    guid: bytes
    suites: Tuple[int, ...]
    """The cipher suites that are offered, in ascending order."""

    @property
    def address(self) -> Address:
        bound = ipaddress.ip_address(self.bound)
        return bound if not bound.is_unspecified else ipaddress.ip_address(local_address(self.console))

    def ipv4(self) -> bytes:
        return self.address.packed if self.address.version == 4 else NO_ADDRESS

    def ipv6(self) -> bytes:
        return self.address.packed if self.address.version == 6 else bytes(16)

    def mac(self) -> bytes:
        """Locally administered, and the same as long as the instance has its name."""
        return b"\x02" + self.guid[:5]

    def mask(self) -> bytes:
        address = self.address
        if address.version != 4:
            return NO_ADDRESS
        return LOOPBACK_MASK if address.is_loopback else netmask(address.packed)

    def gateway(self) -> bytes:
        address = self.address
        return default_gateway() if address.version == 4 and not address.is_loopback else NO_ADDRESS


def local_address(console: str) -> str:
    """The address of this host that talks to `console`: the kernel says so without sending anything."""
    family = socket.AF_INET6 if ":" in console else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((console, 623))
            address: str = probe.getsockname()[0]
        except OSError:
            return "::" if family == socket.AF_INET6 else "0.0.0.0"  # noqa: S104 - unknown
    return address.partition("%")[0]


def _routes() -> List[Tuple[bytes, bytes, bytes]]:
    """Destination, gateway and mask of each IPv4 route (proc(5)); none where the kernel does not say."""
    try:
        with open(ROUTES, encoding="ascii") as table:
            rows = [line.split() for line in table.readlines()[1:]]
        # In the host's byte order, as the numbers are in memory.
        return [tuple(struct.pack("=I", int(row[column], 16)) for column in (1, 2, 7)) for row in rows]  # type: ignore[misc]
    except (OSError, ValueError, IndexError):
        return []


def netmask(address: bytes) -> bytes:
    """Of the narrowest network that this host is in with `address`; zeros where there is none."""
    number = int.from_bytes(address, "big")
    masks = [
        mask
        for destination, gateway, mask in _routes()
        if gateway == NO_ADDRESS and number & int.from_bytes(mask, "big") == int.from_bytes(destination, "big")
    ]
    return max(masks, default=NO_ADDRESS)


def default_gateway() -> bytes:
    return next((gateway for destination, gateway, mask in _routes() if mask == NO_ADDRESS), NO_ADDRESS)


def _cipher_suite_ids(network: Network) -> bytes:
    """A reserved byte, then as many entries as there may be (parameter 23)."""
    return bytes((0, *network.suites)).ljust(17, b"\0")


def _cipher_suite_privileges(network: Network) -> bytes:
    """A reserved byte, then four bits for each entry of parameter 23 (parameter 24)."""
    levels = [int(Privilege.ADMINISTRATOR)] * len(network.suites) + [0] * (16 - len(network.suites))
    return bytes((0, *(low | high << 4 for low, high in zip(levels[::2], levels[1::2]))))


def _versions(network: Network) -> bytes:
    bound = ipaddress.ip_address(network.bound)
    if bound.version == 4:
        return bytes((IPV4_ONLY,))
    return bytes((BOTH if bound.is_unspecified else IPV6_ONLY,))


PARAMETERS: Dict[int, Callable[[Network], bytes]] = {
    1: lambda network: b"\0",  # authentication types: RMCP+ alone
    2: lambda network: bytes(5),
    3: Network.ipv4,
    4: lambda network: bytes((STATIC,)),
    5: Network.mac,
    6: Network.mask,
    7: lambda network: bytes((TTL, DONT_FRAGMENT, LOW_DELAY)),
    8: lambda network: network.port.to_bytes(2, "little"),
    9: lambda network: bytes(2),  # no secondary port
    10: lambda network: b"\0",  # no ARPs of its own: the host answers them
    11: lambda network: b"\0",
    12: Network.gateway,
    13: lambda network: bytes(6),  # the host knows the gateway's MAC address
    14: lambda network: NO_ADDRESS,
    15: lambda network: bytes(6),
    16: lambda network: b"public".ljust(18, b"\0"),
    17: lambda network: b"\0",  # no alert destinations
    20: lambda network: bytes(2),  # no VLAN: that is the host's
    21: lambda network: b"\0",
    22: lambda network: bytes((len(network.suites),)),
    23: _cipher_suite_ids,
    24: _cipher_suite_privileges,
    26: lambda network: bytes(6),  # no limit on wrong passwords
    50: lambda network: b"\x03",  # IPv6 alone, and beside IPv4
    51: _versions,
    52: lambda network: b"\0",
    53: lambda network: bytes((TTL,)),
    54: lambda network: bytes(3),
    55: lambda network: bytes((1, 0, 0)),  # one static address, no dynamic ones
    64: lambda network: b"\0",  # routers are the host's
    65: lambda network: bytes(16),
    66: lambda network: bytes(6),
    67: lambda network: b"\0",
    68: lambda network: bytes(16),
}
"""Values by number. Not there: alerts, DHCPv6, and what only they need."""

SELECTED: Dict[int, Callable[[Network], bytes]] = {
    56: lambda network: bytes((STATIC_ENABLED,)) + network.ipv6() + bytes((128, ACTIVE)),
}
"""Those with a set selector, of which there is set 0 alone."""


def read(network: Network, parameter: int, selector: int = 0) -> bytes:
    """A parameter's value. 80h for one that there is not, C9h for a set that there is not."""
    if parameter in SELECTED:
        if selector:
            raise CommandError(Code.PARAMETER_OUT_OF_RANGE)
        return bytes((0,)) + SELECTED[parameter](network)
    value = PARAMETERS.get(parameter)
    if value is None:
        raise CommandError(Code.PARAMETER_NOT_SUPPORTED)
    return value(network)
