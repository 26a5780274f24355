# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a domain is made of, read from its XML: processors, memory, disks, network interfaces, firmware."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import Any, List, Optional

import libvirt

from vbmcd.machine.base import Disk, Hardware, NetworkInterface
from vbmcd.machine.libvirt_boot import boot_devices, boot_order
from vbmcd.machine.libvirt_media import source_of

_FACTORS = {
    "b": 1,
    "bytes": 1,
    "KB": 10**3,
    "k": 2**10,
    "KiB": 2**10,
    "MB": 10**6,
    "M": 2**20,
    "MiB": 2**20,
    "GB": 10**9,
    "G": 2**30,
    "GiB": 2**30,
    "TB": 10**12,
    "T": 2**40,
    "TiB": 2**40,
}
"""Units of libvirt's sizes."""


def read_hardware(connection: Any, name: str) -> Hardware:
    """Blocking, for a thread of LibvirtLink. Of a running domain: as it runs."""
    domain = connection.lookupByName(name)
    document = ET.fromstring(domain.XMLDesc(0))
    stored = ET.fromstring(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)) if domain.isPersistent() else document
    capacities = [_capacity(domain, disk) for disk in document.iterfind("devices/disk")]
    parts = parse_hardware(document, capacities, bool(domain.isActive()), stored)
    return replace(parts, paused=is_paused(domain), autostart=_autostart(domain))


def is_paused(domain: Any) -> bool:
    """Whether it stands still, with power."""
    return bool(domain.state()[0] == libvirt.VIR_DOMAIN_PAUSED)


def _autostart(domain: Any) -> Optional[bool]:
    try:
        return bool(domain.autostart())
    except libvirt.libvirtError:
        return None


def _capacity(domain: Any, disk: ET.Element) -> Optional[int]:
    """Bytes; None for an empty drive, and for what can't be read now."""
    target = disk.find("target")
    if target is None or disk.find("source") is None:
        return None
    try:
        capacity, _allocation, _physical = domain.blockInfo(target.get("dev"))
    except libvirt.libvirtError:
        return None
    return int(capacity)


def parse_hardware(
    document: ET.Element, capacities: List[Optional[int]], running: bool, stored: ET.Element
) -> Hardware:
    """Pure. `capacities`: of the disks, in the document's order; `stored`: what it starts from next."""
    count = int(document.findtext("vcpu") or 1)
    kind = document.find("os/type")
    loader = document.find("os/loader")
    return Hardware(
        processors=count,
        cores=_cores(document, count),
        processor_model=document.findtext("cpu/model") or "",
        architecture=(kind.get("arch") if kind is not None else None) or "",
        memory=_size(document.find("memory")),
        disks=tuple(_disk(disk, capacity) for disk, capacity in zip(document.iterfind("devices/disk"), capacities)),
        interfaces=tuple(_interface(one, running) for one in document.iterfind("devices/interface")),
        efi=_is_efi(document, loader),
        boot_order=tuple(boot_order(stored)),
        boot_devices=tuple(boot_devices(stored)),
        console=document.find("devices/console") is not None or document.find("devices/serial") is not None,
    )


def _cores(document: ET.Element, count: int) -> int:
    topology = document.find("cpu/topology")
    if topology is None:
        return count
    return max(1, count // max(1, int(topology.get("threads", "1"))))


def _is_efi(document: ET.Element, loader: Optional[ET.Element]) -> bool:
    os = document.find("os")
    return (os is not None and os.get("firmware") == "efi") or (loader is not None and loader.get("type") == "pflash")


def _size(element: Optional[ET.Element]) -> int:
    if element is None:
        return 0
    return int(element.text or 0) * _FACTORS.get(element.get("unit", "KiB"), 2**10)


def _disk(disk: ET.Element, capacity: Optional[int]) -> Disk:
    target = disk.find("target")
    name, bus = ("", "") if target is None else (target.get("dev", ""), target.get("bus", ""))
    return Disk(
        name=name,
        device=disk.get("device", "disk"),
        bus=bus,
        capacity=capacity,
        serial=disk.findtext("serial") or "",
        loaded=source_of(disk) is not None,
    )


def _interface(interface: ET.Element, running: bool) -> NetworkInterface:
    mac, model, link = interface.find("mac"), interface.find("model"), interface.find("link")
    down = link is not None and link.get("state") == "down"
    mtu = interface.find("mtu")
    return NetworkInterface(
        mac="" if mac is None else mac.get("address", ""),
        model="" if model is None else model.get("type", ""),
        up=running and not down,
        mtu=None if mtu is None else int(mtu.get("size", "1500")),
    )
