# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The system event log: entries of 16 bytes in a ring (IPMI 2.0, chapters 31 and 32).

When the log is full, the oldest entry makes room for the new one: who looks into a lab's log wants to know
what happened last. The overflow flag of Get SEL Info says so until the log is cleared. Record ids count up,
so a client that reads while entries come and go never gets one entry for another.
"""

from __future__ import annotations

import struct
from typing import Iterator, Optional

CAPACITY = 512
"""Entries: 8 KB a BMC at most."""
ENTRY_SIZE = 16
FIRST, LAST = 0x0000, 0xFFFF
"""Ids that mean the first and the last entry (31.5)."""

SYSTEM_EVENT = 0x02
_OEM = range(0xC0, 0x100)
_OEM_WITHOUT_TIME = range(0xE0, 0x100)

UNKNOWN_OFFSET = 0x07FF
"""UTC offset: unspecified (31.11a)."""

_HEADER = struct.Struct("<BBHIIqh")
_VERSION = 1
_OVERFLOWN = 0x01


class Sel:
    """One BMC's log, its clock's offset, and its reservation."""

    __slots__ = ("_entries", "_next_id", "_reservation", "_reserved", "added", "erased", "offset", "overflown", "utc")

    def __init__(self) -> None:
        self._entries = bytearray()
        self._next_id = 1
        self.overflown = False
        """An old entry was dropped for a new one since the log was cleared."""
        self.added = 0xFFFFFFFF
        self.erased = 0xFFFFFFFF
        """When an entry was last added, or any removed, by the log's clock; all ones: never."""
        self.offset = 0
        """Seconds that the log's clock was set ahead of the host's UTC."""
        self.utc = 0
        """Minutes that a client set as local time's distance from UTC; only kept for it (31.11a)."""
        self._reservation = 0
        self._reserved = False

    def __len__(self) -> int:
        return len(self._entries) // ENTRY_SIZE

    @property
    def free(self) -> int:
        """Entries that fit before the oldest is dropped."""
        return CAPACITY - len(self)

    def time(self, now: float) -> int:
        """The log's clock (31.10) when the host's says `now`, in seconds since 1970, UTC."""
        return max(0, min(int(now) + self.offset, 0xFFFFFFFE))

    def set_time(self, value: int, now: float) -> None:
        self.offset = value - int(now)

    def add(self, entry: bytes, now: float) -> int:
        """Add an entry of 16 bytes and return its id, which it gets here, as it does its time (31.6)."""
        if not self.free:
            del self._entries[:ENTRY_SIZE]
            self.overflown, self._reserved = True, False
        number = self._new_id()
        time = self.time(now)
        stamp = entry[3:7] if entry[2] in _OEM_WITHOUT_TIME else time.to_bytes(4, "little")
        self._entries += number.to_bytes(2, "little") + entry[2:3] + stamp + entry[7:]
        self.added = time
        return number

    def _new_id(self) -> int:
        """Ids go on from the last one; after a turn around, those still in use are left out."""
        while True:
            number = self._next_id
            self._next_id = number % 0xFFFE + 1
            if self._position(number) is None:
                return number

    def next_after(self, number: int) -> int:
        """The id of the entry after the one of that id; FFFFh after the last."""
        position = self._position(number)
        assert position is not None, "get() was asked before"
        following = self._entries[position + ENTRY_SIZE : position + ENTRY_SIZE + 2]
        return int.from_bytes(following, "little") if following else LAST

    def get(self, number: int) -> Optional[bytes]:
        """The entry of an id, FIRST or LAST; None where there is none."""
        position = self._position(number)
        return None if position is None else bytes(self._entries[position : position + ENTRY_SIZE])

    def entries(self) -> Iterator[bytes]:
        """All, the oldest first."""
        kept = bytes(self._entries)
        return (kept[at : at + ENTRY_SIZE] for at in range(0, len(kept), ENTRY_SIZE))

    def delete(self, number: int, now: float) -> Optional[int]:
        """Remove the entry of an id, FIRST or LAST; its id, None where there is none."""
        position = self._position(number)
        if position is None:
            return None
        found = int.from_bytes(self._entries[position : position + 2], "little")
        del self._entries[position : position + ENTRY_SIZE]
        self.erased, self._reserved = self.time(now), False
        return found

    def take_back(self, number: int) -> None:
        """Undo add() of that id, because it could not be stored."""
        position = self._position(number)
        if position is not None:
            del self._entries[position : position + ENTRY_SIZE]

    def clear(self, now: float) -> None:
        self._entries.clear()
        self.overflown, self._reserved = False, False
        self.erased = self.time(now)

    def reserve(self) -> int:
        """A new reservation; the one before is cancelled, as by a change that removes an entry (31.4)."""
        self._reservation = self._reservation % 0xFFFF + 1
        self._reserved = True
        return self._reservation

    def is_reserved(self, reservation: int) -> bool:
        return self._reserved and reservation == self._reservation

    def _position(self, number: int) -> Optional[int]:
        size = len(self._entries)
        if not size:
            return None
        if number == FIRST:
            return 0
        if number == LAST:
            return size - ENTRY_SIZE
        wanted = number.to_bytes(2, "little")
        return next((at for at in range(0, size, ENTRY_SIZE) if self._entries[at : at + 2] == wanted), None)

    def to_bytes(self) -> bytes:
        """All that outlives the worker. Reservations do not (31.4)."""
        flags = _OVERFLOWN if self.overflown else 0
        head = (_VERSION, flags, self._next_id, self.added, self.erased, self.offset, self.utc)
        return _HEADER.pack(*head) + self._entries

    @classmethod
    def from_bytes(cls, kept: bytes) -> Sel:
        """The log that to_bytes() gave; an empty one for bytes that it can't have given."""
        sel = cls()
        entries = kept[_HEADER.size :]
        if len(kept) < _HEADER.size or kept[0] != _VERSION or len(entries) % ENTRY_SIZE:
            return sel
        _version, flags, next_id, sel.added, sel.erased, sel.offset, sel.utc = _HEADER.unpack_from(kept)
        sel.overflown = bool(flags & _OVERFLOWN)
        sel._next_id = next_id if 1 <= next_id < LAST else 1
        sel._entries += entries[-CAPACITY * ENTRY_SIZE :]
        return sel


def is_allowed(record_type: int) -> bool:
    """Whether entries of a type may be added (32.1 to 32.3): the specification's own and the OEM ones."""
    return record_type == SYSTEM_EVENT or record_type in _OEM
