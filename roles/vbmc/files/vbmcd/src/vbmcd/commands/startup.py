# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a BMC begins: what was kept for it is its own again, and its parts hear of its machine and of logins."""

from __future__ import annotations

from functools import partial
from typing import Dict

from vbmcd.commands import graceful_restart, inventory, journal, power_history, power_policy
from vbmcd.commands.bmc import Bmc
from vbmcd.commands.boot import BootOptions
from vbmcd.commands.users import note_failed_login


def start(bmc: Bmc, kept: Dict[str, bytes]) -> None:
    """`kept`: its records (store.RECORDS)."""
    bmc.kept = dict(kept)
    bmc.boot.restore(kept.get(BootOptions.RECORD, b""))
    # These keep themselves, and two may be large.
    bmc.journal.restore(bmc.kept.pop(journal.RECORD, b""))
    bmc.fru.restore(bmc.kept.pop(inventory.RECORD, b""))
    bmc.history.restore(bmc.kept.pop(power_history.RECORD, b""))
    power_policy.follow(bmc)
    bmc.machine.observe(bmc.history)
    graceful_restart.go_on(bmc)
    bmc.engine.on_failed_login = partial(note_failed_login, bmc)
