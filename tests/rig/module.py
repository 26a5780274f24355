# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A module of the collection, run as on a managed host, but without Ansible around it: that takes half a second."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[2]
# The distribution's Python, which has the libvirt binding, and this virtual environment's module_utils of Ansible's.
PYTHON = "/usr/bin/python3"


@dataclass
class Module:
    """`name` below plugins/modules; `defaults` are options of every call."""

    name: str
    folder: Path
    """An empty one, which becomes a collections path."""
    defaults: dict[str, Any] = field(default_factory=dict)
    python: str = PYTHON

    def __post_init__(self) -> None:
        namespace = self.folder / "ansible_collections/baremetal"
        namespace.mkdir(parents=True, exist_ok=True)
        if not (namespace / "lab").exists():
            (namespace / "lab").symlink_to(CHECKOUT)

    def __call__(self, *, check: bool = False, diff: bool = False, **options: Any) -> dict[str, Any]:
        """What it returns, a failure too; `warnings` are texts."""
        return self.result(self.start(check=check, diff=diff, **options))

    def start(self, *, check: bool = False, diff: bool = False, **options: Any) -> subprocess.Popen[str]:
        """Its process, which has been given its options."""
        import ansible

        arguments = {**self.defaults, **options, "_ansible_check_mode": check, "_ansible_diff": diff}
        paths = [str(self.folder), str(Path(ansible.__file__).parents[1])]
        process = subprocess.Popen(
            [self.python, "-m", f"ansible_collections.baremetal.lab.plugins.modules.{self.name}"],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}))
        process.stdin.close()
        process.stdin = None
        return process

    def result(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        """What the process returns in the end."""
        stdout, stderr = process.communicate()
        try:
            result: dict[str, Any] = json.loads(stdout)
        except ValueError:
            raise AssertionError(f"{self.name} printed no JSON:\n{stdout}{stderr}") from None
        result["warnings"] = [_text(warning) for warning in result.get("warnings", [])]
        return result


def _text(warning: Any) -> str:
    return warning if isinstance(warning, str) else str(warning["event"]["msg"])
