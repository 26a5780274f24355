# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an instance's firmware is to be like: the `firmware` options, and the faults that are wanted of it. Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Optional, Tuple


class Dialect(enum.Enum):
    """Whose ways of updating are spoken. What was changed when stands in docs/redfish.md."""

    OPENBMC_2023 = "openbmc-2023"
    OPENBMC_2025 = "openbmc-2025"
    LEGACY = "openbmc-legacy"
    """The REST service of before, /xyz/openbmc_project and /upload/image, beside Redfish without multipart."""


class FaultKind(enum.Enum):
    """What goes wrong once a fault is due."""

    BUSY = "busy"
    """The upload is answered with 503, and lands all the same."""
    STALL = "stall"
    """In the middle of an upload nothing is read any more, for `seconds` or until the client gives up."""
    CUT = "cut"
    """In the middle of an upload the connection is closed."""
    EXCEPTION = "exception"
    """The activation fails in its middle: the task ends in an exception."""
    WRONG_MACHINE = "wrong-machine"
    """The image is taken for another machine's."""
    SLOW = "slow"
    """The activation takes `seconds` more."""
    OLD_VERSION = "old-version"
    """The BMC comes back from its reset with the version that it had."""


@dataclass(frozen=True)
class Fault:
    """One entry of the plan. Happens on the first `count` occasions, and then no more; 0: on every one."""

    kind: FaultKind
    count: int = 1
    seconds: Optional[float] = None
    """For STALL and SLOW; the kind's own default when None."""


@dataclass(frozen=True)
class FirmwareOptions:
    """The firmware that a BMC comes with, and how it behaves when there is to be another."""

    version: str = "1.0.0"
    """What runs at first; later it is what was activated."""
    machine: str = "vbmcd"
    """MachineName that an image has to be for."""
    host_version: str = ""
    """The host's firmware (BIOS) at first; empty for none that can be updated."""
    dialect: Dialect = Dialect.OPENBMC_2025
    slots: int = 2
    """Images that are kept over a reset of the BMC, the running one included."""
    activation_seconds: float = 10.0
    reboot_seconds: float = 20.0
    upload_rate: int = 0
    """Bytes a second that an upload is read with; 0: as fast as it comes."""
    max_image_bytes: int = 30 << 20
    """MaxImageSizeBytes: the whole request counts. bmcweb's default."""
    simple_update: Optional[bool] = None
    """Whether there is UpdateService.SimpleUpdate; None: as the dialect has it."""
    faults: Tuple[Fault, ...] = ()

    @property
    def has_simple_update(self) -> bool:
        return self.dialect is Dialect.OPENBMC_2023 if self.simple_update is None else self.simple_update
