# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is measured: vbmcd, VirtualBMC and ipmi_sim, each with so many BMCs on ports of its own of 127.0.0.1.

A server's configuration is on disk before it starts, all of its BMCs active, so that a start is a start after a
reboot of the host. Domain number n of the rig's libvirtd stands behind BMC number n.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks import processes
from benchmarks.clients import ADDRESS
from benchmarks.console import PASSWORD, USERNAME
from rig.waiting import eventually

CHECKOUT = Path(__file__).resolve().parents[2]
DAEMON = CHECKOUT / "roles/vbmc/files/vbmcd/src"
VIRTUALBMC = CHECKOUT / ".cache/virtualbmc/bin/vbmcd"
SUSHY = CHECKOUT / ".cache/virtualbmc/bin/sushy-emulator"
STOP_SECONDS = 60
DOMAINS = 1000
"""BMCs of vbmcd beyond so many share the domains of the first ones."""
FIRST_PORTS = {"auto": 10000, "instance": 15000, "1": 16000}
"""Of vbmcd, by its option --workers. All ports are below those that clients get (ip_local_port_range in ip(7))."""


def domain(number: int) -> str:
    return f"bench-{number:04}"


class Server(ABC):
    """One server; a context manager runs it. `ports` are those of its BMCs."""

    name: str
    first_port: int

    def __init__(self, count: int, folder: Path) -> None:
        self.count = count
        self.folder = folder
        self.ports = range(self.first_port, self.first_port + count)
        self.started = 0.0
        """time.monotonic() just before the process was made."""
        self._process: subprocess.Popen[bytes] | None = None
        self.folder.mkdir(parents=True, exist_ok=True)

    @abstractmethod
    def configure(self, uri: str) -> None:
        """Write the configuration; `uri` is the libvirtd's."""

    @abstractmethod
    def command(self) -> list[str]:
        """What starts it in the foreground."""

    def environment(self) -> dict[str, str]:
        return {}

    def __enter__(self) -> Self:
        with (self.folder / "log").open("ab") as log:
            self.started = time.monotonic()
            self._process = subprocess.Popen(
                self.command(),
                env={**os.environ, **self.environment()},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """SIGTERM; what is left of its processes after that is killed. After a failure, the end of its log is shown."""
        assert self._process is not None
        everybody = self.processes()
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        finally:
            for pid in everybody:
                with suppress(ProcessLookupError):
                    if pid != self._process.pid and os.getpgid(pid) == self._process.pid:
                        os.kill(pid, signal.SIGKILL)
            self._process.kill()
            self._process.wait()
        if error is not None:
            print(f"{self.name} said last:\n{(self.folder / 'log').read_text()[-2000:]}", file=sys.stderr)

    def processes(self) -> list[int]:
        assert self._process is not None
        return processes.tree(self._process.pid)


class Vbmcd(Server):
    """This collection's daemon, run from the checkout."""

    redfish_offset = 0
    """Redfish's ports begin so many behind IPMI's; 0: no Redfish."""

    def __init__(self, count: int, folder: Path, workers: str) -> None:
        self.name = f"vbmcd --workers {workers}"
        self.first_port = FIRST_PORTS[workers] + (DOMAINS if count > DOMAINS else 0)
        super().__init__(count, folder)
        self._workers = workers
        self.control = folder / "control.sock"

    def command(self) -> list[str]:
        paths = ["--state-dir", str(self.folder / "state"), "--socket", str(self.control)]
        options = ["--foreground", "--workers", self._workers, "--log-level", "warning"]
        return [sys.executable, "-m", "vbmcd.daemon", *paths, *options]

    def environment(self) -> dict[str, str]:
        return {"PYTHONPATH": str(DAEMON)}

    def configure(self, uri: str) -> None:
        """By `vbmc apply`, as its users do."""
        wanted = [
            {
                "name": domain(number),
                "domain": domain(number % DOMAINS),
                "address": ADDRESS,
                "port": port,
                "libvirt_uri": uri,
                "state": "started",
                **({"redfish": {"port": port + self.redfish_offset}} if self.redfish_offset else {}),
            }
            for number, port in enumerate(self.ports)
        ]
        with self:
            self.wait()
            if not self.vbmc("apply", "-", content=json.dumps(wanted)):
                raise RuntimeError(f"vbmcd took no {self.count} instances: see {self.folder}/log")

    def wait(self) -> None:
        """Until the control socket answers."""
        eventually(lambda: self.vbmc("status"), 15, f"{self.name} answers, see {self.folder}/log")

    def vbmc(self, *arguments: str, content: str = "") -> bool:
        """Whether that `vbmc` command succeeded."""
        done = subprocess.run(
            [sys.executable, "-m", "vbmcd.cli.app", "--no-daemon", "--socket", str(self.control), *arguments],
            env={**os.environ, **self.environment()},
            input=content.encode(),
            capture_output=True,
            check=False,
        )
        return done.returncode == 0


class RedfishVbmcd(Vbmcd):
    """The daemon with Redfish on each BMC."""

    redfish_offset = 2000

    def __init__(self, count: int, folder: Path) -> None:
        super().__init__(count, folder, "1")
        self.name = "vbmcd"


class SushyEmulator(Server):
    """sushy-tools' emulator from PyPI, by HTTPS: all domains of a libvirtd by one service on one port."""

    name = "sushy-emulator 2.2.0"
    first_port = 27000

    def command(self) -> list[str]:
        files = ["--ssl-certificate", "certificate.pem", "--ssl-key", "certificate.pem"]
        uri = (self.folder / "uri").read_text()
        return [str(SUSHY), "-i", ADDRESS, "-p", str(self.first_port), "--libvirt-uri", uri, *files]

    def configure(self, uri: str) -> None:
        """A key of the kind that vbmcd makes, so that a handshake costs the same."""
        (self.folder / "uri").write_text(uri)
        key = (
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=bench".split()
        )
        where = [str(self.folder / name) for name in ("key", "certificate")]
        subprocess.run([*key, "-keyout", where[0], "-out", where[1]], check=True, capture_output=True)
        pem = b"".join(Path(one).read_bytes() for one in where)
        (self.folder / "certificate.pem").write_bytes(pem)


class VirtualBmc(Server):
    """VirtualBMC from PyPI, in a virtual environment of its own (requirements/bench.txt)."""

    name = "VirtualBMC 3.3.0"
    first_port = 24000
    control_port = 24999

    def command(self) -> list[str]:
        return [str(VIRTUALBMC), "--foreground"]

    def environment(self) -> dict[str, str]:
        return {"HOME": str(self.folder), "VIRTUALBMC_CONFIG": str(self.folder / "virtualbmc.conf")}

    def configure(self, uri: str) -> None:
        """The files that `vbmc add` and `vbmc start` leave, which take 0.5 s a BMC."""
        (self.folder / "virtualbmc.conf").write_text(f"[default]\nserver_port = {self.control_port}\n")
        for number, port in enumerate(self.ports):
            folder = self.folder / ".vbmc" / domain(number)
            folder.mkdir(parents=True)
            (folder / "config").write_text(
                "[VirtualBMC]\n"
                f"username = {USERNAME}\npassword = {PASSWORD}\naddress = {ADDRESS}\nport = {port}\n"
                f"domain_name = {domain(number)}\nlibvirt_uri = {uri}\nactive = True\n"
            )


class IpmiSim(Server):
    """OpenIPMI's simulator: C, a BMC a process, nothing behind it. The yardstick for CPU a command."""

    name = "ipmi_sim"
    first_port = 26000

    def command(self) -> list[str]:
        return ["ipmi_sim", "-n", "-c", "lan.conf", "-f", "sim.emu", "-s", "state"]

    def configure(self, uri: str) -> None:
        (self.folder / "state").mkdir(exist_ok=True)
        user = f'"{USERNAME}" "{PASSWORD}"'
        (self.folder / "lan.conf").write_text(
            f'name "bench"\nset_working_mc 0x20\nstartlan 1\naddr {ADDRESS} {self.first_port}\npriv_limit admin\n'
            "allowed_auths_admin none md2 md5 straight\nguid a123456789abcdefa123456789abcdef\nendlan\n"
            f"user 2 true {user} admin 10 none md2 md5 straight\n"
        )
        (self.folder / "sim.emu").write_text(
            "mc_setbmc 0x20\nmc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr\nmc_enable 0x20\n"
        )
