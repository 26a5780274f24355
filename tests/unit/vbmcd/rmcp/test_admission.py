# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is heard in a flood of datagrams from outside of any session."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from vbmcd.rmcp.admission import CROWD, FREE, PER_SOURCE, PERIOD, WINDOW, Admission

CLIENT = ("192.0.2.1", 50000)


@pytest.fixture
def admission() -> Admission:
    return Admission()


def strangers() -> Iterator[tuple[str, int]]:
    """Addresses that nobody has had before."""
    return ((f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}", 623) for n in count())


def fill_window(admission: Admission, now: float) -> None:
    for _turn in range(FREE):
        assert admission.admits(("198.51.100.7", 1), now)


def test_a_crowd_below_the_limit_is_heard_whoever_it_is(admission: Admission) -> None:
    for number in range(20):
        fill_window(admission, number * WINDOW * 1.01)


def test_one_source_of_a_flood_has_a_few_beyond_that_and_leaves_others_theirs(admission: Admission) -> None:
    fill_window(admission, 0.0)
    heard = [admission.admits(("198.51.100.7", 2), 0.0) for _turn in range(10000)]
    assert sum(heard) == PER_SOURCE
    assert [admission.admits(CLIENT, 0.01) for _turn in range(PER_SOURCE)] == [True] * PER_SOURCE


def test_forged_addresses_are_dropped_and_who_asks_again_is_heard(admission: Admission) -> None:
    fill_window(admission, 0.0)
    forged = strangers()
    for _turn in range(CROWD):
        assert admission.admits(next(forged), 0.0)
    heard = [admission.admits(next(forged), 0.05) for _turn in range(20000)]
    assert sum(heard) < 200
    assert not admission.admits(CLIENT, 0.05)
    for now in (1.05, 1.06, 1.07):
        admission._window = now + WINDOW  # whoever else came first in that window
        admission._count = FREE
        assert admission.admits(CLIENT, now), "a client's second try, and what follows"


def test_who_was_heard_of_just_before_a_period_ended_passes_in_the_next(admission: Admission) -> None:
    fill_window(admission, 0.0)
    forged = strangers()
    for _turn in range(CROWD + 1):
        admission.admits(next(forged), 0.0)
    admission.admits(CLIENT, 0.05)
    fill_window(admission, PERIOD + 0.1)
    for _turn in range(2 * CROWD):
        admission.admits(next(forged), PERIOD + 0.1)
    assert admission.admits(CLIENT, PERIOD + 0.1)


def test_logins_that_succeed_are_never_too_many(admission: Admission) -> None:
    for number in range(1000):
        assert all(admission.admits(CLIENT, number / 1e6) for _turn in range(4))
        admission.credit(CLIENT, 4)


def test_what_a_flood_takes_is_freed_when_it_is_over(admission: Admission) -> None:
    forged = strangers()
    for _turn in range(FREE + 2 * CROWD):
        admission.admits(next(forged), 0.0)
    admission.expire(0.5)
    assert admission._period is not None
    admission.expire(2 * PERIOD + 0.1)
    assert admission._period is None


def test_a_flood_takes_a_bounded_amount_of_memory(admission: Admission) -> None:
    forged = strangers()
    for number in range(100000):
        admission.admits(next(forged), number * 1e-6)
    assert admission._period is not None
    assert len(admission._period.passed) < 3 * CROWD
