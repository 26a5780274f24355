# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Chassis commands (IPMI 2.0, chapter 28), but for the boot options.

Holds the table of the network function; ``boot_options`` fills it, too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from vbmcd.commands import power, power_policy
from vbmcd.commands.bmc import Bmc, Context
from vbmcd.commands.channel import LAN_CHANNEL
from vbmcd.commands.codes import Code, CommandError
from vbmcd.commands.table import CommandTable, NetFn
from vbmcd.commands.watchdog import Watchdog
from vbmcd.config import Privilege
from vbmcd.machine.base import Action

chassis = CommandTable(NetFn.CHASSIS)

POWER_ON = 0x01
POWER_FAULT = 0x08
CONTROL_FAULT = 0x10
AC_FAILED = 0x01
LAST_ON_BY_COMMAND = 0x10
IDENTIFY_SUPPORTED = 0x40
IDENTIFY_TIMED = 0x10
IDENTIFY_FORCED = 0x20
IDENTIFY_DEFAULT_SECONDS = 15

RESTORE_SHIFT = 5
MINUTES_A_COUNT = 1

ACTIONS = {
    0x0: Action.OFF,
    0x1: Action.ON,
    0x2: Action.CYCLE,
    0x3: Action.RESET,
    0x4: Action.DIAGNOSTIC,
    0x5: Action.SOFT,
}


@chassis.read(0x00, privilege=Privilege.USER)
async def get_capabilities(context: Context, request: None) -> bytes:
    """Get Chassis Capabilities (28.1): no sensors or locks; every management device is the BMC."""
    return bytes((0x00, 0x20, 0x20, 0x20, 0x20))


@chassis.read(0x01, privilege=Privilege.USER)
async def get_status(context: Context, request: None) -> bytes:
    """Get Chassis Status (28.2). A machine here knows no intrusions or front panels.

    Its power is at fault when parts of it did not do what the last command asked.
    """
    bmc = context.bmc
    on = await bmc.machine.is_on()
    last = bmc.has(power.LastRestart)
    event = LAST_ON_BY_COMMAND if on and last and last.on_by_command else 0
    event |= AC_FAILED if bmc.history.outage else 0
    restore = power_policy.restore_policy(bmc) << RESTORE_SHIFT
    fault = POWER_FAULT | CONTROL_FAULT if bmc.history.fault else 0
    return bytes((restore | fault | (POWER_ON if on else 0), event, IDENTIFY_SUPPORTED | identify_state(bmc)))


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


@chassis.change(0x02, privilege=Privilege.OPERATOR, parse=ChassisControl.parse, audit="power")
async def control(context: Context, request: ChassisControl) -> bytes:
    """Chassis Control (28.3). D5h when the machine can't do it in its present state."""
    await command_power(context.bmc, request.action)
    return b""


async def command_power(bmc: Bmc, action: Action) -> None:
    """What a client asked for, by whichever protocol. Raises MachineError or CommandError."""
    await power.by_command(bmc, action)
    if action in (Action.OFF, Action.CYCLE, Action.RESET) and (watchdog := bmc.has(Watchdog)):
        # What the timer watched is gone (27.1).
        watchdog.stop()


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


@chassis.change(0x04, privilege=Privilege.OPERATOR, parse=ChassisIdentify.parse, audit="identify")
async def identify(context: Context, request: ChassisIdentify) -> bytes:
    """Chassis Identify (28.5): for so many seconds, 0 for off, or until told otherwise."""
    context.bmc.identify.set(request.seconds)
    return b""


@dataclass(frozen=True)
class RestoreRequest:
    """The request of Set Power Restore Policy."""

    NO_CHANGE = 3
    policy: int

    @classmethod
    def parse(cls, data: bytes) -> RestoreRequest:
        if len(data) != 1:
            raise CommandError(Code.REQUEST_LENGTH_INVALID)
        if data[0] & 0x07 > cls.NO_CHANGE:
            raise CommandError(Code.INVALID_FIELD)
        return cls(data[0] & 0x07)

    def __str__(self) -> str:
        return power_policy.WORDS.get(self.policy, "")


@chassis.change(0x06, privilege=Privilege.OPERATOR, parse=RestoreRequest.parse, audit="power restore")
async def set_power_restore_policy(context: Context, request: RestoreRequest) -> bytes:
    """Set Power Restore Policy (28.8); 'no change' only asks. CCh for one that is not supported."""
    supported = power_policy.supported(context.bmc)
    if request.policy != RestoreRequest.NO_CHANGE:
        if not supported >> request.policy & 1:
            raise CommandError(Code.INVALID_FIELD, "whether another host has been off is not known here")
        await power_policy.set_policy(context.bmc, request.policy)
    return bytes((supported,))


@chassis.read(0x07, privilege=Privilege.USER)
async def get_restart_cause(context: Context, request: None) -> bytes:
    """Get System Restart Cause (28.11): as far as this BMC had to do with it, since it runs."""
    last = context.bmc.has(power.LastRestart)
    cause = last.cause if last else power.RestartCause.UNKNOWN
    return bytes((cause, LAN_CHANNEL if cause is power.RestartCause.CHASSIS_CONTROL else 0))


@chassis.read(0x0F, privilege=Privilege.USER)
async def get_power_on_hours(context: Context, request: None) -> bytes:
    """Get POH Counter (28.14): for how long the machine has been on, in minutes, since there is this BMC."""
    minutes = int(context.bmc.history.seconds / 60) // MINUTES_A_COUNT
    return bytes((MINUTES_A_COUNT,)) + min(minutes, 0xFFFFFFFF).to_bytes(4, "little")
