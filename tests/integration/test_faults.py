# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes that die or hang, and a daemon that goes on: workers, the spawner, the supervisor."""

from __future__ import annotations

import concurrent.futures
import os
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Iterator

import pytest

from rig.console import CONTROL, DEVICE_ID, STATUS, Console
from rig.daemon import NO_MACHINE, STOP_SECONDS, Vbmcd, alive
from rig.waiting import eventually

LOGIN_SECONDS = 0.3
"""What a new login may take when its worker was killed a moment ago."""
HUNG_SECONDS = 3.0
"""After its last heartbeat a worker is replaced, and heartbeats come every second."""


@pytest.fixture
def vbmcd() -> Iterator[Vbmcd]:
    with Vbmcd() as daemon:
        yield daemon


@pytest.fixture
def per_instance() -> Iterator[Vbmcd]:
    with Vbmcd(workers="instance") as daemon:
        yield daemon


def login_seconds(port: int) -> float:
    began = time.monotonic()
    with Console(port) as console:
        console.login()
    return time.monotonic() - began


def login_after_kill(vbmcd: Vbmcd, port: int) -> float:
    """Seconds of a login to `a` whose worker was killed a moment ago."""
    os.kill(vbmcd.worker_of("a"), signal.SIGKILL)
    assert is_bound(port)
    return login_seconds(port)


def is_bound(port: int) -> bool:
    """Whether anybody has the UDP port on 127.0.0.1."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


# --- Workers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", ["1", "instance"])
def test_a_killed_worker_loses_no_port_and_answers_again_at_once(workers: str) -> None:
    with Vbmcd(workers=workers) as vbmcd:
        port, other = vbmcd.serve("a", **NO_MACHINE), vbmcd.serve("b", **NO_MACHINE)
        first = vbmcd.worker_of("a")
        taken = [login_after_kill(vbmcd, port)]
        # The best of some, because a machine that runs other tests besides has its hiccups.
        while taken[-1] >= LOGIN_SECONDS and len(taken) < 10:
            taken.append(login_after_kill(vbmcd, port))
        assert taken[-1] < LOGIN_SECONDS, taken
        assert vbmcd.worker_of("a") not in (first, None)
        login_seconds(other)


def test_only_the_sessions_of_the_killed_worker_end(vbmcd: Vbmcd) -> None:
    ports = {name: vbmcd.serve(name, **NO_MACHINE) for name in ("a", "b")}
    assert vbmcd.worker_of("a") != vbmcd.worker_of("b")
    with Console(ports["b"]) as console:
        console.login()
        os.kill(vbmcd.worker_of("a"), signal.SIGKILL)
        login_seconds(ports["a"])
        assert console.request(*STATUS)[0] == 0


def test_boot_flags_outlive_their_worker(vbmcd: Vbmcd) -> None:
    port = vbmcd.serve("a", **NO_MACHINE)
    flags = bytes((0x80, 0x00, 0x00, 0x00, 0x00))
    with Console(port) as console:
        assert console.login().request(0x00, 0x08, b"\x05" + flags) == b"\0"
        os.kill(vbmcd.worker_of("a"), signal.SIGKILL)
        assert console.login().request(0x00, 0x09, b"\x05\0\0")[3:] == flags
    vbmcd.restart()
    with Console(port) as console:
        assert console.login().request(0x00, 0x09, b"\x05\0\0")[3:] == flags


def test_a_hung_worker_is_replaced(vbmcd: Vbmcd) -> None:
    port = vbmcd.serve("a", **NO_MACHINE)
    hung = vbmcd.worker_of("a")
    stopped = time.monotonic()
    os.kill(hung, signal.SIGSTOP)
    # Sent again as seldom as by the usual clients: what is sent waits in the kernel for the successor.
    with Console(port, resend=1) as console:
        console.login(timeout=60)
    took = time.monotonic() - stopped
    assert took > HUNG_SECONDS - 1.1, "3 s after the last heartbeat, which was up to 1 s before"
    assert vbmcd.worker_of("a") != hung and not alive([hung])
    assert "a worker hangs and is killed" in vbmcd.log


def test_a_worker_that_dies_while_instances_change_serves_them_all(vbmcd: Vbmcd) -> None:
    specs = [{"name": f"n-{n}", "address": "127.0.0.1", "state": "started", **NO_MACHINE} for n in range(60)]
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        for password in ("first", "second"):
            applied = pool.submit(vbmcd.apply, *({**spec, "password": password} for spec in specs))
            for pid in vbmcd.workers().values():
                os.kill(pid, signal.SIGKILL)
            assert all(one["error"] is None for one in applied.result(60)["instances"])
    for status in vbmcd.ask("list")["instances"]:
        with Console(status["port"], password="second") as console:
            console.login()


# --- The spawner and the supervisor ----------------------------------------------------------------------------------


def test_without_its_spawner_the_daemon_begins_anew(vbmcd: Vbmcd) -> None:
    port = vbmcd.serve("a", **NO_MACHINE)
    pid, spawner = vbmcd.ask("ping")["pid"], vbmcd.spawner()
    os.kill(spawner, signal.SIGKILL)
    eventually(lambda: spawner not in vbmcd.processes(), what="the old spawner is gone")
    with Console(port) as console:
        console.login()
    assert vbmcd.ask("ping")["pid"] == pid
    os.kill(vbmcd.worker_of("a"), signal.SIGKILL)
    login_seconds(port)
    # All that was started belongs to the daemon of today.
    eventually(lambda: len(vbmcd.processes()) == 4, what="supervisor, spawner and two workers")


def test_a_spawner_that_hangs_is_ended_and_the_daemon_begins_anew(vbmcd: Vbmcd) -> None:
    port = vbmcd.serve("a", **NO_MACHINE)
    os.kill(vbmcd.spawner(), signal.SIGSTOP)
    os.kill(vbmcd.worker_of("a"), signal.SIGKILL)
    eventually(lambda: "starts itself again" in vbmcd.log, what="the daemon begins anew")
    with Console(port) as console:
        assert console.login().request(*STATUS)[0] == 0
    assert vbmcd.stop() < STOP_SECONDS


def test_a_worker_for_which_there_is_no_room_is_started_once_there_is(vbmcd: Vbmcd) -> None:
    port, worker = vbmcd.serve("a", **NO_MACHINE), vbmcd.worker_of("a")
    # Root is exempt from the limit of processes, but not from that of open files: the worker's channel finds no room.
    soft, hard = resource.prlimit(vbmcd.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(vbmcd.pid, resource.RLIMIT_NOFILE, (3, hard))
    os.kill(worker, signal.SIGKILL)
    eventually(lambda: "a worker can't be started" in vbmcd.log, what="the attempt fails")
    resource.prlimit(vbmcd.pid, resource.RLIMIT_NOFILE, (soft, hard))
    with Console(port) as console:
        assert console.login().request(*STATUS)[0] == 0


@pytest.mark.parametrize("workers", ["2", "instance"])
def test_a_killed_supervisor_leaves_no_orphan_and_the_next_start_works_at_once(workers: str) -> None:
    with Vbmcd(workers=workers) as vbmcd:
        ports = {name: vbmcd.serve(name, **NO_MACHINE) for name in ("a", "b", "c")}
        vbmcd.ask("stop", names=["c"])
        family = vbmcd.processes()
        vbmcd.kill()
        # At once: no wait for anything, for whoever starts it again (systemd) does not wait either.
        vbmcd.start()
        assert not alive(family)
        for name in ("a", "b"):
            login_seconds(ports[name])
        assert [one["status"] for one in vbmcd.ask("list")["instances"]] == ["running", "running", "down"]
        assert not is_bound(ports["c"])


def test_a_killed_supervisor_frees_the_ports(vbmcd: Vbmcd) -> None:
    port = vbmcd.serve("a", **NO_MACHINE)
    os.kill(vbmcd.worker_of("a"), signal.SIGSTOP)
    family = vbmcd.processes()
    vbmcd.kill()
    eventually(lambda: not alive(family), what="no process outlives its supervisor, not even a stopped one")
    eventually(lambda: not is_bound(port), what="nobody holds the port")


def test_of_two_daemons_on_one_state_folder_one_serves_and_the_other_names_it() -> None:
    vbmcd = Vbmcd()
    try:
        rivals = [
            subprocess.Popen(
                vbmcd.command_line(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                text=True, env=vbmcd.env,
            )
            for _turn in range(2)
        ]  # fmt: skip
        eventually(lambda: any(one.poll() is not None for one in rivals), what="one of the two gives up")
        loser, winner = sorted(rivals, key=lambda one: one.poll() is None)
        said, _unused = loser.communicate()
        assert loser.returncode == 1
        assert f"process id {winner.pid} serves it" in said and str(vbmcd.socket) in said and "Traceback" not in said
        eventually(vbmcd.socket.exists, what="the winner listens")
        assert vbmcd.ask("ping")["pid"] == winner.pid
        winner.terminate()
        winner.communicate(timeout=60)
    finally:
        with vbmcd:  # the folder is free again; and removed
            pass


def test_a_second_daemon_does_not_take_the_socket_of_another(vbmcd: Vbmcd) -> None:
    rival = Vbmcd(folder=vbmcd.folder, state=vbmcd.folder / "other")
    done = subprocess.run(rival.command_line(), capture_output=True, text=True, check=False, env=rival.env, timeout=60)
    assert done.returncode == 1 and str(vbmcd.socket) in done.stderr and "Traceback" not in done.stderr
    assert vbmcd.ask("ping")["pid"] == vbmcd.pid


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_daemon_stops_cleanly_and_quickly(vbmcd: Vbmcd, number: signal.Signals) -> None:
    port = vbmcd.serve("a", **NO_MACHINE)
    family, pid = vbmcd.processes(), vbmcd.pid
    os.kill(pid, number)
    assert vbmcd.stop() < STOP_SECONDS
    assert not alive(family) and not is_bound(port)
    assert not vbmcd.socket.exists()
    assert "Traceback" not in vbmcd.log and " error " not in vbmcd.log


def test_a_sigterm_to_every_process_at_once_ends_the_daemon(vbmcd: Vbmcd) -> None:
    # As systemd sends it to a unit that says nothing else (KillMode=control-group).
    vbmcd.serve("a", **NO_MACHINE)
    family = vbmcd.processes()
    os.kill(vbmcd.spawner(), signal.SIGTERM)
    for pid in family:
        os.kill(pid, signal.SIGTERM)
    eventually(lambda: not alive(family), what="every process has ended")
    assert "starts itself again" not in vbmcd.log


def test_a_hung_worker_does_not_keep_the_daemon_from_stopping(vbmcd: Vbmcd) -> None:
    vbmcd.serve("a", **NO_MACHINE)
    os.kill(vbmcd.worker_of("a"), signal.SIGSTOP)
    assert vbmcd.stop() < STOP_SECONDS


# --- What comes over the network -------------------------------------------------------------------------------------


def test_a_power_command_that_is_sent_again_runs_once(vbmcd: Vbmcd) -> None:
    port = vbmcd.serve("a", **NO_MACHINE)
    with Console(port) as console:
        packets = console.login().packets
        again = [packets.request(*CONTROL, b"\x03", rqseq=9) for _turn in range(3)]
        # New sequence numbers first; then the very datagrams once more, which are replays and get no answer.
        for datagram in (*again, *again):
            console.send(datagram)
        assert console.answers(0.5).count(b"\0") <= 3
        assert console.request(*DEVICE_ID)[0] == 0
    assert [line["action"] for line in vbmcd.audit("a")] == ["reset"]
