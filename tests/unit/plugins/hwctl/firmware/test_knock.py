# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""BMCs that are away: they are waited for without a thread."""

from __future__ import annotations

import errno
import queue
import selectors
import socket
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.deadline import Deadline
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.firmware import knock as knock_module
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.firmware.knock import Knock, Knocker
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.firmware.pools import Life, Pools, Steps
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.outcome import FAILED, OK, Outcome

Place = tuple[int, tuple[object, ...]]


@pytest.fixture
def listening() -> Iterator[Place]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield socket.AF_INET, server.getsockname()


@pytest.fixture
def deaf() -> Iterator[Place]:
    """Where connections are neither taken nor refused: its queue is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, socket.create_connection(server.getsockname()):
        yield socket.AF_INET, server.getsockname()


@pytest.fixture
def closed() -> Place:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return socket.AF_INET, server.getsockname()


def knocked(*places: Place, seconds: float = 60) -> str:
    done: queue.SimpleQueue[str] = queue.SimpleQueue()
    knocker: Knocker[str] = Knocker(done.put)
    knock = Knock(list(places), seconds)
    knocker.give("bmc", knock)
    assert done.get(timeout=60) == "bmc"
    knocker.end()
    return knock.error


def test_who_takes_a_connection_is_there(listening: Place) -> None:
    assert knocked(listening) == ""


def test_who_does_not_is_told_why(deaf: Place, closed: Place) -> None:
    assert knocked(closed) == "Connection refused"
    assert knocked(deaf, seconds=0.1) == "Connection timed out"


def test_who_answered_in_time_is_there_even_when_nobody_looked(
    listening: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]

    class Stalls(selectors.DefaultSelector):
        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            """What is ready, or nothing at first when the connection is under way; and all time passes meanwhile."""
            if timeout is None or clock[0]:
                return super().select(timeout)
            clock[0] = 1000.0
            return []

    monkeypatch.setattr(selectors, "DefaultSelector", Stalls)
    monkeypatch.setattr(knock_module, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    assert knocked(listening) == ""


def test_a_name_of_several_addresses_is_there_when_one_of_them_is(closed: Place, listening: Place) -> None:
    assert knocked((socket.AF_INET6, ("::1", closed[1][1], 0, 0)), closed, listening) == ""


def test_a_socket_that_can_not_be_had_is_told(monkeypatch: pytest.MonkeyPatch, listening: Place) -> None:
    def none(*given: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    knocker: Knocker[str] = Knocker(lambda who: None)
    monkeypatch.setattr(socket, "socket", none)
    knock = Knock([listening], 1)
    knocker._try("bmc", knock)
    knocker.end()
    assert knock.error == "Too many open files"


class Guest(Life):
    def __init__(self, name: str, place: Place) -> None:
        self.name = name
        self.deadline = Deadline(60)
        self._knock = Knock([place], 60)

    def steps(self) -> Steps:
        yield self._knock
        return Outcome(self.name, FAILED if self._knock.error else OK)

    def abandoned(self) -> Outcome:
        return Outcome(self.name, FAILED)

    def broken(self, error: Exception) -> Outcome:
        raise error


def test_any_number_of_dead_bmcs_holds_up_no_living_one_and_ends_when_called_off(deaf: Place, listening: Place) -> None:
    pools = Pools(1, 1)
    ended: list[Outcome] = []

    def end(outcome: Outcome) -> None:
        ended.append(outcome)
        if outcome.name == "alive":
            pools.cancel()

    pools.run([*(Guest(f"dead-{number}", deaf) for number in range(50)), Guest("alive", listening)], end)
    assert (ended[0].name, ended[0].status) == ("alive", OK)
    assert [one.status for one in ended[1:]] == [FAILED] * 50
