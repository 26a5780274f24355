# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""BMCs whose firmware is updated, behind hwctl's client interface and without a network: they do as a test says.

fleet = FirmwareFleet(monkeypatch)
fleet.bmc("node-01").faults = ["busy"]
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from typing import Any

import pytest

from ansible_collections.baremetal.lab.plugins.module_utils.hwctl import clients
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.clients.base import OFF, ON, Boot, Client
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.clients.firmware import (
    COMPLETED,
    FAILED,
    GONE,
    IMMEDIATE,
    RUNNING,
    UNUSABLE,
    UPDATING,
    WRITTEN,
    Accepted,
    FirmwareCalls,
    Inventory,
    Progress,
    Stored,
)
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.deadline import Deadline
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.errors import (
    AlreadyThere,
    InDoubt,
    Refused,
    Unreachable,
)
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.firmware import flash, pools, reboot
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.firmware.image import Image
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.firmware.session import LongSession
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.managers import firmware as managers_firmware
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.target import Target

LANDS_UNHEARD = "lands-unheard"
"""The upload lands, and is answered with 503."""
REFUSED_503 = "busy"
"""The upload does not land, and is answered with 503."""
CUT = "cut"
"""The connection breaks in the middle of the upload."""
EXCEPTION = "exception"
"""The image is refused once it is there."""
FORGETS_TASK = "forgets-task"
OLD_VERSION = "old-version"
"""It comes back with the version that it had."""
LOST_RESET = "lost-reset"
"""The request to reboot is answered, and nothing happens."""
REFUSES = "refuses"
"""The upload is refused."""
VANISHES = "vanishes"
"""The image is gone once its task is completed."""
UPLOAD_FAULTS = (LANDS_UNHEARD, REFUSED_503, CUT, FORGETS_TASK)


@dataclass
class FirmwareBmc:
    """One BMC. `steps` are looks that something takes."""

    images: dict[str, Stored] = field(default_factory=dict)
    runs: str = "a"
    next: str = ""
    faults: list[str] = field(default_factory=list)
    """What goes wrong; each entry once, in its turn."""
    away: int = 0
    """Looks that it does not answer."""
    activation: int = 2
    boots: int = 1
    landed: int = 0
    uploads: int = 0
    resets: int = 0
    power: str = ON
    powers: list[str] = field(default_factory=list)
    immediate: bool = False
    """It knows no other apply time."""
    one_of_a_version: bool = False
    """It takes no second image of a version."""
    lists: bool = True
    """Its images can be listed; what runs can always be."""
    deleted: list[str] = field(default_factory=list)
    most_steps: Callable[[str], None] | None = None
    """Told of every call."""

    def __post_init__(self) -> None:
        self.images = self.images or {"a": Stored("a", "1.0", "bmc", WRITTEN, running=True)}
        self.activating: dict[str, int] = {}

    @property
    def version(self) -> str:
        return self.images[self.runs].version

    def fault(self, *kinds: str) -> str | None:
        if self.faults and self.faults[0] in kinds:
            return self.faults.pop(0)
        return None

    def called(self, name: str) -> None:
        if self.most_steps is not None:
            self.most_steps(name)
        if self.away:
            self.away -= 1
            raise Unreachable("away")
        for id in list(self.activating):
            self.activating[id] -= 1
            if self.activating[id] <= 0:
                del self.activating[id]
                broken = self.fault(EXCEPTION)
                self.images[id] = replace(self.images[id], state=UNUSABLE if broken else WRITTEN)
                self.next = self.next if broken else id
                if self.immediate and not broken:
                    self.reboot()

    def land(self, image: Image) -> str:
        self.landed += 1
        id = f"i{self.landed}"
        self.images[id] = Stored(id, image.version, image.purpose, UPDATING)
        self.activating[id] = self.activation
        return id

    def reboot(self) -> None:
        if self.fault(LOST_RESET):
            return
        self.boots += 1
        self.away = 2
        if self.next and not self.fault(OLD_VERSION):
            self.runs, self.next = self.next, ""


LOOK = 0.001
"""Seconds that pass, by the clock of a fleet's deadlines, whenever somebody looks at it: a run that is patient for one
makes hundreds of steps, however long the machine that tests it stalls in between."""


class FirmwareFleet:
    """Stands in for the protocol redfish."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._bmcs: dict[str, FirmwareBmc] = {}
        monkeypatch.setitem(clients.PROTOCOLS, "redfish", clients.Protocol(self._open, 443))
        monkeypatch.setattr(LongSession, "reached", lambda session: iter(()))  # there is nobody to knock at
        clock = count(0.0, LOOK)
        for module in (managers_firmware, flash, reboot):
            monkeypatch.setattr(module, "Deadline", partial(Deadline, clock=lambda: next(clock)))
        monkeypatch.setattr(pools, "GRACE", 60.0)

    def bmc(self, name: str) -> FirmwareBmc:
        return self._bmcs.setdefault(name, FirmwareBmc())

    def targets(self, *names: str) -> list[Target]:
        return [
            Target.of({"name": name, "address": name, "protocol": "redfish", "username": "a", "password": "pa55word"})
            for name in names
        ]

    def _open(self, target: Target, deadline: Deadline) -> Client:
        bmc = self.bmc(target.name)
        bmc.called("connect")
        return FirmwareClient(bmc)


class FirmwareClient(Client, FirmwareCalls):
    def __init__(self, bmc: FirmwareBmc) -> None:
        self._bmc = bmc

    def firmware(self) -> FirmwareCalls:
        return self

    def inventory(self) -> Inventory:
        bmc = self._bmc
        bmc.called("inventory")
        images = tuple(replace(one, running=one.id == bmc.runs) for one in bmc.images.values())
        return Inventory(images if bmc.lists else (), (("bmc", bmc.version),), str(bmc.boots))

    def fits(self, image: Image, apply_time: str) -> str:
        self._bmc.called("fits")
        return IMMEDIATE if self._bmc.immediate else apply_time

    def upload(self, image: Image, apply_time: str, sent: Callable[[int], None]) -> Accepted:
        bmc = self._bmc
        bmc.called("upload")
        bmc.uploads += 1
        sent(image.size)
        if bmc.fault(REFUSES):
            raise Refused("no")
        if bmc.one_of_a_version and any(one.version == image.version for one in bmc.images.values()):
            raise AlreadyThere("There is one.")
        fault = bmc.fault(*UPLOAD_FAULTS)
        if fault == CUT:
            raise Unreachable("the BMC broke off at pa55word")
        if fault == REFUSED_503:
            raise InDoubt("503")
        id = bmc.land(image)
        if fault == LANDS_UNHEARD:
            raise InDoubt("503")
        return Accepted("forgotten" if fault == FORGETS_TASK else id)

    def progress(self, accepted: Accepted) -> Progress:
        self._bmc.called("progress")
        image = self._bmc.images.get(accepted.monitor)
        if image is not None and image.state == WRITTEN and self._bmc.fault(VANISHES):
            del self._bmc.images[image.id]
        if image is None:
            return Progress(GONE)
        return Progress({UPDATING: RUNNING, WRITTEN: COMPLETED, UNUSABLE: FAILED}[image.state], 50, "InternalError")

    def activate(self, stored: Stored) -> None:
        raise NotImplementedError

    def switch(self, stored: Stored) -> bool:
        self._bmc.called("switch")
        self._bmc.next = stored.id
        self._bmc.reboot()
        return True

    def reset(self) -> None:
        self._bmc.called("reset")
        self._bmc.resets += 1
        self._bmc.reboot()

    def delete(self, stored: Stored) -> None:
        self._bmc.called("delete")
        if stored.id == self._bmc.runs:
            raise Refused("it runs")
        del self._bmc.images[stored.id]
        self._bmc.deleted.append(stored.id)

    def power(self) -> str:
        self._bmc.called("power")
        return self._bmc.power

    def set_power(self, action: str) -> None:
        self._bmc.called("set_power")
        self._bmc.powers.append(action)
        self._bmc.power = ON if action == ON else OFF

    def boot(self) -> Boot:
        return Boot()

    def set_boot(self, boot: Boot) -> None:
        raise NotImplementedError

    def info(self) -> dict[str, Any]:
        return {}
