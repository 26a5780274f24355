# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A flood of login messages at a BMC's port, from a process of its own, as fast as one core can send.

with Flood("many addresses", port):
    ...
"""

from __future__ import annotations

import os
import select
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self

from rig.packets import ConsolePackets

IP_PKTINFO = getattr(socket, "IP_PKTINFO", 8)
RAMP = 3000
"""So many packets are under way before a test goes on."""


class Flood:
    """Runs while the context is open. `address` is the sender's where it is one."""

    def __init__(self, kind: str, port: int, address: str = "127.0.0.1", rate: int = 0) -> None:
        """`rate`: packets a second, 0 for as many as there can be."""
        self._arguments = [kind, str(port), address, str(rate)]

    def __enter__(self) -> Self:
        folder = str(Path(__file__).resolve().parents[1])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "rig.flood", *self._arguments],
            env={**os.environ, "PYTHONPATH": folder},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"begun\n"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The end of its input ends it.
        self._process.communicate(timeout=60)


def one_socket(port: int, address: str) -> Iterator[None]:
    """Open Session Requests from one port of one address."""
    sock = _socket(port, address)
    datagrams = [ConsolePackets(b"x", b"y", console_id=number).open_session() for number in range(1, 256)]
    while True:
        for datagram in datagrams:
            sock.send(datagram)
            yield


def one_address(port: int, address: str) -> Iterator[None]:
    """The same from many ports of it."""
    sockets = [_socket(port, address) for _turn in range(500)]
    datagram = ConsolePackets(b"x", b"y").open_session()
    while True:
        for sock in sockets:
            sock.send(datagram)
            yield


def many_addresses(port: int, address: str) -> Iterator[None]:
    """The same, each packet from an address that has sent none for long: as who forges them would."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagram = ConsolePackets(b"x", b"y").open_session()
    for number in count():
        # 127.64.0.0/10: what the loopback answers for, and nobody else uses.
        source = struct.pack(">I", 0x7F400000 | number * 2654435761 % (1 << 22))
        ancillary = (socket.IPPROTO_IP, IP_PKTINFO, bytes(4) + source + bytes(4))
        sock.sendmsg([datagram], [ancillary], 0, ("127.0.0.1", port))
        yield


def rakp_1(port: int, address: str) -> Iterator[None]:
    """RAKP 1 for sessions that there are not, and for one that there is, each time with another random number."""
    sock = _socket(port, address)
    known = ConsolePackets(b"x", b"y")
    sock.send(known.open_session())
    known.opened(sock.recv(2048))
    guess = ConsolePackets(b"x", b"y", session_id=1)
    while True:
        known.random, guess.session_id = os.urandom(16), guess.session_id % 0xFFFFFFFF + 1
        sock.send(known.rakp1())
        sock.send(guess.rakp1())
        yield


def strangers(port: int, address: str) -> Iterator[None]:
    """Packets of sessions that there are not."""
    sock = _socket(port, address)
    packets = ConsolePackets(b"x", b"y")
    packets.k1 = packets.k2 = bytes(16)
    datagrams = []
    for number in range(256):
        packets.session_id = 1 + number * 1000003
        datagrams.append(packets.request(0x00, 0x02, b"\x00"))
    while True:
        for datagram in datagrams:
            sock.send(datagram)
            yield


def wrong_codes(port: int, address: str) -> Iterator[None]:
    """Whole logins with a wrong password, for as long as they are answered."""
    sock = _socket(port, address)
    sock.settimeout(0.05)
    for number in count(1):
        packets = ConsolePackets(b"admin", b"wrong", console_id=number)
        with suppress(TimeoutError):
            if not packets.opened(_ask(sock, packets.open_session())):
                packets.took_rakp2(_ask(sock, packets.rakp1()))
                _ask(sock, packets.rakp3())
        yield


def _ask(sock: socket.socket, datagram: bytes) -> bytes:
    sock.send(datagram)
    while (answer := sock.recv(2048))[5] != datagram[5] + 1:
        continue
    return answer


def _socket(port: int, address: str) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((address, 0))
    sock.connect(("127.0.0.1", port))
    return sock


def main() -> None:
    kind, port, address, rate = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    packets = globals()[kind.replace(" ", "_")](port, address)
    sent, began = 0, time.monotonic()
    while not select.select([sys.stdin], [], [], 0)[0]:
        for _turn in range(50):
            next(packets)
        sent += 50
        if sent == RAMP:
            sys.stdout.write("begun\n")
            sys.stdout.flush()
        if rate:
            time.sleep(max(0.0, began + sent / rate - time.monotonic()))


if __name__ == "__main__":
    main()
