# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Serial over LAN: the consoles that people use, on a guest that writes to its serial port and echoes."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
import tty
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from rig.console import Console
from rig.daemon import Vbmcd
from rig.domains import tiny_domain
from rig.guest import BANNER, FLOOD, SERIAL, write_guest
from rig.ipmi import Target, ipmitool
from rig.libvirtd import Libvirtd
from rig.ports import free_ports
from rig.waiting import eventually

ACTIVATE = bytes((1, 1, 0xC0, 0, 0, 0))
PYGHMI = """
import sys
from pyghmi.ipmi.console import Console
seen = b""
def show(data):
    global seen
    seen += data if isinstance(data, bytes) else repr(data).encode()
console = Console("127.0.0.1", "admin", "password", show, port=int(sys.argv[1]))
console.send_data(b"hello from pyghmi")
for turn in range(240):
    Console.wait_for_rsp(0.25)
    if seen.endswith(b"hello from pyghmi"):
        break
console.close()
print(seen)
"""


@dataclass
class Guest:
    name: str
    libvirtd: Libvirtd
    vbmcd: Vbmcd
    target: Target

    def start(self) -> None:
        self.libvirtd.virsh("start", self.name)

    def start_watched(self) -> None:
        """Switch it on once its BMC has opened the console, for whom QEMU drops what is said before."""
        self.libvirtd.start_again(self.name, "--paused")
        terminal = self.libvirtd.virsh("ttyconsole", self.name)
        opened = Path(f"/proc/{self.libvirtd.pid}/fd")
        eventually(lambda: terminal in links(opened), what=f"libvirtd has opened {terminal} for the BMC")
        self.libvirtd.virsh("resume", self.name)


@pytest.fixture(scope="module")
def vbmcd() -> Iterator[Vbmcd]:
    with Vbmcd() as daemon:
        yield daemon


@pytest.fixture
def guest(libvirtd: Libvirtd, vbmcd: Vbmcd, tmp_path: Path) -> Iterator[Guest]:
    name = f"sol-{tmp_path.name[-24:]}"
    disk = write_guest(tmp_path / "disk")
    libvirtd.define(tiny_domain(name, disks=[disk], boot=["hd"], devices=SERIAL))
    try:
        port = vbmcd.serve(name, libvirt_uri=libvirtd.uri, port=free_ports(1)[0])
        yield Guest(name, libvirtd, vbmcd, Target(port))
    finally:
        vbmcd.ask("delete", names=[name])
        libvirtd.remove(name)


def links(folder: Path) -> set[str]:
    """Where the links in it lead to."""
    found = set()
    for entry in folder.iterdir():
        with suppress(OSError):  # closed meanwhile
            found.add(os.readlink(entry))
    return found


class Terminal:
    """A client on a pseudo-terminal."""

    def __init__(self, *command: str) -> None:
        self._fd, other = pty.openpty()
        tty.setraw(other)
        self._process = subprocess.Popen(
            command,
            stdin=other,
            stdout=other,
            stderr=other,
            start_new_session=True,
            env={**os.environ, "TERM": "vt100"},
        )
        os.close(other)
        self.seen = b""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        os.close(self._fd)

    def type(self, keys: bytes) -> None:
        os.write(self._fd, keys)

    def expect(self, text: bytes, seconds: float = 60) -> bytes:
        """Wait for `text`; all that came up to its end, which is then forgotten."""
        deadline = time.monotonic() + seconds
        while text not in self.seen:
            left = deadline - time.monotonic()
            ready = left > 0 and select.select([self._fd], [], [], left)[0]
            assert ready, f"{text[:80]!r} did not come; the last that did: {self.seen[-300:]!r} of {len(self.seen)}"
            try:
                self.seen += os.read(self._fd, 65536)
            except OSError:  # the other end is closed
                raise AssertionError(f"the client ended: {self.seen[-300:]!r}") from None
        before, _text, self.seen = self.seen.partition(text)
        return before + text

    def ended(self) -> int:
        return self._process.wait(60)


def ipmitool_sol(target: Target, suite: int = 17) -> Terminal:
    return Terminal(
        "ipmitool", "-I", "lanplus", "-C", str(suite), "-H", target.host, "-p", str(target.port),
        "-U", target.user, "-P", target.password, "sol", "activate",
    )  # fmt: skip


@pytest.mark.parametrize("suite", [3, 17])
def test_ipmitool_shows_and_types(guest: Guest, suite: int) -> None:
    with ipmitool_sol(guest.target, suite) as terminal:
        terminal.expect(b"SOL Session operational")
        guest.start_watched()  # a console may be attached before the machine runs
        terminal.expect(BANNER)
        terminal.type(b"hello")
        terminal.expect(b"hello")
        terminal.type(b"\r~.")
        terminal.expect(b"terminated ipmitool")
        assert terminal.ended() == 0
    assert Console(guest.target.port).login().request(0x06, 0x4A, b"\x01") == bytes((0, 1, 0, 0))


def test_a_break_reaches_the_guest(guest: Guest) -> None:
    guest.start()
    with ipmitool_sol(guest.target) as terminal:
        terminal.expect(b"SOL Session operational")
        terminal.type(b"x")
        terminal.expect(b"x")
        terminal.type(b"\r~B")
        terminal.expect(b"[send break]")
        terminal.expect(b"\0")  # what a line that is held low reads as (16550, line status, bit 4)
        terminal.type(b"after")
        terminal.expect(b"after")


def test_a_console_stays_attached_while_the_machine_is_off(guest: Guest) -> None:
    with ipmitool_sol(guest.target) as terminal:
        terminal.expect(b"SOL Session operational")
        for _turn in range(2):
            guest.start_watched()
            terminal.expect(BANNER)
            guest.libvirtd.virsh("destroy", guest.name)


def test_64_kib_arrive_whole(guest: Guest) -> None:
    guest.start()
    with ipmitool_sol(guest.target) as terminal:
        terminal.expect(b"SOL Session operational")
        terminal.type(b"x")
        terminal.expect(b"x")
        terminal.type(b"!")
        terminal.expect(FLOOD)


def test_ipmiconsole_shows_and_types(guest: Guest) -> None:
    # It knows no port but 623, so the BMC gets that on an address of its own.
    host = f"127.6.{os.getpid() % 250}.23"
    guest.vbmcd.ask("delete", names=[guest.name])
    guest.vbmcd.serve(guest.name, libvirt_uri=guest.libvirtd.uri, address=host, port=623)
    with Terminal("ipmiconsole", "-h", host, "-u", "admin", "-p", "password", "-I", "17") as terminal:
        terminal.expect(b"SOL established")
        guest.start_watched()
        terminal.expect(BANNER)
        terminal.type(b"hello")
        terminal.expect(b"hello")
        terminal.type(b"&.")
        terminal.ended()


def test_pyghmi_shows_and_types(guest: Guest) -> None:
    guest.start()
    with ipmitool_sol(guest.target) as terminal:
        terminal.expect(b"SOL Session operational")
        terminal.type(b"x")
        terminal.expect(b"x")
        terminal.type(b"\r~.")
        terminal.expect(b"terminated ipmitool")
        terminal.ended()
    done = subprocess.run(
        [sys.executable, "-c", PYGHMI, str(guest.target.port)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert "hello from pyghmi" in done.stdout


def test_one_console_at_a_time(guest: Guest) -> None:
    with Console(guest.target.port) as first, Console(guest.target.port) as second:
        first.login()
        second.login()
        assert first.request(0x06, 0x48, ACTIVATE)[0] == 0
        assert second.request(0x06, 0x48, ACTIVATE) == b"\x80"
        assert second.request(0x06, 0x4B, b"\x01\x01")[1:5] == first.packets.session_id.to_bytes(4, "little")
        assert second.request(0x06, 0x49, ACTIVATE) == b"\0"
        assert second.request(0x06, 0x48, ACTIVATE)[0] == 0


def test_a_closed_session_leaves_the_console_to_others(guest: Guest) -> None:
    with Console(guest.target.port) as first, Console(guest.target.port) as second:
        first.login()
        second.login()
        assert first.request(0x06, 0x48, ACTIVATE)[0] == 0
        first.request(0x06, 0x3C, first.packets.session_id.to_bytes(4, "little"))
        assert second.request(0x06, 0x48, ACTIVATE)[0] == 0


def test_settings_outlive_the_daemon_and_are_told(guest: Guest) -> None:
    shown = ipmitool(guest.target, "sol", "info", "1").output
    assert f"Payload Port                    : {guest.target.port}" in shown
    assert ipmitool(guest.target, "sol", "set", "retry-count", "3", "1").code == 0
    assert ipmitool(guest.target, "sol", "set", "enabled", "false", "1").code == 0
    guest.vbmcd.ask("stop", names=[guest.name])
    guest.vbmcd.ask("start", names=[guest.name])
    shown = ipmitool(guest.target, "sol", "info", "1").output
    assert "Retry Count                     : 3" in shown
    assert "Enabled                         : false" in shown
    refused = Console(guest.target.port).login().request(0x06, 0x48, ACTIVATE)
    assert refused == b"\x81"
