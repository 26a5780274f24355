# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the daemon's user reaches the machines, asked before VirtualBMC is stopped.

A VirtualBMC runs as root, or as somebody with a libvirt of his own; the daemon often as a user who may less. Run as a
program it is the child that asks: ``python -m vbmcd.takeover.reach`` reads instances from its standard input.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Dict, List, Tuple

TIMEOUT = 30.0
"""Seconds for all of them."""

Spec = Mapping[str, Any]


def problems(specs: Sequence[Spec], daemon: int) -> List[str]:
    """Why the daemon, process `daemon`, would not reach the machines of `specs`; empty where it would."""
    user, groups = _user_of(daemon)
    identity: Dict[str, Any] = {}
    if os.geteuid() == 0 and user[0] != 0:
        identity = {"user": user[0], "group": user[1], "extra_groups": groups}
    home = {"HOME": "/", "XDG_RUNTIME_DIR": ""} if identity else {}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "vbmcd.takeover.reach"],
            input=json.dumps([dict(spec) for spec in specs]),
            env={**os.environ, **home},
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
            cwd="/",
            **identity,
        )
        told: List[str] = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        return [f"libvirt did not answer the daemon's user within {TIMEOUT:g} seconds: see to libvirt first"]
    except ValueError:
        return [f"the daemon's user can't ask libvirt: {done.stderr.strip().splitlines()[-1:] or done.returncode}"]
    return told


def _user_of(pid: int) -> Tuple[Tuple[int, int], List[int]]:
    """Effective user and group, and the further groups (proc(5), status)."""
    fields: Dict[str, List[str]] = {}
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            key, _colon, value = line.partition(":")
            fields[key] = value.split()
    return (int(fields["Uid"][1]), int(fields["Gid"][1])), [int(group) for group in fields["Groups"]]


def _ask(specs: Sequence[Spec]) -> List[str]:
    import libvirt

    from vbmcd.config import DEFAULT_URI, Connection
    from vbmcd.machine.libvirt_connection import ClientConnection

    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    opened: Dict[Connection, Any] = {}
    found: List[str] = []
    for spec in specs:
        uri = spec.get("libvirt_uri") or DEFAULT_URI
        user, password = spec.get("libvirt_sasl_username") or "", spec.get("libvirt_sasl_password") or ""
        settings = Connection(uri, user, password)
        try:
            if settings not in opened:
                opened[settings] = ClientConnection(settings).handle
            opened[settings].lookupByName(spec.get("domain") or spec["name"])
        except libvirt.libvirtError as error:
            found.append(
                f"{spec['name']}: the daemon's user does not reach the domain at {uri}: {error.get_error_message()}: "
                "let it (the group libvirt does on Debian), or delete that BMC from VirtualBMC"
            )
    return found


if __name__ == "__main__":
    json.dump(_ask(json.load(sys.stdin)), sys.stdout)
