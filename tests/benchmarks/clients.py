# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who asks: all BMCs at once with a selector, or one after the other over sessions that are kept."""

from __future__ import annotations

import heapq
import selectors
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from benchmarks import console
from benchmarks.console import Exchange, Refused
from rig.packets import ConsolePackets

ADDRESS = "127.0.0.1"
LOST = 1.0
"""Seconds after which a datagram counts as lost and an exchange is begun anew."""
REFUSED = 0.1
"""Seconds after which one that was refused is begun anew: a BMC may be up before its hypervisor."""


class TookTooLong(RuntimeError):
    """Some did not answer in time; the message says how many."""


@dataclass
class Asked:
    """What came of asking many at once."""

    finished: float
    """time.monotonic() of the last answer."""
    again: int
    """Exchanges that had to begin anew, for want of an answer or because it was no."""


@dataclass
class _One:
    port: int
    sock: socket.socket
    exchange: Exchange
    due: float = 0.0
    knocking: bool = False
    """Whether the port was closed; at `due` it is knocked at again."""


@dataclass(order=True)
class _Timer:
    due: float
    one: _One = field(compare=False)


class Crowd:
    """Carries out one exchange with each of `ports`, all at the same time."""

    def __init__(self, ports: Sequence[int], begin: Callable[[], Exchange]) -> None:
        self._begin = begin
        # A closed port is refused at once (ICMP), and knocked at again after this. An open one keeps a datagram
        # until its server reads it: so a server that starts is not buried in questions.
        self._knock = max(0.01, len(ports) * 0.0001)
        self._selector = selectors.DefaultSelector()
        self._timers: list[_Timer] = []
        self._left = set(ports)
        self._again = 0
        self._refusal = ""

    def run(self, timeout: float) -> Asked:
        """Raises TookTooLong."""
        deadline = time.monotonic() + timeout
        for port in sorted(self._left):
            self._start(port)
        finished = time.monotonic()
        while self._left:
            for key, _unused in self._selector.select(self._pause()):
                self._heard(key.data)
                finished = time.monotonic()
            self._expire()
            if time.monotonic() > deadline:
                raise TookTooLong(f"{len(self._left)} BMCs did not answer within {timeout:g} s{self._refusal}")
        self._selector.close()
        return Asked(finished, self._again)

    def _pause(self) -> float:
        return max(0.0, self._timers[0].due - time.monotonic()) if self._timers else LOST

    def _start(self, port: int) -> None:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        sock.connect((ADDRESS, port))
        one = _One(port, sock, self._begin())
        self._selector.register(sock, selectors.EVENT_READ, one)
        self._say(one, next(one.exchange))

    def _say(self, one: _One, datagram: bytes) -> None:
        try:
            one.sock.send(datagram)
        except ConnectionRefusedError:
            self._wait(one, self._knock, knocking=True)
            return
        self._wait(one, LOST)

    def _wait(self, one: _One, seconds: float, *, knocking: bool = False) -> None:
        one.due, one.knocking = time.monotonic() + seconds, knocking
        heapq.heappush(self._timers, _Timer(one.due, one))

    def _heard(self, one: _One) -> None:
        try:
            datagram = one.sock.recv(2048)
        except BlockingIOError:
            return
        except ConnectionRefusedError:
            self._wait(one, self._knock, knocking=True)
            return
        try:
            self._say(one, one.exchange.send(datagram))
        except StopIteration:
            self._end(one)
            self._left.discard(one.port)
        except Refused as refusal:
            self._refusal = f", the last because of {refusal}"
            self._wait(one, REFUSED)

    def _expire(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0].due <= now:
            timer = heapq.heappop(self._timers)
            one = timer.one
            if one.due != timer.due or one.sock.fileno() < 0:
                continue  # it was answered since
            self._again += not one.knocking
            self._end(one)  # with its socket, so that a late answer can't be taken for another's
            self._start(one.port)

    def _end(self, one: _One) -> None:
        self._selector.unregister(one.sock)
        one.sock.close()


@dataclass
class Pace:
    """What a run of commands was like for the client: seconds each, sorted."""

    seconds: list[float]

    def percentile(self, percent: float) -> float:
        return self.seconds[min(len(self.seconds) - 1, int(len(self.seconds) * percent / 100))]


class Sessions:
    """Sessions that are kept, one a port."""

    def __init__(self, ports: Sequence[int], suite: int) -> None:
        self._lines = [_Line(port, console.console(suite)) for port in ports]
        for line in self._lines:
            line.converse(console.login(line.packets))

    def ask(self, commands: int) -> Pace:
        """Get Chassis Status so many times, over the sessions in turn, one command under way at a time."""
        taken = []
        for number in range(commands):
            line = self._lines[number % len(self._lines)]
            request = console.status(line.packets)
            began = time.perf_counter()
            line.sock.send(request)
            datagram = line.sock.recv(2048)
            taken.append(time.perf_counter() - began)
            console.check(line.packets, datagram)
        return Pace(sorted(taken))

    def close(self) -> None:
        for line in self._lines:
            line.sock.send(console.close(line.packets))
            line.sock.recv(2048)
            line.sock.close()


@contextmanager
def sessions(ports: Sequence[int], suite: int) -> Iterator[Sessions]:
    """Log in at each of `ports`; log out at the end."""
    opened = Sessions(ports, suite)
    try:
        yield opened
    finally:
        opened.close()


class _Line:
    """A console with a socket of its own: VirtualBMC tells consoles apart by their address alone."""

    def __init__(self, port: int, packets: ConsolePackets) -> None:
        self.packets = packets
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.settimeout(5)
        self.sock.connect((ADDRESS, port))

    def converse(self, exchange: Exchange) -> None:
        datagram = next(exchange)
        while True:
            self.sock.send(datagram)
            try:
                datagram = exchange.send(self.sock.recv(2048))
            except StopIteration:
                return
