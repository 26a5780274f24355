# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What to do with a BMC next, from what was read of it alone: no clock, no network, no memory of earlier steps.

After a crash, a lost answer or a wait, it is asked again; that is why no step is ever taken on the word of another one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import FrozenSet, Optional

from ..clients.firmware import READY, UPDATING, WRITTEN, Inventory, Stored
from .image import Image

# States of a target, in the order in which they come; the journal's words, and the step of a failure
INSPECT = "INSPECT"
NOOP = "NOOP"
ATTACH = "ATTACH"
ACTIVATE = "ACTIVATE"
SWITCH = "SWITCH"
UPLOAD = "UPLOAD"
ACCEPTED = "ACCEPTED"
FLASHED = "FLASHED"
RESET = "RESET"
WAIT = "WAIT"
VERIFY = "VERIFY"
DELETE = "DELETE"
DONE = "DONE"
FAILED = "FAILED"
SKIPPED = "SKIPPED"
ENDS = (DONE, FAILED, SKIPPED)

# What is wanted of an image
PRESENT = "present"
ACTIVE = "active"
ABSENT = "absent"


@dataclass(frozen=True)
class Want:
    """One image on one BMC."""

    state: str
    version: str
    purpose: str
    image: Optional[Image] = None
    """None where nothing can be uploaded: an image on the BMC is to be switched to, or removed."""
    old: FrozenSet[str] = frozenset()
    """Ids of images that do not count, though they have the version: `force` wants another one."""
    forced: bool = False
    """Whether there may be `old` ones, listed or not."""

    @property
    def label(self) -> str:
        return f"{self.purpose} {self.version}"


@dataclass(frozen=True)
class Decision:
    """The next step, and the image on the BMC that it is about."""

    step: str
    stored: Optional[Stored] = None


def decide(want: Want, found: Inventory) -> Decision:
    """The way to an image that is there (PRESENT) or runs (ACTIVE)."""
    fitting = [one for one in fitting_images(want, found) if one.id not in want.old]
    running = next((one for one in fitting if one.running), None)
    if running is not None:
        return Decision(NOOP, running)
    # The version may be said to run though no image is: some list none that runs.
    if not want.forced and not fitting and found.version(want.purpose) == want.version:
        return Decision(NOOP)
    updating = sorted((one for one in found.images if one.state == UPDATING), key=lambda one: one not in fitting)
    if updating:
        return Decision(ATTACH, updating[0])
    for state, step in ((WRITTEN, SWITCH), (READY, ACTIVATE)):
        stored = next((one for one in fitting if one.state == state), None)
        if stored is not None:
            return Decision(NOOP if want.state == PRESENT else step, stored)
    return Decision(UPLOAD)


def fitting_images(want: Want, found: Inventory) -> list[Stored]:
    """Images of the wanted version, for what it is for or for what the BMC does not say."""
    return [one for one in found.images if one.version == want.version and one.purpose in (want.purpose, "other")]


def runs_old(want: Want, found: Inventory) -> bool:
    """Whether what runs has the version, and is known to be an image that `force` wants replaced."""
    running = [one for one in fitting_images(want, found) if one.running]
    return bool(running) and all(one.id in want.old for one in running)
