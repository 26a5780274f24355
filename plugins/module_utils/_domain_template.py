# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection's template: a lab node's options, and the domain XML that they make. Pure.

An option that is None is not spoken of: a new domain gets the default, an existing one keeps what it has.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence, Tuple

from ansible_collections.baremetal.lab.plugins.module_utils._domain_xml import Scope
from ansible_collections.baremetal.lab.plugins.module_utils._mac import stable_mac

OWNER_NAMESPACE = "urn:baremetal.lab:domain:1"
OWNER_TAG = "{%s}domain" % OWNER_NAMESPACE
ET.register_namespace("lab", OWNER_NAMESPACE)

_TARGET_PREFIX = {"virtio": "vd", "sata": "sd", "scsi": "sd", "usb": "sd", "ide": "hd"}
_MACHINES = {"x86_64": "q35", "aarch64": "virt", "riscv64": "virt"}


@dataclass(frozen=True)
class Disk:
    """A disk or CD drive: a volume of a pool that is made when it is missing, or a `path` that exists."""

    volume: str
    pool: str = "default"
    size: Optional[int] = None
    """Bytes."""
    format: str = "qcow2"
    backing_file: Optional[str] = None
    backing_format: str = "qcow2"
    path: Optional[str] = None
    device: str = "disk"
    bus: Optional[str] = None
    cache: Optional[str] = None

    @property
    def is_volume(self) -> bool:
        return self.path is None and self.device == "disk"


@dataclass(frozen=True)
class DiskSource:
    """Where a disk's bytes are."""

    path: str
    is_block: bool = False


@dataclass(frozen=True)
class Nic:
    """A network interface. `kind` is network, bridge or user; `source` the network's or bridge's name."""

    kind: str
    source: Optional[str] = None
    mac: Optional[str] = None
    model: str = "virtio"
    pxe: Optional[bool] = None


@dataclass(frozen=True)
class Template:
    """A lab node."""

    name: str
    uuid: Optional[str] = None
    memory_mb: Optional[int] = None
    vcpus: Optional[int] = None
    type: str = "auto"
    arch: Optional[str] = None
    machine: Optional[str] = None
    firmware: Optional[str] = None
    boot: Optional[Tuple[str, ...]] = None
    disks: Optional[Tuple[Disk, ...]] = None
    nics: Optional[Tuple[Nic, ...]] = None
    graphics: Optional[str] = None
    owner: Optional[str] = None
    serial: bool = False
    """Whether to have a serial console, as every new domain does."""

    def scope(self) -> Scope:
        """What the options speak of; the rest of an existing domain is none of the template's business."""
        kinds = set()
        if self.disks is not None:
            kinds.add("disk")
        if self.nics is not None:
            kinds.add("interface")
        if self.graphics is not None:
            kinds.update(("graphics", "video"))
        return Scope(settings=False, firmware=self.firmware is not None, devices=frozenset(kinds))


@dataclass(frozen=True)
class Host:
    """What of the hypervisor a new domain's defaults depend on."""

    arch: str = "x86_64"
    kvm: bool = False


def defaults(template: Template, host: Host) -> Template:
    """The template of a new domain: every option has a value."""
    arch = template.arch or host.arch
    kvm = host.kvm and arch == host.arch
    return Template(
        name=template.name,
        uuid=template.uuid,
        memory_mb=template.memory_mb,
        vcpus=template.vcpus or 1,
        type=("kvm" if kvm else "qemu") if template.type == "auto" else template.type,
        arch=arch,
        machine=template.machine or _MACHINES.get(arch),
        firmware=template.firmware or ("bios" if arch == "x86_64" else "efi"),
        boot=("network", "hd") if template.boot is None else template.boot,
        disks=template.disks or (),
        nics=template.nics or (),
        graphics=template.graphics or "none",
        owner=template.owner,
        serial=True,
    )


def render(template: Template, sources: Sequence[Optional[DiskSource]], current_type: str = "qemu") -> ET.Element:
    """The domain XML. `sources` has one for each disk, None for an empty CD drive.

    `current_type` is the type of the existing domain, which stays with 'auto'.
    """
    kept_type = template.type == "auto"
    domain = ET.Element("domain", {"type": current_type if kept_type else template.type})
    _text(domain, "name", template.name)
    if template.uuid is not None:
        _text(domain, "uuid", template.uuid)
    if template.owner is not None:
        domain.append(owner_metadata(template.owner))
    if template.memory_mb is not None:
        _text(domain, "memory", str(template.memory_mb), unit="MiB")
    if template.vcpus is not None:
        _text(domain, "vcpu", str(template.vcpus))
    domain.append(_os(template))
    if template.arch == "x86_64":
        # Without ACPI a guest never hears of a power button; aarch64 has it with its EFI firmware.
        features = ET.SubElement(domain, "features")
        ET.SubElement(features, "acpi")
        ET.SubElement(features, "apic")
    if not kept_type:
        # 'maximum' is what emulation can do: distributions no longer start on its default CPU of 2003.
        ET.SubElement(domain, "cpu", {"mode": "host-passthrough" if template.type == "kvm" else "maximum"})
    devices = ET.SubElement(domain, "devices")
    devices.extend(_disks(template, sources))
    devices.extend(_nics(template))
    if template.serial:
        ET.SubElement(devices, "serial", {"type": "pty"})
    if template.graphics not in (None, "none"):
        graphics = ET.SubElement(devices, "graphics", {"type": template.graphics or "", "autoport": "yes"})
        ET.SubElement(graphics, "listen", {"type": "address", "address": "127.0.0.1"})
    return domain


def owner_metadata(owner: str) -> ET.Element:
    """<metadata> with the owner label."""
    metadata = ET.Element("metadata")
    ET.SubElement(metadata, OWNER_TAG, {"owner": owner})
    return metadata


def macs(template: Template) -> List[str]:
    """The addresses of the template's NICs."""
    return [_mac(template, index, nic) for index, nic in enumerate(template.nics or ())]


def _mac(template: Template, index: int, nic: Nic) -> str:
    return nic.mac or stable_mac(template.name, template.owner or "", index)


def _os(template: Template) -> ET.Element:
    system = ET.Element("os")
    if template.firmware == "efi":
        system.set("firmware", "efi")
    machine = _text(system, "type", "hvm")
    if template.arch:
        machine.set("arch", template.arch)
    if template.machine:
        machine.set("machine", template.machine)
    if template.firmware == "efi" and template.arch in (None, "x86_64"):
        # A lab boots unsigned iPXE and images of its own: never the Secure Boot build that sorts first.
        features = ET.SubElement(system, "firmware")
        ET.SubElement(features, "feature", {"enabled": "no", "name": "enrolled-keys"})
        ET.SubElement(features, "feature", {"enabled": "no", "name": "secure-boot"})
    if template.firmware == "bios" and template.arch in (None, "x86_64"):
        ET.SubElement(system, "bios", {"useserial": "yes"})  # firmware and iPXE talk on the serial console
    if template.boot and not _boots_by_device(template):
        for device in template.boot:
            ET.SubElement(system, "boot", {"dev": device})
    return system


def _boots_by_device(template: Template) -> bool:
    # <os><boot dev='network'> means the first NIC alone; 'pxe' chooses among several, which takes an order by device.
    return bool(template.boot) and any(nic.pxe is not None for nic in template.nics or ())


def _boot_orders(template: Template) -> Dict[Tuple[str, int], int]:
    """(kind, index) of each device to boot from -> its place, from 1 on."""
    places: Dict[Tuple[str, int], int] = {}
    if not _boots_by_device(template):
        return places
    for entry in template.boot or ():
        if entry == "network":
            found = [("nic", index) for index, nic in enumerate(template.nics or ()) if nic.pxe is not False]
        else:
            device = "cdrom" if entry == "cdrom" else "disk"
            found = [("disk", index) for index, disk in enumerate(template.disks or ()) if disk.device == device]
        for key in found:
            places.setdefault(key, len(places) + 1)
    return places


def _disks(template: Template, sources: Sequence[Optional[DiskSource]]) -> List[ET.Element]:
    orders = _boot_orders(template)
    letters: Dict[str, int] = {}
    elements = []
    for index, (disk, source) in enumerate(zip(template.disks or (), sources)):
        bus = disk.bus or _default_bus(template, disk)
        prefix = _TARGET_PREFIX[bus]
        letter = letters[prefix] = letters.get(prefix, -1) + 1
        is_block = source is not None and source.is_block
        element = ET.Element("disk", {"type": "block" if is_block else "file", "device": disk.device})
        driver = ET.SubElement(element, "driver", {"name": "qemu", "type": disk.format})
        if disk.cache is not None:
            driver.set("cache", disk.cache)
        if source is not None:
            ET.SubElement(element, "source", {"dev" if is_block else "file": source.path})
        ET.SubElement(element, "target", {"dev": prefix + chr(ord("a") + letter), "bus": bus})
        if disk.device == "cdrom":
            ET.SubElement(element, "readonly")
        _boot_order(element, orders.get(("disk", index)))
        elements.append(element)
    if any(element.find("target[@bus='scsi']") is not None for element in elements):
        elements.append(ET.Element("controller", {"type": "scsi", "index": "0", "model": "virtio-scsi"}))
    return elements


def _default_bus(template: Template, disk: Disk) -> str:
    if disk.device == "disk":
        return "virtio"
    return "sata" if template.arch in (None, "x86_64") else "scsi"


def _nics(template: Template) -> List[ET.Element]:
    orders = _boot_orders(template)
    elements = []
    for index, nic in enumerate(template.nics or ()):
        element = ET.Element("interface", {"type": nic.kind})
        ET.SubElement(element, "mac", {"address": _mac(template, index, nic)})
        if nic.source is not None:
            ET.SubElement(element, "source", {nic.kind: nic.source})
        ET.SubElement(element, "model", {"type": nic.model})
        if nic.pxe is not None:
            ET.SubElement(element, "rom", {"enabled": "yes" if nic.pxe else "no"})
        _boot_order(element, orders.get(("nic", index)))
        elements.append(element)
    return elements


def _boot_order(device: ET.Element, order: Optional[int]) -> None:
    if order is not None:
        ET.SubElement(device, "boot", {"order": str(order)})


def _text(parent: ET.Element, tag: str, text: str, **attributes: str) -> ET.Element:
    element = ET.SubElement(parent, tag, attributes)
    element.text = text
    return element
