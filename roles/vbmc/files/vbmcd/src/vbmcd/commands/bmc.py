# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a command handler may touch: one BMC's state, and the session that asks."""

from __future__ import annotations

import logging
import time
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, AsyncIterator, Awaitable, Callable, Dict, NamedTuple, Optional, Tuple, TypeVar

from vbmcd.commands.boot import BootOptions
from vbmcd.commands.codes import Code
from vbmcd.commands.inventory import Fru
from vbmcd.commands.journal import Journal
from vbmcd.commands.keep import Keep
from vbmcd.commands.power_history import PowerHistory
from vbmcd.config import Instance, User
from vbmcd.machine.base import Busy, Machine, MachineError
from vbmcd.rmcp.engine import Engine
from vbmcd.rmcp.packet import Address
from vbmcd.rmcp.session import Session

audit_log = logging.getLogger("vbmcd.audit")

KeepUsers = Callable[[Tuple[User, ...], Tuple[User, ...]], Awaitable[None]]
"""Stores who may log in, then and now, as the instance's users: as for Keep. Busy too where `then` is outdated."""

T = TypeVar("T")


async def refuse_users(then: Tuple[User, ...], now: Tuple[User, ...]) -> None:
    """For a BMC whose users come from somewhere that can't be written."""
    raise Busy("users can't be stored here")


def transmit_nowhere(session: Session, kind: int, payload: bytes) -> None:
    """For a BMC without a socket."""


def stay() -> None:
    """For a BMC without connections."""


@dataclass
class Identify:
    """Chassis identify: off, on until a time, or forced on (28.5)."""

    until: float = 0.0

    def set(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.until = clock() + seconds

    def remaining(self, clock: Callable[[], float] = time.monotonic) -> float:
        return max(0.0, self.until - clock())


@dataclass
class Bmc:
    """One virtual BMC as its command handlers see it. Lives in a worker, as long as the instance runs."""

    instance: Instance
    engine: Engine
    machine: Machine
    keep: Keep
    keep_users: KeepUsers = refuse_users
    boot: BootOptions = field(default_factory=BootOptions)
    identify: Identify = field(default_factory=Identify)
    kept: Dict[str, bytes] = field(default_factory=dict)
    """The records as they were when this BMC started; what remember() stored is in it as well."""
    transmit: Callable[[Session, int, bytes], None] = transmit_nowhere
    """Sends a payload of that type to a session's console; the endpoint's."""
    journal: Journal = field(init=False)
    fru: Fru = field(init=False)
    history: PowerHistory = field(init=False)
    away_until: float = 0.0
    """Until when the BMC answers nobody, by the clock of the event loop: it resets."""
    ready_at: float = 0.0
    """When it will have started."""
    on_away: Callable[[], None] = stay
    """Ends the connections that there are; the web endpoint's."""
    _parts: Dict[object, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self.journal = Journal(self.keep)
        self.fru = Fru(self.keep, self.instance, self.machine)
        self.history = PowerHistory(self.keep, self.machine, self.journal)

    async def remember(self, record: str, data: bytes) -> None:
        """Store a record for good, and find it in `kept`. Raises machine.base.Busy, and then all is as before."""
        await self.keep(record, data)
        self.kept[record] = data

    @asynccontextmanager
    async def remembering(self, record: str, data: bytes) -> AsyncIterator[None]:
        """Have it stored before what is done within; what the machine refuses is forgotten again. Raises Busy."""
        before = self.kept.get(record, b"")
        await self.remember(record, data)
        try:
            yield
        except MachineError:
            with suppress(Busy):
                await self.remember(record, before)
            raise

    def part(self, make: Callable[[Bmc], T]) -> T:
        """What a chapter's commands keep in memory, made by `make` when first asked for: idle BMCs stay small."""
        part: Optional[T] = self._parts.get(make)
        if part is None:
            part = self._parts[make] = make(self)
        return part

    def has(self, make: Callable[[Bmc], T]) -> Optional[T]:
        """That part, if it was made."""
        return self._parts.get(make)

    def power_up(self) -> None:
        """As after a cold reset (20.2): no sessions, and of what was set only what was stored."""
        self.engine.close_all()
        self.stop()
        self.identify = Identify()
        self.boot.power_up()

    def go_away(self, silent: float, seconds: float) -> None:
        """Power up anew, which takes `seconds`, and answer nobody for the first `silent` of them. The machine stays."""
        now = time.monotonic()
        self.away_until, self.ready_at = now + silent, now + seconds
        self.power_up()
        self.on_away()

    @property
    def away(self) -> bool:
        return bool(self.away_until) and time.monotonic() < self.away_until

    @property
    def starting(self) -> bool:
        return bool(self.ready_at) and time.monotonic() < self.ready_at

    def stop(self) -> None:
        """No part does anything from now on by itself."""
        for part in self._parts.values():
            if hasattr(part, "stop"):
                part.stop()
        self._parts.clear()


class Context(NamedTuple):
    """Who asks which BMC. `session` is None before a login. A tuple, as one is made for each command."""

    bmc: Bmc
    session: Optional[Session]
    source: Address

    def audit(self, event: str, action: str, code: Code, reason: str) -> None:
        """The audit line of a command that changes something. Holds no secret."""
        audit_log.info(
            event,
            extra={
                "fields": {
                    "event": event,
                    "action": action,
                    "instance": self.bmc.instance.name,
                    "domain": self.bmc.instance.domain,
                    "user": self.session.user if self.session else "",
                    "source": f"{self.source[0]} {self.source[1]}",
                    "result": "ok" if code == Code.OK else f"{code:02X}h {code.name.lower()}",
                    "reason": reason,
                }
            },
        )
