# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Chassis commands about boot options (IPMI 2.0, 28.12 to 28.14)."""

from __future__ import annotations

from dataclasses import dataclass

from vbmcd.commands import power
from vbmcd.commands.bmc import Bmc, Context
from vbmcd.commands.boot import (
    BOOT_FLAGS,
    INFO_ACKNOWLEDGE,
    INITIATOR_MAILBOX,
    LENGTHS,
    VALID,
    BootFlags,
    BootOptions,
)
from vbmcd.commands.chassis import chassis
from vbmcd.commands.codes import Code, CommandError
from vbmcd.commands.parameters import SET_IN_PROGRESS, claimed
from vbmcd.commands.table import of_length
from vbmcd.config import Privilege

INVALID = 0x80
"""The mark of a parameter (28.12, data 1, bit 7)."""


@dataclass(frozen=True)
class BootOption:
    """The request of Set System Boot Options."""

    parameter: int
    value: bytes
    valid: bool
    """Whether the parameter is to be marked as valid."""

    @classmethod
    def parse(cls, data: bytes) -> BootOption:
        if not data:
            raise CommandError(Code.REQUEST_LENGTH_INVALID)
        parameter, value = data[0] & 0x7F, data[1:]
        if parameter not in LENGTHS:
            raise CommandError(Code.PARAMETER_NOT_SUPPORTED)
        # No data only sets or clears the parameter's mark (28.12).
        shortest = 2 if parameter == INITIATOR_MAILBOX else LENGTHS[parameter]
        if value and not shortest <= len(value) <= LENGTHS[parameter]:
            raise CommandError(Code.REQUEST_LENGTH_INVALID)
        return cls(parameter, value, valid=not data[0] & INVALID)

    def __str__(self) -> str:
        """Empty for what leads to no other boot, such as 'set in progress'."""
        return str(BootFlags(self.value)) if self.parameter == BOOT_FLAGS and self.value else ""


@chassis.change(0x08, privilege=Privilege.OPERATOR, parse=BootOption.parse, audit="boot")
async def set_boot_options(context: Context, request: BootOption) -> bytes:
    """Set System Boot Options (28.12). CCh for a device that the machine has not; never a reset."""
    bmc, value = context.bmc, request.value
    if request.parameter == BOOT_FLAGS:
        flags = BootFlags(value or bmc.boot.get(BOOT_FLAGS))
        if value or request.valid != bmc.boot.is_valid(BOOT_FLAGS):
            await (set_flags if request.valid else set_aside)(bmc, flags)
        return b""
    if not value:
        bmc.boot.mark(request.parameter, request.valid)
        return b""
    if request.parameter == SET_IN_PROGRESS:
        value = bytes((claimed(bmc.boot.get(SET_IN_PROGRESS)[0], value[0]),))
    if request.parameter == INFO_ACKNOWLEDGE:
        # Data 1 is the write mask of data 2, and reads as 0 (parameter 4).
        value = bytes((0, bmc.boot.get(INFO_ACKNOWLEDGE)[1] & ~value[0] | value[1] & value[0]))
    bmc.boot.put(request.parameter, value)
    bmc.boot.mark(request.parameter, request.valid)
    return b""


async def set_flags(bmc: Bmc, flags: BootFlags) -> None:
    """Have the flags count from now on, whichever protocol they came by; one that the machine can't honour raises."""
    await apply_flags(bmc, flags)
    bmc.boot.put(BOOT_FLAGS, flags.raw)
    bmc.boot.mark(BOOT_FLAGS, valid=True)


async def set_aside(bmc: Bmc, flags: BootFlags) -> None:
    """Keep the flags, marked as invalid: nothing is asked of the machine, and after a restart they are not valid."""
    void = bytes((flags.raw[0] & ~VALID & 0xFF,)) + flags.raw[1:]
    await bmc.remember(BootOptions.RECORD, void + bmc.boot.machine)
    bmc.boot.put(BOOT_FLAGS, flags.raw)
    bmc.boot.mark(BOOT_FLAGS, valid=False)


async def apply_flags(bmc: Bmc, flags: BootFlags) -> None:
    """Refuse what the machine can't honour, keep the flags, and edit its definition if persistent."""
    override = flags.override()
    if override is not None:
        await bmc.machine.check_boot(override)
    machine = (await bmc.machine.system_uuid()).bytes if override is not None else b""
    async with bmc.remembering(BootOptions.RECORD, flags.raw + machine):
        if override is not None and override.persistent:
            await bmc.machine.set_persistent_boot(override)
    bmc.boot.machine = machine


@chassis.read(0x09, privilege=Privilege.OPERATOR, parse=of_length(3))
async def get_boot_options(context: Context, request: bytes) -> bytes:
    """Get System Boot Options (28.13): parameter version 1, the parameter and its mark, its data."""
    boot, parameter = context.bmc.boot, request[0] & 0x7F
    if parameter == BOOT_FLAGS:
        await power.drop_flags_of_another(context.bmc)
    value = boot.get(parameter, request[1])
    return bytes((0x01, parameter | (0 if boot.is_valid(parameter) else INVALID))) + value
