# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""System event log commands (IPMI 2.0, chapter 31)."""

from __future__ import annotations

from dataclasses import dataclass

from vbmcd.commands.bmc import Context
from vbmcd.commands.codes import Code, CommandError
from vbmcd.commands.table import CommandTable, NetFn, of_length
from vbmcd.config import Privilege
from vbmcd.storage.sel import CAPACITY, ENTRY_SIZE, UNKNOWN_OFFSET, Sel, is_allowed

sel = CommandTable(NetFn.STORAGE)

VERSION = 0x51
OVERFLOWN = 0x80
OPERATIONS = 0x0B
"""Delete, Reserve, Get Allocation Information (31.2)."""
ENTIRE_ENTRY = 0xFF
INITIATE_ERASE = 0xAA
ERASED = 0x01
LONGEST_OFFSET = 24 * 60
"""Minutes (31.11a)."""


@sel.read(0x40, privilege=Privilege.USER)
async def get_info(context: Context, request: None) -> bytes:
    """Get SEL Info (31.2). The overflow flag says that an old entry was dropped for a new one."""
    log = context.bmc.journal.sel
    sizes = len(log).to_bytes(2, "little") + (log.free * ENTRY_SIZE).to_bytes(2, "little")
    times = log.added.to_bytes(4, "little") + log.erased.to_bytes(4, "little")
    return bytes((VERSION,)) + sizes + times + bytes((OPERATIONS | (OVERFLOWN if log.overflown else 0),))


@sel.read(0x41, privilege=Privilege.USER)
async def get_allocation_info(context: Context, request: None) -> bytes:
    """Get SEL Allocation Info (31.3): units of an entry each, of which all free ones are in one block."""
    free = context.bmc.journal.sel.free
    return b"".join(value.to_bytes(2, "little") for value in (CAPACITY, ENTRY_SIZE, free, free)) + b"\x01"


@sel.change(0x42, privilege=Privilege.USER)
async def reserve(context: Context, request: None) -> bytes:
    """Reserve SEL (31.4): cancels the reservation before."""
    return context.bmc.journal.sel.reserve().to_bytes(2, "little")


@sel.read(0x43, privilege=Privilege.USER, parse=of_length(6))
async def get_entry(context: Context, request: bytes) -> bytes:
    """Get SEL Entry (31.5): an entry, or a part of it, and the id of the next one."""
    log = context.bmc.journal.sel
    reservation, number = (int.from_bytes(request[at : at + 2], "little") for at in (0, 2))
    offset, count = request[4], request[5]
    if offset and not log.is_reserved(reservation):
        raise CommandError(Code.RESERVATION_CANCELED)
    entry = log.get(number)
    if entry is None:
        raise CommandError(Code.NOT_PRESENT)
    if offset >= ENTRY_SIZE or (count != ENTIRE_ENTRY and offset + count > ENTRY_SIZE):
        raise CommandError(Code.PARAMETER_OUT_OF_RANGE)
    return log.next_after(number).to_bytes(2, "little") + entry[offset : offset + count]


@dataclass(frozen=True)
class NewEntry:
    """The request of Add SEL Entry."""

    entry: bytes

    @classmethod
    def parse(cls, data: bytes) -> NewEntry:
        if len(data) != ENTRY_SIZE:
            raise CommandError(Code.REQUEST_LENGTH_INVALID)
        if not is_allowed(data[2]):
            raise CommandError(Code.RECORD_TYPE_NOT_SUPPORTED)
        return cls(data)

    def __str__(self) -> str:
        return "add an entry"


@sel.change(0x44, privilege=Privilege.OPERATOR, parse=NewEntry.parse, audit="sel")
async def add_entry(context: Context, request: NewEntry) -> bytes:
    """Add SEL Entry (31.6): on disk before it is acknowledged. 80h for a reserved record type."""
    return (await context.bmc.journal.add(request.entry)).to_bytes(2, "little")


@dataclass(frozen=True)
class DeleteEntry:
    """The request of Delete SEL Entry."""

    reservation: int
    number: int

    @classmethod
    def parse(cls, data: bytes) -> DeleteEntry:
        if len(data) != 4:
            raise CommandError(Code.REQUEST_LENGTH_INVALID)
        return cls(int.from_bytes(data[:2], "little"), int.from_bytes(data[2:], "little"))

    def __str__(self) -> str:
        return f"delete entry {self.number}"


@sel.change(0x46, privilege=Privilege.OPERATOR, parse=DeleteEntry.parse, audit="sel")
async def delete_entry(context: Context, request: DeleteEntry) -> bytes:
    """Delete SEL Entry (31.8). C5h without a valid reservation, CBh where there is no such entry."""
    journal = context.bmc.journal
    if not journal.sel.is_reserved(request.reservation):
        raise CommandError(Code.RESERVATION_CANCELED)
    entry = journal.sel.get(request.number)
    if entry is None:
        raise CommandError(Code.NOT_PRESENT)
    number = int.from_bytes(entry[:2], "little")
    await journal.change(lambda log, now: log.delete(number, now))
    return entry[:2]


@dataclass(frozen=True)
class Clear:
    """The request of Clear SEL."""

    reservation: int
    initiate: bool
    """Else it asks how far an erasure is."""

    @classmethod
    def parse(cls, data: bytes) -> Clear:
        if len(data) != 6:
            raise CommandError(Code.REQUEST_LENGTH_INVALID)
        if data[2:5] != b"CLR" or data[5] not in (0, INITIATE_ERASE):
            raise CommandError(Code.INVALID_FIELD)
        return cls(int.from_bytes(data[:2], "little"), data[5] == INITIATE_ERASE)

    def __str__(self) -> str:
        return "clear" if self.initiate else ""


@sel.change(0x47, privilege=Privilege.OPERATOR, parse=Clear.parse, audit="sel")
async def clear(context: Context, request: Clear) -> bytes:
    """Clear SEL (31.9): done at once, so that the status is always 'completed'. C5h without a valid reservation."""
    if not request.initiate:
        # The erasure has cancelled the reservation that it was asked with.
        return bytes((ERASED,))
    journal = context.bmc.journal
    if not journal.sel.is_reserved(request.reservation):
        raise CommandError(Code.RESERVATION_CANCELED)
    await journal.change(lambda log, now: log.clear(now))
    return bytes((ERASED,))


@sel.read(0x48, privilege=Privilege.USER)
async def get_time(context: Context, request: None) -> bytes:
    """Get SEL Time (31.10): UTC, unless it was set otherwise."""
    journal = context.bmc.journal
    return journal.sel.time(journal.now).to_bytes(4, "little")


@dataclass(frozen=True)
class SetTime:
    """The request of Set SEL Time."""

    time: int

    @classmethod
    def parse(cls, data: bytes) -> SetTime:
        if len(data) != 4:
            raise CommandError(Code.REQUEST_LENGTH_INVALID)
        return cls(int.from_bytes(data, "little"))

    def __str__(self) -> str:
        return f"set the clock to {self.time}"


@sel.change(0x49, privilege=Privilege.OPERATOR, parse=SetTime.parse, audit="sel")
async def set_time(context: Context, request: SetTime) -> bytes:
    """Set SEL Time (31.11): kept as an offset of the host's clock."""
    await context.bmc.journal.change(lambda log, now: log.set_time(request.time, now))
    return b""


@sel.read(0x5C, privilege=Privilege.USER)
async def get_utc_offset(context: Context, request: None) -> bytes:
    """Get SEL Time UTC Offset (31.11a)."""
    return context.bmc.journal.sel.utc.to_bytes(2, "little", signed=True)


@dataclass(frozen=True)
class SetUtcOffset:
    """The request of Set SEL Time UTC Offset."""

    minutes: int

    @classmethod
    def parse(cls, data: bytes) -> SetUtcOffset:
        if len(data) != 2:
            raise CommandError(Code.REQUEST_LENGTH_INVALID)
        minutes = int.from_bytes(data, "little", signed=True)
        if abs(minutes) > LONGEST_OFFSET and minutes != UNKNOWN_OFFSET:
            raise CommandError(Code.INVALID_FIELD)
        return cls(minutes)

    def __str__(self) -> str:
        return f"set the UTC offset to {self.minutes}"


@sel.change(0x5D, privilege=Privilege.OPERATOR, parse=SetUtcOffset.parse, audit="sel")
async def set_utc_offset(context: Context, request: SetUtcOffset) -> bytes:
    """Set SEL Time UTC Offset (31.11b): kept for those who ask; the clock does not change."""

    def edit(log: Sel, now: float) -> None:
        log.utc = request.minutes

    await context.bmc.journal.change(edit)
    return b""
