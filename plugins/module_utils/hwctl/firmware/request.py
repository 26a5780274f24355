# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of a firmware run, and how patient it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import List, Optional, Tuple

from ..clients.firmware import IMMEDIATE, ON_RESET
from ..errors import BadRequest
from .image import OTHER
from .states import ABSENT, ACTIVE, PRESENT, Want

AUTO, NEVER, ALWAYS = "auto", "never", "always"
LEAVE, CYCLE = "leave", "cycle"


@dataclass(frozen=True)
class Timings:
    """In seconds."""

    activation: float = 1200.0
    """For a BMC to check and write an image."""
    reboot: float = 600.0
    """For it to be back after a reboot, and for its machine after one."""
    poll: float = 5.0
    """Between two looks, where the BMC does not say how long to wait."""
    doubt: float = 20.0
    """In which an image shows up whose upload got no answer, or none to rely on."""
    idle: float = 90.0
    """After which a BMC that was asked to reboot, and is there all along, is asked once more."""
    verify_reads: int = 3
    verify_pause: float = 10.0
    """How often the version is read back, and the time between."""


@dataclass(frozen=True)
class FirmwareRequest:
    """The same for every target."""

    state: str
    wants: Tuple[Want, ...]
    """One, or two: the BMC's image and the host's."""
    check: bool = False
    """Only say what would be done."""
    force: bool = False
    """Also where the version is there: it may be that of other content."""
    apply_time: str = ON_RESET
    reboot: str = AUTO
    host_power: str = LEAVE
    canary: int = 0
    """How many targets come first, alone. When one of them fails, the others are left as they are."""
    max_fail_percentage: float = 100.0
    """When more targets have failed, no other one is begun."""
    polls: int = 100
    """Short requests at one time; uploads at one time are the limits' fan-out."""
    lock_timeout: float = 0.0
    """Seconds for which a BMC is waited for that another run works on."""
    run_id: Optional[str] = None
    folder: str = ""
    """Where the journal and the locks are."""
    journal_days: float = 0.0
    """After which the journals of other runs are removed; 0: never."""
    timings: Timings = field(default_factory=Timings)

    @property
    def labels(self) -> List[str]:
        """What is wanted, in words that two requests share only if they want the same content."""
        return [f"{want.label} {want.image.sha256[:16]}" if want.image else want.label for want in self.wants]

    def validate(self) -> None:
        """Raises BadRequest."""
        if self.state not in (PRESENT, ACTIVE, ABSENT):
            raise BadRequest(f"there is no state {self.state!r}: give present, active or absent")
        if not self.wants:
            raise BadRequest("nothing is wanted: give an image, or the version of one that the BMCs have")
        purposes = [want.purpose for want in self.wants]
        if len(set(purposes)) < len(purposes):
            raise BadRequest(f"both images are for the {purposes[0]}, as their MANIFESTs say: give one")
        if self.state == ACTIVE and OTHER in purposes:
            raise BadRequest("the image is neither the BMC's nor the host's, and no BMC says which one of those runs")
        if self.state == PRESENT and any(want.image is None for want in self.wants):
            raise BadRequest("to have an image present takes the image: give its file")
        if self.state == ACTIVE and self.reboot == NEVER and self.apply_time == IMMEDIATE:
            raise BadRequest("an image that is applied immediately reboots the BMC: give another apply_time, or reboot")
        if self.state == PRESENT and self.apply_time == IMMEDIATE:
            raise BadRequest("an image that is applied immediately does not stay aside: ask for it to be active")
        if self.force and any(want.image is None for want in self.wants):
            raise BadRequest("to force a version takes the image: give its file")
        if not 0 <= self.max_fail_percentage <= 100:
            raise BadRequest(f"max_fail_percentage is {self.max_fail_percentage:g}: give 0 to 100")
        if self.canary < 0:
            raise BadRequest(f"canary is {self.canary}: give 0 or more")
        if self.journal_days < 0:
            raise BadRequest(f"journal_days is {self.journal_days:g}: give 0, which removes none, or more")
        if not 1 <= self.polls <= 1000:
            raise BadRequest(f"polls is {self.polls}: give 1 to 1000")
