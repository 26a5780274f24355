# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Watchdog timer commands (IPMI 2.0, chapter 27), and the loop's timer that lets them count.

The timer lives as long as the worker serves the instance: a restart of the daemon, or a change of the instance,
leaves it stopped, as a cold reset of a BMC does.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Optional

from vbmcd.background import Background
from vbmcd.commands import power
from vbmcd.commands.app import app
from vbmcd.commands.bmc import Bmc, Context
from vbmcd.commands.table import no_data
from vbmcd.commands.watchdog_timer import WatchdogSettings, WatchdogTimer
from vbmcd.config import Privilege
from vbmcd.machine.base import Action, Busy, MachineError

log = logging.getLogger(__name__)

TRIES = 10
TRY_AGAIN_SECONDS = 1.0
"""How often, and after how long, an action is tried for which the machine was busy."""

EXPIRED = {None: 0x0, Action.RESET: 0x1, Action.OFF: 0x2, Action.CYCLE: 0x3}
INTERRUPT = 0x8
"""The watchdog sensor's states (table 42-3), by what the timer does when it expires; and of the pre-timeout."""


class Watchdog:
    """One BMC's timer on the event loop."""

    def __init__(self, bmc: Bmc) -> None:
        self.timer = WatchdogTimer()
        self._bmc = bmc
        self._loop = asyncio.get_running_loop()
        self._handle: Optional[asyncio.TimerHandle] = None
        self._acting = Background()

    @property
    def now(self) -> float:
        return self._loop.time()

    def set(self, settings: WatchdogSettings) -> None:
        self._bmc.journal.watchdog = 0
        self.timer.set(settings, self.now)
        self._schedule()

    def reset(self) -> None:
        self._bmc.journal.watchdog = 0
        self.timer.reset(self.now)
        self._schedule()

    def stop(self) -> None:
        self.timer.stop(self.now)
        self._schedule()

    def _schedule(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
        due = self.timer.next
        self._handle = None if due is None else self._loop.call_at(due, self._tick)

    def _tick(self) -> None:
        # The loop may call a little early, within the resolution of its clock.
        due = self.timer.due(max(self.now, self._handle.when() if self._handle else 0.0))
        self._schedule()
        if due is None:
            return
        fields = {"instance": self._bmc.instance.name, "action": due.action.value if due.action else "none"}
        log.info("the watchdog timer expired" if due.final else "the watchdog timer is about to expire",
                 extra={"fields": fields})  # fmt: skip
        state = EXPIRED[due.action] if due.final else INTERRUPT
        self._bmc.journal.watchdog_expired(state, due.cause, due.log)
        if due.action is not None:
            self._acting.start(self._act(due.action))

    async def _act(self, action: Action) -> None:
        for _turn in range(TRIES):
            try:
                await power.by_watchdog(self._bmc, action)
                return
            except Busy as error:
                reason = str(error)
                await asyncio.sleep(TRY_AGAIN_SECONDS)
            except MachineError as error:
                reason = str(error)
                break
        fields = {"instance": self._bmc.instance.name, "action": action.value, "reason": reason}
        log.warning("what the watchdog timer asked for could not be done", extra={"fields": fields})


@app.change(0x22, privilege=Privilege.OPERATOR, parse=no_data)
async def reset_watchdog_timer(context: Context, request: None) -> bytes:
    """Reset Watchdog Timer (27.5): start it, or start anew. 80h where it was never set."""
    context.bmc.part(Watchdog).reset()
    return b""


@app.change(0x24, privilege=Privilege.OPERATOR, parse=WatchdogSettings.parse, audit="watchdog")
async def set_watchdog_timer(context: Context, request: WatchdogSettings) -> bytes:
    """Set Watchdog Timer (27.6): what it does and when; it is stopped, unless told to run on."""
    context.bmc.part(Watchdog).set(request)
    return b""


@app.read(0x25, privilege=Privilege.USER)
async def get_watchdog_timer(context: Context, request: None) -> bytes:
    """Get Watchdog Timer (27.7)."""
    watchdog = context.bmc.part(Watchdog)
    return watchdog.timer.get(watchdog.now)
