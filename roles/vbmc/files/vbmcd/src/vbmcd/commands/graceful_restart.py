# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A graceful restart: the guest is asked to shut down, and the machine is switched on again once it has.

libvirt's own reboot would keep the boot order that QEMU was started with, so no boot override would count.
"""

from __future__ import annotations

import asyncio
import logging
import time

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
    """One BMC's, while it waits. Ends with a reset of the BMC, and with the next power command: who gave it knows
    better. A worker that ends leaves it to the next one."""

    def __init__(self, bmc: Bmc) -> None:
        self._bmc = bmc
        self._acting = Background()
        self._stopped = False

    async def begin(self) -> None:
        """Return once the guest was asked. Raises MachineError or CommandError."""
        await power.by_command(self._bmc, Action.SOFT)
        until = int(time.time() + GRACE_SECONDS)
        await power.keep_restart(self._bmc, b"%d" % until)
        self.go_on(GRACE_SECONDS)

    def go_on(self, seconds: float) -> None:
        """Switch it on should it be off within `seconds`."""
        self._acting.start(self._switch_on(self._bmc.part(power.LastRestart).commands, seconds))

    def stop(self) -> None:
        """The BMC ends (Bmc.stop)."""
        self._stopped = True

    async def _switch_on(self, commands: int, seconds: float) -> None:
        loop, reason = asyncio.get_running_loop(), "the guest did not shut down"
        deadline = loop.time() + seconds
        while loop.time() < deadline:
            try:
                on = await self._bmc.machine.is_on()
                if self._stopped:
                    # With its worker: the next one goes on. By a reset of the BMC: nobody does.
                    if self._bmc.starting:
                        await power.keep_restart(self._bmc, b"")
                    return
                if self._bmc.part(power.LastRestart).commands != commands:
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
        await power.keep_restart(self._bmc, b"")


def go_on(bmc: Bmc) -> None:
    """Finish what another worker has begun, if it is not too late."""
    kept = bmc.kept.get(power.RESTART, b"")
    left = int(kept) - time.time() if kept.isdigit() else 0.0
    if left > 0:
        bmc.part(GracefulRestart).go_on(min(left, GRACE_SECONDS))
