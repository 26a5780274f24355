# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When the supervisor gives its spawner up. That it forks workers is shown by the tests with a daemon."""

from __future__ import annotations

import os
import socket

import pytest

from vbmcd.supervisor.spawner import WAITS, Spawner
from vbmcd.worker.wire import WorkerSpec


class SlowSocket:
    """Answers once so many waits for it were over."""

    def __init__(self, waits: int) -> None:
        self.waits = waits

    def sendmsg(self, *_what: object) -> int:
        return 1

    def recv(self, _size: int) -> bytes:
        self.waits -= 1
        if self.waits >= 0:
            raise TimeoutError
        return b"4711"


@pytest.mark.parametrize(("waits", "given_up"), [(1, False), (WAITS, True)])
def test_a_spawner_is_given_up_for_many_waits_and_not_for_a_stall_of_the_machine(
    monkeypatch: pytest.MonkeyPatch, waits: int, given_up: bool
) -> None:
    killed: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, _number: killed.append(pid))
    spawner = Spawner.__new__(Spawner)
    spawner.pid, spawner._socket = 7, SlowSocket(waits)  # type: ignore[assignment]
    with socket.socket() as channel:
        try:
            assert spawner.spawn(WorkerSpec("worker-1", "ipc:///run/x"), channel) == 4711
        except ConnectionResetError:
            assert given_up
    assert killed == [7] * given_up
