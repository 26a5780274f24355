# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker that is silent: does it hang, or does it wait for a core?"""

from __future__ import annotations

import os

import pytest

from vbmcd.supervisor.health import hangs, look


@pytest.mark.parametrize(("silent", "state", "ran", "expected"), [
    pytest.param(2.9, "T", 0.0, False, id="not silent for long"),
    pytest.param(3.1, "T", 0.0, True, id="stopped"),
    pytest.param(3.1, "S", 0.0, True, id="asleep for ever"),
    pytest.param(3.1, "D", 0.0, True, id="held by a disk"),
    pytest.param(3.1, "R", 1.5, True, id="in an endless loop"),
    pytest.param(3.1, "R", 0.2, False, id="one of many that want the core"),
    pytest.param(20.0, "R", 2.0, False, id="the same for longer"),
    pytest.param(30.1, "R", 2.0, True, id="the same for too long"),
])  # fmt: skip
def test_only_what_could_have_run_and_did_not_speak_hangs(
    silent: float, state: str, ran: float, expected: bool
) -> None:
    assert hangs(silent, state, ran) is expected


def test_a_process_that_runs_is_runnable_and_has_had_its_time() -> None:
    state, before = look(os.getpid())
    assert state == "R"
    sum(range(1_000_000))
    assert look(os.getpid())[1] > before > 0
