# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Protocols that a BMC may speak. One more is a file here and a line below."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Dict

from ..deadline import Deadline
from ..errors import BadRequest
from ..target import Target
from .base import Client
from .ipmi import IpmiClient
from .openbmc import OpenBmcClient
from .redfish import RedfishClient


@dataclass(frozen=True)
class Protocol:
    """How a session is opened, and the port where none is given."""

    open: Callable[[Target, Deadline], Client]
    port: int


PROTOCOLS: Dict[str, Protocol] = {
    "ipmi": Protocol(IpmiClient, 623),
    "openbmc": Protocol(OpenBmcClient, 443),
    "redfish": Protocol(RedfishClient, 443),
}
"""Static, since Ansible ships to a host only what imports reach."""


def connect(target: Target, deadline: Deadline) -> Client:
    """A session with a target's BMC. Raises HwctlError."""
    protocol = PROTOCOLS.get(target.protocol)
    if protocol is None:
        raise BadRequest(f"nothing of the kind can be done by {target.protocol}: use {', '.join(PROTOCOLS)}")
    return protocol.open(target, deadline)
