# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Coroutines that nobody awaits: run at once up to their first wait, ended, cancelled, failed."""

from __future__ import annotations

import asyncio
import logging

import pytest

from vbmcd.background import Background


async def test_what_never_waits_is_done_at_once_and_leaves_no_task() -> None:
    background, done = Background(), []

    async def work() -> None:
        done.append(True)

    background.start_at_once(work())
    assert done == [True]
    await asyncio.sleep(0)
    assert len(background) == 0


async def test_what_waits_goes_on_as_a_task_with_what_it_waited_for() -> None:
    background, seen = Background(), []
    gate = asyncio.get_running_loop().create_future()

    async def work() -> None:
        seen.append("begun")
        seen.append(await gate)
        await asyncio.wait_for(asyncio.sleep(0), 30)
        seen.append("ended")

    background.start_at_once(work())
    assert seen == ["begun"]
    assert len(background) == 1
    gate.set_result("given")
    await background.drain(30)
    assert seen == ["begun", "given", "ended"]


async def test_what_waits_gets_the_error_of_what_it_waited_for() -> None:
    background, seen = Background(), []
    gate = asyncio.get_running_loop().create_future()

    async def work() -> None:
        try:
            await gate
        except ValueError as error:
            seen.append(str(error))

    background.start_at_once(work())
    gate.set_exception(ValueError("no"))
    await background.drain(30)
    assert seen == ["no"]


async def test_a_failure_after_a_wait_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    background = Background()

    async def work() -> None:
        await asyncio.sleep(0)
        raise ValueError("no")

    with caplog.at_level(logging.ERROR):
        background.start_at_once(work())
        await background.drain(30)
        await asyncio.sleep(0)
    assert "a background task failed" in caplog.text
