# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Protocols that a BMC may speak. One more is a file here and a line below."""

from __future__ import annotations

from typing import Callable, Dict

from ..deadline import Deadline
from ..errors import BadRequest
from ..target import Target
from .base import Client
from .ipmi import IpmiClient
from .openbmc import OpenBmcClient
from .redfish import RedfishClient

Opener = Callable[[Target, Deadline], Client]

PROTOCOLS: Dict[str, Opener] = {
    "ipmi": IpmiClient,
    "openbmc": OpenBmcClient,
    "redfish": RedfishClient,
}
"""Static, since Ansible ships to a host only what imports reach."""


def connect(target: Target, deadline: Deadline) -> Client:
    """A session with a target's BMC. Raises HwctlError."""
    opener = PROTOCOLS.get(target.protocol)
    if opener is None:
        raise BadRequest(f"nothing of the kind can be done by {target.protocol}: use {', '.join(PROTOCOLS)}")
    return opener(target, deadline)
