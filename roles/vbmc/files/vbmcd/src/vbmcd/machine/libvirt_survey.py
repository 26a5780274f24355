# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which domains run: one question to libvirtd for all who have just begun to watch theirs, or could not for a while."""

from __future__ import annotations

import asyncio
import weakref
from contextlib import suppress
from typing import Any, Awaitable, Callable, Dict, Optional, Protocol

import libvirt

from vbmcd.machine.base import MachineError, Power

GATHER_SECONDS = 0.05
"""How long others are waited for, to be asked for as well."""
RETRY_SECONDS = 1.0

OFF = Power(on=False)

Ask = Callable[[], Awaitable[Dict[str, Power]]]


def running(connection: Any) -> Dict[str, Power]:
    """The domains that run, by name; for a libvirt thread."""
    found = connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)
    return {domain.name(): Power(True, domain.ID(), domain.UUIDString()) for domain in found}


class Searcher(Protocol):
    """Who wants to know once (LibvirtMachine)."""

    version: int
    """Counts the reasons not to believe what was read before."""

    def found(self, power: Power) -> None:
        """So it is now."""


class Survey:
    """Of one link. Everything happens on the event loop."""

    def __init__(self, ask: Ask) -> None:
        """`ask`: running() in a thread; raises MachineError."""
        self._ask = ask
        self._wanted: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()
        self._task: Optional[asyncio.Task[None]] = None
        self._closed = False

    def add(self, domain: str, searcher: Searcher) -> None:
        """Have `searcher` told, as soon as libvirt answers."""
        self._wanted[searcher] = domain
        if self._task is None and not self._closed:
            self._task = asyncio.get_running_loop().create_task(self._run())

    def close(self) -> None:
        self._closed = True
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        while self._wanted:
            await asyncio.sleep(GATHER_SECONDS)
            with suppress(MachineError):
                await self._look()
                continue
            await asyncio.sleep(RETRY_SECONDS)
        self._task = None

    async def _look(self) -> None:
        versions = {searcher: searcher.version for searcher in self._wanted}
        found = await self._ask()
        for searcher, version in versions.items():
            # What has changed meanwhile is asked for again.
            if searcher.version == version:
                searcher.found(found.get(self._wanted.pop(searcher), OFF))
