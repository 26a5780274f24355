# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which BMC gets which of a hypervisor's addresses, where each has one of its own. Pure.

Called by the filter ``bmc_addresses``, which the role ``lab`` uses, and by ``lab_nodes`` for what can be told before.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Set, Tuple, Union

PORT = 623
"""The RMCP port (IPMI 2.0, 13.1.2): a BMC with an address of its own needs no other."""

VARIABLE = "lab_bmc_addresses"

Address = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]


@dataclass(frozen=True)
class Range:
    """Addresses from `first` to `last`, both included."""

    text: str
    first: Address
    last: Address

    @classmethod
    def parse(cls, text: str) -> Range:
        """A prefix, two addresses with a dash, or one address. Raises ValueError that says what is wrong."""
        first, dash, last = (part.strip() for part in str(text).partition("-"))
        if dash:
            low, high = ipaddress.ip_address(first), ipaddress.ip_address(last)
            if low.version != high.version or int(low) > int(high):
                raise ValueError("its end comes before its beginning")
            return cls(text, low, high)
        if "/" not in first:
            address = ipaddress.ip_address(first)
            return cls(text, address, address)
        network = ipaddress.ip_network(first, strict=False)
        return cls(text, *_usable(network))

    def overlaps(self, other: Range) -> bool:
        if self.first.version != other.first.version:
            return False
        return int(self.first) <= int(other.last) and int(other.first) <= int(self.last)

    def __contains__(self, address: Address) -> bool:
        return address.version == self.first.version and int(self.first) <= int(address) <= int(self.last)

    def __iter__(self) -> Iterator[Address]:
        for number in range(int(self.first), int(self.last) + 1):
            yield type(self.first)(number)


def _usable(network: Any) -> Tuple[Address, Address]:
    """Without the network's own address (RFC 4291, 2.6.1) and IPv4's broadcast address (RFC 1122, 3.2.1.3)."""
    first, last = network.network_address, network.broadcast_address
    if network.num_addresses <= 2:
        return first, last
    return first + 1, last - 1 if network.version == 4 else last


@dataclass(frozen=True)
class Allotted:
    """The BMCs with their addresses, and what has to be mended first."""

    bmcs: List[Dict[str, Any]] = field(repr=False)
    addresses: List[str]
    """Those of `bmcs` that are of the ranges, and so the hypervisor has to have."""
    problems: List[str]

    def document(self) -> Dict[str, Any]:
        return {"bmcs": self.bmcs, "addresses": self.addresses, "problems": self.problems}


def allot(
    bmcs: Sequence[Mapping[str, Any]],
    ranges: Sequence[str],
    instances: Sequence[Mapping[str, Any]] = (),
    host_addresses: Sequence[str] = (),
) -> Allotted:
    """Give each of `bmcs` (items of the module vbmc) that names no address one of `ranges`, and port 623.

    `instances` are the BMCs that the hypervisor has: who has an address keeps it, and those of others are not given.
    Nor are `host_addresses`, which the hypervisor has for itself. Without ranges everything stays as it is.
    """
    if not ranges:
        return Allotted([dict(bmc) for bmc in bmcs], [], [])
    parsed = [Range.parse(text) for text in ranges]
    named: Dict[str, Optional[Address]] = {bmc["name"]: _address(bmc.get("address")) for bmc in bmcs}
    taken = {_address(text) for text in host_addresses} | set(named.values())
    taken |= {_address(one.get("address")) for one in instances if one["name"] not in named}
    _keep(named, instances, parsed, taken)
    problems: List[str] = []
    free = (address for one in parsed for address in one)
    done, own = [], []
    for bmc in bmcs:
        if bmc.get("state") == "absent":
            done.append(dict(bmc))
            continue
        address = named[bmc["name"]] or next((one for one in free if one not in taken), None)
        if address is None:
            problems.append(_none_left(bmc["name"], ranges))
            continue
        item = {**bmc, "address": str(address)}
        if any(address in one for one in parsed):
            item.setdefault("port", PORT)
            own.append(str(address))
        done.append(item)
    return Allotted(done, list(dict.fromkeys(own)), problems + list(_shared(done)))


def _keep(
    named: Dict[str, Optional[Address]],
    instances: Sequence[Mapping[str, Any]],
    ranges: Sequence[Range],
    taken: Set[Optional[Address]],
) -> None:
    """Let who names no address keep the one that it has, unless another names it."""
    for instance in instances:
        name, address = instance["name"], _address(instance.get("address"))
        if address is None or named.get(name, address) is not None or address in taken:
            continue
        if any(address in one for one in ranges):
            named[name] = address
            taken.add(address)


def _none_left(name: str, ranges: Sequence[str]) -> str:
    return (
        "no address is left for the BMC of node '%s' in %s: add a range to its hypervisor's %s, or give the node a "
        "bmc_address of its own" % (name, ", ".join(ranges), VARIABLE)
    )


def _shared(bmcs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Two that name one address and port; what the daemon would refuse, told with the inventory's words."""
    holders: Dict[Tuple[str, int], str] = {}
    for bmc in bmcs:
        if bmc.get("state") == "absent" or "address" not in bmc or "port" not in bmc:
            continue
        other = holders.setdefault((bmc["address"], bmc["port"]), bmc["name"])
        if other != bmc["name"]:
            yield "nodes '%s' and '%s' both want their BMC on %s, port %d: give one of them another bmc_address" % (
                other,
                bmc["name"],
                bmc["address"],
                bmc["port"],
            )


def range_problems(ranges_of: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the variable of the hypervisors, given by their names."""
    known: List[Tuple[str, Range]] = []
    for host, texts in ranges_of.items():
        if texts is None:
            continue
        if isinstance(texts, (str, Mapping)) or not isinstance(texts, Sequence):
            yield "hypervisor '%s' has %s %r: give it a list" % (host, VARIABLE, texts)
            continue
        for text in texts:
            try:
                one = Range.parse(text)
            except ValueError as error:
                yield (
                    "hypervisor '%s' has '%s' in %s: %s: give it a prefix such as 192.0.2.64/26, or two addresses such "
                    "as 192.0.2.70-192.0.2.99" % (host, text, VARIABLE, error)
                )
                continue
            yield from _overlaps(host, one, known)
            known.append((host, one))


def _overlaps(host: str, one: Range, known: Sequence[Tuple[str, Range]]) -> Iterator[str]:
    for other, there in known:
        if there.overlaps(one):
            yield (
                "%s of '%s' and '%s' overlap (%s, %s), and an address can be at one place only: give each its own"
                % (VARIABLE, other, host, there.text, one.text)
            )


def _address(text: Any) -> Optional[Address]:
    try:
        return ipaddress.ip_address(str(text))
    except ValueError:
        return None
