# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What libvirt does to a definition that it is given: the tables by which the overlay tells its work from drift.

Pure data with small predicates; paths are tags from <domain> down, "" being <domain> itself. Measured on
libvirt 9.0 and read against its documentation of the domain XML format. Used by _domain_xml and the modules behind it.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import AbstractSet, Dict, FrozenSet, Tuple

QEMU = "{http://libvirt.org/schemas/domain/qemu/1.0}"

NEVER_FILLED_IN: Dict[str, FrozenSet[str]] = {
    "": frozenset(
        "blkiotune cputune memtune numatune memoryBacking maxMemory vcpus iothreads sysinfo genid idmap perf "
        "launchSecurity bootloader".split()
    )
    | {QEMU + "commandline", QEMU + "override", QEMU + "capabilities"},
    "vcpu": frozenset(["@current", "@cpuset"]),
    "os": frozenset("kernel initrd cmdline dtb bootmenu bios smbios acpi".split()),
    "features": frozenset("apic pae hyperv kvm pmu".split()),
    "cpu": frozenset("feature topology numa cache maxphysaddr".split()),
    "clock": frozenset(["timer"]),
    "sysinfo/bios": frozenset(["entry"]),
    "sysinfo/system": frozenset(["entry"]),
    "cputune": frozenset("vcpupin emulatorpin iothreadpin vcpusched shares period quota".split()),
    "devices/disk": frozenset("iotune shareable transient serial wwn vendor product blockio auth".split()),
    "devices/disk/driver": frozenset("@cache @io @discard @detect_zeroes @queues @iothread @error_policy".split()),
    "devices/disk/source": frozenset(["host"]),
    "devices/interface": frozenset(
        "bandwidth filterref link mtu guest rom vlan tune coalesce ip route driver teaming".split()
    ),
    "devices/interface/source": frozenset(["@portgroup"]),
    "devices/hostdev": frozenset(["rom"]),
    "devices/serial": frozenset(["log"]),
}
"""What a definition holds only because somebody put it there: gone from the wanted XML, it goes.

Boot order and firmware are missing here: they are compared as a whole, in _domain_xml.
"""

FILLED_IN_WHILE_RUNNING: Dict[str, FrozenSet[str]] = {
    "cpu": frozenset("feature topology numa cache maxphysaddr".split()),
    "devices/interface": frozenset("mtu vlan bandwidth".split()),
}
"""Exceptions from NEVER_FILLED_IN for the definition of a running machine (a network's settings appear there)."""

IDENTITY: Dict[str, Tuple[str, ...]] = {
    "disk": ("target/@dev",),
    "interface": ("mac/@address",),
    "controller": ("@type", "@index"),
    "graphics": ("@type",),
    "input": ("@type", "@bus"),
    "channel": ("@type", "target/@name"),
    "serial": ("target/@port",),
    "parallel": ("target/@port",),
    "console": ("target/@type", "target/@port"),
    "hostdev": ("@mode", "@type"),
    "filesystem": ("target/@dir",),
    "audio": ("@id",),
    "sound": ("@model",),
    "panic": ("@model",),
    "memory": ("@model",),
    "shmem": ("@name",),
    "redirdev": ("@bus", "@type"),
    "smartcard": ("@mode",),
}
"""What tells two devices of a kind apart: where both sides name it and it differs, they are two devices."""

KEYS: Dict[str, str] = {
    "timer": "name",
    "feature": "name",
    "parameter": "name",
    "seclabel": "model",
    "vcpupin": "vcpu",
    "iothreadpin": "iothread",
    "cell": "id",
    "vcpu": "id",
    "entry": "name",
    "sysinfo": "type",
}
"""The attribute that tells repeated elements apart; without one they go by their position."""

OPAQUE: FrozenSet[str] = frozenset([QEMU + "commandline", QEMU + "override", QEMU + "capabilities"])
"""Ordered lists of things: as wanted, or replaced as a whole."""

FOLLOWERS: Tuple[Tuple[str, str, Tuple[str, ...]], ...] = (
    ("", "os/type/@arch", ("cpu",)),
    ("os/type", "@arch", ("@machine",)),
    ("cpu", "@mode", ("*",)),
    ("clock", "@offset", ("@basis", "@adjustment", "@timezone", "@start")),
    ("devices/disk", "@type", ("source", "backingStore")),
    ("devices/disk", "@device", ("source", "backingStore", "readonly", "address")),
    ("devices/disk", "target/@bus", ("address",)),
    ("devices/interface", "@type", ("source", "virtualport", "backend")),
    ("devices/controller", "@model", ("address", "model")),
    ("devices/serial", "@type", ("source", "protocol")),
    ("devices/serial", "target/@type", ("target", "address")),
    ("devices/channel", "@type", ("source",)),
    ("devices/tpm", "@model", ("address",)),
    ("devices/tpm", "backend/@type", ("backend",)),
    ("devices/rng", "backend/@model", ("backend",)),
    ("devices/video", "model/@type", ("model", "address")),
    ("devices/watchdog", "@model", ("address",)),
    ("devices/memballoon", "@model", ("address",)),
    ("devices/graphics/listen", "@type", ("@address", "@network", "@socket")),
    ("seclabel", "@type", ("label", "imagelabel", "baselabel", "@relabel")),
    ("devices/sound", "@model", ("address", "codec")),
)
"""(where, what changes, what of the current definition goes with it because it belonged to the old value)."""

SIZES: FrozenSet[str] = frozenset(
    "memory currentMemory maxMemory memtune/hard_limit memtune/soft_limit memtune/swap_hard_limit "
    "memtune/min_guarantee devices/memory/target/size devices/memory/target/requested devices/memory/target/block "
    "devices/memory/target/node/size".split()
)
"""Elements whose text is an amount of memory with a unit."""

SIZE_ATTRIBUTES: Tuple[Tuple[str, str], ...] = (("cpu/numa/cell", "memory"), ("memoryBacking/hugepages/page", "size"))
"""Elements and their attribute with such an amount."""

CPU_SETS: FrozenSet[str] = frozenset(["cpuset", "nodeset", "cpus"])
"""Attributes that hold a list of numbers and ranges."""

CASELESS: FrozenSet[Tuple[str, str]] = frozenset([("mac", "address"), ("uuid", "")])


def libvirt_adds(device: ET.Element, graphics: AbstractSet[str]) -> bool:
    """Whether libvirt adds such a device on its own, so that a wanted XML without it doesn't ask for its removal.

    `graphics` are the types of screens that the machine is to have: libvirt adds a video card for any, and sound
    for those that can carry it.
    """
    if device.tag in ("emulator", "controller", "hub", "memballoon"):
        return True
    if device.tag == "input":
        return device.get("bus") in ("ps2", "xen")
    if device.tag == "audio":
        return device.get("type") == "none" or device.get("type") in graphics
    if device.tag == "video":
        return bool(graphics)
    if device.tag == "watchdog":
        return device.get("model") in ("itco", "diag288")
    if device.tag == "panic":
        return device.get("model") in ("pseries", "s390")
    return False
