# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a domain's definition says, as plain values for results. Pure; used by both domain modules."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any, Dict, List, Optional

from ansible_collections.baremetal.lab.plugins.module_utils._domain_template import OWNER_TAG

_SOURCE_ATTRIBUTES = ("file", "dev", "dir", "network", "bridge", "name")


def owner(domain: ET.Element) -> str:
    """The owner label; empty where there is none."""
    label = domain.find("metadata/" + OWNER_TAG)
    return "" if label is None else label.get("owner", "")


def macs(domain: ET.Element) -> List[str]:
    """The MAC addresses of the NICs, in their order."""
    return [mac.get("address", "").lower() for mac in domain.iterfind("devices/interface/mac")]


def interfaces(domain: ET.Element, live: ET.Element) -> List[Dict[str, Any]]:
    """The NICs, in their order; `live` has the host's names for those of a running domain."""
    targets = {_get(nic, "mac", "address"): _get(nic, "target", "dev") for nic in live.iterfind("devices/interface")}
    return [
        {
            "mac": _get(nic, "mac", "address").lower(),
            "type": nic.get("type", ""),
            "source": _source(nic),
            "model": _get(nic, "model", "type"),
            "target": targets.get(_get(nic, "mac", "address"), ""),
        }
        for nic in domain.iterfind("devices/interface")
    ]


def disks(domain: ET.Element) -> List[Dict[str, Any]]:
    """The disks and drives."""
    return [
        {
            "target": _get(disk, "target", "dev"),
            "bus": _get(disk, "target", "bus"),
            "device": disk.get("device", "disk"),
            "type": disk.get("type", "file"),
            "source": _source(disk),
            "format": _get(disk, "driver", "type"),
            "readonly": disk.find("readonly") is not None,
        }
        for disk in domain.iterfind("devices/disk")
    ]


def own_disk_paths(domain: ET.Element) -> List[str]:
    """Where the disks are that are the domain's alone by their definition: no CD, nothing read-only or shared."""
    return [
        _source(disk)
        for disk in domain.iterfind("devices/disk")
        if disk.get("device", "disk") == "disk"
        and disk.get("type") in ("file", "block")
        and disk.find("readonly") is None
        and disk.find("shareable") is None
        and _source(disk)
    ]


def disk_paths(domain: ET.Element) -> List[str]:
    """Every path that a disk of the domain, or its chain of backing files, is known to use."""
    paths = [_source(disk) for disk in domain.iterfind("devices/disk")]
    paths.extend(_source(link) for link in domain.iterfind("devices/disk//backingStore"))
    return [path for path in paths if path]


def firmware(domain: ET.Element) -> str:
    """efi or bios."""
    system = domain.find("os")
    if system is None:
        return "bios"
    loader = system.find("loader")
    return (
        "efi" if system.get("firmware") == "efi" or (loader is not None and loader.get("type") == "pflash") else "bios"
    )


def boot_order(domain: ET.Element) -> List[str]:
    """What is tried first: the words of <os><boot>, or the devices with an order, by target or MAC address."""
    words = [boot.get("dev", "") for boot in domain.iterfind("os/boot")]
    ordered = []
    for device in domain.iterfind("devices/*"):
        order = _get(device, "boot", "order")
        if order.isdigit():
            ordered.append((int(order), _get(device, "mac", "address") or _get(device, "target", "dev") or device.tag))
    return words or [name for _order, name in sorted(ordered)]


def memory_mb(domain: ET.Element) -> int:
    """Memory in MiB (libvirt writes KiB)."""
    return int(domain.findtext("memory") or 0) // 1024


def vcpus(domain: ET.Element) -> int:
    return int(domain.findtext("vcpu") or 1)


def machine(domain: ET.Element) -> Dict[str, Optional[str]]:
    """Type of virtualisation, architecture and machine."""
    kind = domain.find("os/type")
    return {
        "type": domain.get("type"),
        "arch": None if kind is None else kind.get("arch"),
        "machine": None if kind is None else kind.get("machine"),
    }


def _get(element: ET.Element, tag: str, attribute: str) -> str:
    found = element.find(tag)
    return "" if found is None else found.get(attribute, "")


def _source(device: ET.Element) -> str:
    source = device.find("source")
    if source is None:
        return ""
    if device.get("type") == "volume":
        return "%s/%s" % (source.get("pool", ""), source.get("volume", ""))
    return next((source.get(name, "") for name in _SOURCE_ATTRIBUTES if source.get(name)), "")
