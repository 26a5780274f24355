# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Redfish clients that nobody here wrote, and how they are run (scripts/redfish-clients.sh)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

CLIENTS = Path(__file__).resolve().parents[2] / ".cache/redfish"


def run(program: str, *arguments: str, folder: Path) -> str:
    """The output of one of them, or of a program of the system; it has to succeed."""
    # Of a test host's own certificates nothing is to be known.
    hidden = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
    path = CLIENTS / "bin" / program
    done = subprocess.run(
        [str(path) if path.exists() else program, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        cwd=folder,
        env={key: value for key, value in os.environ.items() if key not in hidden},
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def community(module: str, port: int, username: str, password: str, **options: Any) -> dict[str, Any]:
    """What a module of community.general returns. It has to succeed, but is run again where the BMC is busy."""
    for _turn in range(30):
        result = _community(module, port, username, password, **options)
        if not (result.get("failed") and "503" in str(result.get("msg"))):
            break
        time.sleep(0.5)
    assert not result.get("failed"), result
    return result


def _community(module: str, port: int, username: str, password: str, **options: Any) -> dict[str, Any]:
    login = {"baseuri": f"127.0.0.1:{port}", "username": username, "password": password, "timeout": 60}
    done = subprocess.run(
        community_command(module),
        input=json.dumps({"ANSIBLE_MODULE_ARGS": {**login, **options}}),
        env=community_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def community_command(module: str) -> list[str]:
    """To be given its options on standard input."""
    return [sys.executable, "-m", f"ansible_collections.community.general.plugins.modules.{module}"]


def community_environment() -> dict[str, str]:
    import ansible

    paths = [str(CLIENTS / "collections"), str(Path(ansible.__file__).parents[1])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
