# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What managers ask of a BMC, whatever it speaks: atomic calls, each one request or a few that belong together.

A protocol is a file beside this one and a line in `clients/__init__.py`. Every call raises HwctlError's subclasses and
nothing else that its library has.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Dict, Optional, Type

from ..errors import Unsupported
from .firmware import FirmwareCalls

# Power states
ON = "on"
OFF = "off"

# Power actions, besides ON and OFF
SOFT = "soft"
CYCLE = "cycle"
RESET = "reset"
NMI = "nmi"

# Boot devices
NO_OVERRIDE = "none"
PXE = "pxe"
DISK = "disk"
CDROM = "cdrom"
SETUP = "setup"
REMOVABLE = "removable"
BOOT_DEVICES = (NO_OVERRIDE, PXE, DISK, CDROM, SETUP, REMOVABLE)


@dataclass(frozen=True)
class Boot:
    """A boot override."""

    device: str = NO_OVERRIDE
    """One of BOOT_DEVICES, or what the BMC calls one that is none of them."""
    persistent: bool = False
    efi: Optional[bool] = None
    """UEFI or BIOS; None: the BMC does not say, or is not told."""

    def result(self) -> Dict[str, Any]:
        return {"device": self.device, "persistent": self.persistent, "efi": self.efi}


class Client(abc.ABC):
    """A session with one BMC. Used by one thread; `close` is called whatever happened."""

    @abc.abstractmethod
    def power(self) -> str:
        """ON or OFF."""

    @abc.abstractmethod
    def set_power(self, action: str) -> None:
        """ON, OFF, SOFT, CYCLE, RESET or NMI, sent once. The BMC has accepted it when this returns.

        Raises Unreachable when no answer came: it may have been carried out, or not.
        """

    @abc.abstractmethod
    def boot(self) -> Boot:
        """The boot override that is set."""

    @abc.abstractmethod
    def set_boot(self, boot: Boot) -> None:
        """Raises Unsupported or Refused when the BMC can't."""

    @abc.abstractmethod
    def info(self) -> Dict[str, Any]:
        """What the BMC says of itself and its machine: the keys that `bmc_info` documents."""

    def firmware(self) -> FirmwareCalls:
        """Calls for the BMC's firmware, within this session. Raises Unsupported."""
        raise self.unsupported("firmware update by this protocol: use redfish or openbmc")

    def rest(self) -> None:  # noqa: B027 (a session may need nothing of the kind)
        """Hold no connection until the next call, but stay logged in."""

    def close(self) -> None:  # noqa: B027 (most protocols have something to close)
        """End the session. Raises nothing."""

    def unsupported(self, what: str) -> Unsupported:
        return Unsupported(f"the BMC has no {what}")

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()
