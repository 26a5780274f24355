# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m soak [--minutes N] [--quick]`, with tests/ on PYTHONPATH and as root: both runs, one after the other."""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rig.console import STATUS, Console
from rig.daemon import Vbmcd
from rig.domains import tiny_domain
from rig.libvirtd import Libvirtd
from rig.waiting import eventually
from soak.faults import Faults
from soak.memory import ALLOWED, Memory
from soak.visitors import Outcomes, Visitors

RESULT = Path(__file__).resolve().parents[2] / ".cache/soak/result.json"
VISITORS = 16
SWITCHED = 4
"""BMCs whose machines are switched on and off; a QEMU each, so not all of them."""
SAMPLE_SECONDS = 5.0
WARM_UP = 0.2
"""Part of a run after which its memory is to stay as it is."""


def domain(number: int) -> str:
    return f"soak-{number:03}"


def serve(vbmcd: Vbmcd, libvirtd: Libvirtd, count: int) -> list[int]:
    """Define so many domains and start a BMC for each; their ports."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / domain(number) for number in range(count)]
        for path in paths:
            path.write_text(tiny_domain(path.name, nics=1))
        define = "\n".join(f"define {path}" for path in paths)
        virsh = ["virsh", "--quiet", "--connect", libvirtd.uri]
        subprocess.run(virsh, input=define, text=True, check=True, capture_output=True)
    common = {"address": "127.0.0.1", "libvirt_uri": libvirtd.uri, "state": "started"}
    served = vbmcd.apply(*({"name": domain(number), **common} for number in range(count)))
    return [one["port"] for one in served["instances"]]


def all_answer(ports: Sequence[int]) -> bool:
    """Whether every BMC tells the state of its machine: it serves, and libvirt is there."""
    for port in ports:
        with Console(port) as console:
            if console.login().request(*STATUS)[0]:
                return False
            console.request(0x06, 0x3C, console.packets.session_id.to_bytes(4, "little"))
    return True


def soak(
    vbmcd: Vbmcd, ports: Sequence[int], seconds: float, seed: int, act: Callable[[], None]
) -> tuple[Outcomes, Memory]:
    """Visitors for so long; meanwhile `act` is called every second, and memory looked at every few."""
    memory, visitors = Memory(), Visitors(VISITORS, ports, SWITCHED, seed)
    visitors.start()
    try:
        ends = time.monotonic() + seconds
        due = 0.0
        while (now := time.monotonic()) < ends:
            act()
            if now >= due:
                due = now + SAMPLE_SECONDS
                memory.sample(vbmcd.processes())
            time.sleep(1)
    finally:
        visitors.stop()
    return visitors.outcomes, memory


def without_faults(count: int, seconds: float, seed: int) -> list[str]:
    """The first run; what was wrong."""
    with Libvirtd() as libvirtd, Vbmcd(workers="auto") as vbmcd:
        ports = serve(vbmcd, libvirtd, count)
        eventually(lambda: all_answer(ports), 60, "all BMCs answer")
        before = vbmcd.processes()
        outcomes, memory = soak(vbmcd, ports, seconds, seed, lambda: None)
        wrong = [f"lost: {what} ({times} times)" for what, times in outcomes.lost.items()]
        wrong += [] if vbmcd.processes() == before else ["a process was replaced"]
        wrong += ["a mistake was logged"] * ("Traceback" in vbmcd.log)
    tell("without faults", outcomes)
    lines = {}
    for pid, record in memory.records.items():
        warm_up = int(len(record.resident) * WARM_UP)
        growth = record.growth(warm_up)
        lines[f"{record.name} {pid}"] = {
            "MiB at first": round(record.resident[0], 2),
            "MiB warmed up": round(record.resident[warm_up], 2),
            "MiB at last": round(record.resident[-1], 2),
            "most after warm-up, %": round(growth * 100, 2),
        }
        if growth > ALLOWED:
            wrong.append(f"{record.name} ({pid}) grew by {growth:.1%} after its warm-up")
    for name, line in lines.items():
        print(f"  {name}: {', '.join(f'{key} {value}' for key, value in line.items())}", flush=True)
    store("without faults", {"outcomes": vars(outcomes), "memory": lines, "wrong": wrong})
    return wrong


def with_faults(count: int, seconds: float, seed: int) -> list[str]:
    """The second run; what was wrong. That no process is left at the end is checked by the rig, too."""
    with Libvirtd() as libvirtd, Vbmcd(workers="auto") as vbmcd:
        ports = serve(vbmcd, libvirtd, count)
        eventually(lambda: all_answer(ports), 60, "all BMCs answer")
        before = len(vbmcd.processes())
        faults = Faults(vbmcd, libvirtd, seed)
        outcomes, _memory = soak(vbmcd, ports, seconds, seed, faults.act)
        eventually(lambda: all_answer(ports), 60, "all BMCs answer when all is over", interval=1)
        wrong = [f"lost: {what} ({times} times)" for what, times in outcomes.lost.items()]
        wrong += [] if len(vbmcd.processes()) == before else [f"{len(vbmcd.processes())} processes, {before} before"]
        wrong += ["a mistake was logged"] * ("Traceback" in vbmcd.log)
    tell(f"with faults ({', '.join(f'{times} {what}' for what, times in faults.done.items())})", outcomes)
    store("with faults", {"outcomes": vars(outcomes), "faults": faults.done, "wrong": wrong})
    return wrong


def tell(run: str, outcomes: Outcomes) -> None:
    print(f"{time.strftime('%H:%M:%S')} {run}: {outcomes.sessions} sessions, {outcomes.commands} commands", flush=True)
    print(f"  answered {outcomes.answered}, of these after a new login {outcomes.again}", flush=True)
    print(f"  refused {dict(outcomes.refused)}, lost {dict(outcomes.lost)}", flush=True)
    print(f"  slowest {outcomes.slowest:.2f} s", flush=True)


def store(run: str, result: dict[str, object]) -> None:
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    results = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    RESULT.write_text(json.dumps({**results, run: result}, indent=1) + "\n")


RUNS = {"calm": without_faults, "faults": with_faults}


def main() -> int:
    parser = argparse.ArgumentParser(prog="soak", description="vbmcd under visitors, without and with faults.")
    parser.add_argument("--minutes", type=float, default=10, help="of each of the two runs (%(default)s)")
    parser.add_argument("--bmcs", type=int, default=200, help="how many (%(default)s)")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 16), help="to do the same again")
    parser.add_argument("--quick", action="store_true", help="20 BMCs for half a minute each: whether it runs")
    parser.add_argument("--only", choices=RUNS, help="one of the two runs")
    options = parser.parse_args()
    count, seconds = (20, 30.0) if options.quick else (options.bmcs, options.minutes * 60)
    print(f"{count} BMCs, {seconds:g} s a run, seed {options.seed}", flush=True)
    runs = [RUNS[options.only]] if options.only else list(RUNS.values())
    wrong = [one for run in runs for one in run(count, seconds, options.seed)]
    print("\n".join(wrong) or "nothing was wrong", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
