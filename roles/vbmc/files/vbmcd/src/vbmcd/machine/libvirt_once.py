# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Once is once: a domain that was started in another order boots in its own when the guest itself reboots.

QEMU tells the firmware the order at each reset of the machine (fw_cfg's bootorder, made of the devices' bootindex), and
lets it be changed while the machine runs. So it is put back as soon as the domain has started. libvirt has no call for
that in all versions, hence QEMU's own monitor; where it can't be had the order stays until the domain is off.
"""

from __future__ import annotations

import logging
import xml.etree.ElementTree as ET
from typing import Any, Dict, Optional

import libvirt

from vbmcd.machine.base import BootDevice
from vbmcd.machine.libvirt_boot import devices_of_kind, identity, ordered
from vbmcd.machine.libvirt_monitor import MonitorError, tell

log = logging.getLogger(__name__)

NOT = -1
"""QEMU's bootindex of a device that is not booted from."""


def put_back(domain: Any, definition: str) -> None:
    """`definition`: what the domain would have been started from without an override. Raises nothing."""
    try:
        indexes = own_indexes(ET.fromstring(domain.XMLDesc(0)), ET.fromstring(definition))
        # No two devices may have the same for a moment.
        for alias in indexes:
            _set(domain, alias, NOT)
        for alias, index in indexes.items():
            if index != NOT:
                _set(domain, alias, index)
    except (MonitorError, libvirt.libvirtError) as error:
        log.info("a one-time boot lasts until the machine is off: %s", error)


def own_indexes(live: ET.Element, stored: ET.Element) -> Dict[str, int]:
    """Pure. By alias, of all devices that either is booted from."""
    numbered = ordered(stored)
    found = {_alias(device): NOT for device in ordered(live)}
    if numbered:
        known = {identity(device): _alias(device) for device in live.iterfind("devices/*")}
        found.update({known.get(identity(device)): index for index, device in enumerate(numbered, start=1)})
    else:
        # Of a kind libvirt boots from the first device alone.
        for boot in live.iterfind("os/boot"):
            found[_first(live, boot.get("dev", ""))] = NOT
        for index, boot in enumerate(stored.iterfind("os/boot"), start=1):
            found[_first(live, boot.get("dev", ""))] = index
    return {alias: index for alias, index in found.items() if alias is not None}


def _first(live: ET.Element, word: str) -> Optional[str]:
    devices = devices_of_kind(live, BootDevice(word))
    return _alias(devices[0]) if devices else None


def _alias(device: ET.Element) -> Optional[str]:
    """None for a floppy drive as well: its controller has its index."""
    alias = device.find("alias")
    return None if alias is None or device.get("device") == "floppy" else alias.get("name")


def _set(domain: Any, alias: str, index: int) -> None:
    tell(domain, "qom-set", path=f"/machine/peripheral/{alias}", property="bootindex", value=index)
