# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where things of an update are, by dialect: clients that follow the links find them, those that guess learn not to.

What OpenBMC moved, and when: docs/redfish.md, 'Rehearse a firmware roll-out'.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from vbmcd.commands.bmc import Bmc
from vbmcd.firmware.options import Dialect
from vbmcd.redfish.root import ROOT

UPDATE = f"{ROOT}/UpdateService"
INVENTORY = f"{UPDATE}/FirmwareInventory"
TASK_SERVICE = f"{ROOT}/TaskService"
TASKS = f"{TASK_SERVICE}/Tasks"
MONITORS = f"{TASK_SERVICE}/TaskMonitors"
PUSH = f"{UPDATE}/update"
MULTIPART = f"{UPDATE}/update-multipart"


@dataclass(frozen=True)
class Ways:
    """The URIs of one dialect."""

    push: str
    multipart: Optional[str]
    """None: there is none."""
    monitors: Optional[str]
    """The folder of the monitors; None: below each task."""
    targets: bool
    """Whether UpdateParameters has to name exactly one target."""
    apply_time: bool
    """Whether UpdateService has when raw images are applied as a setting; otherwise they are at once."""
    early: bool
    """Whether a bad image is refused in the answer to the upload; otherwise its task ends in an exception."""

    def monitor(self, number: int) -> str:
        return f"{TASKS}/{number}/Monitor" if self.monitors is None else f"{self.monitors}/{number}"


_WAYS = {
    Dialect.LEGACY: Ways(UPDATE, None, None, targets=False, apply_time=True, early=True),
    Dialect.OPENBMC_2023: Ways(PUSH, PUSH, None, targets=True, apply_time=True, early=True),
    Dialect.OPENBMC_2025: Ways(PUSH, MULTIPART, MONITORS, targets=False, apply_time=False, early=False),
}


def ways_of(bmc: Bmc) -> Ways:
    return _WAYS[bmc.instance.firmware.dialect]
