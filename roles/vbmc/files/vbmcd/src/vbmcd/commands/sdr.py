# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SDR repository commands (IPMI 2.0, chapter 33). The repository is read-only: its records describe the daemon."""

from __future__ import annotations

from vbmcd.commands.bmc import Context
from vbmcd.commands.codes import Code, CommandError
from vbmcd.commands.table import CommandTable, NetFn, of_length
from vbmcd.config import Privilege
from vbmcd.storage.sdr import SDR_VERSION
from vbmcd.storage.sensors import REPOSITORY

sdr = CommandTable(NetFn.STORAGE)

CAN_RESERVE = 0x02
NEVER = 0xFFFFFFFF
RESERVATION = 0x0001
"""The one reservation there is: what it protects a reader from, a change of the repository, never happens, so
clients that read at the same time need not cancel each other's (33.11)."""


@sdr.read(0x20, privilege=Privilege.USER)
async def get_info(context: Context, request: None) -> bytes:
    """Get SDR Repository Info (33.9): records, no space for more, times of the last changes, operations."""
    head = bytes((SDR_VERSION,)) + len(REPOSITORY).to_bytes(2, "little") + bytes(2)
    times = REPOSITORY.changed.to_bytes(4, "little") + NEVER.to_bytes(4, "little")
    return head + times + bytes((CAN_RESERVE,))


@sdr.read(0x22, privilege=Privilege.USER)
async def reserve(context: Context, request: None) -> bytes:
    """Reserve SDR Repository (33.11)."""
    return RESERVATION.to_bytes(2, "little")


@sdr.read(0x23, privilege=Privilege.USER, parse=of_length(6))
async def get_record(context: Context, request: bytes) -> bytes:
    """Get SDR (33.12): a record or a part of it. C5h for a part without a reservation, C9h for one behind the end."""
    reservation, number = (int.from_bytes(request[at : at + 2], "little") for at in (0, 2))
    offset, count = request[4], request[5]
    found = REPOSITORY.get(number)
    if found is None:
        raise CommandError(Code.NOT_PRESENT)
    if offset and reservation != RESERVATION:
        raise CommandError(Code.RESERVATION_CANCELED)
    record, following = found
    if offset >= len(record):
        raise CommandError(Code.PARAMETER_OUT_OF_RANGE)
    return following.to_bytes(2, "little") + record[offset : offset + count]


@sdr.read(0x28, privilege=Privilege.USER)
async def get_time(context: Context, request: None) -> bytes:
    """Get SDR Repository Time (33.17): the event log's clock."""
    journal = context.bmc.journal
    return journal.sel.time(journal.now).to_bytes(4, "little")
