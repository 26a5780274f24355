# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A BMC's FRU inventory: made from the machine until a client writes to it, and kept from then on."""

from __future__ import annotations

import uuid
from typing import Optional

from vbmcd import __version__
from vbmcd.commands.keep import Keep, Saver
from vbmcd.config import Instance
from vbmcd.machine.base import Busy, Machine
from vbmcd.storage.fru import Identity, Inventory, inventory

RECORD = "fru"


class Fru:
    """FRU device 0 of one BMC. Made only once somebody reads it."""

    __slots__ = ("_instance", "_inventory", "_kept", "_machine", "_saver", "_serial")

    def __init__(self, keep: Keep, instance: Instance, machine: Machine) -> None:
        self._instance = instance
        self._machine = machine
        self._saver = Saver(keep, RECORD, self._to_bytes)
        self._kept = b""
        self._inventory: Optional[Inventory] = None
        self._serial: Optional[uuid.UUID] = None
        """The UUID that the inventory was made with; None for one that a client has written to."""

    def restore(self, kept: bytes) -> None:
        self._kept = kept

    def _to_bytes(self) -> bytes:
        assert self._inventory is not None
        # One byte at least: nothing at all would read as never written.
        return self._inventory.to_bytes() or b"\x00"

    async def read(self, offset: int, count: int) -> bytes:
        return (await self._present()).read(offset, count)

    async def write(self, offset: int, data: bytes) -> None:
        """Put `data` there for good. Raises Busy, and has not changed anything, when it can't be stored."""
        present = await self._present()
        before = present.read(offset, len(data))
        present.write(offset, data)
        self._serial = None
        try:
            await self._saver.save()
        except Busy:
            present.write(offset, before)
            raise

    async def _present(self) -> Inventory:
        if self._inventory is None and self._kept:
            self._inventory, self._kept = Inventory(self._kept), b""
        if self._inventory is not None and self._serial is None:
            return self._inventory
        serial = await self._machine.system_uuid()
        if self._inventory is None or serial != self._serial:
            self._inventory, self._serial = Inventory(inventory(self._identity(serial))), serial
        return self._inventory

    def _identity(self, serial: uuid.UUID) -> Identity:
        instance = self._instance
        return Identity(instance.name, instance.domain, serial, __version__, instance.owner)
