# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The user ids of one BMC: who has which, and who of them may log in. Pure.

The instance's users are those who may log in. What IPMI knows besides (ids, users that are disabled or have no
password yet, flags) is in a record beside them, and yields to the instance's users where the two differ: what
``vbmc apply`` wants counts.
"""

from __future__ import annotations

import json
from dataclasses import astuple, dataclass, field, replace
from typing import Any, Dict, Iterable, Optional, Sequence, Tuple

from vbmcd.config import Privilege, User

FIRST_ID = 2
"""The instance's first user, who can't be removed or disabled. Id 1 is the null user, which does not exist here."""
LAST_ID = 16

NO_ACCESS = 0xF
MESSAGING = 0x10
LINK_AUTHENTICATION = 0x20
CALLBACK_ONLY = 0x40
FLAGS = MESSAGING | LINK_AUTHENTICATION | CALLBACK_ONLY


@dataclass(frozen=True)
class Slot:
    """One user id that is in use."""

    name: str = ""
    password: str = field(default="", repr=False)
    """Empty: not set yet."""
    limit: int = NO_ACCESS
    """The privilege limit, or NO_ACCESS (table 22-32)."""
    enabled: bool = False
    flags: int = 0
    size: int = 0
    """The form in which a client stored the password: 16 or 20 bytes (22.30); 0: it is the instance's."""

    @property
    def user(self) -> Optional[User]:
        """Who may log in; None when nobody may."""
        usable = self.enabled and self.name and self.password and self.limit != NO_ACCESS and self.flags & MESSAGING
        return User(self.name, self.password, Privilege(self.limit)) if usable else None


Slots = Dict[int, Slot]


def logins(slots: Slots, before: Sequence[User] = ()) -> Tuple[User, ...]:
    """Who may log in: the first user, the others in the order that they had `before`, new ones by their ids."""
    order = {user.name: position for position, user in enumerate(before)}
    ids = sorted(slots, key=lambda number: (number != FIRST_ID, order.get(slots[number].name, len(order)), number))
    users = (slots[number].user for number in ids)
    return tuple(user for user in users if user is not None)


def reconcile(slots: Slots, users: Iterable[User]) -> Slots:
    """`slots` made to agree with the instance's `users`, of whom the first has FIRST_ID."""
    first, *others = users
    by_name = {user.name: user for user in others}
    agreed = {FIRST_ID: _slot_of(first, slots.get(FIRST_ID))}
    for number, slot in sorted(slots.items()):
        if number == FIRST_ID or slot.name == first.name:
            continue
        if slot.name in by_name:
            agreed[number] = _slot_of(by_name.pop(slot.name), slot)
        elif slot.user is None:
            agreed[number] = slot
    for user in by_name.values():
        agreed[_free_id(agreed)] = _slot_of(user, None)
    return agreed


def _slot_of(user: User, slot: Optional[Slot]) -> Slot:
    if slot is not None and slot.user == user:
        return slot
    flags = (slot.flags if slot else 0) | MESSAGING
    size = slot.size if slot and slot.password == user.password else 0
    return replace(slot or Slot(), name=user.name, password=user.password, limit=int(user.privilege), enabled=True,
                   flags=flags, size=size)  # fmt: skip


def _free_id(slots: Slots) -> int:
    """An unused id; where there is none, that of somebody who can't log in."""
    ids = range(FIRST_ID, LAST_ID + 1)
    unused = [number for number in ids if number not in slots]
    return unused[0] if unused else next(number for number in ids if slots[number].user is None)


def to_bytes(slots: Slots) -> bytes:
    """For the record. It holds passwords."""
    return json.dumps({number: astuple(slot) for number, slot in slots.items()}).encode()


def from_bytes(record: bytes) -> Slots:
    """What a record holds; nothing where it is damaged."""
    try:
        content: Dict[str, Any] = json.loads(record)
        return {int(number): Slot(*values) for number, values in content.items()}
    except (ValueError, TypeError, AttributeError):
        return {}
