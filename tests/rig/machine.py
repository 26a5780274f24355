# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine without a hypervisor, for tests of what is in front of it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import BinaryIO

from vbmcd.machine.base import (
    Action,
    BootOverride,
    Disk,
    Hardware,
    MachineError,
    NetworkInterface,
    PowerObserver,
    SecureBoot,
    Statistics,
    Unsupported,
)

BREAK = b"<break>"
"""What a scripted console notes of one."""


class ScriptedConsole:
    """Implements ``vbmcd.machine.base.SerialConsole``: notes what was typed; a test calls `on_output`."""

    def __init__(self, on_output: Callable[[bytes], None]) -> None:
        self.on_output = on_output
        self.connected = True
        self.room = 4096
        self.typed = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        self.typed += data

    def send_break(self) -> None:
        self.typed += BREAK

    def close(self) -> None:
        self.closed = True


class ScriptedMachine:
    """Implements ``vbmcd.machine.base.Machine``: does as it is told, and notes what it was asked."""

    def __init__(self) -> None:
        self.on = False
        self.uuid = uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")
        self.fails: MachineError | None = None
        """Raised by whatever is asked next and later."""
        self.gate: asyncio.Event | None = None
        """What control() waits for, if a test wants it to take its time."""
        self.uuid_gate: asyncio.Event | None = None
        """What system_uuid() waits for."""
        self.load = Statistics()
        """What statistics() answers."""
        self.parts = Hardware(
            processors=4,
            cores=2,
            architecture="x86_64",
            memory=2 << 30,
            disks=(Disk("vda", "disk", "virtio", 10 << 30, "d15c"), Disk("sda", "cdrom", "sata", None, loaded=False)),
            interfaces=(NetworkInterface("52:54:00:00:00:07", "virtio", up=True),),
            boot_order=("52:54:00:00:00:07", "vda"),
            boot_devices=("vda", "52:54:00:00:00:07"),
            console=True,
        )
        """What hardware() answers."""
        self.secure = False
        """Whether Secure Boot is wanted."""
        self.loaded: str | None = None
        """The path of the medium in the CD drive."""
        self.stored: dict[str, bytes] = {}
        """Media that were stored, by path."""
        self.observer: PowerObserver | None = None
        self.host = "a host's run"
        """What host_run() answers."""
        self.calls: list[tuple[str, object]] = []
        """What it was asked, but for its UUID, which nothing depends on how often it is read."""
        self.consoles: list[ScriptedConsole] = []
        """Those that were opened, one after the other."""

    def _note(self, call: str, argument: object = None) -> None:
        self.calls.append((call, argument))
        if self.fails is not None:
            raise self.fails

    async def is_on(self) -> bool:
        self._note("is_on")
        return self.on

    async def control(self, action: Action, boot: BootOverride | None = None) -> bool:
        self._note(action.value, boot)
        if self.gate:
            await self.gate.wait()
        self.on = action not in (Action.OFF, Action.SOFT)
        return boot is not None and action in (Action.ON, Action.CYCLE, Action.RESET)

    async def check_boot(self, boot: BootOverride) -> None:
        self._note("check_boot", boot)

    async def set_persistent_boot(self, boot: BootOverride) -> None:
        self._note("set_persistent_boot", boot)

    async def set_boot_order(self, names: Sequence[str]) -> None:
        self._note("set_boot_order", tuple(names))
        self.parts = replace(self.parts, boot_order=tuple(names))

    async def set_autostart(self, on: bool) -> None:
        self._note("set_autostart", on)

    async def system_uuid(self) -> uuid.UUID:
        if self.fails is not None:
            raise self.fails
        if self.uuid_gate:
            await self.uuid_gate.wait()
        return self.uuid

    async def statistics(self) -> Statistics:
        self._note("statistics")
        return self.load

    async def hardware(self) -> Hardware:
        if self.fails is not None:
            raise self.fails
        return self.parts

    async def secure_boot(self) -> SecureBoot:
        if self.fails is not None:
            raise self.fails
        if not self.parts.efi:
            raise Unsupported("no EFI")
        return SecureBoot(self.secure, False)

    async def set_secure_boot(self, on: bool) -> None:
        self._note("set_secure_boot", on)
        self.secure = on

    async def medium(self) -> str | None:
        if self.fails is not None:
            raise self.fails
        if not any(disk.device == "cdrom" for disk in self.parts.disks):
            raise Unsupported("no drive")
        return self.loaded

    async def change_medium(self, path: str | None) -> None:
        self._note("change_medium", path)
        self.loaded = path

    async def store_medium(self, pool: str, name: str, content: BinaryIO, size: int) -> str:
        self._note("store_medium", (pool, name))
        path = f"/{pool}/{name}"
        self.stored[path] = content.read()
        assert len(self.stored[path]) == size
        return path

    async def discard_medium(self, pool: str, name: str) -> None:
        self._note("discard_medium", (pool, name))
        self.stored.pop(f"/{pool}/{name}", None)

    def observe(self, observer: PowerObserver) -> None:
        self.observer = observer

    def host_run(self) -> str:
        return self.host

    def open_console(self, on_output: Callable[[bytes], None]) -> ScriptedConsole:
        self.consoles.append(ScriptedConsole(on_output))
        return self.consoles[-1]
