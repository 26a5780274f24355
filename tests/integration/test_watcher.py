# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dependency watcher against real libvirtd and QEMU: plain virsh acts on a master, and its dependencies follow."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import libvirt
import pytest

from rig.daemon import Vbmcd
from rig.groups import NAMESPACE, becomes, declare, follow, make, state, watcher
from rig.libvirtd import Libvirtd, tiny_domain
from rig.waiting import eventually


@pytest.fixture
def vbmcd() -> Iterator[Vbmcd]:
    with Vbmcd(workers="1") as daemon:
        yield daemon


@pytest.fixture(scope="module")
def rig() -> Iterator[Libvirtd]:
    with Libvirtd() as own:
        yield own


@pytest.fixture(autouse=True)
def tidy(rig: Libvirtd) -> Iterator[None]:
    yield
    if not rig.pid:
        rig.start()
    rig.start_if_gone()
    for name in rig.virsh("list", "--all", "--name").split():
        rig.remove(name)


@contextmanager
def standing_still(vbmcd: Vbmcd) -> Iterator[int]:
    """The watcher's process, which does nothing meanwhile; nor does the supervisor, which would replace it for that."""
    pid = watcher(vbmcd)["pid"]
    assert isinstance(pid, int)
    for one in (vbmcd.pid, pid):
        os.kill(one, signal.SIGSTOP)
    try:
        yield pid
    finally:
        for one in (pid, vbmcd.pid):
            with suppress(ProcessLookupError):
                os.kill(one, signal.SIGCONT)


def test_the_walk_of_the_seed(rig: Libvirtd, vbmcd: Vbmcd, tmp_path: Path) -> None:
    """virsh create of A creates B; suspend, resume and destroy follow; what is done to B touches A never."""
    follow(vbmcd, rig)
    path = tmp_path / "domainB.xml"
    path.write_text(tiny_domain("walk-b"))
    metadata = (
        f"<metadata><dep:dependencies xmlns:dep='{NAMESPACE}'><dep:domain file='{path}' name='walk-b'/>"
        "</dep:dependencies></metadata>"
    )
    master = tmp_path / "domainA.xml"
    master.write_text(tiny_domain("walk-a").replace("<memory ", metadata + "<memory ", 1))
    rig.virsh("create", str(master))
    becomes(rig, "running", "walk-a", "walk-b")
    assert {"walk-a", "walk-b"} <= set(rig.virsh("list", "--name").split())
    rig.virsh("suspend", "walk-a")
    becomes(rig, "paused", "walk-b")
    rig.virsh("resume", "walk-b")
    becomes(rig, "running", "walk-b")
    assert state(rig, "walk-a") == "paused"
    rig.virsh("suspend", "walk-b")
    rig.virsh("resume", "walk-a")
    becomes(rig, "running", "walk-b")
    rig.virsh("destroy", "walk-b")
    assert state(rig, "walk-a") == "running"
    rig.virsh("create", str(path))
    rig.virsh("destroy", "walk-a")
    becomes(rig, "absent", "walk-b")
    assert "it went first, so 'before' means after here" in vbmcd.log


def test_a_file_without_a_uuid_is_followed_however_often_its_domain_is_made(
    rig: Libvirtd, vbmcd: Vbmcd, tmp_path: Path
) -> None:
    path = tmp_path / "domainB.xml"
    path.write_text(re.sub("<uuid>.*?</uuid>", "", tiny_domain("file-b")))
    rig.define(tiny_domain("file-a"))
    text = f"<dependencies><domain file='{path}' name='file-b'/></dependencies>"
    rig.virsh("metadata", "file-a", NAMESPACE, "--key", "dep", "--set", text, "--config")
    follow(vbmcd, rig)
    rig.virsh("start", "file-a")
    becomes(rig, "running", "file-b")
    rig.virsh("destroy", "file-b")
    rig.virsh("create", str(path))
    rig.virsh("suspend", "file-a")
    becomes(rig, "paused", "file-b")
    rig.virsh("destroy", "file-a")
    becomes(rig, "absent", "file-b")


def test_a_start_that_was_paused_for_a_moment_is_a_start(rig: Libvirtd, vbmcd: Vbmcd) -> None:
    make(rig, "brief-a", "brief-b")
    declare(rig, "brief-a", "brief-b")
    follow(vbmcd, rig)
    with standing_still(vbmcd):
        rig.virsh("start", "brief-a", "--paused")
        rig.virsh("resume", "brief-a")
    becomes(rig, "running", "brief-b")


def test_what_is_no_suspend_or_end_is_not_propagated(rig: Libvirtd, vbmcd: Vbmcd, tmp_path: Path) -> None:
    make(rig, "save-a", "save-b")
    declare(rig, "save-a", "save-b")
    follow(vbmcd, rig)
    rig.virsh("start", "save-a")
    becomes(rig, "running", "save-b")
    rig.virsh("reset", "save-a")
    rig.virsh("managedsave", "save-a")
    rig.start_again("save-a")
    becomes(rig, "running", "save-a")
    os.kill(rig.qemu_pid("save-a"), signal.SIGKILL)
    becomes(rig, "shut off", "save-a")
    rig.start_again("save-a")
    rig.virsh("suspend", "save-a")
    becomes(rig, "paused", "save-b")  # what came before is dealt with by now
    assert "destroy:save-b" not in vbmcd.log
    assert vbmcd.log.count("suspend:save-b") == 1


def test_a_crash_stops_what_is_declared_so(rig: Libvirtd, vbmcd: Vbmcd) -> None:
    make(rig, "crash-a", "crash-b")
    declare(rig, "crash-a", "crash-b", on_crash="stop")
    follow(vbmcd, rig)
    rig.virsh("start", "crash-a")
    becomes(rig, "running", "crash-b")
    os.kill(rig.qemu_pid("crash-a"), signal.SIGKILL)
    becomes(rig, "shut off", "crash-b")


def test_a_dependency_of_two_masters_follows_the_last_one(rig: Libvirtd, vbmcd: Vbmcd) -> None:
    make(rig, "two-a", "two-m", "two-b")
    declare(rig, "two-a", "two-b")
    declare(rig, "two-m", "two-b")
    follow(vbmcd, rig)
    for master in ("two-a", "two-m"):
        rig.virsh("start", master)
    becomes(rig, "running", "two-b")
    rig.virsh("suspend", "two-a")
    rig.virsh("destroy", "two-a")
    rig.virsh("suspend", "two-m")
    becomes(rig, "paused", "two-b")
    assert "destroy:two-b" not in vbmcd.log
    rig.virsh("destroy", "two-m")
    becomes(rig, "shut off", "two-b")


def test_eight_follow_one(rig: Libvirtd, vbmcd: Vbmcd) -> None:
    others = [f"eight-{number}" for number in range(8)]
    make(rig, "eight-a", *others)
    declare(rig, "eight-a", *others)
    follow(vbmcd, rig)
    rig.virsh("start", "eight-a")
    becomes(rig, "running", *others)
    rig.virsh("suspend", "eight-a")
    becomes(rig, "paused", *others)
    rig.virsh("resume", "eight-a")
    becomes(rig, "running", *others)
    rig.virsh("destroy", "eight-a")
    becomes(rig, "shut off", *others)


def test_a_master_is_never_taken_back(rig: Libvirtd, vbmcd: Vbmcd) -> None:
    broken = "<disk type='file' device='disk'><source file='/no/such/image'/><target dev='vda' bus='virtio'/></disk>"
    rig.define(tiny_domain("back-a"), tiny_domain("back-b", devices=broken))
    declare(rig, "back-a", "back-b")
    follow(vbmcd, rig)
    rig.virsh("start", "back-a")
    eventually(lambda: "what a domain depends on can't follow it" in vbmcd.log, what="the watcher says so")
    assert "/no/such/image" in vbmcd.log
    assert state(rig, "back-a") == "running"


def test_two_hundred_toggles_end_in_the_same_state(rig: Libvirtd, vbmcd: Vbmcd) -> None:
    make(rig, "toggle-a", "toggle-b")
    declare(rig, "toggle-a", "toggle-b")
    follow(vbmcd, rig)
    rig.virsh("start", "toggle-a")
    becomes(rig, "running", "toggle-b")
    connection = libvirt.open(rig.uri)
    try:
        master, slave = connection.lookupByName("toggle-a"), connection.lookupByName("toggle-b")
        for _turn in range(100):
            master.suspend()
            master.resume()
        eventually(lambda: slave.state()[0] == 1, what="both run")
        master.suspend()
        eventually(lambda: slave.state()[0] == 3, what="both are paused")
    finally:
        connection.close()


def test_a_watcher_killed_between_the_two_has_a_successor_that_goes_on(rig: Libvirtd, vbmcd: Vbmcd) -> None:
    make(rig, "kill-a", "kill-b")
    declare(rig, "kill-a", "kill-b")
    follow(vbmcd, rig)
    rig.virsh("start", "kill-a")
    becomes(rig, "running", "kill-b")
    with standing_still(vbmcd) as pid:
        rig.virsh("suspend", "kill-a")
        assert state(rig, "kill-b") == "running"
        os.kill(pid, signal.SIGKILL)
    becomes(rig, "paused", "kill-b")
    assert watcher(vbmcd)["pid"] not in (pid, None)


def test_what_happens_while_the_daemon_is_away_is_made_up_for(rig: Libvirtd, vbmcd: Vbmcd) -> None:
    make(rig, "away-a", "away-b", "away-c", "away-d")
    declare(rig, "away-a", "away-b")
    declare(rig, "away-c", "away-d")
    follow(vbmcd, rig)
    rig.virsh("start", "away-a")
    rig.virsh("start", "away-c")
    becomes(rig, "running", "away-b", "away-d")
    vbmcd.stop()
    rig.virsh("destroy", "away-a")
    rig.virsh("suspend", "away-d")  # nobody's affair but its own
    vbmcd.start()
    becomes(rig, "shut off", "away-b")
    assert state(rig, "away-d") == "paused"


def test_a_save_is_known_for_one_when_libvirtd_has_forgotten_it(rig: Libvirtd, vbmcd: Vbmcd) -> None:
    make(rig, "kept-a", "kept-b")
    declare(rig, "kept-a", "kept-b")
    follow(vbmcd, rig)
    rig.virsh("start", "kept-a")
    becomes(rig, "running", "kept-b")
    vbmcd.stop()
    rig.virsh("managedsave", "kept-a")
    rig.kill()
    rig.start()
    vbmcd.start()
    eventually(lambda: watcher(vbmcd)["connected"], what="the watcher is connected")
    rig.virsh("start", "kept-a")
    rig.virsh("suspend", "kept-a")
    becomes(rig, "paused", "kept-b")  # what came before is dealt with by now
    assert "destroy:kept-b" not in vbmcd.log


def test_a_master_that_starts_with_its_host_has_the_others_started(rig: Libvirtd, vbmcd: Vbmcd) -> None:
    """After a reboot, for which another boot id stands, every domain that runs was started anew."""
    make(rig, "boot-a", "boot-b", "boot-c", "boot-d")
    declare(rig, "boot-a", "boot-b")
    declare(rig, "boot-c", "boot-d")
    follow(vbmcd, rig)
    rig.virsh("start", "boot-a")
    becomes(rig, "running", "boot-b")
    vbmcd.stop()
    (seen,) = (path for path in vbmcd.state.rglob("*") if path.is_file() and '"masters"' in path.read_text())
    kept = json.loads(seen.read_text())
    seen.write_text(json.dumps({**kept, "boot": "another"}))
    for name in ("boot-b", "boot-a"):
        rig.virsh("destroy", name)
    for name in ("boot-a", "boot-d"):
        rig.start_again(name)
    vbmcd.start()
    becomes(rig, "running", "boot-b")
    assert state(rig, "boot-d") == "running"  # its master has been off, and still is
    rig.virsh("destroy", "boot-a")
    becomes(rig, "shut off", "boot-b")


def test_libvirtd_killed_before_anything_followed_is_made_up_for(rig: Libvirtd, vbmcd: Vbmcd) -> None:
    make(rig, "first-a", "first-b")
    declare(rig, "first-a", "first-b")
    follow(vbmcd, rig)
    rig.virsh("start", "first-a")
    becomes(rig, "running", "first-b")
    for command, wanted in (("suspend", "paused"), ("destroy", "shut off")):
        with standing_still(vbmcd):
            rig.virsh(command, "first-a")
            rig.kill()
        rig.start()
        becomes(rig, wanted, "first-a", "first-b")


def test_libvirtd_killed_when_the_first_has_followed_is_made_up_for(rig: Libvirtd, vbmcd: Vbmcd) -> None:
    others = [f"lost-{number}" for number in range(8)]
    make(rig, "lost-a", *others)
    declare(rig, "lost-a", *others)
    follow(vbmcd, rig)
    rig.virsh("start", "lost-a")
    becomes(rig, "running", *others)
    for command, told, wanted in (("suspend", "Suspended", "paused"), ("destroy", "Stopped", "shut off")):
        kill_after(rig, "lost-a", command, rf"'lost-\d': {told}")
        becomes(rig, wanted, "lost-a", *others)


def kill_after(rig: Libvirtd, master: str, command: str, event: str) -> None:
    """Do that with `master`, kill libvirtd as soon as it tells of `event` (an expression), and start it anew."""
    listener = ["stdbuf", "--output=L", "virsh", "--connect", rig.uri, "event", "--event", "lifecycle", "--loop"]
    with subprocess.Popen(listener, stdout=subprocess.PIPE, text=True) as events:
        try:
            lines = events.stdout
            assert lines is not None

            def listens() -> bool:
                rig.define(tiny_domain("witness"))
                rig.remove("witness")
                return bool(select.select([lines], [], [], 0.1)[0])

            eventually(listens, what="virsh tells of events")
            rig.virsh(command, master)
            assert next((line for line in lines if re.search(event, line)), None)
            rig.kill()
        finally:
            events.kill()
    rig.start()


def test_dependencies_declared_while_running_are_followed_from_then_on(rig: Libvirtd, vbmcd: Vbmcd) -> None:
    make(rig, "late-a", "late-b")
    follow(vbmcd, rig)
    rig.virsh("start", "late-a")
    item = f"<dependencies><domain uuid='{rig.virsh('domuuid', 'late-b')}' name='late-b'/></dependencies>"
    rig.virsh("metadata", "late-a", NAMESPACE, "--key", "dep", "--set", item, "--live", "--config")
    eventually(lambda: watcher(vbmcd)["masters"] == 1, what="the watcher knows")
    assert state(rig, "late-b") == "shut off"
    rig.virsh("destroy", "late-a")
    rig.start_again("late-a")
    becomes(rig, "running", "late-b")
