# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which processes have a UDP port, and what they are (proc(5))."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import struct
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Set

from vbmcd.endpoints import Endpoint, Endpoints

PROC = Path("/proc")
VIRTUALBMC = b"vbmcd"
"""The name of VirtualBMC's daemon; ours has the same, and is told apart by its process ids."""

_UNIT = re.compile(r"/system\.slice/([^/]+\.service)$", re.MULTILINE)


@dataclass(frozen=True)
class Holder:
    """A process that has an endpoint."""

    pid: int
    endpoint: Endpoint


def holders(wanted: Collection[Endpoint], proc: Path = PROC) -> List[Holder]:
    """Who has one of `wanted`, or one that can't be bound beside it; without processes that may not be looked at."""
    claims = Endpoints()
    for endpoint in wanted:
        claims.claim(endpoint, "wanted")
    inodes: Dict[str, Endpoint] = {}
    for table in ("udp", "udp6"):
        for endpoint, inode in _sockets(proc / "self" / "net" / table):
            if claims.holder(endpoint) is not None:
                inodes[inode] = endpoint
    found: Set[Holder] = set()
    for pid in _processes(proc):
        for inode in _socket_inodes(proc / str(pid) / "fd"):
            if inode in inodes:
                found.add(Holder(pid, inodes[inode]))
    return sorted(found, key=lambda one: (one.pid, one.endpoint))


def virtualbmc_of(pid: int, proc: Path = PROC) -> Optional[int]:
    """The VirtualBMC that process `pid` is part of: the uppermost of it and its ancestors; None: it is none."""
    found = None
    while pid > 1:
        if any(os.path.basename(word) == VIRTUALBMC for word in command_line(pid, proc)[:2]):
            found = pid
        pid = parent(pid, proc)
    return found


def virtualbmcs(folder: Path, proc: Path = PROC) -> List[int]:
    """The VirtualBMCs whose configuration folder is that of their user, `folder`."""
    found = set()
    for pid in _processes(proc):
        top = virtualbmc_of(pid, proc)
        if top is not None and _home(top, proc) / ".vbmc" == folder:
            found.add(top)
    return sorted(found)


def descendants(pid: int, proc: Path = PROC) -> Set[int]:
    """Its children, theirs, and so on."""
    children: Dict[int, List[int]] = {}
    for one in _processes(proc):
        children.setdefault(parent(one, proc), []).append(one)
    found: Set[int] = set()
    waiting = [pid]
    while waiting:
        for child in children.get(waiting.pop(), []):
            found.add(child)
            waiting.append(child)
    return found


def command_line(pid: int, proc: Path = PROC) -> List[bytes]:
    try:
        return (proc / str(pid) / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


def name(pid: int, proc: Path = PROC) -> str:
    try:
        return (proc / str(pid) / "comm").read_text(errors="replace").strip()
    except OSError:
        return "gone"


def parent(pid: int, proc: Path = PROC) -> int:
    """0 where there is none."""
    return int((_stat(pid, proc) or ["", "0"])[1])


def lives(pid: int, proc: Path = PROC) -> bool:
    """A zombie does not."""
    stat = _stat(pid, proc)
    return bool(stat) and stat[0] not in ("Z", "X")


def unit(pid: int, proc: Path = PROC) -> Optional[str]:
    """The system's unit that it is in; None where it is in none."""
    try:
        found = _UNIT.search((proc / str(pid) / "cgroup").read_text())
    except OSError:
        return None
    return found.group(1) if found else None


def _stat(pid: int, proc: Path) -> List[str]:
    """The fields from the third on; the second may hold anything."""
    try:
        return (proc / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def _processes(proc: Path) -> List[int]:
    return [int(entry) for entry in os.listdir(proc) if entry.isdigit()]


def _home(pid: int, proc: Path) -> Path:
    try:
        words = (proc / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return Path("/")
    return Path(os.fsdecode(next((word[5:] for word in words if word.startswith(b"HOME=")), b"/")))


def _sockets(table: Path) -> Iterator[tuple[Endpoint, str]]:
    try:
        lines = table.read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return
    for line in lines:
        fields = line.split()
        address, _colon, port = fields[1].partition(":")
        yield (_address(address), int(port, 16)), fields[9]


def _address(text: str) -> str:
    """The address of a table: words of 32 bits in hexadecimal, each in the host's byte order."""
    packed = b"".join(struct.pack("=I", int(text[at : at + 8], 16)) for at in range(0, len(text), 8))
    family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
    address = ipaddress.ip_address(socket.inet_ntop(family, packed))
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def _socket_inodes(folder: Path) -> Iterator[str]:
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for entry in names:
        try:
            target = os.readlink(folder / entry)
        except OSError:
            continue
        if target.startswith("socket:["):
            yield target[8:-1]
