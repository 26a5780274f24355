# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Application commands about users (IPMI 2.0, 22.26 to 22.30).

A change is stored before it is acknowledged: ids and flags as a record, and who may log in as the instance's own
users, so that ``vbmc show``, the next ``vbmc apply`` and a restart see the same. Sessions of somebody who may not
log in any more end.
"""

from __future__ import annotations

import asyncio
import hmac
from dataclasses import dataclass, field, replace
from typing import Callable, Iterable, Optional

from vbmcd import fields
from vbmcd.commands.app import app
from vbmcd.commands.bmc import Bmc, Context
from vbmcd.commands.channel import LAN_CHANNEL, channel
from vbmcd.commands.codes import Code, CommandError
from vbmcd.commands.table import of_length
from vbmcd.commands.user_table import (
    FIRST_ID,
    FLAGS,
    LAST_ID,
    NO_ACCESS,
    Slot,
    Slots,
    from_bytes,
    logins,
    reconcile,
    to_bytes,
)
from vbmcd.config import Privilege, User

RECORD = "users"
NAME_SIZE = 16
ID_MASK = 0x3F
ENABLED, DISABLED = 0x40, 0x80
"""The state of a user's id (22.27, byte 3, bits 7:6)."""


class Users:
    """The users of one BMC."""

    def __init__(self, bmc: Bmc) -> None:
        self._bmc = bmc
        self._changing = asyncio.Lock()
        self.slots: Slots = reconcile(from_bytes(bmc.kept.get(RECORD, b"{}")), bmc.instance.users)

    def id_of(self, name: str) -> Optional[int]:
        return next((number for number, slot in self.slots.items() if slot.name == name), None)

    def slot(self, number: int) -> Slot:
        """CCh for an id that there is not; the null user's is as if it was never set."""
        if not 1 <= number <= LAST_ID:
            raise CommandError(Code.INVALID_FIELD)
        return self.slots.get(number) or Slot()

    async def change(self, number: int, edit: Callable[[Slot], Slot]) -> None:
        """Store one user's new state, then let it count. CCh for what can't be; Busy, and all is as before."""
        async with self._changing:
            await self._change(number, edit)

    async def add(self, slot: Slot) -> Optional[int]:
        """Store a new user under the first id that is free; None where none is."""
        async with self._changing:
            number = next((one for one in range(FIRST_ID, LAST_ID + 1) if one not in self.slots), None)
            if number is not None:
                await self._change(number, lambda before: slot)
            return number

    async def _change(self, number: int, edit: Callable[[Slot], Slot]) -> None:
        bmc, before = self._bmc, self.slot(number)
        after = edit(before)
        if after == before:
            return
        if number < FIRST_ID:
            raise CommandError(Code.INVALID_FIELD, "the null user does not exist here")
        if number == FIRST_ID and after.user is None:
            raise CommandError(Code.INVALID_FIELD, "the instance's first user has to be able to log in")
        if after.name and self.id_of(after.name) not in (None, number):
            raise CommandError(Code.INVALID_FIELD, f"another user is named {after.name!r}")
        slots = {**self.slots, number: after}
        if after == Slot():
            del slots[number]
        then = bmc.instance.users
        now = logins(slots, then)
        if _has_administrator(then) and not _has_administrator(now):
            raise CommandError(Code.INVALID_FIELD, "somebody has to be an administrator")
        await bmc.remember(RECORD, to_bytes(slots))
        if now != then:
            await bmc.keep_users(then, now)
            bmc.instance = replace(bmc.instance, users=now)
            bmc.engine.rename(before.name, after.name)
            bmc.engine.set_users(now)
        self.slots = slots


def _has_administrator(users: Iterable[User]) -> bool:
    return any(user.privilege >= Privilege.ADMINISTRATOR for user in users)


@dataclass(frozen=True)
class UserAccess:
    """The request of Set User Access."""

    number: int
    flags: Optional[int]
    """None: as they are."""
    limit: int

    @classmethod
    def parse(cls, data: bytes) -> UserAccess:
        if len(data) not in (3, 4):
            raise CommandError(Code.REQUEST_LENGTH_INVALID)
        channel(data[0])
        limit = data[2] & 0x0F
        if limit not in (*Privilege, NO_ACCESS):
            raise CommandError(Code.INVALID_FIELD)
        if len(data) == 4 and data[3] & 0x0F:
            raise CommandError(Code.INVALID_FIELD, "sessions are not limited user by user")
        return cls(data[1] & ID_MASK, data[0] & FLAGS if data[0] & 0x80 else None, limit)

    def __str__(self) -> str:
        return f"access of id {self.number}"


@app.change(0x43, privilege=Privilege.ADMINISTRATOR, parse=UserAccess.parse, audit="user")
async def set_user_access(context: Context, request: UserAccess) -> bytes:
    """Set User Access (22.26): privilege limit, and whether IPMI messaging is allowed."""

    def edit(slot: Slot) -> Slot:
        return replace(slot, limit=request.limit, flags=slot.flags if request.flags is None else request.flags)

    await context.bmc.part(Users).change(request.number, edit)
    return b""


@app.read(0x44, privilege=Privilege.OPERATOR, parse=of_length(2))
async def get_user_access(context: Context, request: bytes) -> bytes:
    """Get User Access (22.27): one user's, with how many there may be and are."""
    channel(request[0])
    users = context.bmc.part(Users)
    slot = users.slot(request[1] & ID_MASK)
    enabled = sum(one.enabled for one in users.slots.values())
    state = ENABLED if slot.enabled else DISABLED
    return bytes((LAST_ID, state | enabled, 0, slot.flags | slot.limit))


@dataclass(frozen=True)
class UserName:
    """The request of Set User Name."""

    number: int
    name: str

    @classmethod
    def parse(cls, data: bytes) -> UserName:
        if len(data) != 1 + NAME_SIZE:
            raise CommandError(Code.REQUEST_LENGTH_INVALID)
        raw = data[1:].split(b"\0")[0]
        try:
            return cls(data[0] & ID_MASK, fields.username(raw.decode()) if raw else "")
        except ValueError:
            raise CommandError(Code.INVALID_FIELD, "not a user name") from None

    def __str__(self) -> str:
        return f"name of id {self.number}: {self.name}"


@app.change(0x45, privilege=Privilege.ADMINISTRATOR, parse=UserName.parse, audit="user")
async def set_user_name(context: Context, request: UserName) -> bytes:
    """Set User Name (22.28); an empty one removes the user."""

    def edit(slot: Slot) -> Slot:
        return replace(slot, name=request.name) if request.name else Slot()

    await context.bmc.part(Users).change(request.number, edit)
    return b""


@app.read(0x46, privilege=Privilege.OPERATOR, parse=of_length(1))
async def get_user_name(context: Context, request: bytes) -> bytes:
    """Get User Name (22.29): zeros for an id that is not in use."""
    return context.bmc.part(Users).slot(request[0] & ID_MASK).name.encode().ljust(NAME_SIZE, b"\0")


DISABLE, ENABLE, SET, TEST = range(4)


@dataclass(frozen=True)
class UserPassword:
    """The request of Set User Password."""

    number: int
    operation: int
    password: bytes = field(repr=False)
    size: int
    """16 or 20: the form that the console chose."""

    @classmethod
    def parse(cls, data: bytes) -> UserPassword:
        if len(data) < 2:
            raise CommandError(Code.REQUEST_LENGTH_INVALID)
        size, operation = 20 if data[0] & 0x80 else 16, data[1] & 0x03
        if len(data) - 2 != size and (operation in (SET, TEST) or len(data) != 2):
            raise CommandError(Code.REQUEST_LENGTH_INVALID)
        return cls(data[0] & ID_MASK, operation, data[2:].rstrip(b"\0"), size)

    def __str__(self) -> str:
        """Empty for a test, which changes nothing. Never the password."""
        words = {DISABLE: "disable", ENABLE: "enable", SET: "password of"}
        return f"{words[self.operation]} id {self.number}" if self.operation in words else ""


@app.change(0x47, privilege=Privilege.ADMINISTRATOR, parse=UserPassword.parse, audit="user")
async def set_user_password(context: Context, request: UserPassword) -> bytes:
    """Set User Password (22.30): set or test one of 16 or 20 bytes; enable or disable the user."""
    users = context.bmc.part(Users)
    if request.operation == TEST:
        return check_password(users.slot(request.number), request)
    if request.operation == SET:
        try:
            password = fields.password(request.password.decode())
        except ValueError as error:
            raise CommandError(Code.INVALID_FIELD, f"the password {error}") from None
        await users.change(request.number, lambda slot: replace(slot, password=password, size=request.size))
        return b""
    await users.change(request.number, lambda slot: replace(slot, enabled=request.operation == ENABLE))
    return b""


def check_password(slot: Slot, request: UserPassword) -> bytes:
    """80h for a wrong one, 81h for one that was stored in another form, or does not fit into this one."""
    password = slot.password.encode()
    if slot.size not in (0, request.size) or len(password) > request.size:
        raise CommandError(Code.PASSWORD_SIZE_DIFFERS)
    if not password or not hmac.compare_digest(password, request.password):
        raise CommandError(Code.PASSWORD_DIFFERS)
    return b""


def note_failed_login(bmc: Bmc, user: Optional[User]) -> None:
    """Have the event log tell of a failed login as `user`, or as nobody there is."""
    number = bmc.part(Users).id_of(user.name) if user else None
    bmc.journal.login_failed(number or 0, LAN_CHANNEL)
