# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lanes: blocking calls with deadlines, and no queue behind a stuck one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from rig.waiting import eventually, eventually_async
from vbmcd.machine.base import Busy
from vbmcd.machine.lanes import Lane, Overdue


class Door:
    """A blocking call that returns when the test opens it."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()

    def __call__(self) -> str:
        self.entered.set()
        self.opened.wait(20)
        return "through"


@pytest.fixture
def door() -> Iterator[Door]:
    door = Door()
    yield door
    door.opened.set()


def lane(size: int = 2, came_back=lambda: None) -> Lane:
    return Lane("lane", size, came_back)


async def test_results_and_errors_come_back() -> None:
    subject = lane()
    assert await subject.run("a", lambda: 42, deadline=5) == 42
    with pytest.raises(ZeroDivisionError):
        await subject.run("a", lambda: 1 // 0, deadline=5)


async def test_no_more_threads_than_its_size(door: Door) -> None:
    subject, seen = lane(2), set()

    def call() -> None:
        seen.add(threading.get_ident())

    await asyncio.gather(*(subject.run(str(n), call, deadline=5) for n in range(50)))
    assert 1 <= len(seen) <= 2


async def test_an_overdue_call_blocks_its_key_alone(door: Door) -> None:
    subject = lane(2)
    with pytest.raises(Overdue):
        await subject.run("stuck", door, deadline=0.05)
    with pytest.raises(Busy, match="stuck has not come back"):
        await subject.run("stuck", lambda: 1, deadline=5)
    assert await subject.run("other", lambda: 2, deadline=5) == 2


async def test_when_every_thread_is_overdue_calls_are_refused_at_once_until_one_comes_back(door: Door) -> None:
    returned = []
    subject = lane(1, lambda: returned.append(True))
    with pytest.raises(Overdue):
        await subject.run("stuck", door, deadline=0.05)
    with pytest.raises(Busy):
        await asyncio.wait_for(subject.run("other", lambda: 1, deadline=60), 5)
    door.opened.set()
    await eventually_async(lambda: _value(returned), 5, "the stuck call's return is reported")
    assert await subject.run("other", lambda: 1, deadline=5) == 1


async def _value(value: object) -> object:
    return value


async def test_a_call_that_waited_too_long_in_the_queue_never_runs(door: Door) -> None:
    subject, ran = lane(1), []
    first = asyncio.ensure_future(subject.run("a", door, deadline=60))
    await asyncio.to_thread(door.entered.wait, 5)
    with pytest.raises(Busy) as refused:
        await subject.run("b", lambda: ran.append(1), deadline=0.05)
    assert not isinstance(refused.value, Overdue)
    door.opened.set()
    assert await first == "through"
    await subject.run("c", lambda: None, deadline=5)
    assert ran == []


async def test_a_patient_call_waits_for_its_turn(door: Door) -> None:
    subject = lane(1)
    first = asyncio.ensure_future(subject.run("a", door, deadline=60))
    await asyncio.to_thread(door.entered.wait, 5)
    second = asyncio.ensure_future(subject.run("b", lambda: "done", deadline=0.05, patient=True))
    done, _ = await asyncio.wait({second}, timeout=0.3)
    assert not done
    door.opened.set()
    assert (await first, await second) == ("through", "done")


async def test_closing_ends_what_is_queued_and_joins_what_runs(door: Door) -> None:
    subject = lane(1)
    running = asyncio.ensure_future(subject.run("a", door, deadline=60))
    await asyncio.to_thread(door.entered.wait, 5)
    queued = asyncio.ensure_future(subject.run("b", lambda: 1, deadline=60, patient=True))
    await asyncio.sleep(0)
    subject.close()
    with pytest.raises(Busy, match="closed"):
        await queued
    with pytest.raises(Busy, match="closed"):
        await subject.run("c", lambda: 1, deadline=5)
    joiner = threading.Thread(target=subject.join, daemon=True)
    joiner.start()
    assert joiner.is_alive()
    door.opened.set()
    assert await running == "through"
    eventually(lambda: not joiner.is_alive(), 5, "join() returns after the last call")


async def test_forgetting_frees_those_who_wait_for_a_stuck_call(door: Door) -> None:
    subject = lane(1)
    running = asyncio.ensure_future(subject.run("a", door, deadline=60))
    await asyncio.to_thread(door.entered.wait, 5)
    subject.close()
    subject.forget()
    with pytest.raises(Busy, match="closed"):
        await running
