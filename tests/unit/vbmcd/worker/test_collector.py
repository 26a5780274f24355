# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the garbage collector of a worker looks at: not the BMCs, and yet none stays that was dropped."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from vbmcd.worker.collector import BATCH, SHARE, Collector


class Cycle:
    """As a BMC is: its parts know it."""

    def __init__(self) -> None:
        self.part = [self]


@pytest.fixture(autouse=True)
def frozen_before() -> Iterator[int]:
    """How much was frozen before the worker was forked."""
    gc.collect()
    gc.freeze()
    try:
        yield gc.get_freeze_count()
    finally:
        gc.unfreeze()


def made(collector: Collector, count: int) -> list[Cycle]:
    bmcs = []
    for _turn in range(count):
        bmcs.append(Cycle())
        collector.made()
    collector.tidy()
    return bmcs


def looked_at(bmc: Cycle) -> bool:
    return any(one is bmc for one in gc.get_objects())


def drop(collector: Collector, bmcs: list[Cycle], count: int) -> list[weakref.ref[Cycle]]:
    dropped = [weakref.ref(one) for one in bmcs[:count]]
    del bmcs[:count]
    for _turn in dropped:
        collector.dropped()
    collector.tidy()
    return dropped


def test_many_bmcs_are_not_looked_at_in_a_round() -> None:
    bmcs = made(Collector(), 3 * BATCH + 1)
    assert [looked_at(bmc) for bmc in bmcs] == [False] * 3 * BATCH + [True]


def test_few_bmcs_leave_what_is_shared_with_other_workers_alone(frozen_before: int) -> None:
    collector = Collector()
    bmcs = made(collector, BATCH - 1)
    drop(collector, bmcs, BATCH - 1)
    assert gc.get_freeze_count() <= frozen_before


def test_bmcs_that_were_dropped_are_freed_once_they_are_a_sizeable_share() -> None:
    collector = Collector()
    bmcs = made(collector, 2 * SHARE * BATCH)
    few = drop(collector, bmcs, 2 * BATCH - 1)
    assert all(one() is not None for one in few)
    last = drop(collector, bmcs, 1)
    assert [one() for one in (*few, *last)] == [None] * 2 * BATCH
    assert not any(looked_at(bmc) for bmc in bmcs)


def test_bmcs_that_are_made_anew_again_and_again_do_not_pile_up() -> None:
    collector = Collector()
    bmcs = made(collector, SHARE * BATCH)
    everyone = [weakref.ref(bmc) for bmc in bmcs]
    for _turn in range(3 * len(bmcs)):
        del bmcs[0]
        collector.dropped()
        bmcs += made(collector, 1)
        everyone.append(weakref.ref(bmcs[-1]))
    alive = [one for one in everyone if one() is not None]
    assert len(alive) <= len(bmcs) * (1 + 1 / SHARE)
