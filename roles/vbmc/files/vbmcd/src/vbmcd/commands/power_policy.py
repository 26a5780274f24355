# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The power restore policy (IPMI 2.0, 28.8): what becomes of the machine when its hypervisor comes back.

'Always on' and 'always off' are libvirt's autostart, which the hypervisor itself honours. 'Previous' is this
daemon's to carry out: power_history notes how the machine was, and whether the host has been started since.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Dict

from vbmcd.background import Background
from vbmcd.commands import power
from vbmcd.commands.bmc import Bmc
from vbmcd.commands.codes import CommandError
from vbmcd.machine.base import MachineError, Power

log = logging.getLogger(__name__)

STAY_OFF, PREVIOUS, ALWAYS_ON, UNKNOWN = range(4)
WORDS = {STAY_OFF: "stay off", PREVIOUS: "previous", ALWAYS_ON: "always on"}
RECORD = "policy"

TRIES = 60
TRY_AGAIN_SECONDS = 2.0
"""How often, and after how long, a machine is switched on again: a hypervisor that starts may have no storage yet."""


def supported(bmc: Bmc) -> int:
    """Policies as bits. 'Previous' is not there where it is not known whether the machine's host has been off."""
    return 1 << STAY_OFF | 1 << ALWAYS_ON | (1 << PREVIOUS if bmc.machine.host_run() else 0)


def restore_policy(bmc: Bmc) -> int:
    """Unknown until it is set here."""
    kept = bmc.kept.get(RECORD, b"")
    return kept[0] if len(kept) == 1 and kept[0] in (STAY_OFF, PREVIOUS, ALWAYS_ON) else UNKNOWN


async def set_policy(bmc: Bmc, policy: int) -> None:
    """Let it count from now on. Raises MachineError, and then the policy is as before."""
    try:
        if policy == PREVIOUS:
            bmc.history.prompt = True
            await bmc.history.save()
        async with bmc.remembering(RECORD, bytes((policy,))):
            await bmc.machine.set_autostart(policy == ALWAYS_ON)
    finally:
        bmc.history.prompt = restore_policy(bmc) == PREVIOUS


def follow(bmc: Bmc) -> None:
    """Have the policy carried out: called once, before the machine's power is known."""
    bmc.history.prompt = restore_policy(bmc) == PREVIOUS
    bmc.history.on_outage = partial(after_outage, bmc)


def after_outage(bmc: Bmc, found: Power) -> bool:
    """The hypervisor has been started since the machine was on: whether that will be switched on again."""
    policy = restore_policy(bmc)
    if policy == ALWAYS_ON and found.on:
        bmc.part(power.LastRestart).cause = power.RestartCause.ALWAYS_RESTORED
    if policy != PREVIOUS or found.on:
        return False
    bmc.part(Restorer).start()
    return True


class Restorer:
    """Switches one machine on again."""

    def __init__(self, bmc: Bmc) -> None:
        self._bmc = bmc
        self._acting = Background()
        self._stopped = False

    def start(self) -> None:
        self._acting.start(self._restore())

    def stop(self) -> None:
        """The BMC ends (Bmc.stop)."""
        self._stopped = True

    async def _restore(self) -> None:
        reason = ""
        for _turn in range(TRIES):
            # A client that has given a power command meanwhile knows better.
            if self._stopped or self._bmc.part(power.LastRestart).commands:
                break
            try:
                await power.by_policy(self._bmc)
                log.info("the machine is on again as before its hypervisor was off", extra={"fields": self._fields()})
                return
            except (MachineError, CommandError) as error:
                reason = str(error)
            await asyncio.sleep(TRY_AGAIN_SECONDS)
        if not self._stopped:
            log.error(
                "the machine was on before its hypervisor was off, and could not be switched on again",
                extra={"fields": {**self._fields(), "reason": reason}},
            )
            self._bmc.history.settle()

    def _fields(self) -> Dict[str, str]:
        return {"instance": self._bmc.instance.name, "domain": self._bmc.instance.domain}
