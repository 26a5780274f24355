# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sensor data records, as bytes (IPMI 2.0, chapter 43), and the repository that serves them (chapter 33)."""

from __future__ import annotations

import enum
import zlib
from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence, Tuple

from vbmcd.storage.events import SENSOR_SPECIFIC, SensorNumber, SensorType

BMC_ADDRESS = 0x20
SDR_VERSION = 0x51
FIRST, LAST = 0x0000, 0xFFFF
"""Record ids that mean the first and the last one (33.12)."""
HEADER_SIZE = 5

_TEXT = 0xC0
_LONGEST_NAME = 16
_THRESHOLD = 0x01
"""Event/reading type of a sensor with thresholds (42.1)."""


class Entity(enum.IntEnum):
    """What a sensor watches (table 43-13)."""

    PROCESSOR = 0x03
    DISK = 0x04
    MANAGEMENT = 0x06
    ADD_IN_CARD = 0x0B
    POWER_UNIT = 0x13
    CHASSIS = 0x17
    MEMORY = 0x20
    BIOS = 0x22


@dataclass(frozen=True)
class Scale:
    """How a reading of 0 to 255 becomes a value: L[M × reading × 10^K] (36.3), and the value's unit."""

    factor: int
    exponent: int
    square: bool
    """L is the square; else it is nothing."""
    unit: int
    """Table 43-15."""
    percent: bool = False
    per_second: bool = False

    def reading(self, value: float) -> int:
        """The nearest reading of `value`; the last one for what is too much."""
        root: float = max(0.0, value) ** (0.5 if self.square else 1.0)
        return min(255, round(root / (self.factor * 10.0**self.exponent)))

    def to_bytes(self) -> bytes:
        """Bytes 21 to 30 of a full record: units, linearization, factors (43.1)."""
        units = (0x18 if self.per_second else 0) | (0x01 if self.percent else 0)
        exponents = (self.exponent & 0x0F) << 4
        return bytes((units, self.unit, 0, 0x08 if self.square else 0, self.factor, 0, 0, 0, 0, exponents))


PERCENT = Scale(1, 0, square=False, unit=0, percent=True)
MEGABYTES_PER_SECOND = Scale(2, -1, square=True, unit=72, per_second=True)
"""The square of 0.2 × reading: steps well below 1 MB/s for a quiet machine, and up to 2,601 MB/s for a busy one."""


@dataclass(frozen=True)
class Thresholds:
    """Fixed upper thresholds, as readings."""

    noncritical: int
    critical: int

    READABLE = 0x18
    """Bit 3: upper non-critical, bit 4: upper critical (35.8, 43.1)."""

    def reached(self, reading: int) -> int:
        """The comparison bits of Get Sensor Reading (35.14)."""
        return (0x08 if reading >= self.noncritical else 0) | (0x10 if reading >= self.critical else 0)


def full(
    number: SensorNumber,
    name: str,
    kind: SensorType,
    entity: Entity,
    scale: Scale,
    thresholds: Optional[Thresholds],
) -> bytes:
    """A full sensor record (43.1) of an analog sensor that sends no events."""
    readable = Thresholds.READABLE if thresholds else 0
    # Sensor capabilities: re-arms by itself, no hysteresis, thresholds readable and fixed, no events.
    capabilities = 0x43 | (0x04 if thresholds else 0)
    upper_comparisons = readable << 9
    limits = bytes((0, thresholds.critical, thresholds.noncritical)) if thresholds else bytes(3)
    return _record(
        0x01,
        bytes((BMC_ADDRESS, 0, number, entity, 1, 0x01, capabilities, kind, _THRESHOLD, 0, 0))
        + upper_comparisons.to_bytes(2, "little")
        + bytes((readable, 0))
        + scale.to_bytes()
        # Analog characteristics: none of nominal, normal maximum and minimum is specified. Then the range.
        + bytes((0, 0, 0, 0, 0xFF, 0))
        + limits
        + bytes(3 + 2 + 2 + 1),
        name,
    )


def compact(number: SensorNumber, name: str, kind: SensorType, entity: Entity, states: int) -> bytes:
    """A compact sensor record (43.2) of a discrete sensor with the states of its sensor type."""
    mask = states.to_bytes(2, "little")
    # Sensor capabilities: re-arms by itself, events only as a whole.
    head = bytes((BMC_ADDRESS, 0, number, entity, 1, 0x03, 0x41, kind, SENSOR_SPECIFIC))
    return _record(0x02, head + mask * 3 + bytes((0xC0, 0, 0, 0x01, 0)) + bytes(2 + 3 + 1), name)


def event_only(number: SensorNumber, name: str, kind: SensorType, entity: Entity) -> bytes:
    """An event-only record (43.3): a source of log entries that has no reading."""
    return _record(0x03, bytes((BMC_ADDRESS, 0, number, entity, 1, kind, SENSOR_SPECIFIC, 0x01, 0, 0, 0)), name)


def fru_locator(device: int, name: str, entity: Entity) -> bytes:
    """A FRU device locator (43.8) of a logical FRU device of the BMC."""
    return _record(0x11, bytes((BMC_ADDRESS, device, 0x80, 0, 0, 0x10, 0, entity, 1, 0)), name)


def controller_locator(name: str, capabilities: int) -> bytes:
    """A management controller device locator (43.9) of the BMC itself, which is always there."""
    return _record(0x12, bytes((BMC_ADDRESS, 0, 0x20, capabilities, 0, 0, 0, Entity.MANAGEMENT, 1, 0)), name)


def _record(kind: int, body: bytes, name: str) -> bytes:
    """A record with its header, but for the id, and with its name (43.15)."""
    text = name.encode("ascii")
    assert 2 <= len(text) <= _LONGEST_NAME
    body += bytes((_TEXT | len(text),)) + text
    return bytes((SDR_VERSION, kind, len(body))) + body


class Repository:
    """Records that never change, so that one repository serves every BMC."""

    def __init__(self, records: Sequence[bytes]) -> None:
        self._records: Dict[int, bytes] = {
            number: number.to_bytes(2, "little") + record for number, record in enumerate(records, 1)
        }
        # 2020 and up to five years: clients that keep a copy compare the time of the last change with it, so
        # this only has to be another one for other records.
        self.changed = 1577836800 + zlib.crc32(b"".join(records)) % (5 * 365 * 86400)

    def __len__(self) -> int:
        return len(self._records)

    def get(self, number: int) -> Optional[Tuple[bytes, int]]:
        """The record of an id, FIRST or LAST, and the id of the next one (LAST after the last); None: no such."""
        number = 1 if number == FIRST else len(self._records) if number == LAST else number
        record = self._records.get(number)
        if record is None:
            return None
        return record, number + 1 if number + 1 in self._records else LAST

    def records(self) -> List[bytes]:
        return list(self._records.values())
