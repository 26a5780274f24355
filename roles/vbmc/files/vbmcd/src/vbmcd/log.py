# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs on stderr, for a terminal and for the journal: one line a record, ``key=value`` fields at its end.

Fields come in a record's ``extra={"fields": {...}}``. Who logs makes sure that no field is a secret.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Dict

MAX_FILE = 10 << 20
"""Bytes of the log file of a daemon in the background, which has no journal; another such file is kept."""

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:/@%+")


def quote(value: object) -> str:
    """A value that can't be taken for another field, and can't forge a line."""
    text = str(value)
    return text if text and _PLAIN.issuperset(text) else json.dumps(text)


class LineFormatter(logging.Formatter):
    """``time level logger: message key=value ...``; the journal has a time of its own."""

    def __init__(self, with_time: bool) -> None:
        super().__init__()
        self._with_time = with_time

    def format(self, record: logging.LogRecord) -> str:
        fields: Dict[str, object] = getattr(record, "fields", {})
        message = record.getMessage().replace("\n", "\\n").replace("\r", "\\r")
        parts = [record.levelname.lower(), f"{record.name}[{os.getpid()}]:", message]
        parts += [f"{key}={quote(value)}" for key, value in fields.items() if value != ""]
        if self._with_time:
            stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            parts.insert(0, f"{stamp}.{int(record.msecs):03d}Z")
        line = " ".join(parts)
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def rotate(path: Path, descriptor: int = 2, limit: int = MAX_FILE) -> None:
    """Where `descriptor` writes to the file `path` and that has grown beyond `limit` bytes: begin it anew, and keep
    what was in it beside it. The journal does this by itself, and a file of the user's own is left alone.

    All processes that write to it do so at its end (O_APPEND); what one writes between copy and cut is lost.
    """
    with suppress(OSError):
        now = os.fstat(descriptor)
        if now.st_size <= limit or not os.path.samestat(now, path.lstat()):
            return
        old = path.with_name(path.name + ".1")
        with suppress(FileNotFoundError):
            old.unlink()
        with path.open("rb") as source, open(old, "xb", opener=_private) as target:
            shutil.copyfileobj(source, target)
        os.truncate(path, 0)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def configure(level: str) -> None:
    """Set logging up for this process and its children."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter(with_time="JOURNAL_STREAM" not in os.environ))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Who did what to a machine is told at every level.
    logging.getLogger("vbmcd.audit").setLevel(logging.INFO)
