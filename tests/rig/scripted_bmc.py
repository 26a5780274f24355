# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""BMCs behind hwctl's client interface that do as a test says, without a network.

fleet = Fleet(monkeypatch)
fleet.bmc("node-01").fails["power"] = Unreachable("gone")
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from ansible_collections.baremetal.lab.plugins.module_utils.hwctl import clients
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.clients.base import CYCLE, OFF, ON, SOFT, Boot, Client
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.deadline import Deadline
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.target import Target


@dataclass
class ScriptedBmc:
    """One machine and its BMC."""

    state: str = OFF
    override: Boot = field(default_factory=Boot)
    calls: list[str] = field(default_factory=list)
    """What changed something, in order."""
    fails: dict[str, list[Exception]] = field(default_factory=dict)
    """By call: what each next one raises, until there is no more."""
    hangs: threading.Event | None = None
    """Logging in waits for it."""
    deaf: bool = False
    """The operating system does not hear a soft shutdown."""
    loses_answers: bool = False
    """set_power is carried out, and then raises what `fails` has for it."""
    cycles_slowly: bool = False
    """A cycle leaves the machine off for a while."""
    comes_back_after: int = 0
    """Reads of the power until it is on again."""
    sessions: int = 0
    """Sessions that are open."""

    def raise_next(self, call: str) -> None:
        if self.fails.get(call):
            raise self.fails[call].pop(0)


class Fleet:
    """Stands in for the protocol ipmi."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._bmcs: dict[str, ScriptedBmc] = {}
        monkeypatch.setitem(clients.PROTOCOLS, "ipmi", clients.Protocol(self._open, 623))

    def bmc(self, name: str) -> ScriptedBmc:
        return self._bmcs.setdefault(name, ScriptedBmc())

    def targets(self, *names: str) -> list[Target]:
        return [
            Target.of(
                {"name": name, "address": "192.0.2.1", "protocol": "ipmi", "username": "admin", "password": "pa55word"}
            )
            for name in names
        ]

    def _open(self, target: Target, deadline: Deadline) -> Client:
        bmc = self.bmc(target.name)
        if bmc.hangs is not None:
            bmc.hangs.wait()
        bmc.raise_next("connect")
        bmc.sessions += 1
        return ScriptedClient(bmc)


class ScriptedClient(Client):
    def __init__(self, bmc: ScriptedBmc) -> None:
        self._bmc = bmc

    def power(self) -> str:
        self._bmc.raise_next("power")
        state = self._bmc.state
        if self._bmc.comes_back_after:
            self._bmc.comes_back_after -= 1
            self._bmc.state = OFF if self._bmc.comes_back_after else ON
        return state

    def set_power(self, action: str) -> None:
        if not self._bmc.loses_answers:
            self._bmc.raise_next("set_power")
        self._carry_out(action)
        self._bmc.raise_next("set_power")

    def _carry_out(self, action: str) -> None:
        self._bmc.calls.append(action)
        if action in (ON, OFF):
            self._bmc.state = action
        if action == SOFT and not self._bmc.deaf:
            self._bmc.state = OFF
        if action == CYCLE and self._bmc.cycles_slowly:
            self._bmc.state = OFF
            self._bmc.comes_back_after = 3

    def boot(self) -> Boot:
        self._bmc.raise_next("boot")
        return self._bmc.override

    def set_boot(self, boot: Boot) -> None:
        self._bmc.raise_next("set_boot")
        self._bmc.calls.append(f"boot {boot.device}")
        efi = self._bmc.override.efi if boot.efi is None else boot.efi
        self._bmc.override = replace(boot, efi=efi)

    def info(self) -> dict[str, Any]:
        self._bmc.raise_next("info")
        return {"uuid": "6695eb01-f6a4-8304-79aa-97f2502e193f"}

    def close(self) -> None:
        self._bmc.sessions -= 1
