# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disposable libvirtd with real QEMU that leaves the host's libvirt alone and nothing behind.

    with Libvirtd() as libvirtd:
        libvirtd.define(tiny_domain("node-1"))
        libvirtd.virsh("start", "node-1")

By hand: `python -m rig.libvirtd` in tests/ starts one, prints its URI and keeps it until Enter.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
import weakref
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from rig import keeper
from rig.domains import tiny_domain
from rig.ports import free_ports
from rig.waiting import eventually

__all__ = ["Libvirtd", "Unavailable", "crashes", "running", "tiny_domain"]

# The QEMU of a rig runs as root: otherwise libvirtd finds a /dev/kvm that its qemu user may not open and
# probes the emulator anew at each define, which takes half a minute. Cgroups, mount namespaces and security
# labels would be shared with the host's libvirt, so they are off.
QEMU_CONF = """\
user = "root"
group = "root"
dynamic_ownership = 0
security_driver = "none"
cgroup_controllers = []
namespaces = []
remote_display_port_min = {display}
remote_display_port_max = {display_end}
"""
LIBVIRTD_CONF = """\
auth_unix_ro = "none"
auth_unix_rw = "none"
unix_sock_rw_perms = "0700"
max_clients = 10000
max_anonymous_clients = 10000
log_outputs = "3:stderr"
"""
# DIGEST-MD5 is old, but the one mechanism with passwords that libvirt takes on a TCP connection without TLS:
# it encrypts.
SASL_CONF = """\
mech_list: digest-md5
sasldb_path: /etc/libvirt/sasl2/passwords.db
"""
TCP_CONF = """\
listen_tls = 0
listen_tcp = 1
listen_addr = "127.0.0.1"
tcp_port = "{port}"
auth_tcp = "sasl"
"""
_PROGRAMS = {"libvirtd": "libvirt-daemon-system", "virtlogd": "libvirt-daemon-system", "virsh": "libvirt-clients"}
_SASL_PROGRAMS = {"saslpasswd2": "sasl2-bin"}
_DISPLAYS = 100
_running: weakref.WeakSet[Libvirtd] = weakref.WeakSet()
_crashes: list[str] = []


class Unavailable(RuntimeError):
    """This machine can't run the rig; the message says why and what would help."""


def running() -> list[Libvirtd]:
    """Those that were started and not stopped; they may have crashed."""
    return [one for one in _running if one.pid]


def crashes() -> list[str]:
    """What became of those that died of a signal which the rig has not sent, in this process of the tests."""
    for one in running():
        one.note_crash()
    return _crashes.copy()


class Libvirtd:
    """A private libvirtd with virtlogd. Its files lie in `folder` (a temporary one that goes with it by default).

    With `sasl`, a user's name and password, it listens on TCP too (`tcp_uri`), for who knows these.
    Raises Unavailable where it can't run.
    """

    def __init__(self, folder: Path | None = None, *, sasl: tuple[str, str] | None = None) -> None:
        if os.geteuid() != 0:
            raise Unavailable("the test rig needs root: it gives libvirtd a mount and a PID namespace of its own")
        programs = {**_PROGRAMS, **_SASL_PROGRAMS} if sasl else _PROGRAMS
        if missing := [name for name in programs if shutil.which(name) is None]:
            packages = sorted({programs[name] for name in missing})
            raise Unavailable(f"the test rig needs {' and '.join(missing)}: install {' and '.join(packages)}")
        self._own_folder = folder is None
        self.folder = (folder or Path(tempfile.mkdtemp(prefix="rig-libvirtd-"))).absolute()
        self._keeper: subprocess.Popen[str] | None = None
        self._sasl = sasl
        self._tcp_port = free_ports(1)[0] if sasl else 0
        self.pid = 0
        """libvirtd's PID; 0 while none runs."""

    @property
    def socket(self) -> Path:
        return self.folder / "run" / "libvirt-sock"

    @property
    def uri(self) -> str:
        return f"qemu:///system?socket={self.socket}"

    @property
    def tcp_uri(self) -> str:
        assert self._sasl, "only a libvirtd with SASL listens on TCP"
        return f"qemu+tcp://127.0.0.1:{self._tcp_port}/system"

    def set_sasl_password(self, user: str, password: str) -> None:
        """Let `user` in with `password`, and with no other any more; connections that are open stay."""
        command = ["saslpasswd2", "-p", "-c", "-a", "libvirt", "-f", str(self._sasl_folder / "passwords.db"), user]
        subprocess.run(command, input=password, check=True, text=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, *, wait: bool = True) -> None:
        """Start libvirtd, for the first time or again after kill(); `wait` until it answers."""
        if self.pid:
            return
        owner = self._keeper or self._start_keeper()
        assert owner.stdin is not None and owner.stdout is not None
        owner.stdin.write("start --listen\n" if self._sasl else "start\n")
        owner.stdin.flush()
        answer = owner.stdout.readline()
        if not answer:
            raise RuntimeError(f"the rig's keeper ended:\n{self._log('keeper')}")
        self.pid = int(answer)
        _running.add(self)
        if wait:
            try:
                eventually(self.answers, what=f"libvirtd in {self.folder} answers")
            except AssertionError as error:
                raise AssertionError(f"{error}\n{self._log('libvirtd')}") from None

    def answers(self) -> bool:
        if not self.socket.exists():
            return False
        try:
            return subprocess.run(self._virsh("list"), capture_output=True, check=False, timeout=15).returncode == 0
        except subprocess.TimeoutExpired:
            return False  # it connected while libvirtd came up, and hears of nothing more

    def start_if_gone(self) -> None:
        """Start it again if it has ended by itself."""
        if self.pid and not _alive(self.pid):
            self.note_crash()
            warnings.warn(f"libvirtd ({self.pid}) has crashed, and is started again", stacklevel=1)
            self.pid = 0
            self.start()

    def note_crash(self) -> None:
        """Have crashes() tell of it if it has died of a signal."""
        number = _died_of(self.pid) if self.pid else 0
        told = f"libvirtd ({self.pid}) has died of signal {number}"
        if number and told not in _crashes:
            _crashes.append(told)

    def kill(self) -> None:
        """SIGKILL libvirtd. Its QEMUs go on running, and start() finds them again."""
        pid, self.pid = self.pid, 0
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: not _alive(pid), what=f"libvirtd ({pid}) is gone")

    def freeze(self) -> None:
        """SIGSTOP libvirtd: its socket accepts connections and answers nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def stop(self) -> None:
        """End libvirtd, virtlogd and every QEMU, and drop the mounts; remove the folder if it is the rig's own."""
        self.note_crash()
        owner, self._keeper, self.pid = self._keeper, None, 0
        if owner is None:
            return
        assert owner.stdin is not None and owner.stdout is not None
        owner.stdin.close()
        owner.wait(timeout=120)
        owner.stdout.close()

    def virsh(self, *arguments: str) -> str:
        """Run virsh and return what it printed. Raises AssertionError with its message when it fails."""
        done = subprocess.run(self._virsh(*arguments), capture_output=True, check=False, text=True)
        if done.returncode != 0:
            raise AssertionError(f"virsh {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout.strip()

    def start_again(self, name: str, *options: str) -> None:
        """Start a domain that was on a moment ago.

        libvirt 9.0 may take the end of the process before for that of the new one, and kill it. vbmcd looks after that
        as well.
        """
        with suppress(AssertionError):
            self.virsh("start", name, *options)
        for _turn in range(10):
            if self.virsh("domstate", name) == "shut off":
                self.virsh("start", name, *options)
                return
            time.sleep(0.05)

    def define(self, *documents: str) -> None:
        """Define the domains of the XML documents given."""
        with tempfile.NamedTemporaryFile("w", suffix=".xml") as file:
            for document in documents:
                file.seek(0)
                file.truncate()
                file.write(document)
                file.flush()
                self.virsh("define", file.name)

    def remove(self, name: str) -> None:
        """Destroy and undefine a domain in whatever state it is; nothing to do where there is none."""
        self.start_if_gone()  # or who makes one of that name next would find it
        subprocess.run(self._virsh("destroy", name), capture_output=True, check=False)
        flags = ("--managed-save", "--snapshots-metadata", "--nvram")
        subprocess.run(self._virsh("undefine", name, *flags), capture_output=True, check=False)

    def qemu_pid(self, name: str) -> int:
        """The PID of a running domain's QEMU."""
        # libvirt knows it as a number of the rig's PID namespace; the host's number is found by name.
        namespace = os.readlink(f"/proc/{self.pid}/ns/pid")
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if f"guest={name},debug-threads=on".encode() in words and os.readlink(entry / "ns/pid") == namespace:
                    return int(entry.name)
            except OSError:
                continue  # ended meanwhile
        raise AssertionError(f"domain {name} has no QEMU")

    def _virsh(self, *arguments: str) -> list[str]:
        return ["virsh", "--quiet", "--connect", self.uri, *arguments]

    @property
    def _sasl_folder(self) -> Path:
        return self.folder / "etc" / "sasl2"

    def _start_keeper(self) -> subprocess.Popen[str]:
        for name in keeper.LIBVIRT_FOLDERS:
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        display = 5900 + _DISPLAYS * random.randrange(500)  # several rigs would compete for the same ports
        (self.folder / "etc" / "qemu.conf").write_text(
            QEMU_CONF.format(display=display, display_end=display + _DISPLAYS - 1)
        )
        config = LIBVIRTD_CONF
        if self._sasl:
            config += TCP_CONF.format(port=self._tcp_port)
            self._sasl_folder.mkdir(exist_ok=True)
            (self._sasl_folder / "libvirt.conf").write_text(SASL_CONF)
            self.set_sasl_password(*self._sasl)
        (self.folder / "etc" / "libvirtd.conf").write_text(config)
        (self.folder / "etc" / "virtlogd.conf").write_text("")
        command = [sys.executable, keeper.__file__, str(self.folder), "remove" if self._own_folder else "keep"]
        with open(self.folder / "log" / "keeper.out", "wb") as log:
            self._keeper = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                env={**os.environ, "SASL_CONF_PATH": "/etc/libvirt/sasl2"},  # as the keeper's children see it
            )  # fmt: skip
        return self._keeper

    def _log(self, daemon: str) -> str:
        path = self.folder / "log" / f"{daemon}.out"
        return path.read_text(errors="replace")[-4000:] if path.exists() else ""


def _stat(pid: int) -> list[str]:
    """The fields of a process after its name, the state first (proc(5)); nothing where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _alive(pid: int) -> bool:
    return _stat(pid)[:1] not in ([], ["Z"])


def _died_of(pid: int) -> int:
    """The signal that ended a process which nobody has waited for yet; 0 where it was none."""
    if _is_ending(pid):
        eventually(lambda: not _alive(pid), what=f"the end of {pid}")
    fields = _stat(pid)
    return int(fields[49]) & 0x7F if fields[:1] == ["Z"] else 0


def _is_ending(pid: int) -> bool:
    """Whether its sockets may be closed although it is there: PF_EXITING of its flags (linux/sched.h)."""
    return bool(int((_stat(pid) or 9 * ["0"])[6]) & 4)


if __name__ == "__main__":
    with Libvirtd() as rig:
        print(rig.uri, "libvirtd", rig.pid, flush=True)
        sys.stdin.readline()
