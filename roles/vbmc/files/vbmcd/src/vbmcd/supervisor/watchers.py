# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dependency watchers: a process for each libvirt daemon of QEMU's that the instances name, and what they remember.

What a watcher has seen lives here and on the disk, so that a new one knows what the old one had not finished.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from typing import Any, Dict, Iterable, List, Optional, Tuple

from vbmcd.background import Background
from vbmcd.config import Connection
from vbmcd.dependency.model import Level
from vbmcd.errors import StateError
from vbmcd.machine.libvirt_connection import is_here
from vbmcd.machine.libvirt_machine import boot_id
from vbmcd.store import Store
from vbmcd.supervisor.workers import Workers
from vbmcd.worker import wire

log = logging.getLogger(__name__)

KIND = "watcher"


class _Watched:
    """One URI: how it is reached, its process's name, and what is remembered of its masters."""

    def __init__(self, connection: Connection, name: str, seen: Dict[str, Any]) -> None:
        self.connection = connection
        self.name = name
        self.seen = seen
        self.saving = False
        self.unsaved = False


def _after_reboot(entry: Dict[str, Any]) -> Dict[str, Any]:
    """What was seen of a master before the host was restarted: all were off since, and numbers begin anew. One that
    runs was started by libvirt (autostart) or by somebody, which is still to be followed."""
    return {**entry, "level": int(Level.OFF), "id": -1, "unsettled": False, "partners": {}}


class Watchers:
    """The watchers. `extra` are URIs to follow whether an instance names them or not."""

    def __init__(self, workers: Workers, store: Store, extra: Tuple[str, ...] = ()) -> None:
        self._workers = workers
        self._store = store
        self._extra = extra
        self._watched: Dict[str, _Watched] = {}
        self._numbers = itertools.count(1)
        self._background = Background()

    async def converge(self, connections: Iterable[Connection]) -> None:
        """Follow the URIs of `connections`, which are in a fixed order, and no others but the extra ones."""
        wanted: Dict[str, Connection] = {}
        for connection in connections:
            if connection.uri.startswith(("qemu:", "qemu+")):
                wanted.setdefault(connection.uri, connection)
        for uri in self._extra:
            wanted.setdefault(uri, Connection(uri))
        for uri in [uri for uri in self._watched if uri not in wanted]:
            await self._workers.stop(self._watched.pop(uri).name)
            await asyncio.to_thread(self._store.delete_seen, uri)
        for uri, connection in wanted.items():
            watched = self._watched.get(uri)
            if watched is None:
                name = f"watcher-{next(self._numbers)}"
                seen = await asyncio.to_thread(self._load, uri)
                watched = self._watched[uri] = _Watched(connection, name, seen)
                self._workers.start(name, KIND)
            elif watched.connection != connection:
                # Another login: a new process for the same memory.
                await self._workers.stop(watched.name)
                watched.connection, watched.name = connection, f"watcher-{next(self._numbers)}"
                self._workers.start(watched.name, KIND)

    def _load(self, uri: str) -> Dict[str, Any]:
        kept = self._store.load_seen(uri)
        masters = None if kept is None else kept.get("masters")
        if kept is None or not isinstance(masters, dict):
            return {}
        if is_here(uri) and kept.get("boot") != boot_id():
            return {key: _after_reboot(entry) for key, entry in masters.items() if isinstance(entry, dict)}
        return masters

    def has(self, name: str) -> bool:
        """Whether the process called so is a watcher."""
        return self._by_name(name) is not None

    def on_up(self, name: str) -> None:
        """A watcher's process is there, and has to know what to follow."""
        watched = self._by_name(name)
        if watched is not None:
            self._background.start(self._workers.send(name, wire.watch(watched.connection, watched.seen)))

    def on_message(self, name: str, message: wire.Message) -> None:
        watched = self._by_name(name)
        if watched is None or message["type"] != "seen":
            return
        if message["entry"] is None:
            watched.seen.pop(message["master"], None)
        else:
            watched.seen[message["master"]] = message["entry"]
        watched.unsaved = True
        if not watched.saving:
            watched.saving = True
            self._background.start(self._save(watched))

    async def _save(self, watched: _Watched) -> None:
        """Write until what is on disk is the latest; what came meanwhile is written in one go."""
        uri = watched.connection.uri
        try:
            while watched.unsaved and self._watched.get(uri) is watched:
                watched.unsaved = False
                boot = boot_id() if is_here(uri) else ""
                await asyncio.to_thread(self._store.save_seen, uri, {"boot": boot, "masters": dict(watched.seen)})
        except StateError as error:
            log.error("what a watcher has seen could not be stored: %s", error)
        finally:
            watched.saving = False

    async def drain(self) -> None:
        """Let what is being written reach the disk."""
        await self._background.drain(1.0)

    def describe(self) -> List[Dict[str, Any]]:
        """For `ping`."""
        found = []
        for uri, watched in sorted(self._watched.items()):
            process = self._workers.process(watched.name)
            counters = process.counters if process else {}
            found.append(
                {
                    "uri": uri,
                    "name": watched.name,
                    "pid": process.pid if process else None,
                    "connected": bool(counters.get("connected")),
                    "masters": counters.get("masters", 0),
                }
            )
        return found

    def _by_name(self, name: str) -> Optional[_Watched]:
        return next((watched for watched in self._watched.values() if watched.name == name), None)
