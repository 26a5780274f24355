# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a command handler may touch: one BMC's state, and the session that asks."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import Callable, Optional

from vbmcd.commands.boot import BootOptions
from vbmcd.commands.codes import Code
from vbmcd.commands.inventory import Fru
from vbmcd.commands.journal import Journal
from vbmcd.commands.keep import Keep
from vbmcd.config import Instance
from vbmcd.machine.base import Machine
from vbmcd.rmcp.engine import Address, Engine
from vbmcd.rmcp.session import Session

audit_log = logging.getLogger("vbmcd.audit")


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
    boot: BootOptions = field(default_factory=BootOptions)
    identify: Identify = field(default_factory=Identify)
    journal: Journal = field(init=False)
    fru: Fru = field(init=False)

    def __post_init__(self) -> None:
        self.journal = Journal(self.keep)
        self.fru = Fru(self.keep, self.instance, self.machine)


@dataclass(frozen=True)
class Context:
    """Who asks which BMC. `session` is None before a login."""

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
