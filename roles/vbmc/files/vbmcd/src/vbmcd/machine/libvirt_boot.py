# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Boot devices in domain XML. Pure: XML text in, XML text out; libvirt_actions.py reads and applies it.

The edit is as small as it can be: the wanted device comes first, the others keep their order behind it as
fallback, and the style in use is kept, because <os><boot> and a device's <boot order> exclude each other.
Loader and NVRAM are left alone unless the firmware really changes. The XML holds secrets: never log it.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from io import StringIO
from typing import Dict, FrozenSet, List, Optional, Sequence, Tuple

from vbmcd.machine.base import BootDevice, BootOverride, Unsupported, WrongState

# Element, values of its device attribute (none: whatever), and the word for an error message.
_KINDS: Dict[BootDevice, Tuple[str, FrozenSet[str], str]] = {
    BootDevice.NETWORK: ("interface", frozenset(), "network interface"),
    BootDevice.DISK: ("disk", frozenset({"disk", "lun"}), "disk"),
    BootDevice.CDROM: ("disk", frozenset({"cdrom"}), "CD-ROM drive"),
    BootDevice.FLOPPY: ("disk", frozenset({"floppy"}), "floppy drive"),
}


@dataclass(frozen=True)
class Platform:
    """What libvirt's domain capabilities are asked by."""

    emulator: Optional[str]
    arch: Optional[str]
    machine: Optional[str]
    virt_type: Optional[str]


def with_boot(definition: str, boot: BootOverride) -> str:
    """The definition with `boot` applied; the very same text when nothing is to change.

    Raises Unsupported if the domain has no such device, or can't be booted by device at all. Whether the
    hypervisor has EFI firmware is the caller's to check (efi_needed).
    """
    domain = parse(definition)
    os = _bootable(domain)
    devices = devices_of_kind(domain, boot.device)
    if not devices:
        raise Unsupported(f"domain {domain.findtext('name')!r} has no {_KINDS[boot.device][2]} to boot from")
    sequence = ordered(domain)
    changed = _move_first(sequence, devices) if sequence else _list_first(os, boot.device)
    if boot.efi and not _is_efi(domain):
        _switch_to_efi(domain, os)
        changed = True
    return ET.tostring(domain, encoding="unicode") if changed else definition


def with_order(definition: str, names: Sequence[str]) -> str:
    """The definition that boots in the order of `names`, which are those of boot_order(), each once.

    Raises WrongState where it boots from others.
    """
    domain = parse(definition)
    if sorted(names) != sorted(boot_order(domain)):
        raise WrongState(
            f"domain {domain.findtext('name')!r} boots from other devices by now: read its boot order again"
        )
    sequence = sorted(ordered(domain), key=lambda device: names.index(_boot_name(device)))
    _number(sequence)
    if not sequence:
        for boot, word in zip(domain.iterfind("os/boot"), names):
            boot.set("dev", word)
    return ET.tostring(domain, encoding="unicode")


def boot_order(domain: ET.Element) -> List[str]:
    """What it boots from, first to last: disks by target, interfaces by address; or libvirt's words for kinds."""
    return [_boot_name(device) for device in ordered(domain)] or _listed(domain)


def boot_devices(domain: ET.Element) -> List[str]:
    """The same names, in an order that does not change with the boot order."""
    devices = [device for device in domain.iterfind("devices/*") if device.find("boot[@order]") is not None]
    return [_boot_name(device) for device in devices] or sorted(_listed(domain))


def _listed(domain: ET.Element) -> List[str]:
    return [boot.get("dev", "") for boot in domain.iterfind("os/boot")]


def _boot_name(device: ET.Element) -> str:
    target, mac = device.find("target"), device.find("mac")
    if device.tag == "interface" and mac is not None:
        return mac.get("address", "")
    return device.tag if target is None else target.get("dev", "")


def efi_needed(definition: str, boot: BootOverride) -> Optional[Platform]:
    """The platform that must offer EFI for `boot`, or None when the firmware stays as it is."""
    domain = parse(definition)
    if not boot.efi or _is_efi(domain):
        return None
    kind = domain.find("os/type")
    return Platform(
        emulator=domain.findtext("devices/emulator"),
        arch=None if kind is None else kind.get("arch"),
        machine=None if kind is None else kind.get("machine"),
        virt_type=domain.get("type"),
    )


def offers_efi(capabilities: str) -> bool:
    """Whether domain capabilities list EFI among the firmware that libvirt selects by itself."""
    values = ET.fromstring(capabilities).iterfind("os/enum[@name='firmware']/value")
    return "efi" in [value.text for value in values]


def boot_signature(definition: str) -> Tuple[object, ...]:
    """What of a definition decides how it boots; live and inactive XML that boot alike have the same."""
    domain = parse(definition)
    listed = tuple(boot.get("dev") for boot in domain.iterfind("os/boot"))
    numbered = tuple(identity(device) for device in ordered(domain))
    return (listed, numbered, _is_efi(domain))


def parse(definition: str) -> ET.Element:
    """Parse, and have prefixes such as qemu: and those in <metadata> written back as they were."""
    for _event, (prefix, uri) in ET.iterparse(StringIO(definition), events=["start-ns"]):
        if prefix and not re.fullmatch(r"ns\d+", prefix):  # ElementTree's own
            ET.register_namespace(prefix, uri)
    return ET.fromstring(definition)


def _bootable(domain: ET.Element) -> ET.Element:
    name = domain.findtext("name")
    os = domain.find("os")
    if os is None or os.findtext("type") != "hvm":
        raise Unsupported(f"domain {name!r} is not fully virtualised: it has no boot devices")
    if os.find("kernel") is not None:
        raise Unsupported(f"domain {name!r} boots a kernel given in its definition: it has no boot devices")
    return os


def devices_of_kind(domain: ET.Element, kind: BootDevice) -> List[ET.Element]:
    tag, types, _rest = _KINDS[kind]
    # A disk without the attribute is a disk.
    return [
        device for device in domain.iterfind(f"devices/{tag}") if not types or device.get("device", "disk") in types
    ]


def ordered(domain: ET.Element) -> List[ET.Element]:
    """The devices that have a boot order, first to boot first."""
    devices = [device for device in domain.iterfind("devices/*") if device.find("boot[@order]") is not None]
    return sorted(devices, key=_order)


def _order(device: ET.Element) -> int:
    boot = device.find("boot[@order]")
    return 0 if boot is None else int(boot.get("order", "0"))


def _move_first(ordered: List[ET.Element], devices: List[ET.Element]) -> bool:
    """Renumber: the wanted devices first, among themselves in their old order; without one, the first of them."""
    wanted = [device for device in ordered if device in devices] or devices[:1]
    sequence = wanted + [device for device in ordered if device not in wanted]
    if sequence == ordered:
        return False
    _number(sequence)
    return True


def _number(sequence: Sequence[ET.Element]) -> None:
    for number, device in enumerate(sequence, start=1):
        boot = device.find("boot")
        if boot is None:
            boot = ET.SubElement(device, "boot")
        boot.set("order", str(number))


def _list_first(os: ET.Element, device: BootDevice) -> bool:
    """Put `device` first in the <os><boot> list, where the list is or else at the end of <os>."""
    boots = os.findall("boot")
    listed = [boot.get("dev", "") for boot in boots]
    wanted = [device.value] + [word for word in listed if word != device.value]
    if wanted == listed:
        return False
    index = list(os).index(boots[0]) if boots else len(os)
    for boot in boots:
        os.remove(boot)
    for offset, word in enumerate(wanted):
        os.insert(index + offset, ET.Element("boot", {"dev": word}))
    return True


def _is_efi(domain: ET.Element) -> bool:
    os = domain.find("os")
    loader = domain.find("os/loader")
    return os is not None and (os.get("firmware") == "efi" or (loader is not None and loader.get("type") == "pflash"))


def _switch_to_efi(domain: ET.Element, os: ET.Element) -> None:
    """Let libvirt select EFI firmware, in place of the BIOS that was configured or implied.

    Without enrolled keys: the flag asks for EFI, and not for Secure Boot, which would refuse most of what
    labs boot from the network (and is what libvirt selects first).
    """
    if domain.find("features/acpi") is None:
        raise Unsupported(f"domain {domain.findtext('name')!r} has no ACPI, which EFI firmware needs")
    os.set("firmware", "efi")
    for tag in ("loader", "firmware"):
        for element in os.findall(tag):
            os.remove(element)
    firmware = ET.SubElement(os, "firmware")
    ET.SubElement(firmware, "feature", {"enabled": "no", "name": "enrolled-keys"})


def identity(device: ET.Element) -> Tuple[Optional[str], ...]:
    target, mac = device.find("target"), device.find("mac")
    return (
        device.tag,
        device.get("device"),
        None if target is None or device.tag == "interface" else target.get("dev"),
        None if mac is None else mac.get("address"),
    )
