# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The supervisor's loop: everything it is made of, from start to stop."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from pathlib import Path
from typing import Awaitable, Callable, Tuple

from vbmcd.background import Background
from vbmcd.control.server import ControlServer, prepare_folder
from vbmcd.errors import VbmcError
from vbmcd.log import rotate
from vbmcd.paths import LOG_FILE, workers_socket
from vbmcd.store import Store
from vbmcd.supervisor.fleet import Fleet
from vbmcd.supervisor.placement import Placement
from vbmcd.supervisor.records import Records
from vbmcd.supervisor.service import Service
from vbmcd.supervisor.spawner import Spawner
from vbmcd.supervisor.watchers import Watchers
from vbmcd.supervisor.workers import Workers
from vbmcd.worker import wire

log = logging.getLogger(__name__)

LOG_SECONDS = 30.0
"""Between two looks at the size of a log file."""


class Supervisor:
    """One run of the daemon. Made inside of the running loop; the spawner comes from before it."""

    def __init__(
        self,
        store: Store,
        socket: Path,
        placement: Placement,
        spawner: Spawner,
        watch: Tuple[str, ...] = (),
        release: str = "",
    ) -> None:
        prepare_folder(socket)
        self._socket = socket
        self._log_file = store.path / LOG_FILE
        self._spawner = spawner
        self._stop = asyncio.Event()
        self._background = Background()
        self._records = Records(store)
        self._fleet = Fleet(placement, self._records.of)
        self._workers = Workers(spawner, workers_socket(socket), self._on_up, self._on_message)
        self._watchers = Watchers(self._workers, store, watch)
        self._service = Service(store, self._records, self._fleet, self._watchers, str(socket), self._stop.set, release)
        self._server = ControlServer(socket, self._service.handle)
        self.spawner_lost = False

    async def run(self, on_ready: Callable[[], None]) -> None:
        """Serve until told to stop. Raises VbmcError when the state folder can't be read."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop_for_good)
        loop.add_signal_handler(signal.SIGHUP, lambda: self._background.start(self._reload()))
        loop.add_reader(self._spawner.fileno(), self._lose_spawner)
        self._fleet.start(self._workers)
        hearing = loop.create_task(self._workers.listen())
        serving = loop.create_task(self._serve(on_ready))
        stopping = loop.create_task(self._wait_for_stop())
        done, _pending = await asyncio.wait([hearing, serving, stopping], return_when=asyncio.FIRST_COMPLETED)
        log.info("vbmcd stops")
        serving.cancel()
        await self._server.finish()
        # Heard to the end: a command under way may still want its boot flags stored.
        await self._workers.close()
        await self._watchers.drain()
        hearing.cancel()
        self._fleet.close()
        for task in done:
            task.result()

    async def _serve(self, on_ready: Callable[[], None]) -> None:
        await self._service.load()
        log.info("vbmcd is ready", extra={"fields": {"pid": os.getpid(), "socket": self._socket}})
        on_ready()
        await asyncio.gather(
            self._server.serve(),
            self._server.keep_bound(),
            self._workers.watch(),
            self._workers.keep_bound(),
            self._fleet.retry(),
            self._keep_log_short(),
        )

    async def _keep_log_short(self) -> None:
        while True:
            await asyncio.to_thread(rotate, self._log_file)
            await asyncio.sleep(LOG_SECONDS)

    def _stop_for_good(self) -> None:
        self.spawner_lost = False
        self._stop.set()

    async def _wait_for_stop(self) -> None:
        await self._stop.wait()

    async def _reload(self) -> None:
        try:
            await self._service.load()
        except VbmcError as error:
            log.error(str(error))

    def _lose_spawner(self) -> None:
        asyncio.get_running_loop().remove_reader(self._spawner.fileno())
        # Whoever ends all processes at once means the daemon, not a new start.
        self.spawner_lost = not self._stop.is_set()
        self._stop.set()

    def _on_up(self, worker: str) -> None:
        if self._watchers.has(worker):
            self._watchers.on_up(worker)
        else:
            self._fleet.on_up(worker)

    async def _on_message(self, worker: str, message: wire.Message) -> None:
        if message["type"] == "seen":
            self._watchers.on_message(worker, message)
        elif message["type"] == "done":
            self._fleet.on_done(message["number"])
        elif message["type"] == "keep":
            # Beside the loop that hears the workers: a slow disk must not make them look hung.
            storing = self._records.keep(message["name"], message["record"], bytes.fromhex(message["data"]))
            self._background.start(self._keep(worker, message, storing))
        elif message["type"] == "users":
            storing = self._service.set_users(message["name"], *wire.parse_users(message))
            self._background.start(self._keep(worker, message, storing))

    async def _keep(self, worker: str, message: wire.Message, storing: Awaitable[None]) -> None:
        error = ""
        try:
            await storing
        except VbmcError as failure:
            error = str(failure)
            log.error(error, extra={"fields": {"instance": message["name"]}})
        await self._workers.send(worker, {"type": "kept", "id": message["id"], "error": error})
