# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VirtualBMC from PyPI as its users run it, and a client that notices for how long a BMC is away.

It lies in a virtual environment of its own (requirements/bench.txt), which the Makefile makes.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from rig.daemon import alive
from rig.ports import free_ports
from rig.waiting import eventually

VIRTUALBMC = Path(__file__).resolve().parents[2] / ".cache/virtualbmc/bin/vbmcd"

CONFIG = """[VirtualBMC]
username = {user}
password = {password}
domain_name = {name}
libvirt_uri = {uri}
address = {address}
port = {port}
active = {active}
"""

# Get Channel Authentication Capabilities, outside of any session (IPMI 2.0, 22.13); it answers no presence ping.
ASK = bytes.fromhex("0600ff07000000000000000000092018c88100388e04b5")


class VirtualBmc:
    """A VirtualBMC with a configuration folder of its own, `folder`."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.folder = home / ".vbmc"
        self._process: subprocess.Popen[bytes] | None = None

    def add(self, name: str, uri: str, port: int, *, active: bool = True, **more: str) -> Path:
        """What `vbmc add` and `vbmc start` leave; the file."""
        options = {"user": "admin", "password": "password", "address": "127.0.0.1", **more}
        path = self.folder / name / "config"
        path.parent.mkdir(parents=True)
        path.write_text(CONFIG.format(name=name, uri=uri, port=port, active=active, **options))
        return path

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def children(self) -> list[int]:
        """The processes of its BMCs that live."""
        with suppress(OSError):
            return sorted(alive(map(int, Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split())))
        return []

    def __enter__(self) -> Self:
        (self.home / "virtualbmc.conf").write_text(f"[default]\nserver_port = {free_ports(1)[0]}\n")
        env = {**os.environ, "HOME": str(self.home), "VIRTUALBMC_CONFIG": str(self.home / "virtualbmc.conf")}
        env.pop("PYTHONPATH", None)
        with (self.home / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(VIRTUALBMC), "--foreground"], env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        for pid in (*self.children(), self.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()


class Watch:
    """Asks BMCs again and again, and notes the longest time that each gave no answer."""

    INTERVAL = 0.02

    def __init__(self, ports: Iterable[int]) -> None:
        self.gaps = dict.fromkeys(ports, 0.0)
        self._last: dict[int, float] = {}
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._watch, args=(port,), daemon=True) for port in self.gaps]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        eventually(lambda: self._last.keys() == self.gaps.keys(), what="all BMCs answer")
        return self

    def __exit__(self, *_details: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def answered_since(self, moment: float) -> bool:
        """Whether every BMC has answered after `moment`, of time.monotonic()."""
        return all(last > moment for last in self._last.values())

    def _watch(self, port: int) -> None:
        while not self._end.is_set():
            # A socket for each: an ICMP error for an earlier one tells nothing of this.
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                probe.settimeout(0.2)
                probe.connect(("127.0.0.1", port))
                with suppress(OSError):
                    probe.send(ASK)
                    probe.recv(256)
                    now = time.monotonic()
                    self.gaps[port] = max(self.gaps[port], now - self._last.get(port, now))
                    self._last[port] = now
            self._end.wait(self.INTERVAL)
