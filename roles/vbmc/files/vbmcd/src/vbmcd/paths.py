# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the daemon keeps its state and its control socket, and how names become file names.

Used by the daemon, the CLI and the store. Pure but for the environment and one look for the system's socket.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Optional
from urllib.parse import quote, unquote

from vbmcd.errors import InvalidRequest

SYSTEM_STATE_DIR = Path("/var/lib/vbmcd")
SYSTEM_SOCKET = Path("/run/vbmcd/control.sock")
SOCKET_VARIABLE = "VBMCD_SOCKET"
LOG_FILE = "vbmcd.log"
"""In the state folder: the log of a daemon without a terminal or journal."""

UNIT_FOLDERS = (Path("/etc/systemd/system"), Path("/lib/systemd/system"), Path("/usr/lib/systemd/system"))
"""Where a system's units are installed (systemd.unit(5))."""
UNIT = "vbmcd.service"

MAX_SOCKET_PATH = 107
"""Bytes: sockaddr_un's sun_path has 108 with its closing zero (unix(7))."""

_MAX_ESCAPED = 150
"""Leaves room for suffixes in the 255 bytes that file systems give a name."""
_KEPT = 80
_SAFE = "-_."


def state_dir(environ: Optional[Mapping[str, str]] = None) -> Path:
    """The state folder of a daemon that is told of none."""
    if os.geteuid() == 0:
        return SYSTEM_STATE_DIR
    env = os.environ if environ is None else environ
    base = env.get("XDG_STATE_HOME", "")
    # A relative path is to be ignored (XDG Base Directory Specification, "Environment variables").
    root = Path(base) if os.path.isabs(base) else Path.home() / ".local" / "state"
    return root / "vbmcd"


def socket_path(environ: Optional[Mapping[str, str]] = None) -> Path:
    """The control socket of a daemon, or of a client, that is told of none."""
    env = os.environ if environ is None else environ
    told = env.get(SOCKET_VARIABLE, "")
    if told:
        return Path(told)
    if os.geteuid() == 0:
        return SYSTEM_SOCKET
    runtime = env.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(runtime):
        return Path(runtime) / "vbmcd" / "control.sock"
    return Path(tempfile.gettempdir()) / f"vbmcd-{os.getuid()}" / "control.sock"


def client_socket_path(environ: Optional[Mapping[str, str]] = None) -> Path:
    """As :func:`socket_path`, but the system's where there is a system's daemon, whoever asks."""
    env = os.environ if environ is None else environ
    if not env.get(SOCKET_VARIABLE) and (unit_installed() or os.path.exists(SYSTEM_SOCKET)):
        return SYSTEM_SOCKET
    return socket_path(env)


def unit_installed() -> bool:
    """Whether systemd is to run the daemon on this system, so that nobody else starts one."""
    return any((folder / UNIT).exists() for folder in UNIT_FOLDERS)


def check_socket_path(path: Path) -> Path:
    """`path`, absolute. Raises InvalidRequest where the kernel could not bind it."""
    absolute = Path(os.path.abspath(path))
    length = len(os.fsencode(absolute))
    if length > MAX_SOCKET_PATH:
        raise InvalidRequest(
            f"control socket {absolute} has a path of {length} bytes, and a unix socket's may have "
            f"{MAX_SOCKET_PATH}: choose a shorter one with --socket or {SOCKET_VARIABLE}"
        )
    return absolute


def workers_socket(control: Path) -> Path:
    """The socket between supervisor and workers: beside the control socket."""
    return control.with_name(f"{control.name}.workers")


def escape(name: str) -> str:
    """A file name for an instance's name: one path component, never hidden, special or too long.

    Different names give different file names. A long one is cut and marked with its digest, after a '~',
    which no other escaped name contains.
    """
    # quote() leaves '~' alone, and would leave a leading dot.
    escaped = quote(name, safe=_SAFE).replace("~", "%7E")
    if escaped.startswith("."):
        escaped = "%2E" + escaped[1:]
    if not escaped:
        return "%"
    if len(escaped) <= _MAX_ESCAPED:
        return escaped
    digest = hashlib.sha256(name.encode("utf-8")).hexdigest()
    return f"{escaped[:_KEPT]}~{digest}"


def unescape(file_name: str) -> Optional[str]:
    """The name that escapes to `file_name`; None where there is none or it was shortened."""
    try:
        name = unquote(file_name, errors="strict")
    except UnicodeDecodeError:
        return None
    try:
        return name if name and escape(name) == file_name else None
    except UnicodeEncodeError:
        return None
