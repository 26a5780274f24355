# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is measured of a server: each function runs one scenario and returns its figures, medians of several rounds."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median

from benchmarks import processes
from benchmarks.clients import ADDRESS, Crowd, sessions
from benchmarks.console import PASSWORD, USERNAME, capabilities, whole_session
from benchmarks.servers import Server

START_TIMEOUT = 120
IDLE_SECONDS = 3.0
SETTLED = 0.05
"""CPU seconds a second below which a server that has just been busy counts as idle, ..."""
SETTLE_TIMEOUT = 15
"""... or after so many seconds."""


@dataclass
class Footprint:
    """A server with all of its BMCs up. Seconds, MiB, CPU seconds of its processes."""

    server: str
    bmcs: int
    processes: int
    pss: float
    private: float
    answers: float
    """From the process's start until every BMC has answered Get Channel Authentication Capabilities, ..."""
    in_session: float
    """... and until every one has answered a Get Chassis Status in a session of its own, asked after that."""
    poll: float
    """One session with every BMC (log in, status, log out), all at the same time; after that, its server CPU."""
    poll_cpu: float
    ipmipower: float
    """One `ipmipower --stat` over all; after that, its server CPU, and how many it heard in the worst round."""
    ipmipower_cpu: float
    heard: int
    idle_cpu: float
    """CPU seconds a second when nobody asks."""
    again: int
    """Exchanges that had to be repeated, over all rounds."""


def footprint(server: Server, rounds: int) -> Footprint:
    """Start it `rounds` times; nothing else that is measured runs meanwhile."""
    starts, again = [], 0
    for number in range(rounds):
        with server:
            answered = Crowd(server.ports, capabilities).run(START_TIMEOUT)
            told = Crowd(server.ports, lambda: whole_session(3)).run(START_TIMEOUT)
            again += answered.again + told.again
            pids = server.processes()
            memory = processes.memory(pids)
            starts.append((answered.finished - server.started, told.finished - server.started, memory))
            if number + 1 < rounds:
                continue
            _settle(pids)
            began, cpu = time.monotonic(), processes.cpu(pids)
            time.sleep(IDLE_SECONDS)
            idle = (processes.cpu(pids) - cpu) / (time.monotonic() - began)
            polls = [_poll(server, pids) for _turn in range(3)]
            powers = [_ipmipower(server, pids) for _turn in range(3)]
    return Footprint(
        server.name, server.count, len(pids),
        pss=median(memory.pss for *_unused, memory in starts),
        private=median(memory.private for *_unused, memory in starts),
        answers=median(start[0] for start in starts),
        in_session=median(start[1] for start in starts),
        poll=median(wall for wall, _unused in polls),
        poll_cpu=median(cpu for _unused, cpu in polls),
        ipmipower=median(wall for wall, *_unused in powers),
        ipmipower_cpu=median(cpu for _wall, cpu, _heard in powers),
        heard=min(heard for *_unused, heard in powers),
        idle_cpu=idle,
        again=again,
    )  # fmt: skip


def _settle(pids: Sequence[int]) -> None:
    deadline = time.monotonic() + SETTLE_TIMEOUT
    while time.monotonic() < deadline:
        cpu = processes.cpu(pids)
        time.sleep(1)
        if processes.cpu(pids) - cpu < SETTLED:
            return


def _poll(server: Server, pids: Sequence[int]) -> tuple[float, float]:
    began, cpu = time.monotonic(), processes.cpu(pids)
    finished = Crowd(server.ports, lambda: whole_session(3)).run(START_TIMEOUT).finished
    return finished - began, processes.cpu(pids) - cpu


def _ipmipower(server: Server, pids: Sequence[int]) -> tuple[float, float, int]:
    began, cpu = time.monotonic(), processes.cpu(pids)
    heard = ipmipower(server.ports)
    return time.monotonic() - began, processes.cpu(pids) - cpu, heard


def ipmipower(ports: Sequence[int]) -> int:
    """Read the power of BMCs by one process of FreeIPMI's; of how many it has heard."""
    hosts = ",".join(f"{ADDRESS}:{port}" for port in ports)
    # The workaround is ipmi_sim's: without it, it refuses FreeIPMI's privilege.
    login = ["-D", "LAN_2_0", "-I", "3", "-W", "opensesspriv", "-u", USERNAME, "-p", PASSWORD]
    command = ["ipmipower", *login, "-h", hosts, "--stat"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.count(": off")


@dataclass
class CommandCost:
    """Get Chassis Status in session, one command under way at a time. Microseconds."""

    server: str
    bmcs: int
    sessions: int
    """Over how many BMCs the commands go, in turn."""
    suite: int
    cpu: float
    """Of the server, a command."""
    libvirtd_cpu: float
    p50: float
    """Seen by the client."""
    p99: float
    ratio: float = 0.0
    """Of `cpu`, to ipmi_sim's in the same rounds."""


@dataclass(frozen=True)
class Case:
    """One line of a comparison: a server that runs, and how it is asked."""

    server: Server
    sessions: int
    suite: int
    commands: int


def commands(cases: Sequence[Case], libvirtd: int, rounds: int) -> list[CommandCost]:
    """All servers at once, each asked in turn in every round, so that the machine's noise hits all.

    The first case is the yardstick of the others' ratios.
    """
    with ExitStack() as running:
        for server in dict.fromkeys(case.server for case in cases):
            running.enter_context(server)
            Crowd(server.ports, lambda: whole_session(3)).run(START_TIMEOUT)
            _settle(server.processes())
        measured = [[_ask(case, libvirtd) for case in cases] for _turn in range(rounds)]
    costs = [_middle([one[index] for one in measured]) for index in range(len(cases))]
    for cost in costs:
        cost.ratio = cost.cpu / costs[0].cpu
    return costs


def _ask(case: Case, libvirtd: int) -> CommandCost:
    server = case.server
    with sessions(server.ports[: case.sessions], case.suite) as opened:
        opened.ask(min(500, case.commands))
        pids = server.processes()
        cpu, beside = processes.cpu(pids), processes.cpu([libvirtd])
        pace = opened.ask(case.commands)
        used, beside = processes.cpu(pids) - cpu, processes.cpu([libvirtd]) - beside
    each = 1e6 / case.commands
    return CommandCost(
        server.name, server.count, case.sessions, case.suite,
        used * each, beside * each, pace.percentile(50) * 1e6, pace.percentile(99) * 1e6,
    )  # fmt: skip


def _middle(rounds: list[CommandCost]) -> CommandCost:
    """The round with the median CPU."""
    return sorted(rounds, key=lambda one: one.cpu)[len(rounds) // 2]
