# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be asked of many BMCs: a manager a capability. One more is a file here and a line below."""

from __future__ import annotations

from typing import Dict, Type

from ..executor import ParallelNodes
from .firmware import FirmwareManager
from .inventory import InventoryManager
from .power import PowerManager
from .setboot import SetbootManager
from .sshkey import SshkeyManager

MANAGERS: Dict[str, Type[ParallelNodes]] = {
    "firmware": FirmwareManager,
    "inventory": InventoryManager,
    "power": PowerManager,
    "setboot": SetbootManager,
    "sshkey": SshkeyManager,
}
"""Static, since Ansible ships to a host only what imports reach."""
