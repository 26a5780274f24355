# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parsers of requests that change something and need no words of their own in the audit log."""

from __future__ import annotations

from vbmcd.commands.codes import Code, CommandError
from vbmcd.commands.table import Parser


class Change(bytes):
    """A request's bytes, which are its text in the audit log. Never for one that holds a secret."""

    def __str__(self) -> str:
        return self.hex(" ") or "now"


def change_of_length(*lengths: int) -> Parser:
    """A parser that hands the bytes on when there are as many as one of `lengths`; C7h otherwise."""

    def parse(data: bytes) -> Change:
        if len(data) not in lengths:
            raise CommandError(Code.REQUEST_LENGTH_INVALID)
        return Change(data)

    return parse
