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

from benchmarks.scenarios import CommandCost, Footprint
from benchmarks.task import TaskTimes


@dataclass
class Results:
    """Everything of one run."""

    machine: dict[str, str]
    footprints: list[Footprint] = field(default_factory=list)
    commands: list[CommandCost] = field(default_factory=list)
    task: TaskTimes | None = None
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
        footprints(results.footprints),
        commands(results.commands),
    ]
    if task := results.task:
        times = [[str(task.bmcs), f"{task.converge:.2f}", f"{task.unchanged:.2f}", f"{task.purge:.2f}"]]
        parts.append(table(["BMCs in one vbmc task", "converge s", "unchanged s", "purge s"], times))
    parts.append(table(["target", "at most", "measured", ""], [target.row() for target in targets(results)]))
    return "\n\n".join(parts)


def store(results: Results, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(results), indent=1) + "\n")
