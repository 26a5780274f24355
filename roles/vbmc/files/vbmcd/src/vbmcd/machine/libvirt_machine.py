# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A libvirt domain as the machine behind a BMC: cached power state and power actions that answer in time."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import BinaryIO, Callable, Optional, Sequence, Tuple

from vbmcd.machine import libvirt_actions as actions
from vbmcd.machine import libvirt_media, libvirt_secure_boot
from vbmcd.machine.base import (
    Action,
    BootOverride,
    Busy,
    GroupFailed,
    Hardware,
    Power,
    PowerObserver,
    SecureBoot,
    Statistics,
    Unsupported,
    WrongState,
)
from vbmcd.machine.libvirt_connection import is_here
from vbmcd.machine.libvirt_console import LibvirtConsole
from vbmcd.machine.libvirt_hardware import read_hardware
from vbmcd.machine.libvirt_link import LibvirtLink
from vbmcd.machine.libvirt_statistics import Meter, read_counters

PROMPT = 0.25
"""Seconds that a caller waits for an action to end, before it counts as accepted and goes on by itself. FreeIPMI
sends again after 0.4 s, and takes no answer to what it sent before."""

JUST = 2.0
"""Seconds after a stop in which a start may be lost (dependency.hypervisor)."""

HARDWARE_SECONDS = 5.0
"""How long it is believed what a domain is made of: not every change of that is an event of its life."""

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

_log = logging.getLogger(__name__)


@cache
def boot_id() -> str:
    """The kernel's name for the present boot (random(4)); empty where it does not say."""
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


class LibvirtMachine:
    """Implements base.Machine for the domain called `name` on `link`. There may not be such a domain yet.

    The power state is read once and then believed until libvirt reports any lifecycle event of the domain,
    or the connection is lost: events are hints, the state itself is always read. One action at a time.
    """

    __slots__ = (
        "__weakref__",
        "_acting",
        "_action",
        "_faulty",
        "_hardware",
        "_joining",
        "_link",
        "_meter",
        "_name",
        "_observer",
        "_on",
        "_stopped_at",
        "_uuid",
        "_uuid_version",
        "_was_on",
        "version",
    )

    def __init__(self, link: LibvirtLink, name: str) -> None:
        self._link = link
        self._name = name
        self.version = 0
        """Counts the reasons not to believe what was read before."""
        self._on: Optional[bool] = None
        self._uuid: Optional[uuid.UUID] = None
        self._uuid_version = -1
        self._acting = False
        self._stopped_at = -JUST
        self._was_on = False
        """The state in which the last power command found the machine."""
        self._action: Optional[asyncio.Task[None]] = None
        self._faulty = False
        """Whether the last power command failed for a part of the machine."""
        self._joining = False
        """Whether the domain was seen to be off or to start, and not yet to be on with everything that it requires.
        Of one that is on when it is looked at first that is believed: a thousand are, at once, at the start."""
        self._meter: Optional[Meter] = None
        self._hardware: Tuple[int, float, Optional[Hardware]] = (-1, 0.0, None)
        """As of which version and when."""
        self._observer: Optional[PowerObserver] = None
        link.watch(name, self)

    def changed(self, power: Optional[Power] = None) -> None:
        """Called by the link: whatever is cached may be wrong from now on. `power`: what an event says."""
        self.version += 1
        self._on = None
        self._meter = None
        if power is not None:
            self._joining = True
            if not power.on:
                self._stopped_at = time.monotonic()
            if self._observer is not None:
                self._observer.switched(power)

    def found(self, power: Power) -> None:
        """Called by the link, once for each time that it could not follow the domain."""
        if self._observer is not None:
            self._observer.found(power)

    def observe(self, observer: PowerObserver) -> None:
        self._observer = observer

    def host_run(self) -> str:
        return boot_id() if is_here(self._link.uri) else ""

    async def is_on(self) -> bool:
        if self._action is not None:
            await asyncio.wait({self._action}, timeout=PROMPT)
        if self._action is not None:
            # Not done yet, so nothing has changed yet. libvirt would not say before it is done, and a start
            # that takes long would keep those from reading who want to know of other domains.
            await self._link.check()
            return self._was_on
        if self._on is not None:
            await self._link.check()
        on = self._on
        if on is None:
            version = self.version
            active, complete = await self._link.call(self._name, actions.look, self._name, self._joining)
            on = active and complete
            # No event of this domain tells when others join it: until they have, it is looked at each time.
            if version == self.version and self._link.follows_events and complete:
                self._on, self._joining = on, not on
        return on

    async def control(self, action: Action, boot: Optional[BootOverride] = None) -> bool:
        plan = await self._act(f"power command {action.value!r}", actions.plan, action, boot)
        if plan.empty and self._faulty:
            self._tell(())
        return plan.start_from is not None

    async def check_boot(self, boot: BootOverride) -> None:
        await self._link.call(self._name, actions.check_boot, self._name, boot)

    async def set_persistent_boot(self, boot: BootOverride) -> None:
        await self._act("a boot device", actions.plan_persistent_boot, boot)

    async def set_boot_order(self, names: Sequence[str]) -> None:
        await self._act("a boot order", actions.plan_boot_order, names)

    async def set_autostart(self, on: bool) -> None:
        await self._link.call(self._name, actions.set_autostart, self._name, on)

    def open_console(self, on_output: Callable[[bytes], None]) -> LibvirtConsole:
        return LibvirtConsole(self._link.settings, self._name, on_output)

    async def system_uuid(self) -> uuid.UUID:
        """Also while libvirt is away, once it has been read: it hardly ever changes, and clients identify by it."""
        version = self.version
        if self._uuid is not None and self._uuid_version == version:
            return self._uuid
        try:
            self._uuid = await self._link.call(self._name, actions.system_uuid, self._name)
        except Busy:
            if self._uuid is None:
                raise
        else:
            self._uuid_version = version if self._link.follows_events else -1
        return self._uuid

    async def statistics(self) -> Statistics:
        if self._meter is None:
            self._meter = Meter(partial(self._link.call, self._name, read_counters, self._name))
        return await self._meter.read()

    async def hardware(self) -> Hardware:
        version, now = self.version, time.monotonic()
        read_at, at, known = self._hardware
        if known is not None and read_at == version and now - at < HARDWARE_SECONDS:
            return known
        found = await self._link.call(self._name, read_hardware, self._name)
        self._hardware = (version, now, found)
        return found

    async def secure_boot(self) -> SecureBoot:
        return await self._link.call(self._name, libvirt_secure_boot.read, self._name)

    async def set_secure_boot(self, on: bool) -> None:
        await self._act("Secure Boot", actions.plan_secure_boot, on)

    async def medium(self) -> Optional[str]:
        return await self._link.call(self._name, libvirt_media.medium, self._name)

    async def change_medium(self, path: Optional[str]) -> None:
        await self._link.act(self._name, libvirt_media.change_medium, self._name, path)
        self.changed()

    async def store_medium(self, pool: str, name: str, content: BinaryIO, size: int) -> str:
        return await asyncio.to_thread(libvirt_media.store, self._link.settings, pool, name, content, size)

    async def discard_medium(self, pool: str, name: str) -> None:
        await asyncio.to_thread(libvirt_media.discard, self._link.settings, pool, name)

    async def _act(self, what: str, planned: Callable[..., actions.Plan], *wanted: object) -> actions.Plan:
        """Read and decide what comes of `wanted`, then do it. One at a time."""
        if self._action is not None:
            # People and scripts that turn off right after a cycle rarely try again.
            await asyncio.wait({self._action}, timeout=PROMPT)
        if self._acting:
            raise Busy(f"domain {self._name!r} is still busy with an earlier command")
        self._acting = True
        try:
            plan = await self._link.call(self._name, planned, self._name, *wanted)
            self._was_on = plan.was_on
            if not plan.empty:
                await self._accept(what, plan)
        finally:
            self._acting = self._action is not None
        return plan

    async def _accept(self, what: str, plan: actions.Plan) -> None:
        """Start the action and wait for it, but no longer than PROMPT."""
        if plan.start and time.monotonic() - self._stopped_at < JUST:
            plan = replace(plan, settle=True)
        self.changed()
        task = asyncio.get_running_loop().create_task(self._link.act(self._name, actions.execute, self._name, plan))
        self._action = task
        task.add_done_callback(partial(self._ended, what, plan))
        await asyncio.wait({task}, timeout=PROMPT)
        if task.done():
            task.result()

    def _ended(self, what: str, plan: actions.Plan, task: asyncio.Task[None]) -> None:
        self._action = None
        self._acting = False
        self.changed()
        error = None if task.cancelled() else task.exception()
        failures = _failures(self._name, error) if plan.define is None else ()
        if failures or (self._faulty and error is None and plan.define is None):
            self._tell(failures)
        if error is not None:
            # The caller may have been told "accepted" long ago, so this may be the only word about it.
            _log.warning("%s for domain %r failed: %s", what, self._name, error)

    def _tell(self, failures: Tuple[str, ...]) -> None:
        self._faulty = bool(failures)
        if self._observer is not None:
            self._observer.commanded(failures)


def _failures(name: str, error: Optional[BaseException]) -> Tuple[str, ...]:
    """What of a power command failed, for the event log: who gave it may have been told that it is accepted."""
    if isinstance(error, GroupFailed):
        return error.failures
    # What became of it where libvirt went away meanwhile is not known.
    return (f"{name}: {error}",) if isinstance(error, (WrongState, Unsupported)) else ()
