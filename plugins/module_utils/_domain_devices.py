# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which wanted device is which current one, and the <devices> that follow from it. Pure; used by _domain_xml."""

from __future__ import annotations

import copy
import xml.etree.ElementTree as ET
from typing import AbstractSet, Dict, List, Optional, Tuple

from ansible_collections.baremetal.lab.plugins.module_utils import _domain_rules as rules
from ansible_collections.baremetal.lab.plugins.module_utils._domain_merge import Merger, shown
from ansible_collections.baremetal.lab.plugins.module_utils._domain_normal import same_value
from ansible_collections.baremetal.lab.plugins.module_utils._xml import leaf

_IN_WANTED_ORDER = frozenset(["interface"])
"""Kinds whose order a guest and the firmware see: the first NIC is the first to boot from. (Disks are sorted.)"""


def merge_devices(
    current: ET.Element, wanted: ET.Element, merger: Merger, kinds: Optional[AbstractSet[str]], afresh: bool
) -> ET.Element:
    """The <devices> to define.

    `kinds`: those of which a device that `wanted` lacks is removed; None for all that libvirt doesn't add itself.
    `afresh`: the hardware is another: of the current devices only the MAC addresses are of use.
    """
    have, want = list(current.iterfind("devices/*")), list(wanted.iterfind("devices/*"))
    screens = want if kinds is None or "graphics" in kinds else want + have
    graphics = frozenset(device.get("type", "") for device in screens if device.tag == "graphics")
    devices = ET.Element("devices")
    for kind in dict.fromkeys(device.tag for device in have + want):
        paired = _Paired(
            kind,
            [device for device in have if device.tag == kind],
            [device for device in want if device.tag == kind],
            merger,
        )
        for device in paired.left:
            automatic = rules.libvirt_adds(device, graphics)
            if automatic or (kinds is not None and kind not in kinds):
                paired.keep(device, merger)
            else:
                merger.note(_path(device), shown(device), None)
        devices.extend(paired.afresh(graphics) if afresh else paired.merged())
    return devices


class _Paired:
    """The devices of one kind: what is wanted of which, and what is left over or new."""

    def __init__(self, kind: str, have: List[ET.Element], want: List[ET.Element], merger: Merger) -> None:
        self.kind, self.have, self.want = kind, have, want
        self._partner = _partners(have, want, merger)
        self.left = [device for position, device in enumerate(have) if position not in self._partner.values()]
        self._kept: List[ET.Element] = []
        self._result: Dict[int, ET.Element] = {}
        for position, device in enumerate(want):
            if position in self._partner:
                old = have[self._partner[position]]
                self._result[position] = merger.element(old, device, "devices/" + kind, _path(old))
            else:
                merger.note(_path(device), None, shown(device))
                self._result[position] = copy.deepcopy(device)
        self._note_order(merger)

    def keep(self, device: ET.Element, merger: Merger) -> None:
        """Keep a device that has no wanted one (without its boot order, where that is given elsewhere)."""
        kept = copy.deepcopy(device)
        boot = kept.find("boot")
        if boot is not None and merger.devices_boot_as_wanted:
            kept.remove(boot)
            merger.note(_path(device) + "/boot", shown(boot), None)
        self._kept.append(kept)

    def merged(self) -> List[ET.Element]:
        if self.kind in _IN_WANTED_ORDER:
            return [self._result[position] for position in range(len(self.want))] + self._kept
        wanted_of = {have: want for want, have in self._partner.items()}
        kept = iter(self._kept)
        removed = len(self.left) - len(self._kept)
        devices = [self._result[wanted_of[have]] for have in range(len(self.have)) if have in wanted_of]
        if not removed:  # the usual case: everything where it was
            devices = [
                self._result[wanted_of[have]] if have in wanted_of else next(kept) for have in range(len(self.have))
            ]
        added = [self._result[want] for want in range(len(self.want)) if want not in self._partner]
        return devices + list(kept) + added

    def afresh(self, graphics: AbstractSet[str]) -> List[ET.Element]:
        """The wanted devices as they are given, with the MAC addresses that they had."""
        devices = []
        for position, device in enumerate(self.want):
            fresh = copy.deepcopy(device)
            mac = self._result[position].find("mac")
            if self.kind == "interface" and mac is not None and fresh.find("mac") is None:
                fresh.insert(0, copy.deepcopy(mac))
            devices.append(fresh)
        for kept in self._kept:
            if not rules.libvirt_adds(kept, graphics):
                for address in kept.findall("address"):
                    kept.remove(address)
                devices.append(kept)
        return devices

    def _note_order(self, merger: Merger) -> None:
        order = [self._partner[position] for position in range(len(self.want)) if position in self._partner]
        if self.kind in _IN_WANTED_ORDER and order != sorted(order):
            labels = [_label(self.have[position]) for position in order]
            before = [_label(self.have[position]) for position in sorted(order)]
            merger.note("devices/%s (order)" % self.kind, ",".join(before), ",".join(labels))


def _partners(have: List[ET.Element], want: List[ET.Element], merger: Merger) -> Dict[int, int]:
    """Position in `want` -> position in `have`: those that say who they are first, then the most alike."""
    candidates: List[Tuple[bool, int, int, int, int]] = []
    for want_at, wanted in enumerate(want):
        for have_at, current in enumerate(have):
            if _may_be(current, wanted):
                trial = merger.trial()
                trial.element(current, wanted, "devices/" + wanted.tag, "")
                anonymous = not _says_who(wanted)
                # Where several have the one name, the nearest: or they would change places each time.
                distance = 0 if anonymous else abs(want_at - have_at)
                candidates.append((anonymous, len(trial.differences), distance, want_at, have_at))
    partners: Dict[int, int] = {}
    for _anonymous, _cost, _distance, want_at, have_at in sorted(candidates):
        if want_at not in partners and have_at not in partners.values():
            partners[want_at] = have_at
    return partners


def _identity(device: ET.Element) -> List[str]:
    """The identifying values, '' for those that it doesn't name."""
    return [leaf(device, path)[1] for path in rules.IDENTITY.get(device.tag, ())]


def _says_who(wanted: ET.Element) -> bool:
    identity = _identity(wanted)
    return bool(identity) and all(identity)


def _may_be(current: ET.Element, wanted: ET.Element) -> bool:
    """Whether nothing by which the two say who they are speaks against their being one device."""
    for path, before, after in zip(rules.IDENTITY.get(wanted.tag, ()), _identity(current), _identity(wanted)):
        tag, _at, attribute = path.partition("/@")
        if before and after and not same_value(tag, attribute, before, after):
            return False
    return True


def _label(device: ET.Element) -> str:
    return ",".join(value for value in _identity(device) if value)


def _path(device: ET.Element) -> str:
    label = _label(device)
    return "devices/%s[%s]" % (device.tag, label) if label else "devices/" + device.tag
