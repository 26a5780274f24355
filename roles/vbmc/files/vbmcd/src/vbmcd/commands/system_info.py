# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Application commands about system information (IPMI 2.0, 22.14a and 22.14b): what an inventory reads.

Only what is known without an agent on the machine is there: the names of firmware and machine.
"""

from __future__ import annotations

from vbmcd import __version__
from vbmcd.commands.app import app
from vbmcd.commands.bmc import Bmc, Context
from vbmcd.commands.codes import Code, CommandError
from vbmcd.commands.parameters import REVISION, REVISION_ONLY, SET_IN_PROGRESS
from vbmcd.commands.requests import Change
from vbmcd.commands.table import of_length
from vbmcd.config import Privilege

FIRMWARE_VERSION, SYSTEM_NAME = 1, 2
UTF8 = 1
BLOCK_SIZE = 16
BLOCKS = 16
"""What the longest text takes. Clients read on beyond the end of a shorter one, and get zeros."""


def _text(bmc: Bmc, parameter: int) -> bytes:
    texts = {FIRMWARE_VERSION: f"vbmcd {__version__}", SYSTEM_NAME: bmc.instance.domain}
    if parameter not in texts:
        raise CommandError(Code.PARAMETER_NOT_SUPPORTED)
    return texts[parameter].encode()[: BLOCK_SIZE * BLOCKS - 2]


@app.read(0x59, privilege=Privilege.USER, parse=of_length(4))
async def get_system_info(context: Context, request: bytes) -> bytes:
    """Get System Info Parameters (22.14b): 16 bytes a block. 80h for a parameter, C9h for a block that is not there."""
    if request[0] & REVISION_ONLY:
        return bytes((REVISION,))
    if request[1] == SET_IN_PROGRESS:
        return bytes((REVISION, 0))
    text, block = _text(context.bmc, request[1]), request[2]
    whole = bytes((UTF8, len(text))) + text
    part = whole[block * BLOCK_SIZE : (block + 1) * BLOCK_SIZE]
    if block >= BLOCKS:
        raise CommandError(Code.PARAMETER_OUT_OF_RANGE)
    return bytes((REVISION, block)) + part.ljust(BLOCK_SIZE, b"\0")


def parse_set(data: bytes) -> Change:
    if len(data) < 2:
        raise CommandError(Code.REQUEST_LENGTH_INVALID)
    return Change(data)


@app.change(0x58, privilege=Privilege.ADMINISTRATOR, parse=parse_set, audit="system info")
async def set_system_info(context: Context, request: Change) -> bytes:
    """Set System Info Parameters (22.14a). 82h: all there is, is the instance's."""
    if request[0] & 0x7F == SET_IN_PROGRESS:
        return b""
    _text(context.bmc, request[0] & 0x7F)
    raise CommandError(Code.READ_ONLY)
