# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks as volumes of libvirt's storage pools: looked up once a pool, made, grown and removed.

Used by _domain_converge. An existing volume of the right name is left alone but for a larger size.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Dict, FrozenSet, Iterable, List, Optional

from ansible_collections.baremetal.lab.plugins.module_utils._domain_template import Disk, DiskSource
from ansible_collections.baremetal.lab.plugins.module_utils._errors import LabError
from ansible_collections.baremetal.lab.plugins.module_utils._libvirt import libvirt, reason

_BLOCK_POOLS = frozenset(["logical", "disk", "iscsi", "iscsi-direct", "scsi", "mpath", "zfs"])
_SLACK = 4 << 20
"""Block pools round sizes to their extents (LVM: 4 MiB)."""


@dataclass
class VolumePlan:
    """What one disk needs; `action` is create, grow or empty."""

    disk: Disk
    source: DiskSource
    action: str = ""
    capacity: int = 0
    """Bytes it has now; 0 for one to create."""


@dataclass
class _Pool:
    pool: Any
    path: str
    is_block: bool
    volumes: Dict[str, Any]


class Volumes:
    """The volumes of one connection. Every method raises LabError naming the volume and the remedy."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._pools: Dict[str, _Pool] = {}

    def plan(self, disk: Disk) -> VolumePlan:
        """What is to do for the disk, and where its bytes are or will be."""
        pool = self._pool(disk.pool)
        volume = pool.volumes.get(disk.volume)
        if volume is None:
            if disk.size is None and disk.backing_file is None:
                raise LabError("%s does not exist: give its size_gb, and it is made" % _name(disk))
            path = "%s/%s" % (pool.path.rstrip("/"), disk.volume)
            return VolumePlan(disk, DiskSource(path, pool.is_block), "create")
        return self._plan_existing(disk, pool, volume)

    def create(self, plan: VolumePlan) -> DiskSource:
        """Make the volume; returns where it is."""
        pool = self._pools[plan.disk.pool]
        try:
            volume = pool.pool.createXML(_volume_xml(plan.disk), 0)
        except libvirt.libvirtError as error:
            raise LabError(
                "libvirt could not make %s: %s: make room, correct the options, or remove what is in its way"
                % (_name(plan.disk), reason(error))
            ) from error
        pool.volumes[plan.disk.volume] = volume
        return DiskSource(volume.path(), pool.is_block)

    def grow(self, plan: VolumePlan, domain: Optional[Any]) -> None:
        """Give the volume its larger size; `domain` is the one that runs with it, if one does."""
        volume = self._pools[plan.disk.pool].volumes[plan.disk.volume]
        try:
            if domain is not None:
                domain.blockResize(plan.source.path, plan.disk.size, libvirt.VIR_DOMAIN_BLOCK_RESIZE_BYTES)
            else:
                volume.resize(plan.disk.size, 0)
        except libvirt.libvirtError as error:
            raise LabError(
                "libvirt could not grow %s: %s: shut the domain down and try again, or ask for its present size"
                % (_name(plan.disk), reason(error))
            ) from error

    def discard(self, plan: VolumePlan) -> None:
        """Remove a volume that was just made for a domain that could not be."""
        volume = self._pools[plan.disk.pool].volumes.pop(plan.disk.volume, None)
        if volume is not None:
            volume.delete(0)

    def at(self, path: str) -> Optional[Any]:
        """The volume of a path, or None where it is in no active pool."""
        try:
            return self._connection.storageVolLookupByPath(path)
        except libvirt.libvirtError:
            return None

    def existing(self, disks: Iterable[Disk]) -> List[str]:
        """The paths of those of the disks that exist as volumes."""
        volumes = [self._pool(disk.pool).volumes.get(disk.volume) for disk in disks if disk.is_volume]
        return [volume.path() for volume in volumes if volume is not None]

    def backing_paths(self) -> FrozenSet[str]:
        """The paths that volumes of the active pools are overlays of."""
        paths = set()
        for pool in self._connection.listAllStoragePools(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE):
            for volume in pool.listAllVolumes():
                with suppress(libvirt.libvirtError):  # gone meanwhile
                    paths.add(ET.fromstring(volume.XMLDesc(0)).findtext("backingStore/path") or "")
        return frozenset(paths)

    def remove(self, path: str) -> None:
        volume = self.at(path)
        if volume is None:
            return
        try:
            volume.delete(0)
        except libvirt.libvirtError as error:
            raise LabError(
                "libvirt could not remove the disk %s: %s: remove it by hand, or leave out remove_disks"
                % (path, reason(error))
            ) from error

    def _plan_existing(self, disk: Disk, pool: _Pool, volume: Any) -> VolumePlan:
        definition = ET.fromstring(volume.XMLDesc(0))
        found = definition.find("target/format")
        if found is not None and not pool.is_block and found.get("type") != disk.format:
            raise LabError(
                "%s exists with the format %s, not %s: give 'format: %s', or another name"
                % (_name(disk), found.get("type"), disk.format, found.get("type"))
            )
        capacity = int(definition.findtext("capacity") or 0)
        source = DiskSource(volume.path(), pool.is_block)
        if disk.size is None or disk.size == capacity:
            return VolumePlan(disk, source)
        if disk.size > capacity:
            return VolumePlan(disk, source, "grow", capacity)
        if pool.is_block and capacity - disk.size < _SLACK:
            return VolumePlan(disk, source)
        raise LabError(
            "%s has %s, and %s are asked for: a disk is never shrunk, so ask for its size or more, or remove it first"
            % (_name(disk), shown_size(capacity), shown_size(disk.size))
        )

    def _pool(self, name: str) -> _Pool:
        if name not in self._pools:
            self._pools[name] = self._look_up(name)
        return self._pools[name]

    def _look_up(self, name: str) -> _Pool:
        try:
            pool = self._connection.storagePoolLookupByName(name)
        except libvirt.libvirtError as error:
            raise LabError(
                "no storage pool '%s' (%s): define it, as the role hypervisor does, or give the disk another pool"
                % (name, reason(error))
            ) from error
        if not pool.isActive():
            raise LabError("storage pool '%s' is not started: run 'virsh pool-start %s'" % (name, name))
        with suppress(libvirt.libvirtError):  # refused while a volume is being made there: what libvirt knows will do
            pool.refresh(0)  # a file that another tool put there is a volume from then on
        definition = ET.fromstring(pool.XMLDesc(0))
        volumes = {volume.name(): volume for volume in pool.listAllVolumes()}
        path = definition.findtext("target/path") or "/dev"
        return _Pool(pool, path, definition.get("type") in _BLOCK_POOLS, volumes)


def shown_size(size: int) -> str:
    """Bytes as a person says them."""
    return "%g GiB" % round(size / (1 << 30), 3)


def _name(disk: Disk) -> str:
    return "volume '%s' of pool '%s'" % (disk.volume, disk.pool)


def _volume_xml(disk: Disk) -> str:
    volume = ET.Element("volume")
    ET.SubElement(volume, "name").text = disk.volume
    if disk.size is not None:
        ET.SubElement(volume, "capacity", {"unit": "bytes"}).text = str(disk.size)
    ET.SubElement(volume, "allocation").text = "0"
    target = ET.SubElement(volume, "target")
    ET.SubElement(target, "format", {"type": disk.format})
    if disk.backing_file is not None:
        backing = ET.SubElement(volume, "backingStore")
        ET.SubElement(backing, "path").text = disk.backing_file
        ET.SubElement(backing, "format", {"type": disk.backing_format})
    return ET.tostring(volume, encoding="unicode")
