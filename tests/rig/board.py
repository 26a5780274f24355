# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A BMC without a socket: commands go to their handlers as they would, from a session of a given privilege."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from rig.machine import ScriptedMachine
from vbmcd.commands import TABLES
from vbmcd.commands.bmc import Bmc, Context
from vbmcd.commands.startup import start
from vbmcd.commands.table import run
from vbmcd.config import Instance, Privilege, User
from vbmcd.firmware.unit import Unit
from vbmcd.machine.base import Busy
from vbmcd.rmcp.engine import Engine
from vbmcd.rmcp.handshake import Exchange
from vbmcd.rmcp.session import Session
from vbmcd.rmcp.suites import SUITE_17

ADMIN = User("admin", "secret")


class Board:
    """One BMC with a session of `privilege`, asked command by command."""

    def __init__(
        self,
        privilege: Privilege = Privilege.ADMINISTRATOR,
        users: tuple[User, ...] = (ADMIN,),
        kept: Mapping[str, bytes] | None = None,
    ) -> None:
        self.machine = ScriptedMachine()
        self.kept: list[bytes] = []
        """The boot flags that were stored, one after the other."""
        self.records: dict[str, bytes] = dict(kept or {})
        """What is on disk."""
        self.writes = 0
        self.full = False
        """Whether nothing can be kept."""
        instance = Instance("node-07", "domain-07", 6230, users=users)
        self.engine = Engine(users, bytes(16))
        self.users: list[tuple[User, ...]] = []
        """What was stored as the instance's users, one after the other."""
        self.bmc = Bmc(instance, self.engine, self.machine, self._keep, self._keep_users)
        self.bmc.on_away = self._count
        self.resets = 0
        """How often the BMC has reset. It may be back before anybody looks whether it is away."""
        start(self.bmc, self.records)
        exchange = Exchange(SUITE_17, 1, 2, bytes(16), bytes(16), bytes(16), 4, b"admin", b"secret")
        self.session: Session | None = Session(exchange, "admin", Privilege.ADMINISTRATOR)
        self.session.privilege = privilege

    def at(self, address: str) -> Board:
        """The same BMC, bound to `address`."""
        self.bmc.instance = replace(self.bmc.instance, address=address)
        return self

    def _count(self) -> None:
        self.resets += 1

    def pass_activation(self) -> None:
        """The time passes that the BMC takes to write an image."""
        unit = self.bmc.part(Unit)
        unit.look().advance(unit.now + 3600.0)
        unit.done()

    async def _keep(self, record: str, data: bytes) -> None:
        self.writes += 1
        await asyncio.sleep(0)
        if self.full:
            raise Busy("no space left on device")
        self.records[record] = data
        if record != "boot":
            return
        self.kept.append(data)

    async def _keep_users(self, then: tuple[User, ...], now: tuple[User, ...]) -> None:
        if self.full:
            raise Busy("no space left on device")
        assert then == self.bmc.instance.users
        self.users.append(now)

    async def ask(self, netfn: int, command: int, data: str = "") -> str:
        row = TABLES[netfn].find(command)
        assert row is not None
        answer = await run(row, Context(self.bmc, self.session, ("192.0.2.1", 50000)), bytes.fromhex(data))
        return answer.hex(" ")


async def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Let the loop run until `condition` holds. Raises AssertionError after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        await asyncio.sleep(0.005)
