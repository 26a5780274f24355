# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From libvirt's counters to statistics, and how often they are read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import libvirt
import pytest

from vbmcd.machine import libvirt_statistics
from vbmcd.machine.base import Busy, Statistics
from vbmcd.machine.libvirt_statistics import Counters, Meter, between, read_counters

START = Counters(at=10.0, cpus=2, cpu_time=10**9, disk_read=0, disk_written=500, net_received=0, net_transmitted=None)


def test_rates_are_means_over_the_time_between() -> None:
    later = replace(START, at=12.0, cpu_time=3 * 10**9, disk_read=4_000_000, net_received=2_000_000, memory_percent=7.0)
    assert between(START, later) == Statistics(
        cpu_percent=50.0, memory_percent=7.0, disk_read=2e6, disk_written=0.0, net_received=1e6
    )


def test_counters_that_go_back_count_as_nothing() -> None:
    later = replace(START, at=11.0, cpu_time=0, disk_written=0)
    assert between(START, later).cpu_percent == 0.0 and between(START, later).disk_written == 0.0


class FakeDomain:
    """A running domain and its connection."""

    def __init__(self, stats: dict[str, Any] | None, active: bool = True) -> None:
        self._stats = stats
        self._active = active

    def lookupByName(self, name: str) -> FakeDomain:  # noqa: N802 - libvirt's name
        return self

    def isActive(self) -> int:  # noqa: N802
        return int(self._active)

    def info(self) -> list[int]:
        return [1, 2048, 1000, 4, 77]

    def domainListGetStats(self, domains: list[Any], wanted: int, flags: int) -> list[Any]:  # noqa: N802
        if self._stats is None:
            error = libvirt.libvirtError("no")
            error.err = (libvirt.VIR_ERR_NO_SUPPORT, 0, "no", 2, None, None, None, -1, -1)
            raise error
        return [(domains[0], self._stats)]


def test_counters_are_summed_over_devices() -> None:
    stats = {
        "balloon.available": 1000, "balloon.usable": 250, "balloon.rss": 5000,
        "block.count": 2, "block.0.rd.bytes": 1, "block.1.rd.bytes": 2, "block.1.wr.bytes": 3,
        "net.count": 1, "net.0.rx.bytes": 4,
    }  # fmt: skip
    read = read_counters(FakeDomain(stats), "one")
    assert read is not None
    assert (read.cpus, read.cpu_time, read.memory_percent, read.resident_percent) == (4, 77, 75.0, 100.0)
    assert (read.disk_read, read.disk_written, read.net_received, read.net_transmitted) == (3, 3, 4, 0)


def test_a_driver_without_statistics_still_has_cpu_time() -> None:
    read = read_counters(FakeDomain(None), "one")
    assert read is not None and read.cpu_time == 77
    assert read.memory_percent is None and read.disk_read is None


def test_a_domain_that_is_off_has_no_counters() -> None:
    assert read_counters(FakeDomain({}, active=False), "one") is None


class Source:
    """What a meter reads: a domain that uses half of its CPUs, and counts how often it was asked."""

    def __init__(self) -> None:
        self.reads = 0
        self.answer: Callable[[], Counters | None] = self.busy
        self.clock = 100.0

    def busy(self) -> Counters:
        return replace(START, at=self.clock, cpu_time=int(self.clock * 1e9))

    async def __call__(self) -> Counters | None:
        self.reads += 1
        await asyncio.sleep(0)
        self.clock += 1.0
        return self.answer()


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> Source:
    source = Source()
    monkeypatch.setattr(libvirt_statistics, "MOMENT", 0.0)
    monkeypatch.setattr(libvirt_statistics.time, "monotonic", lambda: source.clock)
    return source


async def test_all_who_ask_at_a_time_share_one_reading(source: Source) -> None:
    meter = Meter(source)
    answers = await asyncio.gather(*(meter.read() for _turn in range(50)))
    assert {one.cpu_percent for one in answers} == {50.0} and source.reads == 2
    assert (await meter.read()).cpu_percent == 50.0 and source.reads == 2


async def test_the_next_reading_is_compared_with_the_one_before(source: Source) -> None:
    meter = Meter(source)
    await meter.read()
    source.clock += 5.0
    assert (await meter.read()).cpu_percent == 50.0 and source.reads == 3
    source.clock += 100.0
    await meter.read()
    assert source.reads == 5  # too long ago: two anew


async def test_a_machine_that_is_off_or_away_is_asked_again_later(source: Source) -> None:
    meter = Meter(source)
    source.answer = lambda: None
    assert await meter.read() == Statistics() and source.reads == 1

    def away() -> Counters | None:
        raise Busy("away")

    source.clock += 2.0
    source.answer = away
    with pytest.raises(Busy):
        await meter.read()
    source.answer = source.busy
    assert (await meter.read()).cpu_percent is not None
