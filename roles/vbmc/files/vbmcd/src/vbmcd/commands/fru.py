# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""FRU inventory commands (IPMI 2.0, chapter 34)."""

from __future__ import annotations

from dataclasses import dataclass

from vbmcd.commands.bmc import Context
from vbmcd.commands.codes import Code, CommandError
from vbmcd.commands.table import CommandTable, NetFn, of_length
from vbmcd.config import Privilege
from vbmcd.storage.fru import SIZE
from vbmcd.storage.sensors import FRU_DEVICE

fru = CommandTable(NetFn.STORAGE)


def check_device(device: int) -> None:
    """CBh for a FRU device that does not exist."""
    if device != FRU_DEVICE:
        raise CommandError(Code.NOT_PRESENT)


@fru.read(0x10, privilege=Privilege.USER, parse=of_length(1))
async def get_area_info(context: Context, request: bytes) -> bytes:
    """Get FRU Inventory Area Info (34.1): its size, accessed by bytes."""
    check_device(request[0])
    return SIZE.to_bytes(2, "little") + b"\x00"


@fru.read(0x11, privilege=Privilege.USER, parse=of_length(4))
async def read_data(context: Context, request: bytes) -> bytes:
    """Read FRU Data (34.2): as many bytes as there are from the offset on. C9h for an offset behind the end."""
    check_device(request[0])
    offset = int.from_bytes(request[1:3], "little")
    if offset >= SIZE:
        raise CommandError(Code.PARAMETER_OUT_OF_RANGE)
    data = await context.bmc.fru.read(offset, request[3])
    return bytes((len(data),)) + data


@dataclass(frozen=True)
class FruWrite:
    """The request of Write FRU Data."""

    offset: int
    data: bytes

    @classmethod
    def parse(cls, data: bytes) -> FruWrite:
        if len(data) < 3:
            raise CommandError(Code.REQUEST_LENGTH_INVALID)
        check_device(data[0])
        offset = int.from_bytes(data[1:3], "little")
        if offset + len(data) - 3 > SIZE:
            raise CommandError(Code.PARAMETER_OUT_OF_RANGE)
        return cls(offset, data[3:])

    def __str__(self) -> str:
        return f"write {len(self.data)} bytes at {self.offset}"


@fru.change(0x12, privilege=Privilege.OPERATOR, parse=FruWrite.parse, audit="fru")
async def write_data(context: Context, request: FruWrite) -> bytes:
    """Write FRU Data (34.3): on disk before it is acknowledged. C9h for what would go beyond the end."""
    await context.bmc.fru.write(request.offset, request.data)
    return bytes((len(request.data),))
