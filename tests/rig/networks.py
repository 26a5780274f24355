# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Interfaces and IPv4 networks of a run of the tests: the machine's, so named after the process, and no other run's.

BRIDGE, NETWORK = interface("net"), subnet(0)   # "net-1a2b3", "198.19.7"
"""

from __future__ import annotations

import json
import os
import subprocess
from functools import cache

_SUBNETS = 512
"""198.18.0.0/15 is for tests of networks (RFC 2544), and has as many of /24."""
_EACH = 4
"""Subnets that a run may have."""


def interface(kind: str) -> str:
    """A name of at most 15 characters for a kind of at most 8."""
    return f"{kind}-{os.getpid() % 0xFFFFFF:x}"


@cache
def subnet(number: int) -> str:
    """The first three bytes of the run's network of that number, below 4, which no interface of the machine has yet."""
    listed = subprocess.run(["ip", "-json", "-4", "address"], check=True, capture_output=True, text=True).stdout
    taken = {one["local"].rpartition(".")[0] for link in json.loads(listed) for one in link.get("addr_info", [])}
    first = os.getpid() * _EACH + number
    candidates = ((first + _EACH * step) % _SUBNETS for step in range(_SUBNETS // _EACH))
    return next(name for name in (f"198.{18 + one // 256}.{one % 256}" for one in candidates) if name not in taken)
