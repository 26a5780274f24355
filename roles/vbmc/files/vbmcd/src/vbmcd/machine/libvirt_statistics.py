# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How busy a domain is: libvirt's counters, read twice, and what became of them in between."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any, Awaitable, Callable, Dict, Optional

import libvirt

from vbmcd.machine.base import Statistics

FRESH = 1.0
"""Seconds that a result is kept."""
MOMENT = 0.2
"""Seconds between two readings of the counters, where none is left of before."""
OLD = 60.0
"""Seconds after which counters are too old to say how busy the domain is now."""

_PROMPT = getattr(libvirt, "VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT", 0)
"""Rather leave something out than wait for a job of the domain, such as a migration."""


@dataclass(frozen=True)
class Counters:
    """What libvirt counts for a running domain since its start, in nanoseconds and bytes."""

    at: float
    cpus: int
    cpu_time: int
    memory_percent: Optional[float] = None
    resident_percent: Optional[float] = None
    disk_read: Optional[int] = None
    disk_written: Optional[int] = None
    net_received: Optional[int] = None
    net_transmitted: Optional[int] = None


def read_counters(connection: Any, name: str) -> Optional[Counters]:
    """Blocking, for a thread of LibvirtLink. None for a domain that is off."""
    domain = connection.lookupByName(name)
    if not domain.isActive():
        return None
    _state, _maximum, memory, cpus, cpu_time = domain.info()
    stats = _stats(connection, domain)
    used = None
    if stats.get("balloon.available") and "balloon.usable" in stats:
        used = 100.0 * (1 - stats["balloon.usable"] / stats["balloon.available"])
    resident = None
    if "balloon.rss" in stats and memory:
        # QEMU's own needs come on top of the guest's memory.
        resident = min(100.0, 100.0 * stats["balloon.rss"] / memory)
    return Counters(
        at=time.monotonic(),
        cpus=max(1, cpus),
        cpu_time=cpu_time,
        memory_percent=used,
        resident_percent=resident,
        disk_read=_sum(stats, "block", "rd.bytes"),
        disk_written=_sum(stats, "block", "wr.bytes"),
        net_received=_sum(stats, "net", "rx.bytes"),
        net_transmitted=_sum(stats, "net", "tx.bytes"),
    )


def _stats(connection: Any, domain: Any) -> Dict[str, Any]:
    """The statistics beyond the domain's own information; empty where the driver has none."""
    wanted = libvirt.VIR_DOMAIN_STATS_BALLOON | libvirt.VIR_DOMAIN_STATS_BLOCK | libvirt.VIR_DOMAIN_STATS_INTERFACE
    try:
        found = connection.domainListGetStats([domain], wanted, _PROMPT)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_SUPPORT:
            raise
        return {}
    return dict(found[0][1]) if found else {}


def _sum(stats: Dict[str, Any], group: str, counter: str) -> Optional[int]:
    """A counter summed over all devices of a group; 0 where there is no device, None where nothing is said."""
    count = stats.get(f"{group}.count")
    if count is None:
        return None
    return sum(int(stats.get(f"{group}.{index}.{counter}", 0)) for index in range(count))


def between(before: Counters, after: Counters) -> Statistics:
    """How busy the domain was from `before` to `after`."""
    seconds = max(after.at - before.at, 1e-3)

    def rate(earlier: Optional[int], later: Optional[int]) -> Optional[float]:
        # A device that was unplugged takes its count with it.
        return None if earlier is None or later is None else max(0, later - earlier) / seconds

    cpu = max(0, after.cpu_time - before.cpu_time) / (seconds * 1e9 * after.cpus)
    return Statistics(
        cpu_percent=min(100.0, 100.0 * cpu),
        memory_percent=after.memory_percent,
        resident_percent=after.resident_percent,
        disk_read=rate(before.disk_read, after.disk_read),
        disk_written=rate(before.disk_written, after.disk_written),
        net_received=rate(before.net_received, after.net_received),
        net_transmitted=rate(before.net_transmitted, after.net_transmitted),
    )


class Meter:
    """One domain's statistics from one start to the next, kept for FRESH seconds and read once for all who ask."""

    __slots__ = ("_at", "_counters", "_read", "_result", "_task")

    def __init__(self, read: Callable[[], Awaitable[Optional[Counters]]]) -> None:
        self._read = read
        self._counters: Optional[Counters] = None
        self._result = Statistics()
        self._at = float("-inf")
        self._task: Optional[asyncio.Task[Statistics]] = None

    async def read(self) -> Statistics:
        if time.monotonic() - self._at < FRESH:
            return self._result
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._measure())
        return await asyncio.shield(self._task)

    async def _measure(self) -> Statistics:
        before, self._counters = self._counters, None
        if before is not None and time.monotonic() - before.at > OLD:
            before = None
        if before is None:
            before = await self._read()
            if before is not None:
                await asyncio.sleep(MOMENT)
        after = await self._read() if before is not None else None
        self._result = between(before, after) if before is not None and after is not None else Statistics()
        self._counters, self._at = after, time.monotonic()
        return self._result
