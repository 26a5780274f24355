# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The medium in a domain's CD drive: blocking functions over a libvirt connection, run in threads.

A medium is write-protected always. What is inserted is inserted in the running domain and in its definition, so that it
is still there when the domain starts next, by whatever boot override.
"""

from __future__ import annotations

import time
import xml.etree.ElementTree as ET
from contextlib import suppress
from typing import Any, BinaryIO, Optional

import libvirt

from vbmcd.config import Connection
from vbmcd.machine.base import MachineError, Unsupported, WrongState
from vbmcd.machine.libvirt_connection import ClientConnection, is_alive
from vbmcd.machine.libvirt_errors import translate, unreachable
from vbmcd.machine.libvirt_monitor import MonitorError, tell

_INACTIVE = libvirt.VIR_DOMAIN_XML_INACTIVE
_LIVE, _CONFIG = libvirt.VIR_DOMAIN_AFFECT_LIVE, libvirt.VIR_DOMAIN_AFFECT_CONFIG
_FORCE = libvirt.VIR_DOMAIN_DEVICE_MODIFY_FORCE
"""A guest may have locked the drive's door."""
_DOOR = "is not open"
"""Of QEMU's message, when firmware that looks for media closes the drive's door before libvirt could change them."""
_PATIENCE = 3.0
"""Seconds in which that may happen again and again: firmware looks for media for as long."""
_PAUSE = 0.1
_SOURCES = ("file", "dev", "name", "volume")
_OF_A_MEDIUM = ("source", "backingStore", "mirror")


def medium(connection: Any, name: str) -> Optional[str]:
    """What is in the drive; None for an empty one. Raises Unsupported where there is no drive."""
    return source_of(_drive(connection.lookupByName(name).XMLDesc(0), name))


def source_of(disk: ET.Element) -> Optional[str]:
    """What is in it. Once it was ejected from a running domain, there is an element that names nothing."""
    source = disk.find("source")
    return None if source is None else next((source.get(key) for key in _SOURCES if source.get(key)), None)


def change_medium(connection: Any, name: str, path: Optional[str]) -> None:
    """Have the file at `path` in the drive, write-protected, or nothing. Raises Unsupported as medium() does."""
    domain = connection.lookupByName(name)
    if domain.isActive():
        _change_live(domain, name, path)
    if domain.isPersistent():
        domain.updateDeviceFlags(_with_medium(_drive(domain.XMLDesc(_INACTIVE), name), path), _CONFIG)


def _change_live(domain: Any, name: str, path: Optional[str]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        drive = _drive(domain.XMLDesc(0), name)
        try:
            domain.updateDeviceFlags(_with_medium(drive, path), _LIVE | _FORCE)
            return
        except libvirt.libvirtError as error:
            if _DOOR not in str(error) or time.monotonic() >= deadline:
                raise
        time.sleep(_PAUSE)
        _open_door(domain, drive)


def _open_door(domain: Any, drive: ET.Element) -> None:
    """libvirt may take it for open still, and then never opens it, however often it is asked (seen with 9.0 on a busy
    host)."""
    alias = drive.find("alias")
    with suppress(MonitorError):
        tell(domain, "blockdev-open-tray", id="" if alias is None else alias.get("name"), force=True)


def _drive(definition: str, name: str) -> ET.Element:
    drive = ET.fromstring(definition).find("devices/disk[@device='cdrom']")
    if drive is None:
        raise Unsupported(f"domain {name!r} has no CD-ROM drive: give it one, with an empty drive in its definition")
    return drive


def _with_medium(drive: ET.Element, path: Optional[str]) -> str:
    for tag in _OF_A_MEDIUM:
        for element in drive.findall(tag):
            drive.remove(element)
    drive.set("type", "file")
    driver = drive.find("driver")
    if driver is not None:
        driver.set("type", "raw")
    if path is not None:
        drive.append(ET.Element("source", {"file": path}))
    if drive.find("readonly") is None:
        drive.append(ET.Element("readonly"))
    return ET.tostring(drive, encoding="unicode")


def store(settings: Connection, pool: str, name: str, content: BinaryIO, size: int) -> str:
    """Put `content` into a volume of that name, in place of one that is there; its path. Takes as long as it takes.

    On a connection of its own: a long transfer must not hold up who asks something short. Raises MachineError.
    """
    connection = _open(settings)
    try:
        found = connection.handle.storagePoolLookupByName(pool)
        _remove(found, name)
        volume = found.createXML(_volume(name, size))
        stream = connection.handle.newStream(0)
        try:
            volume.upload(stream, 0, size)
            stream.sendAll(lambda _stream, count, file: file.read(count), content)
            stream.finish()
        except libvirt.libvirtError:
            with suppress(libvirt.libvirtError):
                stream.abort()
            _remove(found, name)
            raise
        path: str = volume.path()
        return path
    except libvirt.libvirtError as error:
        raise _translated(error, pool, settings, is_alive(connection.handle)) from error
    finally:
        connection.close()


def discard(settings: Connection, pool: str, name: str) -> None:
    """Remove that volume, if it is there. Raises MachineError."""
    connection = _open(settings)
    try:
        _remove(connection.handle.storagePoolLookupByName(pool), name)
    except libvirt.libvirtError as error:
        raise _translated(error, pool, settings, is_alive(connection.handle)) from error
    finally:
        connection.close()


def _open(settings: Connection) -> ClientConnection:
    try:
        return ClientConnection(settings)
    except libvirt.libvirtError as error:
        raise unreachable(error, settings.uri) from error


def _volume(name: str, size: int) -> str:
    volume = ET.Element("volume")
    ET.SubElement(volume, "name").text = name
    ET.SubElement(volume, "capacity", {"unit": "bytes"}).text = str(size)
    ET.SubElement(ET.SubElement(volume, "target"), "format", {"type": "raw"})
    return ET.tostring(volume, encoding="unicode")


def _remove(pool: Any, name: str) -> None:
    try:
        pool.storageVolLookupByName(name).delete()
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_STORAGE_VOL:
            raise


def _translated(error: libvirt.libvirtError, pool: str, settings: Connection, alive: bool) -> MachineError:
    if error.get_error_code() == libvirt.VIR_ERR_NO_STORAGE_POOL:
        remedy = "make it, or name another one in the instance's media.pool"
        return WrongState(f"libvirt at {settings.uri} has no storage pool {pool!r}: {remedy}")
    said = translate(error, f"pool {pool}", settings.uri, alive)
    return said if not isinstance(said, WrongState) else WrongState(f"storage pool {pool!r} at {settings.uri}: {error}")
