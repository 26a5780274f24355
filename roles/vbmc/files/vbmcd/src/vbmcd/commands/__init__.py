# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""IPMI commands: a table a network function, a small function a command.

``table`` does what every command needs once (length, privilege, completion codes); ``bmc`` is what a
handler may touch. Called by ``worker.endpoint`` through :data:`TABLES`.
"""

from __future__ import annotations

from typing import Dict

from vbmcd.commands import (
    boot_options,
    channel,
    payload,
    pef,
    sessions,
    sol_config,
    system_info,
    users,
    watchdog,
)
from vbmcd.commands.app import app
from vbmcd.commands.chassis import chassis
from vbmcd.commands.sensor import sensor
from vbmcd.commands.storage import storage
from vbmcd.commands.table import CommandTable
from vbmcd.commands.transport import transport

CHAPTERS = (boot_options, channel, payload, pef, sessions, sol_config, system_info, users, watchdog)
"""Files whose commands register with the table of another one."""

TABLES: Dict[int, CommandTable] = {table.netfn: table for table in (chassis, sensor, app, storage, transport)}
"""By request network function (IPMI 2.0, 5.1). One of a later chapter is added here."""
