# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the firmware manager asks of a BMC, whatever it speaks. A client that can do it returns one by `firmware()`.

Every call raises HwctlError's subclasses and nothing else that its library has.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import Callable, Optional, Tuple

from ..firmware.image import Image

# What has become of an image on a BMC
UPDATING = "updating"
"""It is being checked or written."""
READY = "ready"
"""It is on the BMC, and is written when it is activated."""
WRITTEN = "written"
"""It is in flash, and may be what runs."""
UNUSABLE = "unusable"
"""It was refused, or can't be told from one that was."""

# When an image that is uploaded takes effect
ON_RESET = "on_reset"
IMMEDIATE = "immediate"

# What a task is at
RUNNING = "running"
COMPLETED = "completed"
FAILED = "failed"
GONE = "gone"
"""The BMC does not know the task, or no longer."""


@dataclass(frozen=True)
class Stored:
    """An image on a BMC."""

    id: str
    """As the BMC addresses it. Random on most: it does not follow from the version."""
    version: str
    purpose: str
    state: str
    running: bool = False
    chosen: bool = False
    """Whether it is known to boot next."""

    @property
    def label(self) -> str:
        return f"{self.purpose} {self.version}"


@dataclass(frozen=True)
class Inventory:
    """A BMC's images, and whether it is fit to be asked about them."""

    images: Tuple[Stored, ...]
    running: Tuple[Tuple[str, str], ...]
    """Purpose and version of what runs, as the BMC says it."""
    reset_time: Optional[str] = None
    """When the BMC booted last, in its own words; None where it does not say."""
    booted: bool = True
    """Whether it is done with booting."""

    def version(self, purpose: str) -> Optional[str]:
        return dict(self.running).get(purpose)


@dataclass(frozen=True)
class Accepted:
    """A BMC took an image, and works on it."""

    monitor: str = ""
    """Where the task is followed; empty where the BMC has none."""
    retry_after: float = 0.0
    """Seconds until it wants to be asked."""


@dataclass(frozen=True)
class Progress:
    """What a task is at."""

    state: str
    percent: Optional[int] = None
    message: str = ""
    retry_after: float = 0.0


class FirmwareCalls(abc.ABC):
    """Of one session with one BMC, used by one thread at a time."""

    switching_reboots = True
    """Whether to choose the BMC's image reboots the BMC at once."""

    @abc.abstractmethod
    def inventory(self) -> Inventory:
        """Only reads."""

    @abc.abstractmethod
    def fits(self, image: Image, apply_time: str) -> str:
        """When it would take effect, which not every BMC leaves to choose.

        Raises Refused or Unsupported for an image that need not be sent to be refused.
        """

    @abc.abstractmethod
    def upload(self, image: Image, apply_time: str, sent: Callable[[int], None]) -> Accepted:
        """Send an image, once. `sent` is told how many bytes went, and may raise to end it.

        Raises InDoubt when the BMC may have it all the same.
        """

    @abc.abstractmethod
    def progress(self, accepted: Accepted) -> Progress:
        """Only reads."""

    @abc.abstractmethod
    def activate(self, stored: Stored) -> None:
        """Have an image that is READY written."""

    @abc.abstractmethod
    def switch(self, stored: Stored) -> bool:
        """Make a WRITTEN image the one that boots; whether the BMC reboots by itself now."""

    @abc.abstractmethod
    def reset(self) -> None:
        """Reboot the BMC."""

    @abc.abstractmethod
    def delete(self, stored: Stored) -> None:
        """Remove an image that does not run."""
