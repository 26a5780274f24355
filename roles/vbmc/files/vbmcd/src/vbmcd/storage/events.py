# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Events of the board, as bytes of the log (IPMI 2.0, 32.1, 41 and table 42-3)."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Iterator

from vbmcd.storage.sel import SYSTEM_EVENT

SENSOR_SPECIFIC = 0x6F
"""Event/reading type of a discrete sensor whose states its sensor type defines (42.1)."""
DEASSERTED = 0x80
UNSPECIFIED = 0xFF

TEXT_TYPE = 0xF0
TEXT_SIZE = 11
TEXT_ENTRIES = 16

BMC = b"\x20\x00"
"""Generator id: the BMC itself, channel 0, LUN 0 (32.1)."""
REMOTE_CONSOLE = b"\x81\x10"
"""Generator id: remote console software (5.5), on channel 1."""
REVISION = 0x04
"""EvMRev of IPMI 1.5 and later (29.7)."""


class SensorType(enum.IntEnum):
    """Sensor type codes in use here (table 42-3)."""

    PROCESSOR = 0x07
    POWER_UNIT = 0x09
    UNITS_BASED = 0x0B
    MEMORY = 0x0C
    SYSTEM_BOOT = 0x1D
    WATCHDOG = 0x23
    SESSION_AUDIT = 0x2A


class SensorNumber(enum.IntEnum):
    """The numbers of the board's sensors. Fixed: entries of old logs refer to them."""

    POWER = 0x01
    WATCHDOG = 0x02
    CPU = 0x10
    MEMORY = 0x11
    RESIDENT = 0x12
    DISK_READ = 0x20
    DISK_WRITE = 0x21
    NET_RECEIVE = 0x28
    NET_TRANSMIT = 0x29
    SYSTEM_BOOT = 0x40
    SESSION_AUDIT = 0x41


class PowerUnit(enum.IntEnum):
    """States of a power unit sensor."""

    OFF = 0x0
    CONTROL_FAILURE = 0x5


class SystemBoot(enum.IntEnum):
    """How a start was initiated."""

    POWER_UP = 0x0
    HARD_RESET = 0x1
    PXE_REQUESTED = 0x3


class SessionAudit(enum.IntEnum):
    """What the session audit sensor tells of."""

    INVALID_LOGIN = 0x2


@dataclass(frozen=True)
class Event:
    """An event of a discrete sensor of this board."""

    sensor_type: SensorType
    number: SensorNumber
    state: int
    data2: int = UNSPECIFIED
    data3: int = UNSPECIFIED
    deasserted: bool = False

    def entry(self) -> bytes:
        """The log's entry, id and time left to the log."""
        # Event data 1, bits 7:4: data 2 and 3 are unspecified, or sensor-specific extensions (29.7).
        uses = (0xC0 if self.data2 != UNSPECIFIED else 0) | (0x30 if self.data3 != UNSPECIFIED else 0)
        kind = SENSOR_SPECIFIC | (DEASSERTED if self.deasserted else 0)
        event = bytes((REVISION, self.sensor_type, self.number, kind, uses | self.state, self.data2, self.data3))
        return entry_of(BMC, event)


def entry_of(generator: bytes, event: bytes) -> bytes:
    """The log's entry of an event message: 7 bytes from EvMRev to event data 3 (29.3, 32.1)."""
    return bytes((0, 0, SYSTEM_EVENT, 0, 0, 0, 0)) + generator + event


def power(on: bool) -> Event:
    """The power unit sensor's state 'power off' ended or began."""
    return Event(SensorType.POWER_UNIT, SensorNumber.POWER, PowerUnit.OFF, deasserted=on)


def power_control_failed() -> Event:
    """A unit did not respond to a request to turn on or off."""
    return Event(SensorType.POWER_UNIT, SensorNumber.POWER, PowerUnit.CONTROL_FAILURE)


def text(words: str) -> Iterator[bytes]:
    """Entries that hold a text, which no event has room for: OEM entries without a time (32.3).

    As Linux leaves its last words: who writes, a number that counts up, and 11 characters (type F0h).
    """
    data = words.encode("ascii", "replace")[: TEXT_ENTRIES * TEXT_SIZE]
    for number, start in enumerate(range(0, len(data), TEXT_SIZE)):
        yield bytes((0, 0, TEXT_TYPE, BMC[0], number)) + data[start : start + TEXT_SIZE].ljust(TEXT_SIZE, b"\0")


def boot(how: SystemBoot) -> Event:
    return Event(SensorType.SYSTEM_BOOT, SensorNumber.SYSTEM_BOOT, how)


def failed_login(user_id: int, channel: int) -> Event:
    """A login with a wrong password, or of nobody known (user id 0)."""
    return Event(SensorType.SESSION_AUDIT, SensorNumber.SESSION_AUDIT, SessionAudit.INVALID_LOGIN, user_id, channel)


def watchdog(state: int, cause: int) -> Event:
    """The watchdog timer expired: `state` is table 42-3's offset (0 to 3, 8), `cause` its data 2: interrupt and use."""
    return Event(SensorType.WATCHDOG, SensorNumber.WATCHDOG, state, cause)
