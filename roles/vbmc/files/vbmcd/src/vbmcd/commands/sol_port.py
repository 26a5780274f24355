# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Serial over LAN of one BMC: who has it, and the bridge between packets and the machine's console (chapter 15).

The console is opened on activation and closed on deactivation, so that a BMC nobody is attached to costs nothing.
Output that a console was not there to acknowledge any more is kept, up to HISTORY, and comes first for the next.
"""

from __future__ import annotations

import asyncio
from typing import Optional

from vbmcd.commands.bmc import Bmc
from vbmcd.machine.base import SerialConsole
from vbmcd.rmcp.packet import PAYLOAD_SOL
from vbmcd.rmcp.session import Session
from vbmcd.rmcp.sol import BREAK, FLUSH_TO_CONSOLE, UNAVAILABLE, SolLink, Timing, closing

HISTORY = 16 * 1024
FULL = 256 * 1024
"""Characters that wait for the console; beyond, the oldest are dropped. The machine can't be made to wait: libvirt's
client reads a stream's data whether they are wanted or not, and keeps them without limit."""
CHECK = 1.0
"""Seconds between looks whether the session is still there."""


class SolPort:
    """The one SOL instance. Made with the first activation (Bmc.part)."""

    def __init__(self, bmc: Bmc) -> None:
        self._bmc = bmc
        self._loop = asyncio.get_running_loop()
        self._session: Optional[Session] = None
        self._link: Optional[SolLink] = None
        self._console: Optional[SerialConsole] = None
        self._timer: Optional[asyncio.TimerHandle] = None
        self._history = b""

    @property
    def owner(self) -> Optional[Session]:
        """The session that has it; one that has ended no longer does."""
        if self._session is not None and not self._bmc.engine.has(self._session):
            self.deactivate(tell=False)
        return self._session

    def activate(self, session: Session, timing: Timing) -> None:
        """Attach `session`. Nobody may have it."""
        # First what can fail: whoever has the port can be detached again.
        self._console = self._bmc.machine.open_console(self._output)
        self._session = session
        self._link = SolLink(timing)
        self._link.put(self._history, self._loop.time())
        self._history = b""
        self._pump()

    def deactivate(self, tell: bool = True) -> None:
        """Detach who has it; `tell` says whether with a last packet (15.9, SOL deactivated)."""
        session, link, console = self._session, self._link, self._console
        if session is None or link is None or console is None:
            return
        self._session = self._link = self._console = None
        if self._timer is not None:
            self._timer.cancel()
        console.close()
        self._history = link.undelivered()[-HISTORY:]
        if tell:
            self._bmc.transmit(session, PAYLOAD_SOL, closing())

    def stop(self) -> None:
        """The BMC ends (Bmc.stop)."""
        self.deactivate(tell=False)

    def receive(self, session: Session, packet: bytes) -> None:
        """A packet of a console; nothing happens unless it is the owner's."""
        link, console = self._link, self._console
        if session is not self._session or link is None or console is None:
            return
        # While the machine is off nobody reads: what is typed then is lost, as on a real line.
        room = console.room if console.connected else len(packet)
        received = link.receive(packet, self._loop.time(), room, 0 if console.connected else UNAVAILABLE)
        if received.control & BREAK and console.connected:
            console.send_break()
        if received.characters and console.connected:
            console.write(received.characters)
        if received.control & FLUSH_TO_CONSOLE:
            self._history = b""
        self._pump()

    def _output(self, data: bytes) -> None:
        if self._link is not None:
            self._link.put(data, self._loop.time())
            self._link.trim(FULL)
            self._pump()

    def _pump(self) -> None:
        """Send what is due, and come back when something will be."""
        session, link, console = self._session, self._link, self._console
        if session is None or link is None or console is None:
            return
        now = self._loop.time()
        if link.is_dead(now) or not self._bmc.engine.has(session):
            self.deactivate(tell=False)
            return
        for packet in link.poll(now):
            self._bmc.transmit(session, PAYLOAD_SOL, packet)
        due = link.due(now)
        when = now + CHECK if due is None else min(due, now + CHECK)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(when, self._pump)
