# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The software of one BMC: which images it has, which of them runs, and what is being activated.

Everything happens at a time that is passed in: seconds of a clock that only goes forward. Who owns one calls advance()
once next_event() has come, and before every look. Nothing here sleeps, stores or resets anything: `changed` says that
record() is to be stored, `reset_due` that the BMC is to be reset.
"""

from __future__ import annotations

import copy
import enum
import time
from dataclasses import dataclass, replace
from typing import Callable, Dict, Iterable, List, Optional

from vbmcd.firmware.faults import FaultPlan
from vbmcd.firmware.image import Manifest, Purpose
from vbmcd.firmware.options import Dialect, Fault, FaultKind, FirmwareOptions
from vbmcd.firmware.record import Kept, KeptImage
from vbmcd.firmware.tasks import Task, Tasks

FAILS_AT = 0.5
"""How far an activation gets that is to fail."""
MAX_READY = 4
"""Images that wait for their activation, in memory; the oldest makes room."""
SLOWER = 60.0
"""Seconds that FaultKind.SLOW takes more, unless it says how many."""


class Refusal(enum.Enum):
    """Why something is not done."""

    BUSY = "another image is received or activated"
    EXISTS = "an image of this version is there already"
    MACHINE = "the image is for another machine"
    RUNNING = "this image runs"
    NOT_READY = "this image can't be activated"
    UNKNOWN = "there is no such image"


class Refused(Exception):
    """Not done, and nothing has changed."""

    def __init__(self, why: Refusal) -> None:
        super().__init__(why.value)
        self.why = why


class ApplyTime(enum.Enum):
    """When an activated image is to run: the BMC resets at once, or whoever wants it to run resets it."""

    IMMEDIATE = "Immediate"
    ON_RESET = "OnReset"


class Activation(enum.Enum):
    """The states of OpenBMC's Software.Activation that an image can be in here; the value is its last word."""

    READY = "Ready"
    ACTIVATING = "Activating"
    ACTIVE = "Active"
    STANDBY = "StandbySpare"
    FAILED = "Failed"


@dataclass
class Image:
    """One image that the BMC has."""

    id: str
    """Random: it does not follow from the version."""
    manifest: Manifest
    activation: Activation
    begun: float = 0.0
    seconds: float = 0.0
    """The activation's."""
    fails: str = ""
    """Why the activation is to come to nothing; empty where it is not."""
    apply: ApplyTime = ApplyTime.ON_RESET
    task: Optional[Task] = None

    @property
    def stays(self) -> bool:
        """Whether it outlives a reset."""
        return self.activation in (Activation.ACTIVE, Activation.STANDBY)

    def progress(self, now: float) -> int:
        return min(100, int(100 * (now - self.begun) / self.seconds)) if self.seconds > 0 else 100

    @property
    def ends(self) -> float:
        return self.begun + self.seconds * (FAILS_AT if self.fails else 1.0)


class Software:
    """All of one BMC. `random_id` gives eight digits, never the same twice in a row."""

    def __init__(
        self,
        options: FirmwareOptions,
        kept: Optional[Kept],
        random_id: Callable[[], str],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.options = options
        self.tasks = Tasks()
        self.changed = False
        self.reset_due = bool(kept and kept.reset_due)
        self.last_reset: Optional[float] = kept.last_reset if kept else None
        """When the BMC was reset last, in seconds since the epoch."""
        self.host_activated: float = kept.host_activated if kept else 0.0
        self.faults = FaultPlan(options.faults, kept.faults if kept else None)
        self._random_id = random_id
        self.wall = wall
        self._images: Dict[str, Image] = {}
        self._running: Dict[Purpose, str] = {}
        self._next: Dict[Purpose, str] = {}
        """What runs after the next reset of the BMC, or of the host."""
        self._first(kept)

    def renew(self, options: FirmwareOptions) -> None:
        """Go on with other options, of the same first versions. Of faults, those count anew that are planned anew."""
        self.options = options
        self.faults = FaultPlan(options.faults, self.faults.kept())
        self.changed = True

    def rehearsal(self) -> Software:
        """Another, as it is now, on which a change can be tried: for what it would say in its record."""
        other = copy.copy(self)
        other._images = {name: replace(image) for name, image in self._images.items()}
        other._next = dict(self._next)
        return other

    # --- What is there ------------------------------------------------------------------------------------------------

    @property
    def images(self) -> List[Image]:
        return list(self._images.values())

    def find(self, name: str) -> Optional[Image]:
        return self._images.get(name)

    def running(self, purpose: Purpose) -> Optional[Image]:
        return self._images.get(self._running.get(purpose, ""))

    def is_running(self, image: Image) -> bool:
        return self._running.get(image.manifest.purpose) == image.id

    def priority(self, image: Image) -> int:
        """0 for the one that runs after the next reset (OpenBMC's RedundancyPriority)."""
        return 0 if self._next.get(image.manifest.purpose) == image.id else 1

    @property
    def activating(self) -> Optional[Image]:
        return next((one for one in self._images.values() if one.activation is Activation.ACTIVATING), None)

    def _first(self, kept: Optional[Kept]) -> None:
        """What was kept, or the images that the options name. A version that they name anew starts all over."""
        factory = {Purpose.BMC: self.options.version, Purpose.HOST: self.options.host_version}
        for purpose, version in factory.items():
            mine = [one for one in kept.images if one.manifest.purpose is purpose] if kept else []
            if kept and mine and kept.factory.get(purpose.value, "") == version:
                for one in mine:
                    self._images[one.id] = Image(one.id, one.manifest, Activation.STANDBY)
                    if one.running:
                        self._running[purpose] = one.id
                    if one.next:
                        self._next[purpose] = one.id
            elif version:
                image = Image(self._new_id(), Manifest(purpose, version, self.options.machine), Activation.ACTIVE)
                self._images[image.id] = image
                self._running[purpose] = self._next[purpose] = image.id
                self.changed = True
        self._settle()

    def record(self) -> Kept:
        """What outlives a reset and a restart."""
        images = [
            KeptImage(one.id, one.manifest, self.is_running(one), not self.priority(one))
            for one in self._images.values()
            if one.stays
        ]
        factory = {"BMC": self.options.version, "Host": self.options.host_version}
        return Kept(factory, images, self.last_reset, self.faults.kept(), self.host_activated, self.reset_due)

    # --- What happens -------------------------------------------------------------------------------------------------

    def check(self, manifest: Manifest) -> None:
        """Raises Refused where an image can't be taken now."""
        if self.activating is not None:
            raise Refused(Refusal.BUSY)
        # Until 2021 an image's id followed from its version, so that there was one of each.
        alone = self.options.dialect is Dialect.LEGACY
        if alone and any(one.manifest.version == manifest.version for one in self._of(manifest.purpose)):
            raise Refused(Refusal.EXISTS)

    def misfit(self, manifest: Manifest) -> str:
        """Why it is not for this machine; empty for one that is, or names none. A fault may say something, too."""
        if self.due(FaultKind.WRONG_MACHINE):
            return "the image is for another machine, by the plan of faults"
        if manifest.machine in ("", self.options.machine):
            return ""
        return f"the image is for the machine {manifest.machine}, and this is {self.options.machine}"

    def add(self, manifest: Manifest) -> Image:
        """Take an image, to be activated. Raises Refused."""
        self.check(manifest)
        failed = [one for one in self.images if one.activation is Activation.FAILED]
        ready = [one for one in self.images if one.activation is Activation.READY]
        self._drop([*failed, *_oldest(ready, MAX_READY - 1)])
        image = Image(self._new_id(), manifest, Activation.READY)
        self._images[image.id] = image
        return image

    def activate(
        self, image: Image, now: float, apply: ApplyTime, task: Optional[Task] = None, fails: str = ""
    ) -> None:
        """Begin to activate. `fails`: why it is to come to nothing. Raises Refused."""
        if self.activating is not None:
            raise Refused(Refusal.BUSY)
        if image.activation not in (Activation.READY, Activation.FAILED):
            raise Refused(Refusal.NOT_READY)
        slow = self.due(FaultKind.SLOW)
        more = 0.0 if slow is None else (SLOWER if slow.seconds is None else slow.seconds)
        image.activation = Activation.ACTIVATING
        image.begun, image.seconds = now, self.options.activation_seconds + more
        image.fails = fails or ("an exception, by the plan of faults" if self.due(FaultKind.EXCEPTION) else "")
        image.apply, image.task = apply, task

    def switch(self, image: Image) -> None:
        """Run that image, which is present, from the next reset on; it is due at once. Raises Refused."""
        if not image.stays:
            raise Refused(Refusal.NOT_READY)
        if self.is_running(image) and not self.priority(image):
            return
        self.prefer(image)
        self.reset_due = True

    def prefer(self, image: Image) -> None:
        """The same without the reset. Raises Refused."""
        if image.id not in self._images:
            raise Refused(Refusal.UNKNOWN)
        self._next[image.manifest.purpose] = image.id
        self._settle()
        self.changed = True

    def delete(self, image: Image) -> None:
        """Raises Refused for what runs, and for what is being activated."""
        if self.is_running(image):
            raise Refused(Refusal.RUNNING)
        if image.activation is Activation.ACTIVATING:
            raise Refused(Refusal.BUSY)
        if not self.priority(image):
            self._next[image.manifest.purpose] = self._running.get(image.manifest.purpose, "")
        self._drop([image])
        self._settle()
        self.changed = True

    def next_event(self) -> Optional[float]:
        """When advance() will change anything by itself."""
        image = self.activating
        return None if image is None else image.ends

    def advance(self, now: float) -> None:
        image = self.activating
        if image is None:
            return
        if image.task is not None:
            image.task.progress(min(image.progress(now), 99))
        if now < image.ends:
            return
        if image.fails:
            image.activation = Activation.FAILED
            if image.task is not None:
                image.task.fail(self.wall(), image.fails)
            return
        self._activated(image)

    def _activated(self, image: Image) -> None:
        purpose = image.manifest.purpose
        image.activation = Activation.ACTIVE
        self._next[purpose] = image.id
        # The running image can't give way, whatever the number of slots.
        others = [one for one in self._of(purpose) if one is not image and not self.is_running(one)]
        self._drop(_oldest(others, self.options.slots - 2))
        self._settle()
        if image.task is not None:
            image.task.complete(self.wall())
        self.changed = True
        if purpose is Purpose.HOST:
            self.host_activated = self.wall()
        elif image.apply is ApplyTime.IMMEDIATE:
            self.reset_due = True

    def reset(self) -> None:
        """The BMC is reset: the tasks are gone, and what was not activated to the end; the next image runs."""
        self.tasks = Tasks()
        self.reset_due = False
        self.last_reset = self.wall()
        self._drop(one for one in self.images if not one.stays)
        self._run_next(Purpose.BMC)
        self.changed = True

    def host_seen(self, on: bool, since: float) -> None:
        """So the host is, `since` so many seconds after the epoch: its next firmware runs from its next start on."""
        pending = self._next.get(Purpose.HOST) != self._running.get(Purpose.HOST)
        if pending and (not on or since > self.host_activated):
            self._run_next(Purpose.HOST)
            self.changed = True

    def _run_next(self, purpose: Purpose) -> None:
        if purpose not in self._next:
            return
        is_new = self._next[purpose] != self._running.get(purpose)
        if is_new and purpose is Purpose.BMC and self.due(FaultKind.OLD_VERSION):
            self._next[purpose] = self._running[purpose]
        self._running[purpose] = self._next[purpose]
        others = [one for one in self._of(purpose) if not self.is_running(one)]
        self._drop(_oldest(others, self.options.slots - 1))
        self._settle()

    # --- Small things -------------------------------------------------------------------------------------------------

    def _of(self, purpose: Purpose) -> List[Image]:
        """The images of that purpose that have a slot, the oldest first."""
        return [one for one in self._images.values() if one.manifest.purpose is purpose and one.stays]

    def due(self, kind: FaultKind) -> Optional[Fault]:
        fault = self.faults.take(kind)
        self.changed |= fault is not None
        return fault

    def _settle(self) -> None:
        """Of the images that stay, those that run or will are active, the others spare."""
        for one in self._images.values():
            if one.stays:
                spare = self.priority(one) and not self.is_running(one)
                one.activation = Activation.STANDBY if spare else Activation.ACTIVE

    def _drop(self, images: Iterable[Image]) -> None:
        for image in list(images):
            self._images.pop(image.id, None)

    def _new_id(self) -> str:
        while True:
            name = self._random_id()
            if name not in self._images:
                return name


def _oldest(images: List[Image], keep: int) -> List[Image]:
    """The first of them, so that `keep` are left at most."""
    return images[: max(0, len(images) - max(0, keep))]
