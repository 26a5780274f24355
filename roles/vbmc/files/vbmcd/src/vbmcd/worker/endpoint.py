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
from dataclasses import dataclass, field
from typing import Dict, List, Optional, Tuple

from vbmcd.background import Background
from vbmcd.commands import TABLES
from vbmcd.commands.bmc import Bmc, Context
from vbmcd.commands.codes import Code
from vbmcd.commands.table import Command, run
from vbmcd.rmcp.engine import Request
from vbmcd.worker.udp import Peer, UdpSocket

log = logging.getLogger(__name__)

BATCH = 32
"""Datagrams taken from one socket before the other BMCs have their turn."""
MAX_RUNNING = 64
"""Commands of one BMC that may run at a time; node busy (C0h) beyond."""
REPEAT_SECONDS = 5.0
"""How long the answer of a command that changed something is kept for a client that asks again."""

RepeatKey = Tuple[int, int, int, int, int, bytes]


@dataclass
class Done:
    """A command that changes something: running, or done with its answer."""

    answer: Optional[bytes] = None
    finished: float = 0.0
    waiting: List[Tuple[Request, Peer]] = field(default_factory=list)


class Endpoint:
    """Serves one BMC. Owns its socket."""

    def __init__(self, bmc: Bmc, sock: UdpSocket, loop: asyncio.AbstractEventLoop) -> None:
        self.bmc = bmc
        self.commands = 0
        """Answered since the start, for the worker's counters."""
        self._sock = sock
        self._loop = loop
        self._running = Background()
        self._repeats: Dict[RepeatKey, Done] = {}
        loop.add_reader(sock.fileno(), self._readable)

    def stop(self) -> None:
        """Stop listening. Commands that run go on, and their answers are dropped."""
        self._loop.remove_reader(self._sock.fileno())
        self._sock.close()

    async def drain(self, timeout: float) -> None:
        """Wait until what runs has ended, at most `timeout` seconds."""
        await self._running.drain(timeout)

    def expire(self, now: float) -> None:
        """Forget what is too old; called every second or so."""
        self.bmc.engine.expire(now)
        for key in [k for k, d in self._repeats.items() if d.answer is not None and now - d.finished > REPEAT_SECONDS]:
            del self._repeats[key]

    def _readable(self) -> None:
        for _ in range(BATCH):
            received = self._sock.receive()
            if received is None:
                return
            self._datagram(*received)

    def _datagram(self, data: bytes, peer: Peer) -> None:
        try:
            result = self.bmc.engine.receive(data, peer.source, self._loop.time())
        except Exception:
            log.exception("a datagram could not be processed", extra={"fields": {"instance": self.bmc.instance.name}})
            return
        if isinstance(result, Request):
            self._request(result, peer)
        elif result is not None:
            self._sock.send(result, peer)

    def _request(self, request: Request, peer: Peer) -> None:
        message = request.message
        table = TABLES.get(message.netfn)
        command = table.find(message.command) if table else None
        if command is None or message.lun:
            self._answer(request, peer, bytes((Code.INVALID_FOR_LUN if command else Code.INVALID_COMMAND,)))
            return
        if len(self._running) >= MAX_RUNNING:
            self._answer(request, peer, bytes((Code.NODE_BUSY,)))
            return
        if command.changes_state and request.session is not None and self._is_repeat(request, peer):
            return
        self._running.start(self._run(command, request, peer))

    def _is_repeat(self, request: Request, peer: Peer) -> bool:
        """Whether the client asks again for what it has asked for: that must not run twice.

        Clients send again after a second or so, with a new session sequence number but the same rqSeq.
        """
        key = _repeat_key(request)
        done = self._repeats.get(key)
        if done is None:
            self._repeats[key] = Done()
            return False
        if done.answer is None:
            done.waiting.append((request, peer))
        elif self._loop.time() - done.finished > REPEAT_SECONDS:
            self._repeats[key] = Done()
            return False
        else:
            self._answer(request, peer, done.answer)
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
        if command.changes_state and request.session is not None:
            self._finished(_repeat_key(request), answer)

    def _finished(self, key: RepeatKey, answer: bytes) -> None:
        done = self._repeats.get(key)
        if done is None:
            return
        done.answer, done.finished = answer, self._loop.time()
        for request, peer in done.waiting:
            self._answer(request, peer, answer)
        done.waiting.clear()

    def _answer(self, request: Request, peer: Peer, answer: bytes) -> None:
        self.commands += 1
        if self._sock.fileno() >= 0:
            self._sock.send(request.reply(answer), peer)


def _repeat_key(request: Request) -> RepeatKey:
    message = request.message
    session_id = request.session.id if request.session else 0
    return (session_id, message.sequence, message.lun, message.netfn, message.command, message.data)
