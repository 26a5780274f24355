# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""System boot options: what is kept, in the specification's own bytes (IPMI 2.0, 28.12 to 28.14).

Pure state with its wire format; what a device means to the machine is said by ``override``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Optional

from vbmcd.commands.codes import Code, CommandError
from vbmcd.machine.base import BootDevice, BootOverride

SET_IN_PROGRESS = 0
SERVICE_PARTITION_SELECTOR = 1
SERVICE_PARTITION_SCAN = 2
VALID_BIT_CLEARING = 3
INFO_ACKNOWLEDGE = 4
BOOT_FLAGS = 5
INITIATOR_INFO = 6

LENGTHS: Dict[int, int] = {
    SET_IN_PROGRESS: 1,
    SERVICE_PARTITION_SELECTOR: 1,
    SERVICE_PARTITION_SCAN: 1,
    VALID_BIT_CLEARING: 1,
    INFO_ACKNOWLEDGE: 2,
    BOOT_FLAGS: 5,
    INITIATOR_INFO: 9,
}
"""Bytes of each parameter that is kept (table 28-14)."""

VALID = 0x80
PERSISTENT = 0x40
EFI = 0x20
DEVICE_SHIFT = 2
DEVICE_MASK = 0x0F

DEVICES: Dict[int, BootDevice] = {
    0x1: BootDevice.NETWORK,
    0x2: BootDevice.DISK,
    0x5: BootDevice.CDROM,
    0x7: BootDevice.FLOPPY,
    0x8: BootDevice.CDROM,
    0xF: BootDevice.FLOPPY,
}
"""Boot device selectors (parameter 5, data 2, bits 5:2) that a virtual machine can honour. Remote media
(7h, 8h) are what a domain's own drives stand for. The rest (BIOS set-up, diagnostics, safe mode) would be
a silent no-op and is refused."""


@dataclass(frozen=True)
class BootFlags:
    """Parameter 5 (28.13): five bytes, kept as they came."""

    raw: bytes = bytes(5)

    @property
    def valid(self) -> bool:
        return bool(self.raw[0] & VALID)

    @property
    def selector(self) -> int:
        return self.raw[1] >> DEVICE_SHIFT & DEVICE_MASK

    def __str__(self) -> str:
        """For the audit log."""
        if not self.valid or not self.selector:
            return "as configured"
        device = DEVICES.get(self.selector)
        words = [device.value if device else f"{self.selector:X}h"]
        words.append("persistent" if self.raw[0] & PERSISTENT else "once")
        return " ".join([*words, "efi"] if self.raw[0] & EFI else words)

    def override(self) -> Optional[BootOverride]:
        """What the flags ask of the next start; None: as the machine is configured.

        Raises CommandError CCh for a device that no virtual machine can honour.
        """
        if not self.valid or not self.selector:
            return None
        device = DEVICES.get(self.selector)
        if device is None:
            raise CommandError(Code.INVALID_FIELD, f"boot device {self.selector:X}h can't be honoured by a domain")
        return BootOverride(device, bool(self.raw[0] & PERSISTENT), bool(self.raw[0] & EFI))


class BootOptions:
    """The boot option parameters of one BMC."""

    def __init__(self) -> None:
        self._parameters: Dict[int, bytes] = {number: bytes(size) for number, size in LENGTHS.items()}

    @property
    def flags(self) -> BootFlags:
        return BootFlags(self._parameters[BOOT_FLAGS])

    def get(self, parameter: int) -> bytes:
        if parameter not in LENGTHS:
            raise CommandError(Code.PARAMETER_NOT_SUPPORTED)
        return self._parameters[parameter]

    def put(self, parameter: int, value: bytes) -> None:
        self._parameters[parameter] = value

    def use_up(self) -> None:
        """A one-shot override was honoured: its valid bit is cleared (28.13, parameter 5, data 1)."""
        raw = self.flags.raw
        self._parameters[BOOT_FLAGS] = bytes((raw[0] & ~VALID & 0xFF,)) + raw[1:]

    def to_bytes(self) -> bytes:
        """What outlives the worker: the boot flags."""
        return self.flags.raw

    def restore(self, kept: bytes) -> None:
        if len(kept) == LENGTHS[BOOT_FLAGS]:
            self._parameters[BOOT_FLAGS] = kept
