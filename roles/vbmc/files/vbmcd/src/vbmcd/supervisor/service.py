# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the control commands do: read, compare, store, converge, one request at a time.

The only place where the state folder, the plan and the fleet meet. Called by ``control.server``.
"""

from __future__ import annotations

import asyncio
import logging
import os
from dataclasses import replace
from typing import Callable, Dict, List, Mapping, Optional, Tuple

from vbmcd import __version__, converge
from vbmcd.config import Instance, User
from vbmcd.control.protocol import Request, parse_apply, parse_names
from vbmcd.documents import State, instance_to_document
from vbmcd.endpoints import Endpoint
from vbmcd.errors import Conflict, StateError, refusal
from vbmcd.media.leftover import Job
from vbmcd.media.record import RECORD
from vbmcd.store import Store
from vbmcd.supervisor import leftovers
from vbmcd.supervisor.fingerprint import fingerprint
from vbmcd.supervisor.fleet import Fleet
from vbmcd.supervisor.records import Records
from vbmcd.supervisor.watchers import Watchers

log = logging.getLogger(__name__)

Result = Dict[str, object]

PROC_UDP = ("/proc/net/udp", "/proc/net/udp6")
PROC_TCP = ("/proc/net/tcp", "/proc/net/tcp6")


class Service:
    """The daemon's configuration, and the commands on it."""

    def __init__(
        self,
        store: Store,
        records: Records,
        fleet: Fleet,
        watchers: Watchers,
        socket: str,
        stop: Callable[[], None],
        release: str,
    ) -> None:
        self._store = store
        self._records = records
        self._fleet = fleet
        self._watchers = watchers
        self._socket = socket
        self._stop = stop
        self._release = release
        self._lock = asyncio.Lock()
        self._instances: Dict[str, Instance] = {}
        self._broken: Dict[str, str] = {}

    async def load(self) -> None:
        """Read the state folder and serve what it says: at start, and on SIGHUP."""
        async with self._lock:
            await self._read()

    async def _read(self) -> None:
        loaded = await asyncio.to_thread(self._store.load)
        self._instances, self._broken = dict(loaded.instances), dict(loaded.broken)
        for name, reason in self._broken.items():
            log.error(reason, extra={"fields": {"instance": name}})
        self._records.load(self._instances)
        await self._converge()

    async def handle(self, request: Request) -> Result:
        """Carry a control request out. Raises VbmcError."""
        command, arguments = request.command, request.arguments
        if command == "ping":
            return self._ping()
        if command == "list":
            return self._list(arguments)
        if command == "reload":
            await self.load()
            return {}
        if command == "shutdown":
            self._stop()
            return {}
        async with self._lock:
            if command == "apply":
                return await self._apply(arguments)
            states = {"delete": State.ABSENT, "start": State.STARTED, "stop": State.STOPPED}
            names = parse_names(command, arguments)
            plan = converge.plan_names(self._instances, names, states[command], self._broken)
            # As VirtualBMC: what can be done is, and the rest is told.
            return await self._carry_out(plan, check=False, partly=bool(plan.changes))

    async def set_users(self, name: str, then: Tuple[User, ...], now: Tuple[User, ...]) -> None:
        """A client changed an instance's users over IPMI: they become its configuration.

        Raises Conflict where they are not `then` any more: its worker gets the present ones.
        """
        async with self._lock:
            instance = self._instances.get(name)
            if instance is None or instance.users not in (then, now):
                await self._fleet.renew(name)
                raise Conflict(f"instance {name!r} has got other users meanwhile: look, and try again", instance=name)
            changed = replace(instance, users=now)
            if instance.users != now:
                await asyncio.to_thread(self._store.save, [changed])
                log.info("a client changed who may log in", extra={"fields": {"instance": name}})
            self._instances[name] = changed
            self._fleet.adopt(changed)

    async def _apply(self, arguments: Mapping[str, object]) -> Result:
        request = parse_apply(arguments)
        plan = converge.plan(
            self._instances,
            request.wanted,
            purge_owner=request.purge_owner,
            create_only=request.create_only,
            reserved=endpoints_in_use(PROC_UDP),
            reserved_tcp=endpoints_in_use(PROC_TCP),
            broken=self._broken,
        )
        return await self._carry_out(plan, check=request.check)

    async def _carry_out(self, plan: converge.Plan, check: bool, partly: bool = False) -> Result:
        if plan.errors and not partly:
            raise refusal(plan.errors)
        if not check and plan.changed:
            await self._commit(plan)
        result = converge.report(plan)
        if not check:
            self._add_bind_errors(plan, result)
        return result

    async def _commit(self, plan: converge.Plan) -> None:
        """To the disk first: what can't be stored is not served."""
        changed = [change for change in plan.changes if change.actions]
        saved = [change.after for change in changed if change.after is not None]
        deleted = [change.name for change in changed if change.after is None]
        await asyncio.to_thread(self._store.save, saved)
        for instance in saved:
            self._broken.pop(instance.name, None)
        self._instances.update({instance.name: instance for instance in saved})
        self._records.know(instance.name for instance in saved)
        jobs = [self._leftover(name) for name in deleted if name in self._instances]
        for name in deleted:
            await self._records.forget(name)
        try:
            await asyncio.to_thread(self._store.delete, deleted)
        except StateError:
            # Some may be gone and some not: what is known and served becomes what is there.
            await self._read()
            raise
        for name in deleted:
            self._instances.pop(name, None)
            self._broken.pop(name, None)
        await self._converge()
        await leftovers.clear(jobs)
        for change in changed:
            log.info(
                "an instance changed", extra={"fields": {"instance": change.name, "actions": ",".join(change.actions)}}
            )

    def _leftover(self, name: str) -> Job:
        instance = self._instances[name]
        return Job(name, instance.domain, instance.connection, self._records.of(name).get(RECORD, b""))

    async def _converge(self) -> None:
        served = {n: i for n, i in self._instances.items() if i.active and n not in self._broken}
        await self._fleet.converge(served)
        # Whether its BMC is served or not: what depends on a domain follows it.
        known = [instance for name, instance in sorted(self._instances.items()) if name not in self._broken]
        await self._watchers.converge(instance.connection for instance in known)

    def _add_bind_errors(self, plan: converge.Plan, result: Result) -> None:
        instances = result["instances"]
        assert isinstance(instances, list)
        for change, reported in zip(plan.changes, instances):
            reported["error"] = self._fleet.error_of(change.name) or None

    def _ping(self) -> Result:
        now = asyncio.get_running_loop().time()
        workers = []
        for name, process in self._fleet.workers.names.items():
            workers.append(
                {
                    "name": name,
                    "pid": process.pid if process else None,
                    "heartbeat_age": round(now - process.heard, 3) if process else None,
                    **({"instances": 0, **process.counters} if process else {}),
                }
            )
        return {
            "version": __version__,
            "release": self._release,
            "pid": os.getpid(),
            "state_dir": str(self._store.path),
            "socket": self._socket,
            "workers": workers,
            "watchers": self._watchers.describe(),
        }

    def _list(self, arguments: Mapping[str, object]) -> Result:
        names = parse_names("list", arguments, required=False)
        known = sorted({*self._instances, *self._broken})
        unknown = [name for name in names if name not in known]
        if unknown:
            raise refusal([converge.unknown(name) for name in unknown])
        found = [self._status(name) for name in (names or known)]
        return {"instances": [self._with_fingerprint(one) for one in found] if names else found}

    def _status(self, name: str) -> Result:
        instance: Optional[Instance] = self._instances.get(name)
        reason = self._broken.get(name) or self._fleet.error_of(name)
        running = instance is not None and instance.active
        process = self._fleet.process_of(name)
        document: Result = instance_to_document(instance) if instance else {"name": name, "domain": name}
        return {
            **document,
            "status": "error" if reason else "running" if running else "down",
            "reason": reason,
            "worker": self._fleet.worker_of(name),
            "pid": process.pid if process else None,
        }

    def _with_fingerprint(self, status: Result) -> Result:
        """What clients are to find at its Redfish. Who lists all is told none: of thousands that takes a while."""
        instance = self._instances.get(str(status["name"]))
        if instance is None or instance.redfish is None:
            return status
        redfish = status["redfish"]
        assert isinstance(redfish, dict)
        return {**status, "redfish": {**redfish, "fingerprint": fingerprint(instance, self._records.of(instance.name))}}


def endpoints_in_use(tables: Tuple[str, ...]) -> List[Endpoint]:
    """Endpoints that any program of this host has, so that none of them is allocated (proc(5))."""
    found: List[Endpoint] = []
    for path in tables:
        try:
            with open(path, encoding="ascii") as table:
                lines = table.readlines()[1:]
        except OSError:
            continue
        # The address is left out: a port that anybody has on any address is worth avoiding.
        found += [("::", int(line.split()[1].rpartition(":")[2], 16)) for line in lines]
    return found
