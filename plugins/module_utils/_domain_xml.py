# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lay a wanted definition over the current one: the one comparison behind check mode, diff and change. Pure.

overlay() is what _domain_definition calls; _domain_devices pairs the devices, _domain_rules knows libvirt's ways.
What the wanted XML names must hold; what libvirt fills in is ignored; a device that it lacks is removed.
"""

from __future__ import annotations

import copy
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import FrozenSet, List, Optional, Tuple

from ansible_collections.baremetal.lab.plugins.module_utils._domain_devices import merge_devices
from ansible_collections.baremetal.lab.plugins.module_utils._domain_merge import Difference, Merger, shown
from ansible_collections.baremetal.lab.plugins.module_utils._domain_normal import (
    machine_family,
    normal,
    with_full_memory,
)
from ansible_collections.baremetal.lab.plugins.module_utils._xml import canonical

_APART = frozenset(["name", "uuid", "metadata", "devices"])
"""Children of <domain> that are not merged like a setting."""


@dataclass(frozen=True)
class Scope:
    """How much a wanted definition speaks of: a whole XML of everything, the template of what its options name."""

    settings: bool = True
    """Whether a setting that it lacks is to go (it stays otherwise)."""
    firmware: bool = True
    """Whether no word of EFI means BIOS."""
    devices: Optional[FrozenSet[str]] = None
    """The kinds of devices that are to go where it lacks them; None for all kinds."""


WHOLE = Scope()


@dataclass(frozen=True)
class Overlay:
    """What to define, and how it differs from what is."""

    merged: ET.Element
    differences: Tuple[Difference, ...]


def overlay(current: ET.Element, wanted: ET.Element, scope: Scope = WHOLE, running: bool = False) -> Overlay:
    """Lay `wanted` over `current`, the stored definition (or the one in use: `running`).

    Laying `wanted` over the merged result gives no difference again.
    """
    current, wanted = normal(current), normal(wanted)
    merger = Merger(settings=scope.settings, running=running)
    _align_boot(current, wanted, merger)
    if scope.firmware:
        _align_firmware(current, wanted, merger)
    if running:
        _round_memory(current)
        _round_memory(wanted)
        _forget_unsettled(current, wanted)
    else:
        wanted = with_full_memory(wanted)
    afresh = _other_hardware(current, wanted)
    merged = merger.element(current, wanted, "", "", skip=_APART)
    _put(merged, merge_devices(current, wanted, merger, kinds=scope.devices, afresh=afresh))
    if not running:  # metadata of a running machine is changed in place
        _put(merged, _merge_metadata(current, wanted, merger))
    return Overlay(merged, tuple(merger.differences))


def new_definition(wanted: ET.Element) -> ET.Element:
    """What to define where there is no domain yet."""
    return with_full_memory(normal(wanted))


def _put(domain: ET.Element, part: ET.Element) -> None:
    """Set the child of that tag."""
    old = domain.find(part.tag)
    if old is not None:
        domain[list(domain).index(old)] = part
    elif len(part) or part.attrib:
        domain.append(part)


def _other_hardware(current: ET.Element, wanted: ET.Element) -> bool:
    """Whether addresses and controllers of the current machine make no sense on the wanted one."""
    before, after = current.find("os/type"), wanted.find("os/type")
    if before is None or after is None:
        return False
    if after.get("arch", before.get("arch")) != before.get("arch"):
        return True
    machine = before.get("machine", "")
    return machine_family(after.get("machine", machine)) != machine_family(machine)


def _align_boot(current: ET.Element, wanted: ET.Element, merger: Merger) -> None:
    """Make `current` have the boot order of `wanted`, as far as <os> and devices that go unpaired are concerned.

    libvirt knows two styles and refuses a mixture: <os><boot dev> and <boot order> in devices. A wanted
    definition with neither leaves the order alone: a BMC may have set it.
    """
    by_os = [boot.get("dev", "") for boot in wanted.iterfind("os/boot")]
    by_device = wanted.find("devices/*/boot") is not None
    if not by_os and not by_device:
        return
    system = current.find("os")
    if system is None:
        system = ET.SubElement(current, "os")
    before = [boot.get("dev", "") for boot in system.iterfind("boot")]
    if before != by_os:
        merger.note("os/boot", ",".join(before) or None, ",".join(by_os) or None)
        for boot in system.findall("boot"):
            system.remove(boot)
        for device in by_os:
            ET.SubElement(system, "boot", {"dev": device})
    merger.devices_boot_as_wanted = True


def _align_firmware(current: ET.Element, wanted: ET.Element, merger: Merger) -> None:
    """A definition without a word of EFI wants BIOS; with one, loader and NVRAM stay as libvirt chose them."""
    system, asked = current.find("os"), wanted.find("os")
    if system is None or asked is None or current.get("type") not in ("qemu", "kvm"):
        return
    if asked.get("firmware") == "bios":
        del asked.attrib["firmware"]
    if asked.get("firmware"):
        return
    by_hand = asked.find("loader") is not None or asked.find("nvram") is not None
    firmware = system.attrib.pop("firmware", None)
    if firmware not in (None, "bios"):
        merger.note("os/@firmware", firmware, None)
    if by_hand:  # libvirt refuses a given loader together with features to choose one by
        for parent in (asked, system):
            for part in parent.findall("firmware"):
                parent.remove(part)
        return
    for tag in ("loader", "nvram", "firmware"):
        for part in system.findall(tag):
            system.remove(part)
            if firmware is None:
                merger.note("os/" + tag, shown(part), None)


def _merge_metadata(current: ET.Element, wanted: ET.Element, merger: Merger) -> ET.Element:
    """Roots of namespaces that `wanted` names are as there; those of others survive, as libvirt would not have it."""
    merged = ET.Element("metadata")
    merged.extend(copy.deepcopy(child) for child in current.iterfind("metadata/*"))
    for child in wanted.iterfind("metadata/*"):
        namespace = child.tag.partition("}")[0]
        same = [old for old in merged if old.tag.partition("}")[0] == namespace]
        if same and canonical(same[0]) == canonical(child):
            continue
        merger.note("metadata/" + child.tag, shown(same[0]) if same else None, shown(child))
        for old in same:
            merged.remove(old)
        merged.append(copy.deepcopy(child))
    return merged


def _round_memory(domain: ET.Element) -> None:
    """A running QEMU has its memory rounded up to whole MiB."""
    for tag in ("memory", "currentMemory"):
        size = domain.find(tag)
        if size is not None:
            size.text = str(-(-int(size.text or 0) // 1024) * 1024)


def _forget_unsettled(live: ET.Element, wanted: ET.Element) -> None:
    """Drop from `wanted` what reads otherwise while a machine runs although it is as wanted."""
    cpu = wanted.find("cpu")
    if cpu is not None and (cpu.get("mode") == "host-model" or cpu.get("match") == "minimum"):
        wanted.remove(cpu)  # expanded into a custom model
    elif cpu is not None:
        cpu.attrib.pop("check", None)  # "full", and no fallback, once libvirt has seen what QEMU made of it
        for model in cpu.findall("model"):
            model.attrib.pop("fallback", None)
    system = wanted.find("os")
    if system is not None and live.find("os/loader") is not None:
        system.attrib.pop("firmware", None)  # replaced by the firmware that was found for it
    live_drives: List[str] = [
        target.get("dev", "")
        for disk in live.iterfind("devices/disk")
        for target in disk.iterfind("target")
        if disk.find("source") is None
    ]
    for disk in wanted.iterfind("devices/disk"):
        target, driver = disk.find("target"), disk.find("driver")
        if target is not None and target.get("dev") in live_drives and driver is not None:
            driver.attrib.pop("type", None)  # an empty drive has no format
