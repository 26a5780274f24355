# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a run may go: how many nodes at once, and for how long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from .errors import BadRequest


@dataclass(frozen=True)
class Limits:
    """Times are in seconds; None is without end."""

    fan_out: int = 100
    """Nodes that are worked on at one time. Each has a thread, which mostly waits."""
    node_timeout: Optional[float] = 120.0
    """For one node, from its turn on."""
    overall_timeout: Optional[float] = None
    """For the whole run."""

    def __post_init__(self) -> None:
        if not 1 <= self.fan_out <= 1000:
            raise BadRequest(f"a fan-out of {self.fan_out} was asked for: give one of 1 to 1000")
        for name, value in (("node", self.node_timeout), ("overall", self.overall_timeout)):
            if value is not None and value <= 0:
                raise BadRequest(f"the {name} time-out is {value:g} s: give one above 0")
