# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the daemon is told to do, and what it keeps: instances and ports, its state folder, its secrets."""

from __future__ import annotations

import concurrent.futures
import contextlib
import ctypes
import json
import os
import resource
import shutil
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from rig.console import DEVICE_ID, STATUS, Console, Refused
from rig.daemon import NO_MACHINE, ControlError, Vbmcd, alive
from rig.ports import free_ports
from rig.waiting import eventually

SECRET = "s3cr3t-Pa55"
SASL_SECRET = "sasl-s3cr3t"


@pytest.fixture
def vbmcd() -> Iterator[Vbmcd]:
    with Vbmcd() as daemon:
        yield daemon


def answers(port: int, password: str = "password") -> bool:
    with Console(port, password=password) as console:
        return console.login().request(*DEVICE_ID)[0] == 0


# --- Instances and ports ---------------------------------------------------------------------------------------------


def test_of_ten_adds_of_one_port_one_wins_and_nine_name_both(vbmcd: Vbmcd) -> None:
    (port,) = free_ports(1)
    names = [f"add-{number}" for number in range(10)]
    with concurrent.futures.ThreadPoolExecutor(len(names)) as pool:
        outcomes = list(pool.map(lambda name: vbmcd.vbmc("add", name, "--port", str(port)), names))
    winners = [name for name, one in zip(names, outcomes, strict=True) if one.returncode == 0]
    assert len(winners) == 1
    for name, one in zip(names, outcomes, strict=True):
        if name not in winners:
            assert one.returncode == 1
            assert one.stderr.splitlines() == [
                f"instance '{name}' wants [::]:{port}, which '{winners[0]}' already has: "
                "give it another port, or leave the port out and one is allocated"
            ]
    assert [one["Name"] for one in vbmcd.vbmc_json("list")] == winners


def test_a_port_that_somebody_else_has_is_named_and_served_once_it_is_free(vbmcd: Vbmcd) -> None:
    (port,) = free_ports(1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", port))
        (one,) = vbmcd.apply({"name": "a", "address": "127.0.0.1", "port": port, "state": "started", **NO_MACHINE})[
            "instances"
        ]
        reason = f"instance 'a' can't listen on 127.0.0.1:{port}: another program has it"
        assert one["error"].startswith(reason)
        status = vbmcd.status("a")
        assert status["status"] == "error" and status["reason"].startswith(reason)
        assert reason in vbmcd.log
    eventually(lambda: vbmcd.status("a")["status"] == "running", what="served without another word")
    assert answers(port)


def test_a_port_is_free_once_its_instance_stopped(vbmcd: Vbmcd) -> None:
    port = vbmcd.serve("a", **NO_MACHINE)
    for request in ("stop", "start", "delete"):
        vbmcd.ask(request, names=["a"])
        if request != "start":
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                probe.bind(("127.0.0.1", port))


@pytest.mark.parametrize("workers", ["1", "2", "instance"])
def test_two_instances_can_swap_their_ports_at_once(workers: str) -> None:
    with Vbmcd(workers=workers) as vbmcd:
        ports = {name: vbmcd.serve(name, **NO_MACHINE, password=f"pw-{name}") for name in "ab"}
        result = vbmcd.apply({"name": "a", "port": ports["b"]}, {"name": "b", "port": ports["a"]})
        assert [one["error"] for one in result["instances"]] == [None, None]
        assert answers(ports["b"], "pw-a") and answers(ports["a"], "pw-b")


def test_mending_drift_restarts_that_endpoint_only(vbmcd: Vbmcd) -> None:
    ports = {name: vbmcd.serve(name, **NO_MACHINE) for name in "abc"}
    workers = vbmcd.workers()
    with Console(ports["c"]) as other, Console(ports["a"]) as changed:
        other.login()
        changed.login()
        (port,) = free_ports(1)
        result = vbmcd.apply({"name": "a", "password": "another"}, {"name": "b", "port": port}, {"name": "c"})
        assert [one["actions"] for one in result["instances"]] == [["update"], ["update"], []]
        assert other.request(*STATUS)[0] == 0
        with pytest.raises(Refused):
            changed.login()
    assert answers(ports["a"], "another") and answers(port)
    assert vbmcd.workers() == workers


def test_a_restart_keeps_what_runs_and_what_does_not(vbmcd: Vbmcd) -> None:
    ports = {name: vbmcd.serve(name, **NO_MACHINE) for name in "ab"}
    vbmcd.ask("stop", names=["b"])
    before = vbmcd.vbmc_json("list")
    vbmcd.restart()
    assert vbmcd.vbmc_json("list") == before
    assert [one["Status"] for one in before] == ["running", "down"]
    assert answers(ports["a"])


@pytest.mark.parametrize(("workers", "expected"), [("auto", min(4, os.cpu_count() or 1)), ("3", 3), ("instance", 5)])
def test_instances_are_spread_over_the_workers(workers: str, expected: int) -> None:
    with Vbmcd(workers=workers) as vbmcd:
        ports = [vbmcd.serve(f"n-{number}", **NO_MACHINE) for number in range(5)]
        assert all(answers(port) for port in ports)
        assert len(vbmcd.workers()) == expected
        assert len({vbmcd.worker_of(f"n-{number}") for number in range(5)}) == expected
        # Supervisor and spawner besides.
        assert len(vbmcd.processes()) == expected + 2
        if workers == "instance":
            gone = vbmcd.worker_of("n-0")
            vbmcd.ask("delete", names=["n-0"])
            assert not alive([gone])


# --- The state folder ------------------------------------------------------------------------------------------------


def test_a_corrupt_file_disables_its_instance_until_it_is_mended(vbmcd: Vbmcd) -> None:
    ports = {name: vbmcd.serve(name, **NO_MACHINE) for name in "ab"}
    vbmcd.stop()
    file = vbmcd.state / "instances" / "a.json"
    content = file.read_text()
    file.write_text(content[: len(content) // 2])
    vbmcd.start()
    assert answers(ports["b"])
    (a, _b) = vbmcd.vbmc_json("list")
    assert a["Name"] == "a" and a["Status"] == "error" and str(file) in a["Reason"] and "not JSON" in a["Reason"]
    refused = vbmcd.vbmc("start", "a")
    assert refused.returncode == 1 and str(file) in refused.stderr
    file.write_text(content)
    os.kill(vbmcd.pid, signal.SIGHUP)
    eventually(lambda: vbmcd.status("a")["status"] == "running", what="SIGHUP reads the mended file")
    assert answers(ports["a"])


def test_what_is_served_and_what_is_listed_agree_after_a_delete_that_failed(vbmcd: Vbmcd) -> None:
    port = vbmcd.serve("a", **NO_MACHINE)
    file = vbmcd.state / "instances" / "a.json"
    content = file.read_bytes()
    file.unlink()
    file.mkdir()
    assert vbmcd.vbmc("delete", "a").returncode == 1
    assert vbmcd.status("a")["status"] == "error"
    eventually(lambda: not _is_bound(port), what="what is listed as an error is not served")
    file.rmdir()
    file.write_bytes(content)
    vbmcd.ask("reload")
    assert answers(port)


def _is_bound(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def test_sighup_breaks_and_changes_nothing_that_is_right(vbmcd: Vbmcd) -> None:
    port = vbmcd.serve("a", **NO_MACHINE)
    workers = vbmcd.workers()
    file = vbmcd.state / "instances" / "b.json"
    with Console(port) as console:
        console.login()
        file.write_text("{}")
        os.kill(vbmcd.pid, signal.SIGHUP)
        eventually(lambda: len(vbmcd.ask("list")["instances"]) == 2, what="SIGHUP reads the folder")
        assert vbmcd.status("b")["status"] == "error"
        assert console.request(*STATUS)[0] == 0
    assert vbmcd.workers() == workers
    vbmcd.ask("delete", names=["b"])
    assert not file.exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    libc = ctypes.CDLL(None, use_errno=True)
    folder = tmp_path / "small"
    folder.mkdir()
    if libc.mount(b"tmpfs", bytes(folder), b"tmpfs", 0, b"size=64k"):
        raise OSError(ctypes.get_errno(), "mount")
    yield folder
    libc.umount2(bytes(folder), 2)  # MNT_DETACH


def fill(file: Path) -> None:
    """Take all the room that there is."""
    with file.open("wb", buffering=0) as filler, contextlib.suppress(OSError):
        while True:
            filler.write(bytes(1024))


def test_a_full_disk_refuses_a_change_and_loses_nothing(small_disk: Path) -> None:
    with Vbmcd(state=small_disk / "state") as vbmcd:
        port = vbmcd.serve("a", **NO_MACHINE)
        fill(small_disk / "filler")
        refused = vbmcd.vbmc("add", "b")
        assert refused.returncode == 1 and "free some space" in refused.stderr and "Traceback" not in refused.stderr
        with pytest.raises(ControlError, match="free some space"):
            vbmcd.apply({"name": "a", "password": "another"}, {"name": "c"})
        assert [one["name"] for one in vbmcd.ask("list")["instances"]] == ["a"]
        with Console(port) as console:
            console.login()
            # What can't be kept is not promised.
            assert console.request(0x00, 0x08, b"\x05\x80\x00\x00\x00\x00") == b"\xc0"
        vbmcd.restart()
        assert answers(port)
        (small_disk / "filler").unlink()
        assert vbmcd.vbmc("add", "b").returncode == 0


# --- Secrets ---------------------------------------------------------------------------------------------------------


def test_a_password_is_nowhere_but_in_its_file(vbmcd: Vbmcd, tmp_path: Path) -> None:
    word = tmp_path / "word"
    word.write_text(SECRET + "\n")
    said = [
        vbmcd.vbmc("add", "a", "--password-file", str(word), "--libvirt-uri", "test:///default", "--domain", "test"),
        vbmcd.vbmc("start", "a"),
    ]
    spec = {"name": "b", "password": SECRET, "libvirt_sasl_username": "root", "libvirt_sasl_password": SASL_SECRET}
    spec["users"] = [{"name": "monitor", "password": SECRET, "privilege": "user"}]  # type: ignore[assignment]
    for options in ([], ["--check"], ["-f", "json"], ["-f", "yaml"]):
        said.append(vbmcd.vbmc("apply", "-", *options, input=json.dumps([spec])))
        spec["port"] = str(6400 + len(said))
    for wrong in ({**spec, "port": 0}, {**spec, "password": SECRET * 3}, {**spec, "nothing": SECRET}):
        said.append(vbmcd.vbmc("apply", "-", input=json.dumps([wrong])))
    for words in (["show", "a", "b"], ["show", "b", "-f", "json"], ["list"], ["status"]):
        said.append(vbmcd.vbmc(*words))
    port = vbmcd.status("a")["port"]
    assert answers(port, SECRET)
    with pytest.raises(Refused), Console(port, password="wrong") as console:
        console.login()
    texts = [vbmcd.log, json.dumps(vbmcd.ask("list"))]
    texts += [one.stdout + one.stderr for one in said]
    texts += [Path(f"/proc/{pid}/{file}").read_text() for pid in vbmcd.processes() for file in ("cmdline", "environ")]
    assert len(texts) > 15
    for text in texts:
        assert SECRET not in text and SASL_SECRET not in text


def test_files_folders_and_socket_are_private(vbmcd: Vbmcd) -> None:
    port = vbmcd.serve("a", **NO_MACHINE)
    with Console(port) as console:
        console.login().request(0x00, 0x08, b"\x05\x80\x00\x00\x00\x00")
    for path in [vbmcd.state, *vbmcd.state.rglob("*")]:
        assert mode(path) == (0o700 if path.is_dir() else 0o600), path
    assert len(list(vbmcd.state.rglob("*.json"))) == 2
    assert mode(vbmcd.socket) == 0o660 and mode(vbmcd.socket.parent) == 0o750
    assert [mode(path) for path in vbmcd.socket.parent.iterdir() if path != vbmcd.socket] == [0o600]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# --- The command ------------------------------------------------------------------------------------------------------


def test_the_daemon_in_the_background_is_ready_when_its_command_ends() -> None:
    vbmcd = Vbmcd()
    command = [word for word in vbmcd.command_line() if word != "--foreground"]
    assert subprocess.run(command, env=vbmcd.env, check=False, timeout=60).returncode == 0
    pid = vbmcd.ask("ping")["pid"]
    second = subprocess.run(command, env=vbmcd.env, check=False, timeout=60, capture_output=True, text=True)
    assert second.returncode == 1 and f"process id {pid} serves it" in second.stderr
    log = vbmcd.state / "vbmcd.log"
    assert "vbmcd is ready" in log.read_text() and mode(log) == 0o600
    vbmcd.ask("shutdown")
    eventually(lambda: not alive([pid]), what="shutdown ends it")
    vbmcd.socket.mkdir(parents=True)
    third = subprocess.run(command, env=vbmcd.env, check=False, timeout=60, capture_output=True, text=True)
    assert third.returncode == 1 and f"{vbmcd.socket} is in the way" in third.stderr
    vbmcd.socket.rmdir()
    with vbmcd:
        pass


@pytest.mark.parametrize("option", ["--workers=0", "--workers=many", "--boot-flag-timeout=-1"])
def test_an_option_that_makes_no_sense_is_named_with_what_would(vbmcd: Vbmcd, option: str) -> None:
    command = [*vbmcd.command_line(), option]
    done = subprocess.run(command, env=vbmcd.env, check=False, timeout=60, capture_output=True, text=True)
    name, _is, value = option.partition("=")
    assert done.returncode == 2 and f"argument {name}: {value!r} is " in done.stderr


def test_at_the_limit_of_open_files_surplus_instances_are_in_error_and_the_daemon_goes_on() -> None:
    with Vbmcd(workers="1") as vbmcd:
        resource.prlimit(vbmcd.pid, resource.RLIMIT_NOFILE, (100, 100))
        result = vbmcd.apply(*({"name": f"n{number}", "state": "started", **NO_MACHINE} for number in range(60)))
        errors = [one["error"] for one in result["instances"] if one["error"]]
        assert 0 < len(errors) < 60 and all("limit of open files" in error for error in errors)
        for _turn in range(20):
            assert len(vbmcd.ask("list")["instances"]) == 60


def test_sockets_that_a_cleaner_removed_are_made_again(vbmcd: Vbmcd) -> None:
    port = vbmcd.serve("a", **NO_MACHINE)
    shutil.rmtree(vbmcd.socket.parent)
    eventually(vbmcd.socket.exists, what="the control socket is there again")
    assert mode(vbmcd.socket) == 0o660
    assert vbmcd.status("a")["status"] == "running"
    before = vbmcd.worker_of("a")
    os.kill(before, signal.SIGKILL)
    eventually(lambda: vbmcd.worker_of("a") not in (None, before), what="a new worker finds the way to the supervisor")
    with Console(port) as console:
        console.login()


def test_what_can_be_done_of_several_names_is_done(vbmcd: Vbmcd) -> None:
    vbmcd.serve("a", **NO_MACHINE)
    done = vbmcd.vbmc("stop", "nobody", "a")
    assert done.returncode == 1 and "No domain with matching name nobody was found" in done.stderr
    assert vbmcd.status("a")["status"] == "down"


def test_a_socket_that_another_daemon_made_meanwhile_stays(vbmcd: Vbmcd) -> None:
    vbmcd.socket.unlink()
    other = socket.socket(socket.AF_UNIX)
    other.bind(str(vbmcd.socket))
    os.kill(vbmcd.pid, signal.SIGTERM)
    vbmcd.stop()
    assert vbmcd.socket.exists()
    other.close()
    vbmcd.socket.unlink()
