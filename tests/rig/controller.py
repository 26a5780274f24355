# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A controller that has this collection, on the machine of a hypervisor: tasks in, results out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rig.libvirtd import Libvirtd

CHECKOUT = Path(__file__).resolve().parents[2]
TARGETS = CHECKOUT / "tests/integration/targets"
POOL = "domain-module"

Task = dict[str, Any]


@dataclass
class Controller:
    """A controller that has this collection, on the machine of the hypervisor."""

    folder: Path
    libvirtd: Libvirtd

    def __post_init__(self) -> None:
        namespace = self.folder / "ansible_collections/baremetal"
        namespace.mkdir(parents=True)
        (namespace / "lab").symlink_to(CHECKOUT)

    def play(self, tasks: list[Task]) -> str:
        """Run a playbook of `tasks`; what ansible-playbook said. Raises AssertionError with it where one fails."""
        play = {
            "hosts": "localhost",
            "gather_facts": False,
            "module_defaults": {"group/baremetal.lab.lab": {"uri": self.libvirtd.uri}},
            # The distribution's Python is the one that has the libvirt binding on a hypervisor.
            "vars": {
                "ansible_python_interpreter": "/usr/bin/python3",
                "domain_uri": self.libvirtd.uri,
                "domain_pool": POOL,
            },
            "tasks": tasks,
        }
        playbook = self.folder / "playbook.json"
        playbook.write_text(json.dumps([play]))
        done = subprocess.run(
            [sys.executable, "-m", "ansible", "playbook", "-v", "-i", "localhost,", "-c", "local", str(playbook)],
            env={
                **os.environ,
                "ANSIBLE_COLLECTIONS_PATH": str(self.folder),
                "ANSIBLE_ROLES_PATH": str(TARGETS),
                "LC_ALL": "C.UTF-8",
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def results(self, *tasks: Task) -> list[dict[str, Any]]:
        """What each of `tasks` returned; their failures too."""
        told = self.folder / "results.json"
        registered = [
            {**task, "register": f"result_{index}", "ignore_errors": True} for index, task in enumerate(tasks)
        ]
        names = ", ".join(f"result_{index}" for index in range(len(tasks)))
        tell = {"ansible.builtin.copy": {"content": "{{ [" + names + "] | to_json }}", "dest": str(told)}}
        self.play([*registered, tell])
        results: list[dict[str, Any]] = json.loads(told.read_text())
        return results

    def domain(self, **options: Any) -> dict[str, Any]:
        """What the module returned."""
        return self.results({"baremetal.lab.domain": options})[0]
