# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of one network function, and the dispatch that every command shares.

A handler gets a parsed request, so that lengths, privileges and completion codes for malformed data are
dealt with here, once. See ``chassis`` for what a handler looks like.
"""

from __future__ import annotations

import enum
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Awaitable, Callable, Dict, Optional

from vbmcd.commands.bmc import Context
from vbmcd.commands.codes import Code, CommandError
from vbmcd.config import Privilege
from vbmcd.machine.base import Busy, MachineError, Unsupported, WrongState


class NetFn(enum.IntEnum):
    """Request network functions (5.1)."""

    CHASSIS = 0x00
    SENSOR = 0x04
    APP = 0x06
    STORAGE = 0x0A
    TRANSPORT = 0x0C


Handler = Callable[[Context, Any], Awaitable[bytes]]
Parser = Callable[[bytes], Any]
Decorator = Callable[[Handler], Handler]


@dataclass(frozen=True)
class Command:
    """A row of a table."""

    handler: Handler
    parse: Parser
    privilege: Optional[Privilege]
    """None: allowed before a login too (appendix G, 'always')."""
    changes: bool = False
    """Whether asking twice differs from asking once: then who asks again gets the first answer (worker.repeats)."""
    audit: str = ""
    """The audit log's word; empty for none. The request's text is the action; one with an empty text is not logged."""


def no_data(data: bytes) -> None:
    """The parser of a request without data. Tolerates none: C7h otherwise."""
    if data:
        raise CommandError(Code.REQUEST_LENGTH_INVALID)


def of_length(*lengths: int) -> Parser:
    """A parser that hands the bytes on when there are as many as one of `lengths`."""

    def parse(data: bytes) -> bytes:
        if len(data) not in lengths:
            raise CommandError(Code.REQUEST_LENGTH_INVALID)
        return data

    return parse


class CommandTable:
    """The commands of one network function, filled by decorating their handlers."""

    def __init__(self, netfn: NetFn) -> None:
        self.netfn = int(netfn)
        self._commands: Dict[int, Command] = {}

    def read(self, number: int, *, privilege: Optional[Privilege], parse: Parser = no_data) -> Decorator:
        """A command that may run as often as it is asked."""
        return self._add(number, lambda handler: Command(handler, parse, privilege))

    def change(self, number: int, *, privilege: Privilege, parse: Parser = no_data, audit: str = "") -> Decorator:
        """A command that changes something, if only a reservation."""
        return self._add(number, lambda handler: Command(handler, parse, privilege, changes=True, audit=audit))

    def _add(self, number: int, make: Callable[[Handler], Command]) -> Decorator:
        def register(handler: Handler) -> Handler:
            self._commands[number] = make(handler)
            return handler

        return register

    def include(self, chapter: CommandTable) -> None:
        """Take in the commands of a chapter that has a file of its own."""
        self._commands.update(chapter._commands)

    def find(self, number: int) -> Optional[Command]:
        return self._commands.get(number)


async def run(command: Command, context: Context, data: bytes) -> bytes:
    """Completion code and data of `command`. Whatever fails becomes a code; only bugs raise."""
    try:
        if command.privilege is not None:
            require(context, command.privilege)
        request = command.parse(data)
    except CommandError as error:
        if error.code == Code.INSUFFICIENT_PRIVILEGE:
            _audit_denied(command, context, data)
        return bytes((error.code,))
    code, reason, answer = Code.OK, "", b""
    try:
        answer = await command.handler(context, request)
    except CommandError as error:
        code, reason = error.code, str(error)
    except MachineError as error:
        code, reason = code_of(error), str(error)
    if command.audit and str(request):
        context.audit(command.audit, str(request), code, reason)
    return bytes((code,)) + answer


def _audit_denied(command: Command, context: Context, data: bytes) -> None:
    """Whoever is logged in and tries what is above the session's privilege is worth a line."""
    if not command.audit or context.session is None:
        return
    with suppress(CommandError):
        context.audit(command.audit, str(command.parse(data)), Code.INSUFFICIENT_PRIVILEGE, "")


def require(context: Context, privilege: Privilege) -> None:
    """Raises D4h unless the session's present privilege reaches `privilege` (5.2, 6.8)."""
    if context.session is None or context.session.privilege < privilege:
        raise CommandError(Code.INSUFFICIENT_PRIVILEGE)


def code_of(error: MachineError) -> Code:
    """The completion code that tells a console what the machine said."""
    if isinstance(error, Busy):
        return Code.NODE_BUSY
    if isinstance(error, WrongState):
        return Code.NOT_IN_PRESENT_STATE
    if isinstance(error, Unsupported):
        return Code.INVALID_FIELD
    return Code.UNSPECIFIED
