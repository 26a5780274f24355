# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands on a BMC over ssh, by the host's own OpenSSH client.

A password is on no command line, in no environment and on no disk: ssh asks a script for it (SSH_ASKPASS), which reads
it from a pipe that only this user can open. The script answers nothing that asks for something else, a key's passphrase
or a new password.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Optional, Set

from ..deadline import Deadline
from ..errors import AuthFailed, BadRequest, HostKeyFailed, MissingLibrary, Refused, TimedOut, Unreachable
from ..target import Target

CONNECT_TIMEOUT = 15
ASKPASS = """#!/bin/sh
case $1 in *assphrase*|*[Nn]ew*|*etype*) exit 1 ;; esac
IFS= read -r password < "$BAREMETAL_LAB_PASSWORD" && printf '%s\\n' "$password"
"""
PROMPTS = 4
"""How often ssh may ask: servers with PAM take a password by two ways, and a wrong one is asked for by each."""
STRICT, ACCEPT_NEW, OFF = "strict", "accept-new", "off"
CHECKING = {STRICT: "yes", ACCEPT_NEW: "accept-new", OFF: "no"}

_running: Set[subprocess.Popen[bytes]] = set()


@atexit.register
def _end_all() -> None:
    """Threads whose node was given up may wait for ssh still."""
    for process in list(_running):
        _kill(process)


@dataclass(frozen=True)
class SshOptions:
    """What holds for all targets."""

    host_key_checking: str = STRICT
    known_hosts: Optional[str] = None
    """The file of trusted host keys, instead of the user's."""
    private_key: Optional[str] = None
    """A key file to log in with, besides the password."""


class SshClient:
    """One login for each command. A target with an empty password logs in by key alone."""

    def __init__(self, target: Target, deadline: Deadline, options: SshOptions) -> None:
        if shutil.which("ssh") is None:
            raise MissingLibrary("ssh (the program; Debian: openssh-client)")
        if "\n" in target.password:
            raise BadRequest("the password has a line break in it, which no prompt takes")
        self._target = target
        self._deadline = deadline
        self._options = options

    def run(self, command: str, stdin: bytes = b"") -> bytes:
        """What a command of the BMC's shell writes. Raises HwctlError."""
        with self._askpass() as environment, _started([*self._arguments(), command], environment) as process:
            try:
                left = self._deadline.left
                stdout, stderr = process.communicate(stdin, None if left == float("inf") else left)
            except subprocess.TimeoutExpired:
                raise TimedOut("ssh did not end in time") from None
        said = stderr.decode(errors="replace").strip()
        if process.returncode == 255:
            self._complain(said)
        if process.returncode:
            raise Refused(f"the BMC's shell says: {said or f'exit code {process.returncode}'}")
        return stdout

    def _arguments(self) -> List[str]:
        target, options = self._target, self._options
        # Each key of an agent is an attempt, and servers count them: who gives a password offers no key unasked.
        ways = ["publickey"] if options.private_key or not target.password else []
        ways += ["password", "keyboard-interactive"] if target.password else []
        settings = {
            "StrictHostKeyChecking": CHECKING[options.host_key_checking],
            "ConnectTimeout": str(CONNECT_TIMEOUT),
            "NumberOfPasswordPrompts": "1",
            "PreferredAuthentications": ",".join(ways),
            "PubkeyAuthentication": "yes" if "publickey" in ways else "no",
            "BatchMode": "no" if target.password else "yes",
            "ControlPath": "none",
            "ForwardAgent": "no",
            "PermitLocalCommand": "no",
            "LogLevel": "ERROR",
        }
        known = "/dev/null" if options.host_key_checking == OFF else options.known_hosts
        if known:
            settings.update(UserKnownHostsFile=f'"{known}"', GlobalKnownHostsFile="/dev/null")
        given = [argument for name, value in settings.items() for argument in ("-o", f"{name}={value}")]
        key = ["-i", options.private_key, "-o", "IdentitiesOnly=yes"] if options.private_key else []
        return ["ssh", "-T", *given, *key, "-p", str(target.port), "-l", target.username, "--", target.address]

    @contextlib.contextmanager
    def _askpass(self) -> Iterator[Dict[str, str]]:
        """The environment in which ssh finds out the password."""
        environment = dict(os.environ)
        if not self._target.password:
            yield environment
            return
        with tempfile.TemporaryDirectory(prefix="baremetal-lab-ssh-") as folder:  # 0700
            pipe, script = os.path.join(folder, "password"), os.path.join(folder, "askpass")
            os.mkfifo(pipe, 0o600)
            with open(os.open(script, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o700), "w", encoding="ascii") as file:
                file.write(ASKPASS)
            # Open both ways, so that neither end waits for the other and what is not read is gone with this.
            held = os.open(pipe, os.O_RDWR | os.O_CLOEXEC)
            try:
                os.write(held, PROMPTS * (self._target.password.encode() + b"\n"))
                environment.update(
                    BAREMETAL_LAB_PASSWORD=pipe, SSH_ASKPASS=script, SSH_ASKPASS_REQUIRE="force", DISPLAY=":"
                )
                yield environment
            finally:
                os.close(held)

    def _complain(self, said: str) -> None:
        """ssh ended without a command's exit code. Raises HwctlError."""
        where = f"{self._target.address} port {self._target.port}"
        if "Host key verification failed" in said or "IDENTIFICATION HAS CHANGED" in said:
            raise HostKeyFailed(
                f"the host key of {where} is not one to trust: add it to known_hosts, with ssh-keyscan and a look at "
                "its fingerprint, or take new ones (host_key_checking=accept-new)"
            )
        if "Permission denied" in said or "Too many authentication failures" in said:
            raise AuthFailed(f"the BMC at {where} refused the login: check user name and password")
        raise Unreachable(f"ssh to {where}: {said.splitlines()[-1] if said else 'it broke off'}")


@contextlib.contextmanager
def _started(command: List[str], environment: Dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process that does not outlive this."""
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    # In a session of its own it has no terminal that it could ask on.
    with subprocess.Popen(command, env=environment, start_new_session=True, **pipes) as process:
        _running.add(process)
        try:
            yield process
        finally:
            if process.returncode is None:
                _kill(process)
            _running.discard(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """It, and the script that it may have asked."""
    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
