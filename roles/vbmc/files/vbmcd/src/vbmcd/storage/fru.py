# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The FRU inventory: chassis, board and product areas (IPMI Platform Management FRU 1.0, r1.3).

What an area says of the machine is made here once; a client may then write whatever bytes it likes, its
checksums included.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Sequence
from uuid import UUID

from vbmcd.rmcp.message import checksum

SIZE = 1024
"""Bytes of the inventory. A client that edits fields needs room to grow."""

FORMAT_VERSION = 0x01
ENGLISH = 0
END_OF_FIELDS = 0xC1
_TEXT = 0xC0
"""Type code 11b: 8-bit ASCII and Latin 1 (section 13)."""
_LONGEST = 63
CHASSIS_OTHER = 0x01
"""Chassis type 'other' (SMBIOS 7.4.1): a virtual machine is in none."""
NO_DATE = bytes(3)
"""Board's manufacturing date: unspecified (section 11)."""
_UNIT = 8

MANAGEMENT_ACCESS = 0x03
SYSTEM_UNIQUE_ID = 0x07
RECORD_VERSION = 0x02
END_OF_RECORDS = 0x80

MANUFACTURER = "baremetal.lab"
PRODUCT = "Virtual machine"


@dataclass(frozen=True)
class Identity:
    """What the areas say."""

    instance: str
    domain: str
    uuid: UUID
    """The machine's, which is also every area's serial number."""
    version: str
    owner: str = ""


def inventory(identity: Identity) -> bytes:
    """The whole inventory, without the zero bytes behind its last area."""
    serial = str(identity.uuid)
    chassis = _area(bytes((CHASSIS_OTHER,)), [identity.domain, serial])
    board = _area(bytes((ENGLISH,)) + NO_DATE, [MANUFACTURER, PRODUCT, serial, identity.domain, ""])
    extra = [f"owner={identity.owner}"] if identity.owner else []
    product = _area(
        bytes((ENGLISH,)),
        [MANUFACTURER, PRODUCT, identity.domain, identity.version, serial, identity.instance, "", *extra],
    )
    # Common header (section 8): offsets in units of 8 bytes of internal use, chassis, board, product, multi-record.
    chassis_at = 1
    board_at = chassis_at + len(chassis) // _UNIT
    product_at = board_at + len(board) // _UNIT
    records_at = product_at + len(product) // _UNIT
    header = bytes((FORMAT_VERSION, 0, chassis_at, board_at, product_at, records_at, 0))
    return header + bytes((checksum(header),)) + chassis + board + product + _unique_id(identity.uuid)


def _unique_id(identity: UUID) -> bytes:
    """A multi-record area (sections 16 and 18.4) with the system's unique id.

    It is worth having besides what it says: ipmitool, when it makes a field longer, takes a header without a
    multi-record area for one whose area begins at 0, and moves it into another.
    """
    data = bytes((SYSTEM_UNIQUE_ID,)) + identity.bytes
    header = bytes((MANAGEMENT_ACCESS, END_OF_RECORDS | RECORD_VERSION, len(data), checksum(data)))
    return header + bytes((checksum(header),)) + data


def _area(head: bytes, fields: Sequence[str]) -> bytes:
    """An information area (sections 10 to 12): version, length, `head`, fields, checksum."""
    body = head + b"".join(_field(text) for text in fields) + bytes((END_OF_FIELDS,))
    size = 2 + len(body) + 1
    padded = size + -size % _UNIT
    area = bytes((FORMAT_VERSION, padded // _UNIT)) + body + bytes(padded - size)
    return area + bytes((checksum(area),))


def _field(text: str) -> bytes:
    data = text.encode("latin-1", "replace")[:_LONGEST]
    if len(data) == 1:
        # Type and length of one character would read as the end of fields (section 13).
        data += b" "
    return bytes((_TEXT | len(data),)) + data if data else b"\x00"


class Inventory:
    """One FRU device's bytes, as they are read and written (34.2, 34.3)."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        self._data = bytearray(data[:SIZE])

    def read(self, offset: int, count: int) -> bytes:
        """Up to `count` bytes from `offset`; less where the inventory ends."""
        count = max(0, min(count, SIZE - offset))
        return bytes(self._data[offset : offset + count]).ljust(count, b"\x00")

    def write(self, offset: int, data: bytes) -> None:
        """Put `data` there; the caller has seen to it that it fits."""
        assert offset + len(data) <= SIZE
        self._data.extend(bytes(max(0, offset + len(data) - len(self._data))))
        self._data[offset : offset + len(data)] = data

    def to_bytes(self) -> bytes:
        """What outlives the worker: without the zero bytes at its end."""
        return bytes(self._data).rstrip(b"\x00")
