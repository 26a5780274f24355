# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a busy server does: commands of many sessions at once, logins, latency at a given rate, memory of sessions.

As in ``scenarios``, each function runs one scenario and returns its figures; CPU is the server's, user and system.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import cycle, islice
from statistics import median

from benchmarks import processes
from benchmarks.clients import Crowd
from benchmarks.console import whole_session
from benchmarks.load import Load, SetUps
from benchmarks.scenarios import START_TIMEOUT, Case
from benchmarks.servers import Server

RATE = 5000
"""Commands a second for the latency."""
CALLERS = 32
"""Logins under way at a time."""


@dataclass
class BusyCost:
    """Get Chassis Status, one under way in each of the sessions all the time."""

    server: str
    bmcs: int
    sessions: int
    suite: int
    cpu: float
    """Microseconds of the server's CPU a command."""
    rate: float
    """Commands a second that were answered; the client may be what limits it."""
    ratio: float = 0.0
    """Of `cpu`, to the first case's."""


@dataclass
class Latency:
    """Get Chassis Status at RATE, over 100 sessions. Microseconds from when a command was due to its answer."""

    server: str
    bmcs: int
    suite: int
    p50: float
    p99: float


@dataclass
class SetUpCost:
    """Log in, log out."""

    server: str
    suite: int
    cpu: float
    """Microseconds of the server's CPU for both."""
    rate: float


@dataclass
class SessionMemory:
    """KiB of the server's own memory for each session that is open."""

    server: str
    sessions: int
    each: float


def ready(server: Server) -> None:
    """Wait until every BMC has answered in a session, and what that cost is over."""
    Crowd(server.ports, lambda: whole_session(3)).run(START_TIMEOUT)
    time.sleep(1)


def busy(cases: Sequence[Case], rounds: int) -> list[BusyCost]:
    """All servers at once, each busy in turn in every round; a case's sessions go round its server's BMCs."""
    with ExitStack() as running:
        for server in dict.fromkeys(case.server for case in cases):
            running.enter_context(server)
            ready(server)
        measured = [[_busy(case) for case in cases] for _turn in range(rounds)]
    costs = [sorted(column, key=lambda one: one.cpu)[rounds // 2] for column in zip(*measured, strict=True)]
    for cost in costs:
        cost.ratio = cost.cpu / costs[0].cpu
    return costs


def _busy(case: Case) -> BusyCost:
    server = case.server
    with Load(list(islice(cycle(server.ports), case.sessions)), case.suite) as load:
        load.prepare(max(case.sessions, case.commands // 10))
        load.at_once()
        load.prepare(case.commands)
        pids = server.processes()
        began, cpu = time.monotonic(), processes.cpu(pids)
        asked = load.at_once()
        used, seconds = processes.cpu(pids) - cpu, time.monotonic() - began
    return BusyCost(server.name, server.count, case.sessions, case.suite, used * 1e6 / asked, asked / seconds)


def latency(server: Server, seconds: float, suite: int) -> Latency:
    """Of a server that runs."""
    sessions = 100
    with Load(list(islice(cycle(server.ports), sessions)), suite) as load:
        load.prepare(sessions * 5)
        load.at_once()
        load.prepare(int(RATE * seconds))
        pace = load.paced(RATE)
    return Latency(server.name, server.count, suite, pace.percentile(50) * 1e6, pace.percentile(99) * 1e6)


def set_ups(server: Server, count: int, suite: int, rounds: int) -> SetUpCost:
    """Of a server that runs."""
    ports = list(islice(cycle(server.ports), min(CALLERS, count)))
    measured = []
    for _turn in range(rounds):
        pids = server.processes()
        cpu = processes.cpu(pids)
        seconds = SetUps(ports, suite).run(count)
        measured.append(((processes.cpu(pids) - cpu) * 1e6 / count, count / seconds))
    return SetUpCost(
        server.name, suite, median(cpu for cpu, _rate in measured), median(rate for _cpu, rate in measured)
    )


def session_memory(server: Server, each: int) -> SessionMemory:
    """Of a server that runs: so many sessions with every BMC."""
    count = each * server.count
    pids = server.processes()
    before = processes.memory(pids).private
    with Load(list(server.ports) * each, 17) as load:
        load.prepare(count)
        load.at_once()
        after = processes.memory(pids).private
    return SessionMemory(server.name, count, (after - before) * 1024 / count)
