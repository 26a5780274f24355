# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lanes: blocking calls with deadlines, and no queue behind a stuck one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from rig.waiting import eventually, eventually_async
from vbmcd.machine import lanes
from vbmcd.machine.base import Busy
from vbmcd.machine.lanes import Lane, Overdue


class Tool:
    """Says in which thread it was opened and closed."""

    def __init__(self) -> None:
        self.handle = self
        self.opened_in = threading.get_ident()
        self.closed_in: int | None = None

    def close(self) -> None:
        self.closed_in = threading.get_ident()


class Door:
    """A blocking call that returns when the test opens it."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()

    def __call__(self, _handle: object) -> str:
        self.entered.set()
        self.opened.wait(60)
        return "through"


@pytest.fixture
def door() -> Iterator[Door]:
    door = Door()
    yield door
    door.opened.set()


async def overdue(subject: Lane, key: str, call: Callable[[Tool], object]) -> None:
    """Have a call be overdue. One that the machine had no time to start is not, and is given more."""
    for deadline in (0.05, 0.5, 5.0, 50.0):
        try:
            await subject.run(key, call, deadline=deadline)
        except Overdue:
            return
        except Busy:
            continue
    raise AssertionError("it is not overdue")


def lane(size: int = 2, came_back=lambda: None) -> Lane:
    return Lane("lane", [Tool] * size, came_back)


async def test_results_and_errors_come_back() -> None:
    subject = lane()
    assert await subject.run("a", lambda _: 42, deadline=30) == 42
    with pytest.raises(ZeroDivisionError):
        await subject.run("a", lambda _: 1 // 0, deadline=30)


async def test_no_more_threads_than_its_size(door: Door) -> None:
    subject, seen = lane(2), set()

    def call(_handle: object) -> None:
        seen.add(threading.get_ident())

    await asyncio.gather(*(subject.run(str(n), call, deadline=30) for n in range(50)))
    assert 1 <= len(seen) <= 2


async def test_each_thread_has_a_tool_of_its_own_and_closes_it() -> None:
    subject, tools = lane(2), set()

    def call(tool: Tool) -> None:
        assert tool.opened_in == threading.get_ident()
        tools.add(tool)
        both.wait(30)

    both = threading.Barrier(2)
    await asyncio.gather(*(subject.run(str(n), call, deadline=30) for n in range(2)))
    assert len(tools) == 2
    subject.close()
    await asyncio.to_thread(subject.join)
    assert all(tool.closed_in == tool.opened_in for tool in tools)


async def test_one_call_after_the_other_needs_one_thread() -> None:
    subject = lane(4)
    assert len({await subject.run("a", lambda tool: tool, deadline=30) for _turn in range(500)}) == 1


async def test_a_tool_that_takes_long_to_open_is_overdue_and_not_queued(door: Door) -> None:
    def opener() -> Tool:
        door(None)
        return Tool()

    subject = Lane("lane", [opener], lambda: None)
    await overdue(subject, "a", lambda _: 1)


async def test_a_tool_that_does_not_open_fails_the_call_and_is_tried_again() -> None:
    attempts = iter([Busy("not now"), Tool()])

    def opener() -> Tool:
        attempt = next(attempts)
        if isinstance(attempt, Tool):
            return attempt
        raise attempt

    subject = Lane("lane", [opener], lambda: None)
    with pytest.raises(Busy, match="not now"):
        await subject.run("a", lambda _: 1, deadline=30)
    assert await subject.run("a", lambda _: 2, deadline=30) == 2


def refuse_threads(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """As a process limit does: the next `times` threads of a lane don't start."""
    start, refusals = threading.Thread.start, iter(range(times))

    def limited(thread: threading.Thread) -> None:
        if thread.name == "lane" and next(refusals, None) is not None:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)


async def test_a_thread_that_does_not_start_fails_the_call_and_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_threads(monkeypatch, 1)
    subject, ran, both = lane(2), [], threading.Barrier(2)
    with pytest.raises(Busy, match="lane: .*can't start new thread"):
        await subject.run("a", lambda _: ran.append(1), deadline=30)
    await asyncio.wait_for(subject.drain(60), 30)
    # Two at once, so that both threads have to be there.
    await asyncio.gather(*(subject.run(key, lambda _: both.wait(30), deadline=30) for key in "ab"))
    assert ran == []
    subject.close()
    await asyncio.wait_for(asyncio.to_thread(subject.join), 30)


async def test_a_call_that_comes_while_its_thread_ends_needs_no_other_thread(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    class SlowToClose(Tool):
        def close(self) -> None:
            door(None)

    monkeypatch.setattr(lanes, "_IDLE_SECONDS", 0.01)
    subject = Lane("lane", [SlowToClose], lambda: None)
    first = await subject.run("a", lambda tool: tool, deadline=30)
    await asyncio.to_thread(door.entered.wait, 30)
    refuse_threads(monkeypatch, 1)
    second = asyncio.ensure_future(subject.run("a", lambda tool: tool, deadline=30))
    await asyncio.sleep(0)
    door.opened.set()
    assert await second is not first


async def test_threads_end_when_idle_and_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "_IDLE_SECONDS", 0.01)
    subject = lane(1)
    first = await subject.run("a", lambda tool: tool, deadline=30)
    eventually(lambda: first.closed_in, what="the idle thread closes its tool")
    assert await subject.run("a", lambda tool: tool, deadline=30) is not first


async def test_an_overdue_call_blocks_its_key_alone(door: Door) -> None:
    subject = lane(2)
    await overdue(subject, "stuck", door)
    with pytest.raises(Busy, match="stuck has not come back"):
        await subject.run("stuck", lambda _: 1, deadline=30)
    assert await subject.run("other", lambda _: 2, deadline=30) == 2


async def test_when_every_thread_is_overdue_calls_are_refused_at_once_until_one_comes_back(door: Door) -> None:
    returned = []
    subject = lane(1, lambda: returned.append(True))
    await overdue(subject, "stuck", door)
    with pytest.raises(Busy):
        await asyncio.wait_for(subject.run("other", lambda _: 1, deadline=60), 30)
    door.opened.set()
    await eventually_async(lambda: _value(returned), what="the stuck call's return is reported")
    assert await subject.run("other", lambda _: 1, deadline=30) == 1


async def _value(value: object) -> object:
    return value


async def test_a_call_that_waited_too_long_in_the_queue_never_runs(door: Door) -> None:
    subject, ran = lane(1), []
    first = asyncio.ensure_future(subject.run("a", door, deadline=60))
    await asyncio.to_thread(door.entered.wait, 30)
    with pytest.raises(Busy) as refused:
        await subject.run("b", lambda _: ran.append(1), deadline=0.05)
    assert not isinstance(refused.value, Overdue)
    door.opened.set()
    assert await first == "through"
    await subject.run("c", lambda _: None, deadline=30)
    assert ran == []


async def test_a_patient_call_waits_for_its_turn(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    # By this clock no call takes any time, so that its turn alone is what it waits for.
    monkeypatch.setattr(lanes, "time", SimpleNamespace(monotonic=lambda: 0.0))
    subject = lane(1)
    first = asyncio.ensure_future(subject.run("a", door, deadline=60))
    await asyncio.to_thread(door.entered.wait, 30)
    second = asyncio.ensure_future(subject.run("b", lambda _: "done", deadline=0.05, patient=True))
    done, _pending = await asyncio.wait({second}, timeout=0.3)
    assert not done
    door.opened.set()
    assert (await first, await second) == ("through", "done")


async def test_closing_ends_what_is_queued_and_joins_what_runs(door: Door) -> None:
    subject = lane(1)
    running = asyncio.ensure_future(subject.run("a", door, deadline=60))
    await asyncio.to_thread(door.entered.wait, 30)
    queued = asyncio.ensure_future(subject.run("b", lambda _: 1, deadline=60, patient=True))
    await asyncio.sleep(0)
    subject.close()
    with pytest.raises(Busy, match="closed"):
        await queued
    with pytest.raises(Busy, match="closed"):
        await subject.run("c", lambda _: 1, deadline=30)
    joiner = threading.Thread(target=subject.join, daemon=True)
    joiner.start()
    assert joiner.is_alive()
    door.opened.set()
    assert await running == "through"
    eventually(lambda: not joiner.is_alive(), what="join() returns after the last call")


async def test_forgetting_frees_those_who_wait_for_a_stuck_call(door: Door) -> None:
    subject = lane(1)
    running = asyncio.ensure_future(subject.run("a", door, deadline=60))
    await asyncio.to_thread(door.entered.wait, 30)
    subject.close()
    subject.forget()
    with pytest.raises(Busy, match="closed"):
        await running
