# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module ``network`` speaks of in a libvirt network's XML: read, checked, and laid over a definition. Pure."""

from __future__ import annotations

import copy
import ipaddress
import xml.etree.ElementTree as ET
from dataclasses import asdict, dataclass, replace
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

from ansible_collections.baremetal.lab.plugins.module_utils._domain_merge import Difference
from ansible_collections.baremetal.lab.plugins.module_utils._errors import LabError

MAX_BRIDGE = 15
"""Bytes of an interface's name: IFNAMSIZ has 16 with its closing zero."""

ISOLATED, BRIDGE = "isolated", "bridge"
FORWARDS = ("nat", "route", "open", ISOLATED, BRIDGE)

DNSMASQ = "http://libvirt.org/schemas/network/dnsmasq/1.0"
"""The namespace of options that libvirt hands to dnsmasq as they are (libvirt 5.6 and later)."""

ET.register_namespace("dnsmasq", DNSMASQ)

SEQUENTIAL = "dhcp-sequential-ip"
"""Without it dnsmasq takes an address from the MAC, and offers it to two nodes that ask in the same three seconds: one
of them is refused then, and its firmware gives up. Nodes of a lab do ask at once."""

DHCP_RANGE = frozenset(["dhcp_start", "dhcp_end"])
"""What libvirt changes in a network that is active."""


@dataclass(frozen=True)
class Settings:
    """The options; an empty text is none."""

    forward: str = ISOLATED
    bridge: str = ""
    domain: str = ""
    """DNS domain that its DHCP server hands out."""
    address: str = ""
    netmask: str = ""
    dhcp_start: str = ""
    dhcp_end: str = ""
    ipv6_address: str = ""
    """With its prefix length."""
    ipv6_dhcp_start: str = ""
    ipv6_dhcp_end: str = ""
    tftp_root: str = ""
    boot_file: str = ""
    boot_server: str = ""

    def differences(self, wanted: Settings) -> List[Difference]:
        """What is not as `wanted`, by option."""
        before, after = asdict(self), asdict(wanted)
        return [Difference(key, before[key] or None, after[key] or None) for key in before if before[key] != after[key]]


def read(network: ET.Element) -> Settings:
    """The settings of a definition; what else it holds is nobody's business here."""
    forward, four, six = network.find("forward"), _ip(network, "ipv4"), _ip(network, "ipv6")
    return Settings(
        forward=ISOLATED if forward is None else forward.get("mode", "nat"),
        bridge=_attribute(network, "bridge", "name"),
        domain=_attribute(network, "domain", "name"),
        address=four.get("address", "") if four is not None else "",
        netmask=_netmask(four),
        dhcp_start=_attribute(four, "dhcp/range", "start"),
        dhcp_end=_attribute(four, "dhcp/range", "end"),
        ipv6_address="%s/%s" % (six.get("address"), six.get("prefix", "64")) if six is not None else "",
        ipv6_dhcp_start=_attribute(six, "dhcp/range", "start"),
        ipv6_dhcp_end=_attribute(six, "dhcp/range", "end"),
        tftp_root=_attribute(four, "tftp", "root"),
        boot_file=_attribute(four, "dhcp/bootp", "file"),
        boot_server=_attribute(four, "dhcp/bootp", "server"),
    )


def wanted(name: str, options: Mapping[str, Any], current: Optional[Settings]) -> Settings:
    """The settings that `options` ask for; None leaves what there is, or the default. Raises LabError."""
    given: Dict[str, str] = {
        key: str(options[key]).strip() for key in asdict(Settings()) if options.get(key) is not None
    }
    settings = replace(current or Settings(forward="nat"), **given)
    if "/" in settings.address:
        interface = _parsed(ipaddress.ip_interface, settings.address, name, "address")
        settings = replace(settings, address=str(interface.ip), netmask=str(interface.network.netmask))
    if not settings.address:
        settings = replace(settings, netmask="")
    elif not settings.netmask:
        settings = replace(settings, netmask="255.255.255.0")
    if settings.ipv6_address:
        interface = _parsed(ipaddress.ip_interface, settings.ipv6_address, name, "ipv6_address")
        bits = interface.network.prefixlen if "/" in settings.ipv6_address else 64
        settings = replace(settings, ipv6_address="%s/%d" % (interface.ip, bits))
    problems = list(_problems(settings))
    if problems:
        raise LabError("network '%s' %s" % (name, "; ".join(problems)))
    return settings


def _problems(settings: Settings) -> Iterator[str]:
    if settings.bridge and len(settings.bridge.encode()) > MAX_BRIDGE:
        yield "has the bridge '%s', and an interface's name has at most %d bytes" % (settings.bridge, MAX_BRIDGE)
    if settings.forward == BRIDGE:
        if not settings.bridge:
            yield "is to use a bridge of the host's and names none: give it bridge"
        if settings.address or settings.ipv6_address:
            yield "uses a bridge of the host's, whose addresses and DHCP are not libvirt's: leave address out"
        return
    for version, address, start, end in (
        (4, "%s/%s" % (settings.address, settings.netmask), settings.dhcp_start, settings.dhcp_end),
        (6, settings.ipv6_address, settings.ipv6_dhcp_start, settings.ipv6_dhcp_end),
    ):
        yield from _dhcp_problems(version, address.rstrip("/"), start, end)
    if settings.boot_file and not settings.dhcp_start:
        yield "has boot_file, which DHCP hands out: give it dhcp_start and dhcp_end"
    if settings.boot_server and not settings.boot_file:
        yield "has boot_server without boot_file: give it both"
    if settings.tftp_root and not settings.address:
        yield "has tftp_root, which is served on its address: give it address"
    if settings.tftp_root and not settings.tftp_root.startswith("/"):
        yield "has tftp_root '%s', which is no absolute path: give it one" % settings.tftp_root


def _dhcp_problems(version: int, address: str, start: str, end: str) -> Iterator[str]:
    prefix = "" if version == 4 else "ipv6_"
    if bool(start) != bool(end):
        yield "has one of %sdhcp_start and %sdhcp_end: give it both or none" % (prefix, prefix)
        return
    try:
        network = ipaddress.ip_network(address, strict=False) if address else None
        low, high = [ipaddress.ip_address(text) for text in (start, end)] if start else (None, None)
    except ValueError as error:
        yield "has an address of IPv%d that is none: %s" % (version, error)
        return
    if network is not None and network.version != version:
        yield "has %saddress %s, which is not of IPv%d" % (prefix, address, version)
    elif low is None or high is None:
        return
    elif network is None:
        yield "has DHCP without an address of its own: give it %saddress" % prefix
    elif low not in network or high not in network or int(low) > int(high):
        yield "hands out %s to %s, which is no range of its network %s: correct that" % (low, high, network)


def new(name: str, uuid: Optional[str]) -> ET.Element:
    """The definition of a network that there is not yet, without settings."""
    network = ET.Element("network")
    ET.SubElement(network, "name").text = name
    if uuid:
        ET.SubElement(network, "uuid").text = uuid
    return network


def overlay(current: ET.Element, settings: Settings) -> ET.Element:
    """`current` with these settings; all else stays. A DHCP server that is new serves nodes that ask at once."""
    network = copy.deepcopy(current)
    _set_forward(network, settings)
    _set(network, "domain", {"name": settings.domain})
    netmask = {"address": settings.address, "netmask": settings.netmask}
    four = _set_ip(network, "ipv4", netmask, (settings.dhcp_start, settings.dhcp_end))
    address, _slash, prefix = settings.ipv6_address.partition("/")
    _set_ip(
        network,
        "ipv6",
        {"address": address, "prefix": prefix, "family": "ipv6" if address else ""},
        (settings.ipv6_dhcp_start, settings.ipv6_dhcp_end),
    )
    if four is not None:
        _set(four, "tftp", {"root": settings.tftp_root}, first=True)
        dhcp = four.find("dhcp")
        if dhcp is not None:
            _set(dhcp, "bootp", {"file": settings.boot_file, "server": settings.boot_server})
    if settings.dhcp_start and dhcp_range(current) is None:
        _ensure_option(network, SEQUENTIAL)
    return network


def dhcp_range(network: ET.Element) -> Optional[ET.Element]:
    """The range that `dhcp_start` and `dhcp_end` speak of."""
    four = _ip(network, "ipv4")
    return four.find("dhcp/range") if four is not None else None


def _set_forward(network: ET.Element, settings: Settings) -> None:
    forward = network.find("forward")
    if forward is not None and forward.get("mode", "nat") != settings.forward:
        network.remove(forward)  # with what it says of ports and devices, which belongs to its mode
        forward = None
    if forward is None and settings.forward != ISOLATED:
        ET.SubElement(network, "forward", {"mode": settings.forward})
    bridge = network.find("bridge")
    if settings.bridge:
        if bridge is None:
            own = {} if settings.forward == BRIDGE else {"stp": "on", "delay": "0"}
            bridge = ET.SubElement(network, "bridge", own)
        bridge.set("name", settings.bridge)
    if settings.forward == BRIDGE and bridge is not None:
        bridge.attrib = {"name": settings.bridge}
        for tag in ("mac", "domain", "dns"):
            for element in network.findall(tag):
                network.remove(element)


def _set_ip(network: ET.Element, family: str, own: Dict[str, str], dhcp: Tuple[str, str]) -> Optional[ET.Element]:
    """The <ip> of `family` with these attributes and range; None where there is none."""
    element = _ip(network, family)
    if not own["address"]:
        if element is not None:
            network.remove(element)
        return None
    if element is None:
        element = ET.SubElement(network, "ip")
    for key in ("netmask", "prefix"):
        element.attrib.pop(key, None)
    element.attrib.update({key: value for key, value in own.items() if value})
    held = element.find("dhcp")
    if dhcp[0]:
        held = ET.SubElement(element, "dhcp") if held is None else held
        _set(held, "range", {"start": dhcp[0], "end": dhcp[1]}, first=True)
    elif held is not None:
        element.remove(held)
    return element


def _set(parent: ET.Element, tag: str, attributes: Dict[str, str], first: bool = False) -> None:
    """Have the first `tag` with these attributes, or without any, none."""
    element = parent.find(tag)
    if not any(attributes.values()):
        if element is not None:
            parent.remove(element)
        return
    if element is None:
        element = ET.Element(tag)
        parent.insert(0 if first else len(parent), element)
    for key, value in attributes.items():
        if value:
            element.set(key, value)
        else:
            element.attrib.pop(key, None)


def _ensure_option(network: ET.Element, value: str) -> None:
    """Have dnsmasq get this option; its others stay."""
    options = network.find("{%s}options" % DNSMASQ)
    if options is None:
        options = ET.SubElement(network, "{%s}options" % DNSMASQ)
    if value not in [option.get("value") for option in options]:
        ET.SubElement(options, "{%s}option" % DNSMASQ, {"value": value})


def _ip(network: ET.Element, family: str) -> Optional[ET.Element]:
    found = [element for element in network.findall("ip") if element.get("family", "ipv4") == family]
    return found[0] if found else None


def _attribute(parent: Optional[ET.Element], path: str, name: str) -> str:
    element = parent.find(path) if parent is not None else None
    return element.get(name, "") if element is not None else ""


def _netmask(ip: Optional[ET.Element]) -> str:
    if ip is None:
        return ""
    if ip.get("prefix"):
        return str(ipaddress.ip_network("0.0.0.0/%s" % ip.get("prefix")).netmask)
    return ip.get("netmask", "")


def _parsed(parse: Any, text: str, name: str, option: str) -> Any:
    try:
        return parse(text)
    except ValueError as error:
        raise LabError("network '%s' has %s '%s', which is none: %s" % (name, option, text, error)) from None
