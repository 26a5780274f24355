# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sensor and event commands (IPMI 2.0, chapters 29 and 35).

Thresholds are fixed and nothing is polled, so analog sensors send no events; the log's entries come from
``journal``. What a client sets is accepted where it is so already, as for who writes back what was read; else
CDh. A value that is not known now, as of a machine that is off, is 'unavailable', never an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from vbmcd.commands.bmc import Bmc, Context
from vbmcd.commands.codes import Code, CommandError
from vbmcd.commands.requests import Change, change_of_length
from vbmcd.commands.table import CommandTable, NetFn, of_length
from vbmcd.config import Privilege
from vbmcd.machine.base import MachineError
from vbmcd.storage.events import REMOTE_CONSOLE, SENSOR_SPECIFIC, PowerUnit, SensorNumber, entry_of
from vbmcd.storage.sensors import SENSORS, Analog, Discrete, Sensor

sensor = CommandTable(NetFn.SENSOR)

EVENTS_ENABLED = 0x80
SCANNING_ENABLED = 0x40
UNAVAILABLE = 0x20
THRESHOLD_TYPE = 0x01
SELECTION, ENABLE_SELECTED, DISABLE_SELECTED = 0x30, 0x10, 0x20


def find(number: int) -> Sensor:
    """CBh for a sensor that does not exist."""
    found = SENSORS.get(number)
    if found is None:
        raise CommandError(Code.NOT_PRESENT)
    return found


def analog(number: int) -> Analog:
    """CDh for a sensor that has no thresholds by its nature."""
    found = find(number)
    if isinstance(found, Discrete):
        raise CommandError(Code.ILLEGAL_FOR_RECORD)
    return found


@sensor.read(0x2D, privilege=Privilege.USER, parse=of_length(1))
async def get_reading(context: Context, request: bytes) -> bytes:
    """Get Sensor Reading (35.14)."""
    found = find(request[0])
    if isinstance(found, Analog):
        return await analog_reading(context.bmc, found)
    states = await discrete_states(context.bmc, found)
    status = EVENTS_ENABLED | SCANNING_ENABLED | (UNAVAILABLE if states is None else 0)
    return bytes((0, status)) + discrete_bytes(states or 0)


async def analog_reading(bmc: Bmc, found: Analog) -> bytes:
    """Reading, status, and which thresholds are reached."""
    try:
        value = found.value(await bmc.machine.statistics())
    except MachineError:
        value = None
    if value is None:
        return bytes((0, SCANNING_ENABLED | UNAVAILABLE, 0xC0))
    reading = found.scale.reading(value)
    return bytes((reading, SCANNING_ENABLED, 0xC0 | (found.thresholds.reached(reading) if found.thresholds else 0)))


async def discrete_states(bmc: Bmc, found: Discrete) -> Optional[int]:
    """The states that a sensor has now, as bits; None where that is not known."""
    if found.number == SensorNumber.WATCHDOG:
        return bmc.journal.watchdog
    try:
        return 0 if await bmc.machine.is_on() else 1 << PowerUnit.OFF
    except MachineError:
        return None


def discrete_bytes(states: int) -> bytes:
    """Two bytes of states; bit 15 reads as 1 (35.14)."""
    return (states | 0x8000).to_bytes(2, "little")


@sensor.read(0x27, privilege=Privilege.USER, parse=of_length(1))
async def get_thresholds(context: Context, request: bytes) -> bytes:
    """Get Sensor Thresholds (35.9): which are there, three lower ones, three upper ones."""
    limits = analog(request[0]).thresholds
    if limits is None:
        return bytes(7)
    return bytes((limits.READABLE, 0, 0, 0, limits.noncritical, limits.critical, 0))


@sensor.change(0x26, privilege=Privilege.OPERATOR, parse=change_of_length(8), audit="sensor")
async def set_thresholds(context: Context, request: Change) -> bytes:
    """Set Sensor Thresholds (35.8): CDh for any but the fixed ones."""
    limits = analog(request[0]).thresholds
    fixed = (0, 0, 0, limits.noncritical, limits.critical, 0) if limits else (0,) * 6
    there = limits.READABLE if limits else 0
    wanted = request[1] & 0x3F
    if wanted & ~there or any(wanted >> at & 1 and fixed[at] != request[2 + at] for at in range(6)):
        raise CommandError(Code.ILLEGAL_FOR_RECORD, "thresholds are fixed")
    return b""


@sensor.change(0x24, privilege=Privilege.OPERATOR, parse=change_of_length(4), audit="sensor")
async def set_hysteresis(context: Context, request: Change) -> bytes:
    """Set Sensor Hysteresis (35.6): CDh for any."""
    analog(request[0])
    if any(request[2:]):
        raise CommandError(Code.ILLEGAL_FOR_RECORD, "there is no hysteresis")
    return b""


@sensor.read(0x25, privilege=Privilege.USER, parse=of_length(2))
async def get_hysteresis(context: Context, request: bytes) -> bytes:
    """Get Sensor Hysteresis (35.7): none."""
    analog(request[0])
    return bytes(2)


@sensor.read(0x29, privilege=Privilege.USER, parse=of_length(1))
async def get_event_enable(context: Context, request: bytes) -> bytes:
    """Get Sensor Event Enable (35.11): none of an analog sensor, all of a discrete one."""
    found = find(request[0])
    if isinstance(found, Analog):
        return bytes((SCANNING_ENABLED,))
    return bytes((EVENTS_ENABLED | SCANNING_ENABLED,)) + found.states.to_bytes(2, "little") * 2


@sensor.change(0x28, privilege=Privilege.OPERATOR, parse=change_of_length(2, 3, 4, 5, 6), audit="sensor")
async def set_event_enable(context: Context, request: Change) -> bytes:
    """Set Sensor Event Enable (35.10): CDh for what would turn an event or the scanning off or on."""
    found = find(request[0])
    states = 0 if isinstance(found, Analog) else found.states
    enabled = SCANNING_ENABLED | (EVENTS_ENABLED if states else 0)
    masks = request[2:].ljust(4, b"\0")
    selected = int.from_bytes(masks[:2], "little") | int.from_bytes(masks[2:], "little")
    operation = request[1] & SELECTION
    off, on = operation == DISABLE_SELECTED and selected & states, operation == ENABLE_SELECTED and selected & ~states
    if request[1] & (EVENTS_ENABLED | SCANNING_ENABLED) != enabled or off or on:
        raise CommandError(Code.ILLEGAL_FOR_RECORD, "which events there are is fixed")
    return b""


@sensor.change(0x2A, privilege=Privilege.OPERATOR, parse=change_of_length(2, 3, 4, 5, 6), audit="sensor")
async def rearm_events(context: Context, request: Change) -> bytes:
    """Re-arm Sensor Events (35.12): each sensor does so by itself."""
    find(request[0])
    return b""


@sensor.read(0x2B, privilege=Privilege.USER, parse=of_length(1))
async def get_event_status(context: Context, request: bytes) -> bytes:
    """Get Sensor Event Status (35.13): the states that a discrete sensor has now."""
    found = find(request[0])
    if isinstance(found, Analog):
        return bytes((SCANNING_ENABLED,))
    states = await discrete_states(context.bmc, found)
    status = EVENTS_ENABLED | SCANNING_ENABLED | (UNAVAILABLE if states is None else 0)
    return bytes((status,)) + (states or 0).to_bytes(2, "little") + bytes(2)


@sensor.read(0x2F, privilege=Privilege.USER, parse=of_length(1))
async def get_type(context: Context, request: bytes) -> bytes:
    """Get Sensor Type (35.16)."""
    found = find(request[0])
    return bytes((found.kind, THRESHOLD_TYPE if isinstance(found, Analog) else SENSOR_SPECIFIC))


@dataclass(frozen=True)
class PlatformEvent:
    """The request of Platform Event Message, as it comes over a LAN channel: no generator id."""

    event: bytes
    """From EvMRev to event data 3."""

    @classmethod
    def parse(cls, data: bytes) -> PlatformEvent:
        # Event data 2 and 3 may be left out (29.3).
        if not 5 <= len(data) <= 7:
            raise CommandError(Code.REQUEST_LENGTH_INVALID)
        return cls(data.ljust(7, b"\xff"))

    def __str__(self) -> str:
        return "platform event"


@sensor.change(0x02, privilege=Privilege.OPERATOR, parse=PlatformEvent.parse, audit="sel")
async def platform_event(context: Context, request: PlatformEvent) -> bytes:
    """Platform Event Message (29.3): a remote console's event goes into the log."""
    await context.bmc.journal.add(entry_of(REMOTE_CONSOLE, request.event))
    return b""
