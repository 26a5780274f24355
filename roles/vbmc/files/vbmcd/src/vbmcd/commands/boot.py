# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""System boot options: what is kept, in the specification's own bytes (IPMI 2.0, 28.12 to 28.14).

Pure state with its wire format; what a device means to the machine is said by ``override``.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Callable, Dict, Optional

from vbmcd.commands.codes import Code, CommandError
from vbmcd.commands.parameters import SET_IN_PROGRESS
from vbmcd.machine.base import BootDevice, BootOverride

SERVICE_PARTITION_SELECTOR = 1
SERVICE_PARTITION_SCAN = 2
VALID_BIT_CLEARING = 3
INFO_ACKNOWLEDGE = 4
BOOT_FLAGS = 5
INITIATOR_INFO = 6
INITIATOR_MAILBOX = 7

LENGTHS: Dict[int, int] = {
    SET_IN_PROGRESS: 1,
    SERVICE_PARTITION_SELECTOR: 1,
    SERVICE_PARTITION_SCAN: 1,
    VALID_BIT_CLEARING: 1,
    INFO_ACKNOWLEDGE: 2,
    BOOT_FLAGS: 5,
    INITIATOR_INFO: 9,
    INITIATOR_MAILBOX: 17,
}
"""Bytes of each parameter (table 28-14); of the mailbox, those of one block with its number."""

MAILBOX_BLOCKS = 8
"""Of 16 bytes each; five are what the specification wants at least."""
DONT_CLEAR_ON_TIMEOUT = 0x08
DONT_CLEAR_ON_WATCHDOG = 0x04
"""Bits of VALID_BIT_CLEARING. The others are about PEF and push buttons, which are not there; clients may keep them."""

UUID_SIZE = 16

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

    RECORD = "boot"

    def __init__(self, timeout: float = 0.0, clock: Callable[[], float] = time.monotonic) -> None:
        """`timeout`: seconds after which flags for one start are void, as 28.13 has it after 60 s; 0: never."""
        self._parameters: Dict[int, bytes] = {}
        self._mailbox: Dict[int, bytes] = {}
        self._invalid = 0
        """Bit n: parameter n is marked as invalid."""
        self._timeout = timeout
        self._clock = clock
        self._flags_set = 0.0
        self.machine = b""
        """The UUID of the machine that the flags are for."""

    @property
    def flags(self) -> BootFlags:
        """What counts at the next start."""
        self._expire()
        return BootFlags(self._raw if self.is_valid(BOOT_FLAGS) else bytes(LENGTHS[BOOT_FLAGS]))

    @property
    def _raw(self) -> bytes:
        return self._parameters.get(BOOT_FLAGS, bytes(LENGTHS[BOOT_FLAGS]))

    def get(self, parameter: int, block: int = 0) -> bytes:
        """Raises CommandError: 80h for a parameter, and C9h for a block of the mailbox, that is not there."""
        if parameter not in LENGTHS:
            raise CommandError(Code.PARAMETER_NOT_SUPPORTED)
        if parameter == INITIATOR_MAILBOX:
            return bytes((block,)) + self._mailbox.get(_block(block), bytes(LENGTHS[parameter] - 1))
        self._expire()
        return self._parameters.get(parameter, bytes(LENGTHS[parameter]))

    def put(self, parameter: int, value: bytes) -> None:
        if parameter == INITIATOR_MAILBOX:
            self._mailbox[_block(value[0])] = value[1:].ljust(LENGTHS[parameter] - 1, b"\0")
            return
        self._parameters[parameter] = value
        if parameter == BOOT_FLAGS:
            self._flags_set = self._clock()

    def is_valid(self, parameter: int) -> bool:
        """Whether the parameter is not marked as invalid or locked (28.12, data 1, bit 7)."""
        return not self._invalid >> parameter & 1

    def mark(self, parameter: int, valid: bool) -> None:
        bit = 1 << parameter
        self._invalid = self._invalid & ~bit if valid else self._invalid | bit

    def use_up(self) -> None:
        """A one-shot override was honoured: its valid bit is cleared (28.13, parameter 5, data 1)."""
        raw = self._raw
        self._parameters[BOOT_FLAGS] = bytes((raw[0] & ~VALID & 0xFF,)) + raw[1:]

    def drop_on_watchdog(self) -> bool:
        """The watchdog timer is to restart the machine: flags for one start are void; whether there were any."""
        raw = self.flags.raw
        once = bool(raw[0] & VALID) and not raw[0] & PERSISTENT
        if not once or self.get(VALID_BIT_CLEARING)[0] & DONT_CLEAR_ON_WATCHDOG:
            return False
        self.use_up()
        return True

    def _expire(self) -> None:
        raw = self._raw
        if not self._timeout or not raw[0] & VALID or raw[0] & PERSISTENT:
            return
        kept = self._parameters.get(VALID_BIT_CLEARING, b"\0")[0] & DONT_CLEAR_ON_TIMEOUT
        if not kept and self._clock() - self._flags_set > self._timeout:
            self.use_up()

    def wait_again(self) -> None:
        """The time-out of flags for one start begins anew (28.13, parameter 3, bit 3)."""
        self._expire()
        self._flags_set = self._clock()

    def power_up(self) -> None:
        """As after a cold reset of the BMC: only the flags were stored, and not that they are marked as invalid."""
        flags = self._raw if self.is_valid(BOOT_FLAGS) else bytes((self._raw[0] & ~VALID & 0xFF,)) + self._raw[1:]
        self._parameters, self._invalid = {BOOT_FLAGS: flags}, 0
        self._mailbox.clear()

    def to_bytes(self) -> bytes:
        """What outlives the worker: the boot flags, and whose they are."""
        self._expire()
        return self._raw + self.machine

    def restore(self, kept: bytes) -> None:
        """Flags for one start count as set now: their time-out begins anew."""
        size = LENGTHS[BOOT_FLAGS]
        if len(kept) in (size, size + UUID_SIZE):
            self.put(BOOT_FLAGS, kept[:size])
            self.machine = kept[size:]


def _block(number: int) -> int:
    if number >= MAILBOX_BLOCKS:
        raise CommandError(Code.PARAMETER_OUT_OF_RANGE)
    return number
