# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file that nobody but its owner reads, not even while it is written. Used by the action lab_export."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile

MODE = 0o600
FOLDER_MODE = 0o700


class PrivateFile:
    """One file, replaced as a whole."""

    def __init__(self, path: str) -> None:
        self.path = path

    def text(self) -> str:
        """What is in it; empty where there is none. Raises OSError."""
        try:
            with open(self.path, encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def is_private(self) -> bool:
        """Whether it is there, a file of its own, and its mode keeps others out."""
        try:
            status = os.lstat(self.path)
        except FileNotFoundError:
            return False
        return stat.S_ISREG(status.st_mode) and stat.S_IMODE(status.st_mode) == MODE

    def write(self, text: str) -> None:
        """Replace it, and make its folder where there is none. Raises OSError, and leaves what was there."""
        folder = os.path.dirname(self.path) or "."
        os.makedirs(folder, mode=FOLDER_MODE, exist_ok=True)
        # mkstemp makes its file with mode 0600.
        descriptor, temporary = tempfile.mkstemp(prefix=".", dir=folder)
        try:
            with open(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self.path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
