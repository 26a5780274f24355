# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client that is faster than the servers: what it sends is sealed beforehand, what it gets is checked at the end.

So that one core of client keeps one core of server busy.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Generic, Self, TypeVar

from benchmarks import console
from benchmarks.clients import ADDRESS, Pace
from rig.packets import ConsolePackets

PATIENCE = 10.0
"""Seconds without any answer after which a run ends: nothing is lost here, but a server may have to wait for a core."""


class Load:
    """One session with each of `ports`; a port that is there several times gets as many."""

    def __init__(self, ports: Sequence[int], suite: int) -> None:
        self._lines = [_Line(port, suite) for port in ports]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for line in self._lines:
            line.close()

    def prepare(self, commands: int) -> None:
        """Seal so many commands in all, in equal parts for each session."""
        for line in self._lines:
            line.prepare(-(-commands // len(self._lines)))

    def at_once(self) -> int:
        """Ask what was prepared, one command under way in each session all the time; how many it was."""
        asked = 0
        with _Poll(self._lines) as poll:
            for line in self._lines:
                line.ask()
            left = len(self._lines)
            while left:
                for line in poll.readable(PATIENCE):
                    line.take()
                    asked += 1
                    left -= not line.ask()
        self._check()
        return asked

    def paced(self, rate: float) -> Pace:
        """Ask what was prepared, so many a second by the clock, over the sessions in turn.

        An answer's time counts from when its command was due: what waits behind another is late as well.
        """
        taken: list[float] = []
        due: dict[_Line, float] = {}
        order = [line for _turn in range(self._lines[0].left) for line in self._lines]
        with _Poll(self._lines) as poll:
            began, sent = time.perf_counter(), 0
            while sent < len(order) or due:
                while sent < len(order) and (at := began + sent / rate) <= time.perf_counter():
                    # A session whose answer is still to come lets the others wait, too: all are late then.
                    if order[sent] in due:
                        break
                    due[order[sent]] = at
                    order[sent].ask()
                    sent += 1
                for line in poll.readable(0 if sent < len(order) else PATIENCE):
                    line.take()
                    taken.append(time.perf_counter() - due.pop(line))
        self._check()
        return Pace(sorted(taken))

    def _check(self) -> None:
        for line in self._lines:
            line.check()


class SetUps:
    """Logins, each followed by a Close Session, one under way at each of `ports` all the time."""

    def __init__(self, ports: Sequence[int], suite: int) -> None:
        self._ports, self._suite = ports, suite

    def run(self, count: int) -> float:
        """So many; the seconds that they took."""
        began, left = time.monotonic(), count
        with _Poll([_Caller(port, self._suite) for port in self._ports]) as poll:
            while left:
                for caller in poll.readable(PATIENCE):
                    if caller.go_on():
                        continue
                    left -= 1
                    poll.remove(caller)
                    if left >= len(self._ports):
                        poll.add(_Caller(caller.port, self._suite))
        return time.monotonic() - began


class _Socket:
    def __init__(self, port: int) -> None:
        self.port = port
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.settimeout(PATIENCE)
        self.sock.connect((ADDRESS, port))


class _Line(_Socket):
    """A session, and its commands to come."""

    def __init__(self, port: int, suite: int) -> None:
        super().__init__(port)
        self._packets = console.console(suite)
        self._to_send: list[bytes] = []
        self._taken: list[bytes] = []
        self._converse(console.login(self._packets))

    def _converse(self, exchange: console.Exchange) -> None:
        datagram = next(exchange)
        while True:
            self.sock.send(datagram)
            try:
                datagram = exchange.send(self.sock.recv(2048))
            except StopIteration:
                return

    @property
    def left(self) -> int:
        return len(self._to_send)

    def prepare(self, commands: int) -> None:
        self._to_send = [console.status(self._packets) for _turn in range(commands)][::-1]

    def ask(self) -> bool:
        """Send the next command; False when there is none any more."""
        if not self._to_send:
            return False
        self.sock.send(self._to_send.pop())
        return True

    def take(self) -> None:
        self._taken.append(self.sock.recv(2048))

    def check(self) -> None:
        """Raises Refused unless all that was taken since is a success."""
        for datagram in self._taken:
            console.check(self._packets, datagram)
        self._taken.clear()

    def close(self) -> None:
        self.sock.send(console.close(self._packets))
        self.sock.recv(2048)
        self.sock.close()


class _Caller(_Socket):
    """One login and logout."""

    def __init__(self, port: int, suite: int) -> None:
        super().__init__(port)
        self._exchange = self._call(console.console(suite))
        self.sock.send(next(self._exchange))

    def go_on(self) -> bool:
        """Take an answer and send what follows; False when that was the last."""
        try:
            self.sock.send(self._exchange.send(self.sock.recv(2048)))
        except StopIteration:
            return False
        return True

    @staticmethod
    def _call(packets: ConsolePackets) -> console.Exchange:
        yield from console.login(packets)
        console.check(packets, (yield console.close(packets)))


T = TypeVar("T", bound=_Socket)


class _Poll(Generic[T]):
    """Which of many sockets have an answer."""

    def __init__(self, sockets: Sequence[T]) -> None:
        self._by_descriptor: dict[int, T] = {}
        self._epoll = select.epoll()
        for one in sockets:
            self.add(one)

    def add(self, one: T) -> None:
        self._by_descriptor[one.sock.fileno()] = one
        self._epoll.register(one.sock.fileno(), select.EPOLLIN)

    def remove(self, one: T) -> None:
        """Forget and close it."""
        self._epoll.unregister(one.sock.fileno())
        del self._by_descriptor[one.sock.fileno()]
        one.sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._epoll.close()

    def readable(self, timeout: float) -> list[T]:
        """Raises TimeoutError when none is within `timeout` seconds; with 0 it does not wait, nor raise."""
        events = self._epoll.poll(timeout, len(self._by_descriptor))
        if timeout and not events:
            raise TimeoutError(f"no answer within {timeout:g} s")
        return [self._by_descriptor[descriptor] for descriptor, _event in events]
