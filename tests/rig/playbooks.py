# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks that use this collection from the checkout, run on this machine.

playbooks = Playbooks(folder)
(read,) = playbooks.results({"baremetal.lab.bmc_info": {...}})
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[2]
TARGETS = CHECKOUT / "tests/integration/targets"

Task = dict[str, Any]


class Playbooks:
    """`folder` is its own; `defaults` are module_defaults, `variables` those of every play."""

    def __init__(
        self, folder: Path, defaults: Mapping[str, Any] | None = None, variables: Mapping[str, object] | None = None
    ) -> None:
        self._folder = folder
        self._defaults = dict(defaults or {})
        self._variables = {"ansible_python_interpreter": sys.executable, **(variables or {})}
        self.said = ""
        """What the last playbook printed."""
        namespace = folder / "ansible_collections/baremetal"
        namespace.mkdir(parents=True)
        (namespace / "lab").symlink_to(CHECKOUT)

    def play(self, tasks: list[Task], *, check: bool = False, **variables: object) -> str:
        """Run a playbook of `tasks`; what ansible-playbook said. Raises AssertionError with it where one fails."""
        play = {
            "hosts": "localhost",
            "gather_facts": False,
            "module_defaults": self._defaults,
            "vars": {**self._variables, **variables},
            "tasks": tasks,
        }
        playbook = self._folder / "playbook.json"
        playbook.write_text(json.dumps([play]))
        options = ["-v", "--diff", "-i", "localhost,", "-c", "local", *(["--check"] if check else [])]
        done = subprocess.run(
            [sys.executable, "-m", "ansible", "playbook", *options, str(playbook)],
            env={
                **os.environ,
                "ANSIBLE_COLLECTIONS_PATH": str(self._folder),
                "ANSIBLE_ROLES_PATH": str(TARGETS),
                "LC_ALL": "C.UTF-8",
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            text=True,
        )
        self.said = done.stdout + done.stderr
        assert done.returncode == 0, self.said
        return done.stdout

    def results(self, *tasks: Task, check: bool = False, **variables: object) -> list[dict[str, Any]]:
        """What each of `tasks` returned; their failures too."""
        told = self._folder / "results.json"
        told.unlink(missing_ok=True)
        registered = [
            {**task, "register": f"result_{index}", "ignore_errors": True} for index, task in enumerate(tasks)
        ]
        names = ", ".join(f"result_{index}" for index in range(len(tasks)))
        tell = {
            "ansible.builtin.copy": {"content": "{{ [" + names + "] | to_json }}", "dest": str(told)},
            "check_mode": False,
        }
        self.play([*registered, tell], check=check, **variables)
        results: list[dict[str, Any]] = json.loads(told.read_text())
        return results
