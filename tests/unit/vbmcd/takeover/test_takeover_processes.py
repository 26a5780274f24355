# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who has a port, and what that process is."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

from vbmcd.takeover import processes
from vbmcd.takeover.processes import Holder


@pytest.mark.parametrize(
    ("family", "bound", "asked"),
    [
        (socket.AF_INET, "127.0.0.1", "127.0.0.1"),
        (socket.AF_INET, "127.0.0.1", "::"),
        (socket.AF_INET, "0.0.0.0", "127.0.0.1"),  # noqa: S104 - what VirtualBMC may do
        (socket.AF_INET6, "::1", "::1"),
        (socket.AF_INET6, "::", "127.0.0.1"),
    ],
)
def test_the_process_of_a_port_is_found(family: int, bound: str, asked: str) -> None:
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.bind((bound, 0))
        port = sock.getsockname()[1]
        assert processes.holders([(asked, port)]) == [Holder(os.getpid(), (bound, port))]


def test_a_port_on_another_address_is_another_port() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        assert processes.holders([("127.0.0.2", sock.getsockname()[1])]) == []


def fake(proc: Path, pid: int, parent: int, *words: str, home: str = "/root", cgroup: str = "") -> None:
    folder = proc / str(pid)
    folder.mkdir(parents=True)
    (folder / "cmdline").write_bytes(b"\0".join(word.encode() for word in words) + b"\0")
    (folder / "stat").write_text(f"{pid} (odd) name) S {parent} 0 0")
    (folder / "environ").write_bytes(f"LANG=C\0HOME={home}\0".encode())
    (folder / "cgroup").write_text(cgroup)


def test_a_virtualbmc_is_told_from_its_bmcs_and_from_others(tmp_path: Path) -> None:
    fake(tmp_path, 1, 0, "/sbin/init")
    fake(tmp_path, 10, 1, "/usr/bin/python3", "/usr/local/bin/vbmcd", "--foreground")
    fake(tmp_path, 11, 10, "/usr/bin/python3", "/usr/local/bin/vbmcd", "--foreground")
    fake(tmp_path, 12, 10, "/usr/bin/python3", "-c", "from multiprocessing.forkserver import main")
    fake(tmp_path, 13, 12, "/usr/bin/python3", "-c", "from multiprocessing.forkserver import main")
    fake(tmp_path, 20, 1, "/usr/bin/vim", "/etc/notes", "/usr/local/bin/vbmcd")
    fake(tmp_path, 30, 1, "vbmcd", home="/home/somebody")
    assert [processes.virtualbmc_of(pid, tmp_path) for pid in (10, 11, 13, 20, 30, 99)] == [10, 10, 10, None, 30, None]
    assert processes.virtualbmcs(Path("/root/.vbmc"), tmp_path) == [10]
    assert processes.descendants(10, tmp_path) == {11, 12, 13}


@pytest.mark.parametrize(
    ("cgroup", "unit"),
    [
        ("0::/system.slice/virtualbmc.service\n", "virtualbmc.service"),
        ("12:pids:/x\n1:name=systemd:/system.slice/virtualbmc.service\n", "virtualbmc.service"),
        ("0::/user.slice/user-0.slice/session-1.scope\n", None),
        ("0::/user.slice/user-0.slice/user@0.service/app.slice/virtualbmc.service\n", None),
        ("", None),
    ],
)
def test_the_systems_unit_of_a_process_is_known(tmp_path: Path, cgroup: str, unit: str | None) -> None:
    fake(tmp_path, 10, 1, "vbmcd", cgroup=cgroup)
    assert processes.unit(10, tmp_path) == unit


def test_a_zombie_does_not_live() -> None:
    assert processes.lives(os.getpid())
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not processes.lives(child.pid)
    child.wait()
    assert not processes.lives(child.pid)
