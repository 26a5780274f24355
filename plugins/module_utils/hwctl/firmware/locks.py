# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lock for each BMC against a second run on this host.

All locks are bytes of one file, so that a thousand cost one descriptor. The kernel frees them with the process.
"""

from __future__ import annotations

import fcntl
import hashlib
import os

from ..errors import BadRequest, Locked
from .journal import prepared

FILE = "locks"


class TargetLocks:
    """A process has one of these: to close the file frees all its locks."""

    def __init__(self, folder: str) -> None:
        """Raises BadRequest."""
        self.folder = folder
        path = os.path.join(prepared(folder), FILE)
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise BadRequest(f"the locks {path} can't be opened: {error.strerror}") from None

    def take(self, key: str) -> None:
        """Raises Locked."""
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _place(key))
        except (BlockingIOError, PermissionError):
            raise Locked("another run on this host works on this BMC: wait until it has ended") from None
        except OSError as error:
            raise BadRequest(f"the BMC can't be locked: {error.strerror}; put journal_dir on a local disk") from None

    def free(self, key: str) -> None:
        fcntl.lockf(self._file, fcntl.LOCK_UN, 1, _place(key))

    def close(self) -> None:
        os.close(self._file)


def _place(key: str) -> int:
    """A byte of a file of 2^62: two keys have the same one as good as never."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") >> 2
