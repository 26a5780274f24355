# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One spelling for domain XML: units, defaults and twins as libvirt writes them. Pure.

Both sides of a comparison pass through here, so that _domain_xml compares what is meant.
"""

from __future__ import annotations

import copy
import re
import xml.etree.ElementTree as ET
from typing import FrozenSet, List, Optional, Set

from ansible_collections.baremetal.lab.plugins.module_utils import _domain_rules as rules
from ansible_collections.baremetal.lab.plugins.module_utils._errors import LabError

_UNITS = {"b": 1, "bytes": 1}
for _power, _letter in enumerate("KMGTPE", start=1):
    _UNITS[_letter] = _UNITS[_letter + "iB"] = 1024**_power
    _UNITS[_letter + "B"] = 1000**_power

_AUTOMATIC_INTERFACE = re.compile(r"(vnet|vif|macvtap|macvlan)\d+$")
"""Host interface names that libvirt gives while a machine runs, and refuses to keep."""
_AUTOMATIC_CHANNEL = re.compile(r"/channel/(target/)?(\d+|domain-\d+)-")
"""Likewise the folder of a channel's socket."""


def normal(domain: ET.Element) -> ET.Element:
    """A copy of the definition in the one spelling. Raises LabError for an amount of memory with no known unit."""
    result = copy.deepcopy(domain)
    result.attrib.pop("id", None)
    for path in rules.SIZES:
        for size in result.findall(path):
            size.text = _kib(size.tag, size.get("unit"), size.text or "")
            size.set("unit", "KiB")
    for path, attribute in rules.SIZE_ATTRIBUTES:
        for size in result.findall(path):
            size.set(attribute, _kib(size.tag, size.get("unit"), size.get(attribute, "")))
            size.set("unit", "KiB")
    _settle_memory(result)
    _without_homeless_metadata(result)
    for label in result.findall("seclabel[@type='dynamic']"):
        label[:] = []  # chosen anew at each start
    devices = result.find("devices")
    if devices is None:
        devices = ET.SubElement(result, "devices")
    for device in devices:
        _without_run_time_names(device)
    for disk in devices.findall("disk"):
        disk.attrib.setdefault("type", "file")
        disk.attrib.setdefault("device", "disk")
    for graphics in devices.findall("graphics"):
        _normal_graphics(graphics)
    for model in devices.findall("video/model"):
        _round_video_memory(model)
    _without_console_twin(devices)
    return result


def with_full_memory(domain: ET.Element) -> ET.Element:
    """The (normal) definition with currentMemory, which libvirt makes equal to memory where none is given."""
    memory = domain.find("memory")
    if memory is not None and domain.find("currentMemory") is None:
        current = copy.deepcopy(memory)
        current.tag = "currentMemory"
        current.attrib = {"unit": "KiB"}
        domain.insert(list(domain).index(memory) + 1, current)
    return domain


def homeless_metadata(domain: ET.Element) -> List[str]:
    """The tags in <metadata> without a namespace: libvirt drops them without a word."""
    return [child.tag for child in domain.iterfind("metadata/*") if not child.tag.startswith("{")]


def machine_family(machine: str) -> str:
    """What all versions of a machine type have in common: pc-q35-7.2 and q35 are 'q35'."""
    if machine == "pc" or machine.startswith("pc-i440fx"):
        return "i440fx"
    bare = re.sub(r"-(\d+\.)*\d+$|-rhel[\d.]+$", "", machine)
    return bare[3:] if bare.startswith("pc-q35") else bare


def same_value(tag: str, attribute: str, one: str, other: str) -> bool:
    """Whether two texts mean one value, there (`attribute` is empty for an element's text)."""
    if one == other:
        return True
    if attribute in rules.CPU_SETS:
        numbers = _numbers(one)
        return numbers is not None and numbers == _numbers(other)
    if (tag, attribute) in rules.CASELESS:
        return one.lower() == other.lower()
    if tag == "type" and attribute == "machine":
        return _is_alias(one, other) or _is_alias(other, one)
    if tag == "address" or "0x" in (one[:2].lower(), other[:2].lower()):
        number = _integer(one)
        return number is not None and number == _integer(other)
    return False


def _is_alias(alias: str, machine: str) -> bool:
    # An alias ("q35") follows the newest version that the host has; a machine keeps the one it was made with.
    return alias in ("pc", machine_family(alias)) and machine_family(alias) == machine_family(machine)


def _integer(text: str) -> Optional[int]:
    try:
        return int(text, 16 if text[:2].lower() == "0x" else 10)
    except ValueError:
        return None


def _numbers(text: str) -> Optional[FrozenSet[int]]:
    """The set behind '0-3,^2,8'; None where it is no such list."""
    numbers: Set[int] = set()
    for part in text.replace(" ", "").split(","):
        first, _dash, last = part.lstrip("^").partition("-")
        if not first.isdigit() or not (last or first).isdigit():
            return None
        span = range(int(first), int(last or first) + 1)
        numbers = numbers.difference(span) if part.startswith("^") else numbers.union(span)
    return frozenset(numbers)


def _kib(tag: str, unit: Optional[str], amount: str) -> str:
    factor = _UNITS.get(unit or "KiB") or _UNITS.get((unit or "").upper())
    number = _integer(amount.strip())
    if factor is None or number is None:
        raise LabError(
            "<%s>: %r in %r is no amount of memory: give a whole number in KiB, MiB or GiB"
            % (tag, amount.strip(), unit or "KiB")
        )
    return str(-(-number * factor // 1024))


def _settle_memory(domain: ET.Element) -> None:
    """Where NUMA cells have amounts, <memory> is their sum; and a balloon can't hold more than all of it."""
    memory, current = domain.find("memory"), domain.find("currentMemory")
    cells = [int(cell.get("memory", "0")) for cell in domain.iterfind("cpu/numa/cell[@memory]")]
    if cells and memory is not None:
        modules = [int(size.text or 0) for size in domain.iterfind("devices/memory/target/size")]
        memory.text = str(sum(cells) + sum(modules))
    if memory is not None and current is not None and not 0 < int(current.text or 0) <= int(memory.text or 0):
        current.text = memory.text


def _without_homeless_metadata(domain: ET.Element) -> None:
    metadata = domain.find("metadata")
    if metadata is None:
        return
    for child in list(metadata):
        if not child.tag.startswith("{"):
            metadata.remove(child)


def _without_run_time_names(device: ET.Element) -> None:
    """Drop what only the XML of a running machine has: a given dump of one is no wish for these."""
    for alias in device.findall("alias"):
        if not (alias.get("name") or "").startswith("ua-"):
            device.remove(alias)
    source, target = device.find("source"), device.find("target")
    if source is not None and device.tag in ("serial", "console", "parallel") and device.get("type") == "pty":
        device.remove(source)
        device.attrib.pop("tty", None)
    if source is not None and device.tag == "disk":
        source.attrib.pop("index", None)
    if source is not None and device.tag == "interface" and device.get("type") == "network":
        source.attrib.pop("portid", None)
        source.attrib.pop("bridge", None)
    if target is not None and device.tag == "channel":
        target.attrib.pop("state", None)
    if source is not None and device.tag == "channel" and device.get("type") == "unix":
        path = source.get("path", "")
        if not path or _AUTOMATIC_CHANNEL.search(path):
            device.remove(source)
    if target is not None and device.tag == "interface" and _AUTOMATIC_INTERFACE.match(target.get("dev", "")):
        device.remove(target)


def _normal_graphics(graphics: ET.Element) -> None:
    if graphics.get("port") in ("-1", "0"):
        graphics.set("autoport", "yes")
    if graphics.get("autoport") == "yes":
        graphics.attrib.pop("port", None)  # -1 while the machine is off, the port in use while it runs
    elif "port" in graphics.attrib:
        graphics.set("autoport", "no")
    # The attribute repeats the first <listen>, and libvirt refuses the two to differ.
    address = graphics.attrib.pop("listen", None)
    if address is not None and graphics.find("listen") is None:
        ET.SubElement(graphics, "listen", {"type": "address", "address": address})


def _round_video_memory(model: ET.Element) -> None:
    """libvirt keeps the next power of two."""
    for attribute in ("ram", "vram", "vram64"):
        size = model.get(attribute, "")
        if size.isdigit() and int(size) > 0:
            model.set(attribute, str(1 << (int(size) - 1).bit_length()))


def _without_console_twin(devices: ET.Element) -> None:
    """libvirt mirrors the first serial port in a <console>, and makes a serial port of a lone one."""
    consoles = [console for console in devices.findall("console") if _console_target(console) in ("", "serial")]
    if consoles and devices.find("serial") is None:
        serial = copy.deepcopy(consoles[0])
        serial.tag = "serial"
        target = serial.find("target")
        if target is not None:
            target.attrib.pop("type", None)
        devices.insert(list(devices).index(consoles[0]), serial)
    for console in consoles:
        devices.remove(console)


def _console_target(console: ET.Element) -> str:
    target = console.find("target")
    return "" if target is None else target.get("type", "")
