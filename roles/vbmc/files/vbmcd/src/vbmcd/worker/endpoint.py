# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One BMC on its socket: datagrams to the engine, requests to their handlers, answers back.

The only place where the protocol core meets asyncio. No handler, and nothing a client sends, may end the
worker: what a handler raises by mistake is logged and answered FFh.
"""

from __future__ import annotations

import asyncio
import logging

from vbmcd.background import Background
from vbmcd.commands import TABLES
from vbmcd.commands.bmc import Bmc, Context
from vbmcd.commands.codes import Code
from vbmcd.commands.sol_port import SolPort
from vbmcd.commands.table import Command, run
from vbmcd.rmcp.engine import Request, SolPacket
from vbmcd.rmcp.session import Session
from vbmcd.worker.repeats import Repeats
from vbmcd.worker.udp import Peer, UdpSocket

log = logging.getLogger(__name__)

MAX_RUNNING = 64
"""Commands of one BMC that may run at a time; node busy (C0h) beyond."""
MAX_STRANGERS = 8
"""The same for those who have not logged in: they must not keep out who has."""
DROPPED_IN_A_ROW = 64
"""Datagrams that lead to nothing, read in a turn of the loop: a flood must not fill the socket's queue, nor keep the
other BMCs waiting."""


class Endpoint:
    """Serves one BMC. Owns its socket."""

    def __init__(self, bmc: Bmc, sock: UdpSocket, loop: asyncio.AbstractEventLoop) -> None:
        self.bmc = bmc
        self.commands = 0
        """Answered since the start, for the worker's counters."""
        self._sock = sock
        self._loop = loop
        self._stopped = False
        self._running = Background()
        self._strangers = Background()
        self._repeats = Repeats()
        bmc.transmit = self._transmit
        loop.add_reader(sock.fileno(), self._readable)

    def stop(self) -> None:
        """Stop listening. Commands that run go on, and their answers are dropped."""
        self._stopped = True
        self._loop.remove_reader(self._sock.fileno())
        self._sock.close()
        self.bmc.stop()

    async def finish(self) -> None:
        """Wait until what runs has ended."""
        await self._running.drain()

    async def store(self) -> None:
        """Wait until all that is known is stored."""
        await self.bmc.history.drain()
        await self.bmc.journal.drain()

    def expire(self, now: float) -> None:
        """Forget what is too old; called every second or so."""
        self.bmc.engine.expire(now)
        self._repeats.expire(now)

    def _readable(self) -> None:
        # One datagram a turn: nearly always it is the only one, and to look for another costs a system call.
        # Where there are more the loop calls again, after the other BMCs have had their turn.
        for _turn in range(DROPPED_IN_A_ROW):
            received = self._sock.receive()
            if received is None or (not self.bmc.away and self._datagram(*received)):
                return

    def _datagram(self, data: bytes, peer: Peer) -> bool:
        """Whether it led to anything."""
        try:
            result = self.bmc.engine.receive(data, peer.source, self._loop.time())
        except Exception:
            log.exception("a datagram could not be processed", extra={"fields": {"instance": self.bmc.instance.name}})
            return False
        if isinstance(result, Request):
            self._request(result, peer)
        elif isinstance(result, SolPacket):
            self._sol(result, peer)
        elif result is not None:
            self._sock.send(result, peer)
        return result is not None

    def _sol(self, packet: SolPacket, peer: Peer) -> None:
        packet.session.peer = peer
        port = self.bmc.has(SolPort)
        if port is not None:
            port.receive(packet.session, packet.payload)

    def _transmit(self, session: Session, kind: int, payload: bytes) -> None:
        """Send what nobody asked for: to where the session's console was last."""
        if session.peer is not None and not self._stopped:
            self._sock.send(session.seal(kind, payload), session.peer)

    def _request(self, request: Request, peer: Peer) -> None:
        message, session, _plus = request
        table = TABLES.get(message.netfn)
        command = table.find(message.command) if table else None
        if session is None:
            running, limit = self._strangers, MAX_STRANGERS
        else:
            running, limit = self._running, MAX_RUNNING
            session.peer = peer
        if command is None or message.lun:
            self._answer(request, peer, bytes((Code.INVALID_FOR_LUN if command else Code.INVALID_COMMAND,)))
            return
        kept = command.changes and session is not None
        if kept and self._answer_repeat(request, peer):
            return
        if len(running) >= limit:
            self._answer(request, peer, bytes((Code.NODE_BUSY,)))
            return
        if kept:
            self._repeats.begin(request)
        running.start_at_once(self._run(command, request, peer))

    def _answer_repeat(self, request: Request, peer: Peer) -> bool:
        """Whether the client has asked for this before: then it gets the answer of that, now or when there is one."""
        before = self._repeats.find(request, self._loop.time())
        if before is None:
            return False
        if before.answer is None:
            self._repeats.wait(before, request, peer)
        else:
            self._answer(request, peer, before.answer)
        return True

    async def _run(self, command: Command, request: Request, peer: Peer) -> None:
        context = Context(self.bmc, request.session, peer.source)
        try:
            answer = await run(command, context, request.message.data)
        except Exception:
            log.exception(
                "a command failed by a mistake in its handler",
                extra={"fields": {"instance": self.bmc.instance.name, "command": request.message.command}},
            )
            answer = bytes((Code.UNSPECIFIED,))
        self._answer(request, peer, answer)
        if command.changes and request.session is not None:
            for repeated, asking in self._repeats.finish(request, answer, self._loop.time()):
                self._answer(repeated, asking, answer)

    def _answer(self, request: Request, peer: Peer, answer: bytes) -> None:
        self.commands += 1
        if not self._stopped:
            self._sock.send(request.reply(answer), peer)
