# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Storage commands: the network function's table, put together from its three chapters."""

from __future__ import annotations

from vbmcd.commands.fru import fru
from vbmcd.commands.sdr import sdr
from vbmcd.commands.sel import sel
from vbmcd.commands.table import CommandTable, NetFn

storage = CommandTable(NetFn.STORAGE)
for _chapter in (sdr, sel, fru):
    storage.include(_chapter)
