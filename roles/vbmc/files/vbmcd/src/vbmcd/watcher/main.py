# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of a watcher: be told what to follow, follow it, send heartbeats, end on SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from typing import Dict, Optional

from vbmcd.dependency.model import DependencyError
from vbmcd.watcher.follower import Follower
from vbmcd.watcher.memory import Remembered
from vbmcd.worker import wire
from vbmcd.worker.link import SupervisorLink

log = logging.getLogger(__name__)


class Watcher:
    """One process, and one libvirt daemon once it was told which."""

    def __init__(self, link: SupervisorLink) -> None:
        self._link = link
        self._follower: Optional[Follower] = None

    async def serve(self, stopped: asyncio.Event) -> None:
        """Until `stopped`, or until one of the two tasks fails: then the supervisor starts anew."""
        tasks = [asyncio.ensure_future(one) for one in (self._hear(), self._heartbeat(), stopped.wait())]
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        if self._follower is not None:
            await self._follower.close()
        for task in done:
            task.result()

    async def _hear(self) -> None:
        while True:
            message = await self._link.receive()
            if message["type"] == "watch" and self._follower is None:
                connection, seen = wire.parse_watch(message)
                self._follower = Follower(connection, _remembered(seen), self._remember)

    async def _remember(self, master: str, entry: Optional[Remembered]) -> None:
        await self._link.send(wire.seen(master, None if entry is None else entry.to_wire()))

    async def _heartbeat(self) -> None:
        while True:
            follower = self._follower
            connected = follower is not None and follower.connected_now
            masters = 0 if follower is None else follower.masters
            await self._link.send({"type": "heartbeat", "connected": int(connected), "masters": masters})
            await asyncio.sleep(wire.HEARTBEAT_SECONDS)


def _remembered(seen: Dict[str, wire.Message]) -> Dict[str, Remembered]:
    found = {}
    for master, entry in seen.items():
        try:
            found[master] = Remembered.from_wire(entry)
        except (KeyError, TypeError, ValueError, AttributeError, DependencyError) as error:
            log.warning("what was remembered of domain %s can't be used, and is forgotten: %s", master, error)
    return found


async def _main(spec: wire.WorkerSpec, channel: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    link = SupervisorLink(spec, channel)
    try:
        await Watcher(link).serve(stopped)
    finally:
        link.close()


def main(spec: wire.WorkerSpec, channel: socket.socket) -> None:
    """Entry of a forked watcher; returns when it has ended in good order."""
    try:
        asyncio.run(_main(spec, channel))
    except Exception:
        log.exception("the watcher ends", extra={"fields": {"watcher": spec.name}})
        raise
