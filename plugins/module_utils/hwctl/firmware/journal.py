# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal of a run: a line of JSON for each step of each target, on disk before the step is taken.

It is for people and programs that follow a run, for the report, and for the next run after a crash, which takes it for
a hint and the BMC for the truth. Files are the user's alone (0600): addresses are nobody else's business.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import json
import os
import re
import secrets
import threading
import time
from typing import Any, Dict, List, Optional

from ..errors import BadRequest, HwctlError, Locked

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")
SUFFIX = ".jsonl"
LOCK_ATTEMPTS, LOCK_PAUSE = 10, 0.05


def new_run_id() -> str:
    moment = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    return f"{moment}-{secrets.token_hex(3)}"


def default_folder() -> str:
    """XDG's place for what a program keeps between runs."""
    state = os.environ.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
    return os.path.join(state, "baremetal.lab", "firmware")


def prepared(folder: str) -> str:
    """The folder, made where it is not there. Raises BadRequest."""
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
    except OSError as error:
        raise BadRequest(f"the folder for journals {folder} can't be made: {error.strerror}") from None
    return folder


def journal_path(folder: str, run: str) -> str:
    """Raises BadRequest for a name that is none of a file."""
    if not NAME.match(run):
        raise BadRequest(f"{run!r} is no name for a run: give letters, digits, dots, hyphens and underscores")
    return os.path.join(folder, run + SUFFIX)


class Journal:
    """Written by any thread. The file is locked as long as the run lives, so that others see whether it does.

    Many steps share one wait for the disk: who comes while it is written goes with the next write.
    """

    def __init__(self, folder: str, run: str) -> None:
        """Raises BadRequest, and Locked when a run of that name is under way."""
        self.run = run
        self.path = journal_path(prepared(folder), run)
        self._file = self._opened()
        while os.fstat(self._file).st_nlink == 0:  # another run has just removed the old one of that name
            os.close(self._file)
            self._file = self._opened()
        self._room = threading.Condition()
        self._waiting: List[bytes] = []
        self._given = 0
        self._kept = 0
        self._writing = False
        self._broken: Optional[OSError] = None

    def _opened(self) -> int:
        """The file, with its lock. Raises BadRequest, and Locked."""
        try:
            file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise BadRequest(f"the journal {self.path} can't be written: {error.strerror}") from None
        try:
            if not _locked(file):
                raise Locked(f"the run {self.run} is under way: follow it with firmware_info, or give another run_id")
            _end_line(file)
        except OSError as error:
            os.close(file)
            raise BadRequest(f"the journal {self.path} can't be used: {error.strerror}") from None
        except HwctlError:
            os.close(file)
            raise
        return file

    def write(self, **record: Any) -> None:
        """On disk when this returns. Raises BadRequest where the disk refuses: no step is taken unrecorded then."""
        with self._room:
            self._waiting.append(_line({"time": _now(), "run": self.run, **record}))
            self._given += 1
            mine = self._given
            while self._kept < mine and self._broken is None:
                if self._writing:
                    self._room.wait()
                else:
                    self._write_all()
            if self._broken is not None:
                raise BadRequest(f"the journal {self.path} can't be written: {self._broken.strerror}")

    def note(self, **record: Any) -> None:
        """Of passing interest: not waited for. Raises nothing."""
        with contextlib.suppress(OSError):
            os.write(self._file, _line({"time": _now(), "run": self.run, **record}))

    def close(self) -> None:
        os.close(self._file)

    def _write_all(self) -> None:
        """With the lock, which is given up while the disk works."""
        lines, last, self._waiting, self._writing = b"".join(self._waiting), self._given, [], True
        self._room.release()
        broken: Optional[OSError] = None
        try:
            _append(self._file, lines)
            os.fsync(self._file)
        except OSError as error:
            broken = error
        finally:
            self._room.acquire()
            self._writing, self._kept = False, last
            self._broken = self._broken or broken
            self._room.notify_all()


def _locked(file: int) -> bool:
    """Tried for a moment: who looks whether a run lives holds its lock for that long."""
    for _attempt in range(LOCK_ATTEMPTS):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(LOCK_PAUSE)
        else:
            return True
    return False


def _end_line(file: int) -> None:
    """A run of that name may have been killed, or found the disk full, in the midst of a line."""
    size = os.fstat(file).st_size
    if size and os.pread(file, 1, size - 1) != b"\n":
        _append(file, b"\n")


def _append(file: int, data: bytes) -> None:
    """Whole, also where a signal or a full disk cuts a write short."""
    while data:
        data = data[os.write(file, data) :]


def _line(record: Dict[str, Any]) -> bytes:
    kept = {key: value for key, value in record.items() if value is not None}
    return json.dumps(kept, separators=(",", ":")).encode() + b"\n"


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")
