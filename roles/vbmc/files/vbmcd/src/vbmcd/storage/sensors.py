# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The board's sensors: what each is called and measures, and the repository that describes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Dict, Optional, Union

from vbmcd.machine.base import Statistics
from vbmcd.storage import sdr
from vbmcd.storage.events import SensorNumber, SensorType
from vbmcd.storage.sdr import MEGABYTES_PER_SECOND, PERCENT, Entity, Repository, Scale, Thresholds

DEVICE_SUPPORT = 0x8F
"""Additional device support (20.1, 43.9): chassis, FRU inventory, SEL, SDR repository, sensor device."""
FRU_DEVICE = 0

_FULL = Thresholds(90, 98)
_MEGABYTE = 1e6


@dataclass(frozen=True)
class Analog:
    """A sensor of a value that the machine's statistics have, or not."""

    number: SensorNumber
    name: str
    kind: SensorType
    entity: Entity
    scale: Scale
    value: Callable[[Statistics], Optional[float]]
    thresholds: Optional[Thresholds] = None

    def record(self) -> bytes:
        return sdr.full(self.number, self.name, self.kind, self.entity, self.scale, self.thresholds)


@dataclass(frozen=True)
class Discrete:
    """A sensor of states; what they are now is known to who serves it."""

    number: SensorNumber
    name: str
    kind: SensorType
    entity: Entity
    states: int
    """Bits of the states that it can have."""

    def record(self) -> bytes:
        return sdr.compact(self.number, self.name, self.kind, self.entity, self.states)


@dataclass(frozen=True)
class Source:
    """A source of log entries; it has no reading."""

    number: SensorNumber
    name: str
    kind: SensorType
    entity: Entity

    def record(self) -> bytes:
        return sdr.event_only(self.number, self.name, self.kind, self.entity)


Sensor = Union[Analog, Discrete]


def _megabytes(rate: Optional[float]) -> Optional[float]:
    return None if rate is None else rate / _MEGABYTE


POWER = Discrete(SensorNumber.POWER, "Power", SensorType.POWER_UNIT, Entity.POWER_UNIT, 0x0021)
WATCHDOG = Discrete(SensorNumber.WATCHDOG, "Watchdog", SensorType.WATCHDOG, Entity.MANAGEMENT, 0x010F)

_CPU = Analog(SensorNumber.CPU, "CPU", SensorType.PROCESSOR, Entity.PROCESSOR, PERCENT, lambda s: s.cpu_percent, _FULL)
_MEMORY = Analog(
    SensorNumber.MEMORY, "Memory", SensorType.MEMORY, Entity.MEMORY, PERCENT, lambda s: s.memory_percent, _FULL
)
# A guest that has once touched all of its memory keeps the host's share at 100 %: nothing to warn of.
_RESIDENT = Analog(
    SensorNumber.RESIDENT, "Memory Resident", SensorType.MEMORY, Entity.MEMORY, PERCENT, lambda s: s.resident_percent
)


def _throughput(
    number: SensorNumber, name: str, entity: Entity, value: Callable[[Statistics], Optional[float]]
) -> Analog:
    return Analog(
        number, name, SensorType.UNITS_BASED, entity, MEGABYTES_PER_SECOND, lambda stats: _megabytes(value(stats))
    )


_THROUGHPUTS = (
    _throughput(SensorNumber.DISK_READ, "Disk Read", Entity.DISK, lambda s: s.disk_read),
    _throughput(SensorNumber.DISK_WRITE, "Disk Write", Entity.DISK, lambda s: s.disk_written),
    _throughput(SensorNumber.NET_RECEIVE, "Net Receive", Entity.ADD_IN_CARD, lambda s: s.net_received),
    _throughput(SensorNumber.NET_TRANSMIT, "Net Transmit", Entity.ADD_IN_CARD, lambda s: s.net_transmitted),
)

_SOURCES = (
    Source(SensorNumber.SYSTEM_BOOT, "System Boot", SensorType.SYSTEM_BOOT, Entity.BIOS),
    Source(SensorNumber.SESSION_AUDIT, "Session Audit", SensorType.SESSION_AUDIT, Entity.MANAGEMENT),
)

_ALL = (POWER, WATCHDOG, _CPU, _MEMORY, _RESIDENT, *_THROUGHPUTS)

SENSORS: Dict[int, Sensor] = {int(sensor.number): sensor for sensor in _ALL}
"""What has a reading, by number."""

REPOSITORY = Repository(
    [
        sdr.controller_locator("BMC", DEVICE_SUPPORT),
        sdr.fru_locator(FRU_DEVICE, "System", Entity.CHASSIS),
        *(sensor.record() for sensor in _ALL),
        *(source.record() for source in _SOURCES),
    ]
)
