# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A graceful restart: the guest is asked to shut down, and the machine is switched on again once it has.

libvirt's own reboot would keep the boot order that QEMU was started with, so no boot override would count.
"""

from __future__ import annotations

import asyncio
import logging

from vbmcd.background import Background
from vbmcd.commands import power
from vbmcd.commands.bmc import Bmc
from vbmcd.commands.codes import CommandError
from vbmcd.machine.base import Action, MachineError

log = logging.getLogger(__name__)

GRACE_SECONDS = 300.0
"""How long a guest may take. After that the machine stays as it is, or off should it still shut down."""
LOOK_SECONDS = 1.0
"""How often it is looked whether it has; the hypervisor is not asked for it."""


class GracefulRestart:
    """One BMC's, while it waits. Ends with the BMC, and with the next power command: who gave it knows better."""

    def __init__(self, bmc: Bmc) -> None:
        self._bmc = bmc
        self._acting = Background()
        self._stopped = False

    async def begin(self) -> None:
        """Return once the guest was asked. Raises MachineError or CommandError."""
        await power.by_command(self._bmc, Action.SOFT)
        self._acting.start(self._switch_on(self._bmc.part(power.LastRestart).commands))

    def stop(self) -> None:
        """The BMC ends (Bmc.stop)."""
        self._stopped = True

    async def _switch_on(self, commands: int) -> None:
        loop, reason = asyncio.get_running_loop(), "the guest did not shut down"
        deadline = loop.time() + GRACE_SECONDS
        while loop.time() < deadline:
            try:
                on = await self._bmc.machine.is_on()
                if self._stopped or self._bmc.part(power.LastRestart).commands != commands:
                    return
                if not on:
                    commands += 1  # the one that follows
                    await power.by_command(self._bmc, Action.ON)
                    return
            except (MachineError, CommandError) as error:
                reason = str(error)
            await asyncio.sleep(LOOK_SECONDS)
        fields = {"instance": self._bmc.instance.name, "reason": reason}
        log.warning("a graceful restart was not finished", extra={"fields": fields})
