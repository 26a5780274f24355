# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rig keeps its promises: QEMUs survive libvirtd, and nothing survives the rig."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rig.console import DEVICE_ID, Console
from rig.daemon import NO_MACHINE, Vbmcd
from rig.libvirtd import Libvirtd, tiny_domain
from rig.waiting import eventually

TESTS = Path(__file__).parents[1]


def test_a_domain_runs_through_a_restart_of_libvirtd(own_libvirtd: Libvirtd) -> None:
    own_libvirtd.define(tiny_domain("runs-on"))
    own_libvirtd.virsh("start", "runs-on")
    qemu = own_libvirtd.qemu_pid("runs-on")
    own_libvirtd.kill()
    own_libvirtd.start()
    assert own_libvirtd.virsh("domstate", "runs-on") == "running"
    assert own_libvirtd.qemu_pid("runs-on") == qemu


def test_a_libvirtd_that_crashed_is_started_again(own_libvirtd: Libvirtd) -> None:
    crashed = own_libvirtd.pid
    os.kill(crashed, signal.SIGSEGV)
    eventually(lambda: not own_libvirtd.answers(), what="it is gone")
    with pytest.warns(UserWarning, match=f"{crashed}"):
        eventually(lambda: own_libvirtd.start_if_gone() or own_libvirtd.pid != crashed, what="it is started again")
    assert own_libvirtd.answers()


def test_stop_leaves_nothing_behind(tmp_path: Path) -> None:
    with Libvirtd(tmp_path) as rig:
        rig.define(tiny_domain("left"))
        rig.virsh("start", "left")
        pids = [rig.pid, rig.qemu_pid("left")]
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert str(tmp_path) not in Path("/proc/mounts").read_text()


def test_an_owner_that_is_killed_leaves_nothing_behind(libvirtd: Libvirtd) -> None:
    # The shared fixture is asked for only so that this test is skipped where no rig can run.
    owner = subprocess.Popen(
        [sys.executable, "-m", "rig.libvirtd"], cwd=TESTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    uri, _socket, pid = owner.stdout.readline().split()
    socket = Path(uri.partition("socket=")[2])
    assert socket.exists()
    os.kill(owner.pid, signal.SIGKILL)
    owner.communicate()
    eventually(lambda: not Path(f"/proc/{pid}").exists(), what="the orphaned rig's libvirtd is gone")
    eventually(lambda: not socket.parents[1].exists(), what="the orphaned rig's folder is gone")


def test_a_console_takes_no_late_answer_for_that_to_another_request() -> None:
    with Vbmcd() as vbmcd, Console(vbmcd.serve("late", **NO_MACHINE)) as console:
        console.login()
        console.send(console.packets.request(*DEVICE_ID))
        assert console.request(0x06, 0x3B, b"\0") == b"\0\4", "the privilege"


CRASHING = """
import os, pathlib, signal
from rig.libvirtd import Libvirtd
from rig.waiting import eventually

def test_that_fails_once():
    runs = pathlib.Path({runs!r})
    with Libvirtd() as libvirtd:
        with runs.open("a") as file:
            file.write("x")
        if {crashes} and runs.read_text() == "x":
            os.kill(libvirtd.pid, signal.SIGSEGV)
            eventually(lambda: not libvirtd.answers())
        assert runs.read_text() != "x"
"""


@pytest.mark.parametrize("crashes", [True, False])
def test_a_test_that_fails_is_run_again_if_libvirtd_has_crashed(
    tmp_path: Path, libvirtd: Libvirtd, crashes: bool
) -> None:
    runs = tmp_path / "runs"
    (tmp_path / "test_crash.py").write_text(CRASHING.format(runs=str(runs), crashes=crashes))
    options = ["-p", "rig.crashes", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(tmp_path)],
        cwd=TESTS,
        env={**os.environ, "PYTHONPATH": "."},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode == 0, runs.read_text()) == (crashes, "xx" if crashes else "x"), done.stdout
    assert ("has died of signal 11" in done.stdout) is crashes, done.stdout
