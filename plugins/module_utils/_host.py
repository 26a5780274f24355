# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host has: system, packages, units, files, accounts. Only reads.

Called by the module ``host_info``. Whatever there is not is told as such, and is no error.
"""

from __future__ import annotations

import grp
import hashlib
import os
import pwd
import stat
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

Document = Dict[str, Any]
Run = Callable[..., Tuple[int, str, str]]
"""As AnsibleModule.run_command."""

_KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "link",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
    stat.S_IFIFO: "pipe",
}
_NOTHING: Document = {"kind": "absent", "mode": None, "owner": None, "group": None, "target": None, "sha256": None}


def system(root: str = "/") -> Document:
    """Of os-release(5), and whether systemd is what runs the host, as sd_booted(3) tells."""
    fields = _os_release(os.path.join(root, "etc/os-release"))
    like = [fields.get("ID", ""), *fields.get("ID_LIKE", "").split()]
    return {
        "name": fields.get("PRETTY_NAME") or fields.get("ID") or "an unknown system",
        "id": fields.get("ID", ""),
        "version": fields.get("VERSION_ID", ""),
        "debian": "debian" in like,
        "systemd": os.path.isdir(os.path.join(root, "run/systemd/system")),
    }


def missing_packages(run: Run, packages: Sequence[str]) -> List[str]:
    """Those that dpkg has not installed; all of them on a host without dpkg."""
    if not packages:
        return []
    query = ["dpkg-query", "--show", "--showformat=${db:Status-Status} ${Package}\\n", *packages]
    _code, stdout, _stderr = run(query) if _found("dpkg-query") else (1, "", "")
    installed = {line.partition(" ")[2] for line in stdout.splitlines() if line.startswith("installed ")}
    return [name for name in packages if name not in installed]


def units(run: Run, names: Sequence[str]) -> Dict[str, Document]:
    """Each unit's state and whether it is enabled, in systemd's words; empty ones where there is no systemd."""
    found = {name: {"active": "", "enabled": "", "stale": False} for name in names}
    if not names or not _found("systemctl"):
        return found
    properties = ["Id", "ActiveState", "UnitFileState", "NeedDaemonReload"]
    command = ["systemctl", "show", *("--property=" + one for one in properties), "--", *names]
    _code, stdout, _stderr = run(command)
    for name, block in zip(names, stdout.split("\n\n")):
        told = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        found[name] = {
            "active": told.get("ActiveState", ""),
            "enabled": told.get("UnitFileState", ""),
            "stale": told.get("NeedDaemonReload") == "yes",
        }
    return found


def file(path: str) -> Document:
    """Of the path itself, and not of what a link leads to."""
    path = os.path.expanduser(path)
    try:
        found = os.lstat(path)
    except OSError:
        return dict(_NOTHING)
    kind = _KINDS.get(stat.S_IFMT(found.st_mode), "other")
    return {
        "kind": kind,
        "mode": "%04o" % stat.S_IMODE(found.st_mode),
        "owner": _name(pwd.getpwuid, found.st_uid),
        "group": _name(grp.getgrgid, found.st_gid),
        "target": os.readlink(path) if kind == "link" else None,
        "sha256": _checksum(path) if kind == "file" else None,
    }


def user(name: str) -> Optional[Document]:
    """The account, or None."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    groups = [_name(grp.getgrgid, number) for number in os.getgrouplist(name, entry.pw_gid)]
    return {
        "groups": sorted(groups),
        "comment": entry.pw_gecos,
        "home": entry.pw_dir,
        "shell": entry.pw_shell,
    }


def groups(names: Sequence[str]) -> List[str]:
    """Those of `names` that there are."""
    return [name for name in names if _exists(name)]


def _os_release(path: str) -> Dict[str, str]:
    try:
        with open(path, encoding="utf-8") as opened:
            pairs = [line.rstrip("\n").partition("=") for line in opened if "=" in line]
    except OSError:
        return {}
    return {key: value.strip("\"'") for key, _equals, value in pairs}


def _found(program: str) -> bool:
    return any(os.access(os.path.join(folder, program), os.X_OK) for folder in os.get_exec_path())


def _checksum(path: str) -> Optional[str]:
    try:
        with open(path, "rb") as opened:
            return hashlib.sha256(opened.read()).hexdigest()
    except OSError:
        return None


def _name(lookup: Callable[[int], Any], number: int) -> str:
    """The account's name, or its number where it has none."""
    try:
        return str(lookup(number)[0])
    except KeyError:
        return str(number)


def _exists(group: str) -> bool:
    try:
        grp.getgrnam(group)
    except KeyError:
        return False
    return True
