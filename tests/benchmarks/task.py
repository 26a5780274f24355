# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Ansible side: one `vbmc` task that converges many BMCs, and the same task when nothing is left to do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.clients import ADDRESS
from benchmarks.servers import CHECKOUT, DAEMON, Vbmcd, domain

Arguments = dict[str, object]


@dataclass
class TaskTimes:
    """Seconds of one task over a local connection, from its start on the controller to its result."""

    bmcs: int
    converge: float
    unchanged: float
    purge: float


def vbmc_task(count: int, folder: Path, uri: str, rounds: int) -> TaskTimes:
    """Make, find unchanged and purge `count` running BMCs, `rounds` times, against a daemon with none."""
    server = Vbmcd(0, folder / "daemon", "auto")
    wanted: Arguments = {"instances": [{"name": domain(n)} for n in range(count)], "state": "started"}
    common: Arguments = {"address": ADDRESS, "libvirt_uri": uri, "owner": "bench"}
    tasks: dict[str, Arguments] = {
        "converge": {**wanted, **common},
        "unchanged": {**wanted, **common},
        "purge": {"instances": [], "owner": "bench", "purge": True},
    }
    with server:
        server.wait()
        times = [_play(tasks, folder, server) for _turn in range(rounds)]
    return TaskTimes(count, **{name: median(one[name] for one in times) for name in tasks})


def _play(tasks: dict[str, Arguments], folder: Path, server: Vbmcd) -> dict[str, float]:
    """Seconds by task, from ansible-core's own junit callback."""
    namespace = folder / "ansible_collections/baremetal"
    namespace.mkdir(parents=True, exist_ok=True)
    if not (namespace / "lab").exists():
        (namespace / "lab").symlink_to(CHECKOUT)
    command = folder / "vbmc"
    command.write_text(f'#!/bin/sh\nPYTHONPATH={DAEMON} exec {sys.executable} -m vbmcd.cli.app "$@"\n')
    command.chmod(0o755)
    defaults = {"socket": str(server.control), "vbmc_path": str(command)}
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "tasks": [
            {"name": name, "baremetal.lab.vbmc": {**defaults, **arguments}, "register": "done",
             "failed_when": f"done is failed or done is changed == {name == 'unchanged'}"}
            for name, arguments in tasks.items()
        ],
    }  # fmt: skip
    playbook, report = folder / "playbook.json", folder / "junit"
    playbook.write_text(json.dumps([play]))
    for old in report.glob("*.xml"):
        old.unlink()
    done = subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", "-i", "localhost,", "-c", "local", str(playbook)],
        env={
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(folder),
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            "ANSIBLE_CALLBACKS_ENABLED": "ansible.builtin.junit",
            "JUNIT_OUTPUT_DIR": str(report),
            "LC_ALL": "C.UTF-8",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"the playbook failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    (suite,) = [ET.parse(path).getroot() for path in report.glob("*.xml")]
    cases = list(suite.iter("testcase"))
    return {name: next(float(c.get("time", "")) for c in cases if name in c.get("name", "")) for name in tasks}
