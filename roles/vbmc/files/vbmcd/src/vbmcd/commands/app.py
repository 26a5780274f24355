# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Application commands about the BMC itself (IPMI 2.0, chapter 20 and 22.1 to 22.9): identity, resets, flags.

Holds the table of the network function; ``channel``, ``sessions``, ``users`` and ``watchdog`` fill it, too.
"""

from __future__ import annotations

import re

from vbmcd import __version__
from vbmcd.commands.bmc import Bmc, Context
from vbmcd.commands.codes import Code, CommandError
from vbmcd.commands.requests import Change, change_of_length
from vbmcd.commands.table import CommandTable, NetFn, of_length
from vbmcd.config import Privilege
from vbmcd.firmware.unit import Unit, firmware_version
from vbmcd.storage.sensors import DEVICE_SUPPORT

app = CommandTable(NetFn.APP)

MANUFACTURER = (0).to_bytes(3, "little")
"""Unspecified: an IANA number of our own is not to be had, another's would be a lie (20.1)."""
PRODUCT = (1).to_bytes(2, "little")

EVENT_LOGGING = 0x08
"""The one global enable that there is something for (22.2, data 1, bit 3): events are always logged."""

S0, S4_S5, ACPI_UNKNOWN, NO_CHANGE = 0x00, 0x06, 0x2A, 0x7F
ACPI_SYSTEM_STATES = (*range(0x0B), 0x20, 0x21, ACPI_UNKNOWN)
ACPI_DEVICE_STATES = (*range(0x04), ACPI_UNKNOWN)
SET_STATE = 0x80

STARTING = 0x80
"""Device not available, of Get Device ID: it initialises itself."""
_NUMBERS = re.compile(r"(\d{1,9})\.(\d{1,9})")
"""The first two numbers of a version such as v2.14.0-rc1."""


@app.read(0x01, privilege=Privilege.USER)
async def get_device_id(context: Context, request: None) -> bytes:
    """Get Device ID (20.1): IPMI 2.0, the devices of chapters 28 to 35; 3 bytes of manufacturer, 2 of product."""
    bmc = context.bmc
    found = _NUMBERS.search(firmware_version(bmc) if bmc.instance.redfish is not None else __version__)
    major, minor = (int(part) for part in found.groups()) if found else (0, 0)
    minor = min(minor, 99)
    bcd = minor // 10 << 4 | minor % 10
    available = STARTING if bmc.starting else 0
    return bytes((0x20, 0x01, major & 0x7F | available, bcd, 0x02, DEVICE_SUPPORT)) + MANUFACTURER + PRODUCT


@app.change(0x02, privilege=Privilege.ADMINISTRATOR, parse=change_of_length(0), audit="cold reset")
async def cold_reset(context: Context, request: Change) -> bytes:
    """Cold Reset (20.2): of the BMC, never of the machine. All sessions end once this is answered.

    A BMC with Redfish has firmware that may have been updated: it takes the time of its reset, and the new one runs.
    """
    if context.bmc.instance.redfish is not None:
        context.bmc.part(Unit).reset_soon()
    else:
        context.bmc.power_up()
    return b""


@app.change(0x03, privilege=Privilege.ADMINISTRATOR, parse=change_of_length(0), audit="warm reset")
async def warm_reset(context: Context, request: Change) -> bytes:
    """Warm Reset (20.3): all sessions end; what was set in the BMC stays."""
    context.bmc.engine.close_all()
    return b""


@app.read(0x04, privilege=Privilege.USER)
async def get_self_test(context: Context, request: None) -> bytes:
    """Get Self Test Results (20.4): no error."""
    return b"\x55\x00"


class AcpiPower:
    """The ACPI power states that software on the machine has told the BMC."""

    def __init__(self, bmc: Bmc) -> None:
        self.system = S0
        self.device = 0


@app.change(0x06, privilege=Privilege.ADMINISTRATOR, parse=change_of_length(2), audit="acpi state")
async def set_acpi_power_state(context: Context, request: Change) -> bytes:
    """Set ACPI Power State (20.6): what to report, nothing is done to the machine."""
    system, device = request[0] & 0x7F, request[1] & 0x7F
    sets_system = bool(request[0] & SET_STATE) and system != NO_CHANGE
    sets_device = bool(request[1] & SET_STATE) and device != NO_CHANGE
    if sets_system and system not in ACPI_SYSTEM_STATES:
        raise CommandError(Code.INVALID_FIELD)
    if sets_device and device not in ACPI_DEVICE_STATES:
        raise CommandError(Code.INVALID_FIELD)
    acpi = context.bmc.part(AcpiPower)
    if sets_system:
        acpi.system = system
    if sets_device:
        acpi.device = device
    return b""


@app.read(0x07, privilege=Privilege.USER)
async def get_acpi_power_state(context: Context, request: None) -> bytes:
    """Get ACPI Power State (20.7): soft off for a machine without power, whatever was set before."""
    acpi = context.bmc.part(AcpiPower)
    on = await context.bmc.machine.is_on()
    return bytes((acpi.system if on else S4_S5, acpi.device))


@app.read(0x08, privilege=Privilege.USER)
async def get_device_guid(context: Context, request: None) -> bytes:
    """Get Device GUID (20.8): the BMC's own, least significant byte first."""
    return context.bmc.engine.guid[::-1]


@app.change(0x2E, privilege=Privilege.ADMINISTRATOR, parse=change_of_length(1), audit="global enables")
async def set_global_enables(context: Context, request: Change) -> bytes:
    """Set BMC Global Enables (22.1). CCh for interrupts of a system interface that no machine here has."""
    if request[0] != EVENT_LOGGING:
        raise CommandError(Code.INVALID_FIELD, "only event logging is there, and it is always on")
    return b""


@app.read(0x2F, privilege=Privilege.USER)
async def get_global_enables(context: Context, request: None) -> bytes:
    """Get BMC Global Enables (22.2)."""
    return bytes((EVENT_LOGGING,))


@app.change(0x30, privilege=Privilege.ADMINISTRATOR, parse=of_length(1))
async def clear_message_flags(context: Context, request: bytes) -> bytes:
    """Clear Message Flags (22.3): there is never one to clear."""
    return b""


@app.read(0x31, privilege=Privilege.USER)
async def get_message_flags(context: Context, request: None) -> bytes:
    """Get Message Flags (22.4): no message waits, no event fills a buffer."""
    return b"\x00"


@app.read(0x33, privilege=Privilege.USER)
async def get_message(context: Context, request: None) -> bytes:
    """Get Message (22.6): 80h, the queue is empty."""
    raise CommandError(Code.DATA_NOT_AVAILABLE)


@app.read(0x37, privilege=None)
async def get_system_guid(context: Context, request: None) -> bytes:
    """Get System GUID (22.14): the domain's UUID, least significant byte first (20.8)."""
    return (await context.bmc.machine.system_uuid()).bytes[::-1]
