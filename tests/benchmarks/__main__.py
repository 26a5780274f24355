# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m benchmarks [--quick]`, with tests/ on PYTHONPATH and as root: all scenarios, one after the other."""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import dependencies, firmware, power, redfish, report, throughput
from benchmarks.scenarios import Case, commands, footprint
from benchmarks.servers import CHECKOUT, DOMAINS, IpmiSim, Server, Vbmcd, VirtualBmc, domain
from benchmarks.task import vbmc_task
from rig.domains import tiny_domain
from rig.libvirtd import Libvirtd

PARTS = ("footprints", "commands", "busy", "task", "dependencies", "redfish", "power", "firmware")
RESULT = CHECKOUT / ".cache/bench/result.json"


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    auto: tuple[int, ...]
    instance: tuple[int, ...]
    virtualbmc: tuple[int, ...]
    crowd: int
    """BMCs for the cost of a command among many."""
    busy: tuple[int, ...]
    """Numbers of BMCs that are busy all at once."""
    task: int
    commands: int
    rounds: int
    redfish: int = 500
    """BMCs for the memory of one that nobody asks."""
    power: int = 500
    """BMCs whose power one task reads."""
    paced_seconds: float = 3.0
    follow: tuple[tuple[int, int], ...] = ((1, 500), (8, 100))
    """Numbers of dependencies, and how often each group is suspended and resumed."""
    uploads: tuple[tuple[int, int, float], ...] = ((100, 64, 40.0), (1000, 8, 40.0))
    """BMCs, MiB of an image for all of them, and the seconds that each of them takes for it."""

    @property
    def domains(self) -> int:
        most = max(*self.auto, *self.instance, *self.virtualbmc, self.crowd, self.task, self.redfish, self.power)
        return min(most, DOMAINS)


FULL = Size(
    auto=(1, 100, 200, 1000, 4000), instance=(1, 100, 200, 1000), virtualbmc=(1, 100, 200),
    crowd=1000, busy=(1000, 4000), task=200, commands=5000, rounds=5,
)  # fmt: skip
QUICK = Size(
    auto=(1, 50), instance=(1, 50), virtualbmc=(1, 10),
    crowd=50, busy=(20, 50), task=50, redfish=100, power=50, commands=1000, rounds=3, paced_seconds=0.5,
    follow=((1, 20), (8, 5)), uploads=((10, 8, 2.0),),
)  # fmt: skip


class Bench:
    """Makes configured servers, each in a folder of its own."""

    def __init__(self, folder: Path, libvirtd: Libvirtd) -> None:
        self.folder = folder
        self._libvirtd = libvirtd

    def define(self, count: int) -> None:
        """Domains that stay shut off. By one virsh: a process each would take a minute."""
        lines = []
        for number in range(count):
            path = self.folder / f"{domain(number)}.xml"
            path.write_text(tiny_domain(domain(number)))
            lines.append(f"define {path}")
        command = ["virsh", "--quiet", "--connect", self._libvirtd.uri]
        subprocess.run(command, input="\n".join(lines), text=True, check=True, capture_output=True)

    def vbmcd(self, count: int, workers: str) -> Server:
        return self._made(Vbmcd(count, self.folder / f"vbmcd-{workers}-{count}", workers))

    def virtualbmc(self, count: int) -> Server:
        return self._made(VirtualBmc(count, self.folder / f"virtualbmc-{count}"))

    def ipmi_sim(self) -> Server:
        return self._made(IpmiSim(1, self.folder / "ipmi_sim"))

    def _made(self, server: Server) -> Server:
        if not (server.folder / "configured").exists():
            server.configure(self._libvirtd.uri)
            (server.folder / "configured").touch()
        return server


def run(size: Size, folder: Path, libvirtd: Libvirtd, parts: Collection[str]) -> report.Results:
    results, began = report.Results(report.machine()), time.monotonic()
    bench = Bench(folder, libvirtd)
    say(f"defining {size.domains} domains")
    bench.define(size.domains)
    for server in every_server(size, bench) if "footprints" in parts else ():
        say(f"footprint of {server.name} with {server.count} BMCs")
        # A start of many processes takes long, and its time varies little.
        heavy = server.count >= 200 and not server.name.endswith("auto")
        results.footprints.append(footprint(server, 1 if heavy else 3))
    for cases in comparisons(size, bench) if "commands" in parts else ():
        say(f"commands to {', '.join(dict.fromkeys(f'{c.server.name} ({c.server.count})' for c in cases))}")
        results.commands += commands(cases, libvirtd.pid, size.rounds)
    if "busy" in parts:
        busy_servers(size, bench, results)
    if "task" in parts:
        say(f"a vbmc task with {size.task} BMCs")
        results.task = vbmc_task(size.task, folder, libvirtd.uri, 3)
    if "dependencies" in parts:
        say("a domain's dependencies follow it")
        (folder / "watcher").mkdir()
        results.follows = dependencies.measure(libvirtd, folder / "watcher", size.follow)
    if "redfish" in parts:
        say("requests of Redfish, and BMCs that nobody asks")
        results.redfish = redfish.measure(folder, libvirtd.uri, size.redfish, size.commands // 5, size.rounds)
    if "power" in parts:
        say(f"the power of {size.power} BMCs")
        (folder / "power").mkdir()
        results.power = power.measure(bench.vbmcd(size.power, "auto"), folder / "power", size.rounds)
    if "firmware" in parts:
        say("an image to many BMCs at once")
        results.uploads = firmware.measure([firmware.Crowd(*one) for one in size.uploads], folder / "firmware")
    results.minutes = (time.monotonic() - began) / 60
    return results


def busy_servers(size: Size, bench: Bench, results: report.Results) -> None:
    """All that ``throughput`` measures, into `results`. ipmi_sim comes first where there is one."""
    sim, alone, few = bench.ipmi_sim(), bench.vbmcd(1, "1"), bench.vbmcd(size.busy[0] // 10, "1")
    for sessions in (1, 3):
        say(f"{sessions} busy sessions with one BMC")
        cases = [
            Case(sim, sessions, 3, size.commands),
            *(Case(alone, sessions, suite, size.commands) for suite in (3, 17)),
        ]
        results.busy += throughput.busy(cases, size.rounds)
    say(f"a busy session with each of {size.busy} BMCs")
    many = [bench.vbmcd(count, "1") for count in size.busy]
    commands = max(4 * size.commands, size.busy[-1])
    results.busy += throughput.busy([Case(one, one.count, suite, commands) for suite in (3, 17) for one in many], 3)
    # Not VirtualBMC: a console that gets the port of an earlier one is answered in the keys of that one's session.
    say("logins, latency, memory of sessions")
    for server, suites in ((sim, (3,)), (few, (3, 17))):
        with server:
            throughput.ready(server)
            results.set_ups += [throughput.set_ups(server, size.commands // 10, suite, 3) for suite in suites]
            if server is not few:
                continue
            results.latencies += [throughput.latency(few, size.paced_seconds, suite) for suite in suites]
            results.session_memory = throughput.session_memory(few, 10)


def every_server(size: Size, bench: Bench) -> Iterator[Server]:
    yield bench.ipmi_sim()
    for count in size.auto:
        yield bench.vbmcd(count, "auto")
    for count in size.instance:
        yield bench.vbmcd(count, "instance")
    for count in size.virtualbmc:
        yield bench.virtualbmc(count)


def comparisons(size: Size, bench: Bench) -> list[list[Case]]:
    """Who is asked beside whom; ipmi_sim comes first each time. VirtualBMC is slower, so it is asked less."""
    sim, alone, few = bench.ipmi_sim(), bench.vbmcd(1, "auto"), size.virtualbmc[-2]
    crowd, crowded = bench.vbmcd(size.crowd, "auto"), bench.virtualbmc(few)
    ask, less = size.commands, size.commands // 5
    return [
        [
            Case(sim, 1, 3, ask),
            Case(alone, 1, 3, ask),
            Case(alone, 1, 17, ask),
            Case(bench.virtualbmc(1), 1, 3, less),
        ],
        [
            Case(sim, 1, 3, ask),
            Case(crowd, 1, 3, ask),
            Case(crowd, 1, 17, ask),
            Case(crowd, size.crowd, 3, ask),
        ],
        [
            Case(sim, 1, 3, ask),
            Case(crowded, 1, 3, less),
            Case(crowded, few, 3, less),
        ],
    ]  # fmt: skip


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks", description="vbmcd beside VirtualBMC and ipmi_sim.")
    parser.add_argument("--quick", action="store_true", help="small numbers: whether it runs, not how fast things are")
    parser.add_argument("--only", choices=PARTS, action="append", help="this part, which may be given several times")
    options = parser.parse_args()
    size = QUICK if options.quick else FULL
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, Libvirtd() as libvirtd:
        results = run(size, Path(folder), libvirtd, options.only or PARTS)
    report.store(results, RESULT)
    print(report.show(results))
    print(f"\n{RESULT.relative_to(CHECKOUT)} has all figures")
    return 0


if __name__ == "__main__":
    sys.exit(main())
