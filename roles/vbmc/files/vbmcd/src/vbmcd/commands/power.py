# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Power, however it is asked for: by Chassis Control (28.3), the watchdog timer (27.3) or the restore policy (28.8).

All honour the pending boot override, and leave word of why the machine last started (28.11).
"""

from __future__ import annotations

import enum
import logging
from contextlib import suppress

from vbmcd.commands.bmc import Bmc
from vbmcd.commands.boot import BootOptions
from vbmcd.machine.base import Action, Busy, MachineError

log = logging.getLogger(__name__)

RESTART = "restart"
"""The record of a graceful restart that is under way: until when, in seconds since 1970. Empty: none is."""

STARTS = (Action.ON, Action.CYCLE, Action.RESET)


class RestartCause(enum.IntEnum):
    """Why the machine last started, as far as this BMC had to do with it (28.11)."""

    UNKNOWN = 0x0
    CHASSIS_CONTROL = 0x1
    WATCHDOG = 0x4
    ALWAYS_RESTORED = 0x6
    PREVIOUS_RESTORED = 0x7


class LastRestart:
    """Since this BMC started to run."""

    def __init__(self, bmc: Bmc) -> None:
        self.cause = RestartCause.UNKNOWN
        self.commands = 0
        """How many power commands clients have given."""
        self.on_by_command = False
        """Whether the machine was last switched on by a command of IPMI (28.2, byte 3, bit 4)."""


async def by_command(bmc: Bmc, action: Action) -> None:
    """What a client asked for. Raises MachineError or CommandError."""
    await keep_restart(bmc, b"")
    bmc.part(LastRestart).commands += 1
    bmc.boot.wait_again()
    await _act(bmc, action)
    last = bmc.part(LastRestart)
    if action in STARTS:
        last.cause = RestartCause.CHASSIS_CONTROL
    if action in (Action.ON, Action.CYCLE, Action.OFF):
        last.on_by_command = action is not Action.OFF


async def by_watchdog(bmc: Bmc, action: Action) -> None:
    """What the watchdog timer asks for. A boot override is dropped first unless it is to stay (28.13, parameter 3)."""
    if action in STARTS and bmc.boot.drop_on_watchdog():
        await keep_boot(bmc)
    await _act(bmc, action)
    if action in STARTS:
        bmc.part(LastRestart).cause = RestartCause.WATCHDOG


async def by_policy(bmc: Bmc) -> None:
    """What the power restore policy asks for: the machine is on, as it was."""
    await _act(bmc, Action.ON)
    bmc.part(LastRestart).cause = RestartCause.PREVIOUS_RESTORED


async def drop_flags_of_another(bmc: Bmc) -> None:
    """Boot flags are void for another machine than the one that they were set for: the instance was pointed at
    another domain, or a new one has the old one's name."""
    boot = bmc.boot
    if not boot.machine or not boot.flags.valid:
        return
    with suppress(MachineError):
        if (await bmc.machine.system_uuid()).bytes != boot.machine:
            boot.use_up()
            await keep_boot(bmc)


async def _act(bmc: Bmc, action: Action) -> None:
    await drop_flags_of_another(bmc)
    flags = bmc.boot.flags
    override = flags.override()
    if override is not None and override.persistent:
        # A persistent device already stands in the machine's own definition.
        override = None
    used = await bmc.machine.control(action, override)
    # Flags that were set while the machine started are for the next start.
    if used and bmc.boot.flags == flags:
        bmc.boot.use_up()
        await keep_boot(bmc)
    bmc.journal.controlled(action, override if used else None)


async def keep_restart(bmc: Bmc, until: bytes) -> None:
    """Store the record of a graceful restart. It is for another worker alone, so a full disk does not make it fail."""
    if bmc.kept.get(RESTART, b"") == until:
        return
    try:
        await bmc.remember(RESTART, until)
    except Busy as error:
        fields = {"instance": bmc.instance.name, "reason": str(error)}
        log.error("a graceful restart could not be stored, or that it has ended", extra={"fields": fields})


async def keep_boot(bmc: Bmc) -> None:
    """Store that the override was used. The machine has been started, so not even a full disk makes this fail."""
    try:
        await bmc.remember(BootOptions.RECORD, bmc.boot.to_bytes())
    except Busy as error:
        fields = {"instance": bmc.instance.name, "reason": str(error)}
        log.error(
            "a used boot override could not be stored, and may come again after a restart", extra={"fields": fields}
        )
