# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A BMC's ssh server: dropbear, as OpenBMC has it, or OpenSSH's, with a user root of its own.

The machine's users are left alone: the server has a mount namespace in which /etc/passwd and /etc/shadow are its own.
"""

from __future__ import annotations

import resource
import socket
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from rig.ports import free_ports
from rig.waiting import eventually

PASSWORD = "0penBmc's \\own"
USER = "bmcroot"
PAGE = resource.getpagesize()
"""The smallest size of a file system in memory."""


class Sshd:
    """`kind` is dropbear or openssh; `folder` an empty one."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        self.home = folder / "home"
        self.home.mkdir(mode=0o700)
        self.known_hosts = folder / "known_hosts"
        self._folder = folder
        self.port = free_ports(1)[0]

    @property
    def authorized_keys(self) -> Path:
        return self.home / ".ssh/authorized_keys"

    def __enter__(self) -> Self:
        hashing = ["openssl", "passwd", "-6", "-stdin"]
        shown = subprocess.run(hashing, input=PASSWORD, text=True, capture_output=True, check=True)
        users = {
            "passwd": f"{Path('/etc/passwd').read_text()}{USER}:x:0:0::{self.home}:/bin/sh\n",
            "shadow": f"{Path('/etc/shadow').read_text()}{USER}:{shown.stdout.strip()}:19000:0:99999:7:::\n",
        }
        for name, text in users.items():
            (self._folder / name).write_text(text)
            (self._folder / name).chmod(0o600 if name == "shadow" else 0o644)
        mounts = "".join(f"mount --bind {self._folder}/{name} /etc/{name} && " for name in users)
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                ["unshare", "--mount", "sh", "-c", f'{mounts} exec "$@"', "sh", *self._server()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        eventually(self._answers, what=f"{self.kind} on port {self.port}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait()

    def write_protect(self) -> None:
        """From now on its user's folder is on a file system that is mounted read-only."""
        self._inside(f"mount --bind {self.home} {self.home} && mount -o remount,ro,bind {self.home}")

    def fill_up(self, keys: str, room: int) -> str:
        """From now on its user has these keys, on a file system of their own that has room for so many bytes more."""
        kept = f"{keys}#{'x' * (PAGE - room - len(keys) - 2)}\n"
        folder = self.authorized_keys.parent
        folder.mkdir(mode=0o700, exist_ok=True)
        mounted = f"mount -t tmpfs -o mode=0700,size={PAGE} keys {folder}"
        self._inside(f"{mounted} && umask 077 && cat > {self.authorized_keys}", kept)
        return kept

    def kept_keys(self) -> str:
        """Of its user, wherever they are mounted."""
        return self._inside(f"cat {self.authorized_keys}")

    def _inside(self, command: str, stdin: str = "") -> str:
        """What a command prints that sees the server's mounts."""
        where = ["nsenter", "--mount", f"--target={self._process.pid}", "sh", "-c", command]
        return subprocess.run(where, input=stdin, text=True, capture_output=True, check=True).stdout

    def _server(self) -> list[str]:
        key = self._folder / "host_key"
        if self.kind == "dropbear":
            made = subprocess.run(
                ["dropbearkey", "-t", "ed25519", "-f", str(key)], check=True, capture_output=True, text=True
            )
            public = next(line for line in made.stdout.splitlines() if line.startswith("ssh-"))
            command = ["dropbear", "-F", "-E", "-r", str(key), "-p", f"127.0.0.1:{self.port}"]
        else:
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
            public = key.with_suffix(".pub").read_text()
            # PAM asks for the password by a way of its own, and ssh asks for it twice where it is a wrong one.
            options = {"UsePAM": "yes", "KbdInteractiveAuthentication": "yes", "PermitRootLogin": "yes"}
            options.update({"PidFile": "none", "HostKey": str(key)})
            settings = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
            command = ["/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null", "-p", str(self.port), *settings]
        kind, data = public.split()[:2]
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {kind} {data}\n")
        return command

    def _answers(self) -> bool:
        assert self._process.poll() is None, (self._folder / "log").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
