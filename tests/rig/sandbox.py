# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""This machine, to be changed at will: whatever is written or started inside is gone afterwards.

    with Sandbox(checkout) as sandbox:
        sandbox.run("apt-get", "install", "--yes", "hello")

Inside, the root file system is an overlay over the machine's own whose upper half is in memory, /run is empty (so there
is no systemd), and processes live in a PID namespace that ends with the sandbox. Network, devices and kernel are the
machine's. Needs root.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

# The init reaps what is orphaned, and ends when its standard input does, so when its owner dies.
_INIT = """
import signal, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
print("ready", flush=True)
sys.stdin.read()
"""
_SETUP = """
set -eu
root=$1 init=$2
shift 2
resolv=$(cat /etc/resolv.conf)
mount -t tmpfs sandbox "$root"
mkdir "$root/upper" "$root/work" "$root/all"
mount -t overlay sandbox -o "lowerdir=/,upperdir=$root/upper,workdir=$root/work" "$root/all"
cd "$root/all"
mount --rbind /dev dev
mount --rbind /sys sys
mount -t proc proc proc
mount -t tmpfs run run
for visible; do
    mkdir -p ".$visible"
    mount --rbind "$visible" ".$visible"
done
rm -f etc/resolv.conf
printf '%s\\n' "$resolv" > etc/resolv.conf
exec chroot . /usr/bin/python3 -c "$init"
"""


class Sandbox:
    """See above. `visible` folders are the machine's own inside too, whatever file system they are on."""

    def __init__(self, *visible: Path) -> None:
        self._visible = visible
        self._folder = tempfile.TemporaryDirectory(prefix="rig-sandbox-")
        self._owner: subprocess.Popen[str] | None = None
        self._init = 0

    def __enter__(self) -> Self:
        command = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
        command += ["bash", "-c", _SETUP, "sandbox", self._folder.name, _INIT, *map(str, self._visible)]
        self._owner = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._owner.stdout is not None
        if self._owner.stdout.readline() != "ready\n":
            self.close()
            raise RuntimeError("the sandbox did not come up: it needs root, unshare and an overlay file system")
        self._init = int(Path(f"/proc/{self._owner.pid}/task/{self._owner.pid}/children").read_text())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every process inside, and forget what they wrote."""
        if self._owner is None:
            return
        assert self._owner.stdin is not None and self._owner.stdout is not None
        self._owner.stdin.close()
        self._owner.wait(timeout=120)
        self._owner.stdout.close()
        self._owner = None
        self._folder.cleanup()

    def run(
        self, *command: str, env: dict[str, str] | None = None, check: bool = True, timeout: float = 300
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside. Raises AssertionError with its output where it fails, unless `check` is off."""
        enter = ["nsenter", f"--target={self._init}", "--mount", "--pid", "--root", "--wd", "--"]
        done = subprocess.run(
            [*enter, *command],
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    def write(self, path: str, text: str) -> None:
        """Write a file inside, by its path there."""
        Path(f"/proc/{self._init}/root{path}").write_text(text)

    def take(self, path: str, folder: Path) -> None:
        """Copy a folder inside to `folder`, as it is."""
        subprocess.run(["cp", "--archive", f"/proc/{self._init}/root{path}", str(folder)], check=True)

    def bring(self, folder: Path, path: str) -> None:
        """Copy `folder` to a path inside, as it is."""
        subprocess.run(["cp", "--archive", str(folder), f"/proc/{self._init}/root{path}"], check=True)

    def exists(self, path: str) -> bool:
        return os.path.lexists(f"/proc/{self._init}/root{path}")
