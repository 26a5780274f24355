# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Chassis commands (IPMI 2.0, chapter 28)."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass

from vbmcd.commands.bmc import Bmc, Context
from vbmcd.commands.boot import BOOT_FLAGS, INFO_ACKNOWLEDGE, LENGTHS, SET_IN_PROGRESS, BootFlags
from vbmcd.commands.codes import Code, CommandError
from vbmcd.commands.table import CommandTable, NetFn, of_length
from vbmcd.config import Privilege
from vbmcd.machine.base import Action, Busy

log = logging.getLogger(__name__)

chassis = CommandTable(NetFn.CHASSIS)

POWER_ON = 0x01
RESTORE_UNKNOWN = 0x60
IDENTIFY_SUPPORTED = 0x40
IDENTIFY_TIMED = 0x10
IDENTIFY_FORCED = 0x20
IDENTIFY_DEFAULT_SECONDS = 15

ACTIONS = {
    0x0: Action.OFF,
    0x1: Action.ON,
    0x2: Action.CYCLE,
    0x3: Action.RESET,
    0x4: Action.DIAGNOSTIC,
    0x5: Action.SOFT,
}


@chassis.command(0x00, privilege=Privilege.USER)
async def get_capabilities(context: Context, request: None) -> bytes:
    """Get Chassis Capabilities (28.1): no sensors or locks; every management device is the BMC."""
    return bytes((0x00, 0x20, 0x20, 0x20, 0x20))


@chassis.command(0x01, privilege=Privilege.USER)
async def get_status(context: Context, request: None) -> bytes:
    """Get Chassis Status (28.2)."""
    power = RESTORE_UNKNOWN | (POWER_ON if await context.bmc.machine.is_on() else 0)
    return bytes((power, 0x00, IDENTIFY_SUPPORTED | identify_state(context.bmc)))


def identify_state(bmc: Bmc) -> int:
    remaining = bmc.identify.remaining()
    if not remaining:
        return 0
    return IDENTIFY_FORCED if math.isinf(remaining) else IDENTIFY_TIMED


@dataclass(frozen=True)
class ChassisControl:
    """The request of Chassis Control; its text is the audit log's action."""

    action: Action

    @classmethod
    def parse(cls, data: bytes) -> ChassisControl:
        if len(data) != 1:
            raise CommandError(Code.REQUEST_LENGTH_INVALID)
        action = ACTIONS.get(data[0] & 0x0F)
        if action is None:
            raise CommandError(Code.INVALID_FIELD)
        return cls(action)

    def __str__(self) -> str:
        return self.action.value


@chassis.command(0x02, privilege=Privilege.OPERATOR, parse=ChassisControl.parse, audit="power")
async def control(context: Context, request: ChassisControl) -> bytes:
    """Chassis Control (28.3). D5h when the machine can't do it in its present state."""
    bmc = context.bmc
    override = bmc.boot.flags.override()
    if override is not None and override.persistent:
        # A persistent device already stands in the machine's own definition.
        override = None
    used = await bmc.machine.control(request.action, override)
    if used:
        bmc.boot.use_up()
        await keep_used_up(bmc)
    bmc.journal.controlled(request.action, override if used else None)
    return b""


async def keep_used_up(bmc: Bmc) -> None:
    """Store that the override was used. The machine has been started, so not even a full disk makes this fail."""
    try:
        await bmc.keep("boot", bmc.boot.to_bytes())
    except Busy as error:
        fields = {"instance": bmc.instance.name, "reason": str(error)}
        log.error(
            "a used boot override could not be stored, and may come again after a restart", extra={"fields": fields}
        )


@dataclass(frozen=True)
class ChassisIdentify:
    """The request of Chassis Identify: seconds, infinite when forced."""

    seconds: float

    @classmethod
    def parse(cls, data: bytes) -> ChassisIdentify:
        if len(data) > 2:
            raise CommandError(Code.REQUEST_LENGTH_INVALID)
        if len(data) == 2 and data[1] & 0x01:
            return cls(math.inf)
        return cls(float(data[0]) if data else IDENTIFY_DEFAULT_SECONDS)

    def __str__(self) -> str:
        return "on" if math.isinf(self.seconds) else f"on for {self.seconds:g} s" if self.seconds else "off"


@chassis.command(0x04, privilege=Privilege.OPERATOR, parse=ChassisIdentify.parse, audit="identify")
async def identify(context: Context, request: ChassisIdentify) -> bytes:
    """Chassis Identify (28.5): for so many seconds, 0 for off, or until told otherwise."""
    context.bmc.identify.set(request.seconds)
    return b""


@dataclass(frozen=True)
class BootOption:
    """The request of Set System Boot Options."""

    parameter: int
    value: bytes

    @classmethod
    def parse(cls, data: bytes) -> BootOption:
        if not data:
            raise CommandError(Code.REQUEST_LENGTH_INVALID)
        parameter, value = data[0] & 0x7F, data[1:]
        if parameter not in LENGTHS:
            raise CommandError(Code.PARAMETER_NOT_SUPPORTED)
        # No data only sets or clears the parameter's valid mark (28.12), which all here have always.
        if value and len(value) != LENGTHS[parameter]:
            raise CommandError(Code.REQUEST_LENGTH_INVALID)
        return cls(parameter, value)

    def __str__(self) -> str:
        """Empty for what leads to no other boot, such as 'set in progress'."""
        return str(BootFlags(self.value)) if self.parameter == BOOT_FLAGS and self.value else ""


@chassis.command(0x08, privilege=Privilege.OPERATOR, parse=BootOption.parse, audit="boot")
async def set_boot_options(context: Context, request: BootOption) -> bytes:
    """Set System Boot Options (28.12). CCh for a device that the machine has not; never a reset."""
    bmc, value = context.bmc, request.value
    if not value:
        return b""
    if request.parameter == SET_IN_PROGRESS and value[0] & 0x03 == 1 and bmc.boot.get(SET_IN_PROGRESS)[0] == 1:
        raise CommandError(Code.SET_IN_PROGRESS)
    if request.parameter == SET_IN_PROGRESS:
        # Commit write (2) makes nothing happen that was not done already: back to 'set complete'.
        value = bytes((1 if value[0] & 0x03 == 1 else 0,))
    if request.parameter == INFO_ACKNOWLEDGE:
        # Data 1 is the write mask of data 2, and reads as 0 (parameter 4).
        value = bytes((0, bmc.boot.get(INFO_ACKNOWLEDGE)[1] & ~value[0] | value[1] & value[0]))
    if request.parameter == BOOT_FLAGS:
        await apply_flags(bmc, BootFlags(value))
    bmc.boot.put(request.parameter, value)
    return b""


async def apply_flags(bmc: Bmc, flags: BootFlags) -> None:
    """Refuse what the machine can't honour, edit its definition if persistent, and keep the flags."""
    override = flags.override()
    if override is not None and override.persistent:
        await bmc.machine.set_persistent_boot(override)
    elif override is not None:
        await bmc.machine.check_boot(override)
    await bmc.keep("boot", flags.raw)


@chassis.command(0x09, privilege=Privilege.OPERATOR, parse=of_length(3))
async def get_boot_options(context: Context, request: bytes) -> bytes:
    """Get System Boot Options (28.13): parameter version 1, the parameter, its data."""
    parameter = request[0] & 0x7F
    return bytes((0x01, parameter)) + context.bmc.boot.get(parameter)
