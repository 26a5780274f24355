# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A vbmcd of a test's own, in a temporary folder, that leaves no process behind.

with Vbmcd() as vbmcd:
    port = vbmcd.serve("node-1", libvirt_uri="test:///default", domain="test")
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import zmq

from rig.waiting import eventually

SOURCE = Path(__file__).parents[2] / "roles/vbmc/files/vbmcd/src"

NO_MACHINE: Mapping[str, Any] = {"libvirt_uri": "test:///default", "domain": "test"}
"""For tests that need no real domain: libvirt's test driver."""


STOP_SECONDS = 20.0
"""To stop takes a moment. It takes far longer than this where something is waited for that does not come."""


class ControlError(Exception):
    """The daemon answered with an error; `body` is what it said."""

    def __init__(self, body: dict[str, Any]) -> None:
        super().__init__(body["message"])
        self.body = body


class Vbmcd:
    """A daemon and its folders. `command` starts it; the source tree's own by default."""

    def __init__(
        self, *, workers: str = "2", command: Sequence[str] = (), folder: Path | None = None, state: Path | None = None
    ) -> None:
        # Short, because a unix socket's path may have 107 bytes.
        self.folder = folder or Path(tempfile.mkdtemp(prefix="rig-vbmcd-"))
        self._own_folder = folder is None
        self.state = state or self.folder / "state"
        self.socket = self.folder / "run" / "control.sock"
        self.workers_option = workers
        self._command = [*(command or (sys.executable, "-m", "vbmcd.daemon")), "--foreground"]
        self._log = self.folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self.env = {**os.environ, "PYTHONPATH": str(SOURCE)}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop()
            if error is None:
                eventually(lambda: not self.processes(), what=f"no process is left of {self.state}")
        finally:
            for pid in self.processes():
                os.kill(pid, signal.SIGKILL)
            if error is not None:
                print(self.log[-8000:])
            if self._own_folder:
                shutil.rmtree(self.folder, ignore_errors=True)

    # --- The process -------------------------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        assert self._process is not None, "the daemon was not started"
        return self._process.pid

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def start(self, *, wait: bool = True) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command_line(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.env
            )
        if wait:
            self.wait_until_ready()

    def command_line(self) -> list[str]:
        paths = ["--state-dir", str(self.state), "--socket", str(self.socket)]
        return [*self._command, *paths, "--workers", self.workers_option]

    def wait_until_ready(self) -> None:
        process = self._process

        def ready() -> bool:
            if process is not None and process.poll() is not None:
                raise AssertionError(f"vbmcd ended with {process.returncode}:\n{self.log[-4000:]}")
            # An answer to `list` waits for nothing; the log's word says that every instance is served.
            return f"vbmcd is ready pid={self.pid}" in self.log

        eventually(ready, what="vbmcd is ready")

    def stop(self, timeout: float = 60.0) -> float:
        """SIGTERM; the seconds until it had ended. Raises AssertionError when that takes more than `timeout`."""
        process, self._process = self._process, None
        if process is None:
            return 0.0
        began = time.monotonic()
        process.terminate()
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"vbmcd did not stop within {timeout:g} s:\n{self.log[-4000:]}") from None
        return time.monotonic() - began

    def kill(self) -> None:
        """SIGKILL the supervisor."""
        process, self._process = self._process, None
        assert process is not None
        process.kill()
        process.wait()

    def restart(self) -> None:
        self.stop()
        self.start()

    def processes(self) -> set[int]:
        """Every living process of this daemon: all have the command line that they were forked from."""
        found = set()
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue  # ended meanwhile
            if str(self.state).encode() in words and b"--foreground" in words and state != "Z":
                found.add(int(entry.name))
        return found

    def spawner(self) -> int:
        """The PID of the process that forks the workers."""
        (pid,) = (pid for pid in self.processes() if _comm(pid) == "vbmcd-spawner")
        return pid

    def workers(self) -> dict[str, int]:
        """PIDs of the workers that run, by name."""
        return {one["name"]: one["pid"] for one in self.ask("ping")["workers"] if one["pid"]}

    def worker_of(self, name: str) -> int:
        """The PID of the worker that serves an instance."""
        pid: int = self.status(name)["pid"]
        return pid

    # --- Asking it ---------------------------------------------------------------------------------------------------

    def ask(self, request: str, timeout: float = 60.0, **arguments: Any) -> dict[str, Any]:
        """A control request's result. Raises ControlError with the daemon's error."""
        reply = json.loads(
            self.ask_raw(
                json.dumps({"version": 1, "command": request, "arguments": arguments}).encode(), timeout=timeout
            )[-1]
        )
        if not reply["ok"]:
            raise ControlError(reply["error"])
        result: dict[str, Any] = reply["result"]
        return result

    def ask_raw(self, *frames: bytes, timeout: float = 60.0) -> list[bytes]:
        """Send a message of any frames to the control socket; the frames of the answer."""
        with zmq.Context() as context, context.socket(zmq.DEALER) as dealer:
            dealer.linger = 0
            dealer.connect(f"ipc://{self.socket}")
            dealer.send_multipart([b"", *frames])
            assert dealer.poll(timeout * 1000), f"no answer on the control socket:\n{self.log[-4000:]}"
            answer: list[bytes] = dealer.recv_multipart()
            return answer

    def apply(self, *specs: Mapping[str, Any], **options: Any) -> dict[str, Any]:
        return self.ask("apply", instances=list(specs), **options)

    def serve(self, name: str, **spec: Any) -> int:
        """Make an instance and start it, on 127.0.0.1 unless told otherwise; its port."""
        result = self.apply({"name": name, "address": "127.0.0.1", "state": "started", **spec})
        (one,) = result["instances"]
        assert one["error"] is None, one["error"]
        port: int = one["port"]
        return port

    def status(self, name: str) -> dict[str, Any]:
        (status,) = self.ask("list", names=[name])["instances"]
        found: dict[str, Any] = status
        return found

    def vbmc(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run the command line client on this daemon."""
        return subprocess.run(
            self.vbmc_command(*arguments), capture_output=True, check=False, text=True, env=self.env, **options
        )

    def vbmc_command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "vbmcd.cli.app", "--no-daemon", "--socket", str(self.socket), *arguments]

    def vbmc_json(self, *arguments: str) -> Any:
        """The same, its output read as JSON. Raises AssertionError when it fails."""
        done = self.vbmc(*arguments, "-f", "json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def audit(self, instance: str) -> list[dict[str, str]]:
        """The audit lines of an instance: their fields."""
        lines = [line for line in self.log.splitlines() if "vbmcd.audit" in line]
        found = [dict(re.findall(r'(\w+)=("[^"]*"|\S+)', line)) for line in lines]
        return [{k: v.strip('"') for k, v in one.items()} for one in found if one.get("instance") == instance]


def alive(pids: Iterable[int]) -> set[int]:
    """Those of `pids` that run; a zombie does not."""
    found = set()
    for pid in pids:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                found.add(pid)
        except OSError:
            continue
    return found


def _comm(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
