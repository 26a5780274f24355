# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finding the daemon that a command talks to, and starting one where none answers."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Optional

from vbmcd import paths
from vbmcd.control.client import ControlClient
from vbmcd.errors import DaemonUnavailable

_START_TIMEOUT = 15.0
_POLL = 0.02


def client_of(socket: Optional[Path], options: argparse.Namespace, may_start: bool) -> ControlClient:
    """The client of the daemon on `socket`, or on the usual one; where none answers, of a new daemon.

    Raises DaemonUnavailable, with what to do about it, where none may be started or none came up.
    """
    client = ControlClient(socket or paths.client_socket_path())
    if client.is_listening():
        return client
    nobody = f"no vbmcd answers on {client.socket_path}"
    if client.socket_path == paths.SYSTEM_SOCKET and paths.unit_installed():
        raise DaemonUnavailable(f"{nobody}: systemctl start vbmcd")
    if options.no_daemon or not may_start:
        raise DaemonUnavailable(f"{nobody}: start it, or name its socket with --socket or {paths.SOCKET_VARIABLE}")
    _start(client, options.state_dir or paths.state_dir())
    return client


def _start(client: ControlClient, state_dir: Path) -> None:
    """Start a daemon that outlives this command, and wait until it answers."""
    log = _open_log(state_dir)
    try:
        told_before = os.fstat(log).st_size
        command = [sys.executable, "-m", "vbmcd.daemon", "--foreground"]
        command += ["--socket", str(client.socket_path), "--state-dir", os.path.abspath(state_dir)]
        # A session of its own: no terminal's hang-up or Ctrl-C reaches it.
        daemon = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True
        )
        deadline = time.monotonic() + _START_TIMEOUT
        while not client.is_listening():
            gave_up = daemon.poll() is not None and not _is_starting(client, state_dir)
            if gave_up or time.monotonic() >= deadline:
                raise DaemonUnavailable(_why(daemon, log, told_before, Path(state_dir) / paths.LOG_FILE))
            time.sleep(_POLL)
        # It is meant to go on: no warning that it does.
        daemon.returncode = 0
    finally:
        os.close(log)


def _is_starting(client: ControlClient, state_dir: Path) -> bool:
    """Whether another daemon, started at the same time, is about to listen; ours gave way to it then."""
    from vbmcd.store import holder_of

    holder = holder_of(state_dir)
    return holder is not None and holder[1] == str(client.socket_path)


def _open_log(state_dir: Path) -> int:
    """The log of a daemon without a terminal or journal; in the state folder, and as private."""
    path = Path(state_dir) / paths.LOG_FILE
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise DaemonUnavailable(
            f"can't start vbmcd: no log in {path}: {error.strerror}: choose another folder with --state-dir"
        ) from error


def _why(daemon: subprocess.Popen[bytes], log: int, told_before: int, path: Path) -> str:
    code = daemon.poll()
    if code is None:
        return f"vbmcd (process id {daemon.pid}) has not answered for {_START_TIMEOUT:g} seconds: see {path}"
    told = os.pread(log, 65536, told_before).decode("utf-8", errors="replace").strip().splitlines()
    reason = told[-1] if told else f"exit code {code}"
    return f"vbmcd did not start: {reason}: see {path}"
