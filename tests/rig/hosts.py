# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian hosts with systemd and sshd, as podman containers: to be several hypervisors, lost and back.

    with Hosts(folder, "hv1", "hv2") as hosts:
        hosts.ssh("hv1", "virsh", "list")
        hosts.stop("hv2")

The image is that of scripts/host-image.sh, with the packages of the roles installed. Needs
root. Names and addresses are the process's own, so two runs on one machine do not meet.
"""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from rig.waiting import eventually

CHECKOUT = Path(__file__).resolve().parents[2]
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
PIP = f"[global]\ncert = {CERTIFICATES}\n"


class Hosts:
    """See above. `folder` is for the key to log in with."""

    def __init__(self, folder: Path, *names: str) -> None:
        self.names = names
        self.key = folder / "key"
        self._prefix = f"rig-{os.getpid()}-"
        self._environment = {**os.environ, "CONTAINERS_CONF": str(CHECKOUT / "extensions/molecule/containers.conf")}
        self._subnet = ""

    def __enter__(self) -> Self:
        image = subprocess.run(
            [CHECKOUT / "scripts/host-image.sh", "hypervisor"], check=True, stdout=subprocess.PIPE, text=True
        ).stdout.strip()
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.key], check=True)
        self._podman("network", "create", "--disable-dns", self._network)
        try:
            subnet = self._podman(
                "network", "inspect", self._network, "--format", "{{range .Subnets}}{{.Subnet}}{{end}}"
            )
            self._subnet = subnet.rpartition(".")[0]
            for name in self.names:
                self._run(name, image)
            for name in self.names:
                self._podman("exec", self._prefix + name, "sh", "-c", "systemctl is-system-running --wait || true")
                self._adapt(name)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        for name in self.names:
            self._podman("rm", "--force", "--ignore", "--volumes", "--time=0", self._prefix + name, check=False)
        self._podman("network", "rm", "--force", self._network, check=False)

    def address(self, name: str) -> str:
        return f"{self._subnet}.{11 + self.names.index(name)}"

    def variables(self, name: str) -> dict[str, str]:
        """What an inventory says of the host."""
        options = "-o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no -o LogLevel=ERROR"
        return {
            "ansible_host": self.address(name),
            "ansible_user": "root",
            "ansible_python_interpreter": "/usr/bin/python3",
            "ansible_ssh_private_key_file": str(self.key),
            "ansible_ssh_common_args": f"-o ControlMaster=auto -o ControlPersist=60s {options}",
        }

    def ssh(self, name: str, *command: str) -> str:
        """What a command on the host prints. Raises CalledProcessError."""
        return self._podman("exec", self._prefix + name, *command)

    def stop(self, name: str) -> None:
        """Switch it off, as by a power cut."""
        self._podman("stop", "--time=0", self._prefix + name)

    def start(self, name: str) -> None:
        """Switch it on; returns when it lets one in."""
        self._podman("start", self._prefix + name)
        self._podman("exec", self._prefix + name, "sh", "-c", "systemctl is-system-running --wait || true")
        answers = "systemctl --quiet is-active ssh && echo yes || true"
        eventually(lambda: self.ssh(name, "sh", "-c", answers), what=f"{name} has sshd")
        # A host that was started again has another MAC address, which neighbours have to learn.
        eventually(lambda: _answers(self.address(name)), what=f"{name} is reached")

    @property
    def _network(self) -> str:
        return self._prefix + "net"

    def _run(self, name: str, image: str) -> None:
        options = ["--detach", "--systemd=always", "--privileged", f"--name={self._prefix}{name}", f"--hostname={name}"]
        options += [f"--network={self._network}:ip={self.address(name)}"]
        options += [f"--volume={self.key}.pub:/root/.ssh/authorized_keys:ro"]
        self._podman("run", *options, image)

    def _adapt(self, name: str) -> None:
        """Hosts trust whom this machine trusts, who may stand between it and the package index."""
        if CERTIFICATES.exists():
            self._podman("cp", str(CERTIFICATES), f"{self._prefix}{name}:{CERTIFICATES}")
            self._podman("exec", self._prefix + name, "sh", "-c", f"printf '%s' '{PIP}' > /etc/pip.conf")

    def _podman(self, *arguments: str, check: bool = True) -> str:
        done = subprocess.run(
            ["podman", *arguments],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if check and done.returncode != 0:
            raise AssertionError(
                f"podman {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
            )
        return done.stdout.strip()


def _answers(address: str) -> bool:
    """Whether sshd lets one connect there."""
    try:
        with socket.create_connection((address, 22), timeout=2) as connection:
            return bool(connection.recv(4))
    except OSError:
        return False
