# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The figures as tables (Markdown, as docs/benchmarks.md has them), as JSON, and beside their targets."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.dependencies import Follow
from benchmarks.firmware import UploadCost
from benchmarks.power import PowerRead
from benchmarks.redfish import Redfish, RequestCost
from benchmarks.scenarios import CommandCost, Footprint
from benchmarks.task import TaskTimes
from benchmarks.throughput import RATE, BusyCost, Latency, SessionMemory, SetUpCost


@dataclass
class Results:
    """Everything of one run."""

    machine: dict[str, str]
    footprints: list[Footprint] = field(default_factory=list)
    commands: list[CommandCost] = field(default_factory=list)
    busy: list[BusyCost] = field(default_factory=list)
    set_ups: list[SetUpCost] = field(default_factory=list)
    latencies: list[Latency] = field(default_factory=list)
    session_memory: SessionMemory | None = None
    task: TaskTimes | None = None
    follows: list[Follow] = field(default_factory=list)
    redfish: Redfish | None = None
    power: PowerRead | None = None
    uploads: list[UploadCost] = field(default_factory=list)
    minutes: float = 0.0


@dataclass(frozen=True)
class Target:
    """What issue and design ask for; `value` is None where the run did not measure it."""

    text: str
    limit: float
    value: float | None

    def row(self) -> list[str]:
        if self.value is None:
            return [self.text, f"{self.limit:g}", "-", "not measured"]
        return [self.text, f"{self.limit:g}", f"{self.value:.2f}", "reached" if self.value <= self.limit else "MISSED"]


def machine() -> dict[str, str]:
    """What the figures depend on."""
    cpu = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    libvirtd = subprocess.run(["libvirtd", "--version"], capture_output=True, text=True, check=False).stdout
    return {
        "cpu": f"{os.cpu_count()} x {cpu.partition(':')[2].strip() or platform.machine()}",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "libvirtd": libvirtd.split()[-1] if libvirtd else "",
        "load before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
    }


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [list(head), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    shown = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]
    shown.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(shown)


def footprints(measured: Sequence[Footprint]) -> str:
    head = "server, BMCs, processes, PSS MiB, MiB a BMC, all answer s, all in session s, poll s, poll CPU s"
    head += ", ipmipower s, heard, its server CPU s, idle CPU %"
    rows = [
        [
            one.server, str(one.bmcs), str(one.processes), f"{one.pss:.1f}", f"{one.pss / one.bmcs:.2f}",
            f"{one.answers:.2f}", f"{one.in_session:.2f}", f"{one.poll:.3f}", f"{one.poll_cpu:.3f}",
            f"{one.ipmipower:.2f}", str(one.heard), f"{one.ipmipower_cpu:.3f}", f"{one.idle_cpu * 100:.2f}",
        ]
        for one in measured
    ]  # fmt: skip
    return table(head.split(", "), rows)


def commands(measured: Sequence[CommandCost]) -> str:
    head = "server, BMCs, sessions, suite, CPU us, times ipmi_sim, libvirtd CPU us, p50 us, p99 us"
    rows = [
        [
            one.server, str(one.bmcs), str(one.sessions), str(one.suite), f"{one.cpu:.1f}", f"{one.ratio:.1f}",
            f"{one.libvirtd_cpu:.1f}", f"{one.p50:.0f}", f"{one.p99:.0f}",
        ]
        for one in measured
    ]  # fmt: skip
    return table(head.split(", "), rows)


def busy(measured: Sequence[BusyCost]) -> str:
    head = "server, BMCs, busy sessions, suite, CPU us, times the first, commands/s"
    rows = [
        [
            one.server, str(one.bmcs), str(one.sessions), str(one.suite), f"{one.cpu:.1f}", f"{one.ratio:.2f}",
            f"{one.rate:.0f}",
        ]
        for one in measured
    ]  # fmt: skip
    return table(head.split(", "), rows)


def set_ups(measured: Sequence[SetUpCost]) -> str:
    rows = [[one.server, str(one.suite), f"{one.cpu:.0f}", f"{one.rate:.0f}"] for one in measured]
    return table(["server", "suite", "CPU us a login and logout", "a second"], rows)


def latencies(measured: Sequence[Latency]) -> str:
    rows = [[one.server, str(one.bmcs), str(one.suite), f"{one.p50:.0f}", f"{one.p99:.0f}"] for one in measured]
    return table(["server", "BMCs", "suite", f"p50 us at {RATE}/s", "p99 us"], rows)


def busy_targets(results: Results) -> list[Target]:
    """Of the servers under load. CPU counts: a second of one core, divided by what the target wants of it."""

    def worst(sessions: int, what: str) -> float | None:
        found = [getattr(one, what) for one in results.busy if one.sessions == sessions and "vbmcd" in one.server]
        return max(found, default=None)

    thousand, more = worst(1000, "cpu"), worst(4000, "cpu")
    auto = {one.bmcs: one.pss for one in results.footprints if one.server.endswith("auto")}
    many = max(auto, default=0)
    idle = (auto[many] - auto[1]) * 1024 / (many - 1) if many > 1 and 1 in auto else None
    logins = [one.cpu for one in results.set_ups if one.suite == 17]
    slow = [one.p99 / 1000 for one in results.latencies]
    return [
        Target("one busy session: CPU a command, times ipmi_sim's", 2, worst(1, "ratio")),
        Target("three busy sessions: the same", 2.5, worst(3, "ratio")),
        Target("1,000 busy BMCs: us of CPU a command (15,000/s on a core)", 66.7, thousand),
        Target("4,000 busy BMCs: the same, times that with 1,000", 1.1, more / thousand if more and thousand else None),
        Target("p99 at 5,000 commands/s: ms", 1, max(slow, default=None)),
        Target("a session set up with suite 17: us of CPU (1,000/s on a core)", 1000, max(logins, default=None)),
        Target("KiB PSS an idle BMC beyond the first", 20, idle),
    ]


def follows(measured: Sequence[Follow]) -> str:
    head = "dependencies, toggles, lost, p50 ms, p95 ms, a client's p50 ms, its p95 ms, times the client p50, p95"
    rows = [
        [
            str(one.dependencies), str(one.toggles), str(one.lost), f"{one.p50:.1f}", f"{one.p95:.1f}",
            f"{one.client_p50:.1f}", f"{one.client_p95:.1f}", f"{one.ratio[0]:.2f}", f"{one.ratio[1]:.2f}",
        ]
        for one in measured
    ]  # fmt: skip
    return table(head.split(", "), rows)


def follow_targets(results: Results) -> list[Target]:
    ratio = {one.dependencies: one.ratio for one in results.follows}
    return [
        *(
            Target(
                f"{count} to follow a suspend: p{share}, times a client's",
                limit,
                ratio[count][index] if count in ratio else None,
            )
            for count, limit in ((1, 1.5), (8, 2))
            for index, share in enumerate((50, 95))
        ),
        Target("suspends and resumes that were lost", 0, sum(one.lost for one in results.follows) if ratio else None),
    ]


def redfish(measured: Sequence[RequestCost]) -> str:
    rows = [
        [
            one.server,
            "kept" if one.kept else "new each time",
            f"{one.cpu:.0f}",
            f"{1e6 / one.cpu:.0f}",
            f"{one.rate:.0f}",
        ]
        for one in measured
    ]
    return table(["GET of a system over TLS", "connection", "CPU us", "a CPU second", "a second"], rows)


def redfish_targets(results: Results) -> list[Target]:
    measured = results.redfish
    ours, theirs = measured.requests[:2] if measured else (None, None)
    return [
        Target(
            "Redfish GET of a system: CPU, times sushy-emulator's",
            0.2,
            ours.cpu / theirs.cpu if ours and theirs else None,
        ),
        Target("Redfish: KiB PSS more for an idle BMC beyond the first", 30, measured.idle if measured else None),
    ]


def uploads(measured: Sequence[UploadCost]) -> str:
    rows = [
        [
            one.client, str(one.bmcs), str(one.mib), f"{one.seconds:.1f}", f"{one.slowest:.2f}", f"{one.cpu:.1f}",
            f"{one.memory:.0f}",
        ]
        for one in measured
    ]  # fmt: skip
    head = "client, BMCs, MiB each, s, times the slowest BMC's, client CPU ms an upload, client MiB"
    return table(head.split(", "), rows)


def upload_targets(results: Results) -> list[Target]:
    """Of an image to many BMCs at once over TLS."""
    found = {(one.client, one.bmcs): one for one in results.uploads}
    ours, curl, most = found.get(("hwctl", 100)), found.get(("curl", 100)), found.get(("hwctl", 1000))
    return [
        Target("64 MiB to 100 BMCs: CPU, times that of curl", 0.8, ours.cpu / curl.cpu if ours and curl else None),
        Target("64 MiB to 100 BMCs: MiB of memory", 60, ours.memory if ours else None),
        Target("8 MiB to 1,000 BMCs: MiB of memory", 100, most.memory if most else None),
        Target("64 MiB to 100 BMCs: wall time, times the slowest BMC's", 1.15, ours.slowest if ours else None),
        Target("8 MiB to 1,000 BMCs: the same", 1.15, most.slowest if most else None),
    ]


def power_target(read: PowerRead | None) -> Target:
    return Target("power of 500 BMCs on one core: seconds", 3, read.module if read and read.bmcs == 500 else None)


def targets(results: Results) -> list[Target]:
    auto = {one.bmcs: one for one in results.footprints if one.server.endswith("auto")}
    single = {one.bmcs: one for one in results.footprints if one.server.endswith("instance")}
    ratio = {
        (one.bmcs, one.sessions): one.ratio
        for one in results.commands
        if one.server.endswith("auto") and one.suite == 3
    }
    most, many, task = auto.get(1000), single.get(max(single, default=0)), results.task
    alone, among = ratio.get((1, 1)), ratio.get((1000, 1))
    dearer = among / alone if alone and among else None
    return [
        Target("1,000 BMCs, workers auto: MiB PSS", 110, most.pss if most else None),
        Target("workers instance: MiB PSS a BMC", 4, many.pss / many.bmcs if many else None),
        Target("Get Chassis Status: CPU, times ipmi_sim's", 3, alone),
        Target("the same with 1,000 BMCs present: times that with one", 1.1, dearer),
        Target("1,000 BMCs: seconds until all answer", 3, most.answers if most else None),
        Target("vbmc task, 200 BMCs: seconds to converge", 3, task.converge if task else None),
        Target("vbmc task, 200 BMCs: seconds when unchanged", 1.5, task.unchanged if task else None),
    ]


def show(results: Results) -> str:
    parts = [
        ", ".join(f"{name}: {value}" for name, value in results.machine.items()) + f"; {results.minutes:.1f} minutes",
        footprints(results.footprints) if results.footprints else "",
        commands(results.commands) if results.commands else "",
    ]
    if results.busy:
        parts += [busy(results.busy), set_ups(results.set_ups), latencies(results.latencies)]
    if memory := results.session_memory:
        parts.append(f"{memory.server}: {memory.each:.1f} KiB for each of {memory.sessions} sessions")
    if task := results.task:
        times = [[str(task.bmcs), f"{task.converge:.2f}", f"{task.unchanged:.2f}", f"{task.purge:.2f}"]]
        parts.append(table(["BMCs in one vbmc task", "converge s", "unchanged s", "purge s"], times))
    if results.follows:
        parts.append(follows(results.follows))
    if results.redfish:
        parts.append(redfish(results.redfish.requests))
    if read := results.power:
        times = [[str(read.bmcs), f"{read.module:.2f}", f"{read.ipmipower:.2f}"]]
        parts.append(table(["BMCs whose power is read on one core", "module power s", "ipmipower s"], times))
    if results.uploads:
        parts.append(uploads(results.uploads))
    aims = [
        *targets(results),
        power_target(results.power),
        *upload_targets(results),
        *busy_targets(results),
        *follow_targets(results),
        *redfish_targets(results),
    ]
    rows = [one.row() for one in aims]
    parts.append(table(["target", "at most", "measured", ""], rows))
    return "\n\n".join(part for part in parts if part)


def store(results: Results, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(results), indent=1) + "\n")
