# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A CD that a machine boots (El Torito 1.0, no emulation): says so on the first serial port, and reboots by itself."""

from __future__ import annotations

import struct
from pathlib import Path

BANNER = b"from the cd\r\n"

_SECTOR = 2048
_BANNER_AT = 0x40
_CODE = bytes.fromhex("31c08ed8fcbafd03be407cac84c0741088c4eca82074fbb2f888e0eeb2fdebebb0fee664f4ebf9")
"""16-bit code, as the firmware starts it at 0000h:7C00h.

    xor ax, ax ; mov ds, ax ; cld ; mov dx, 3FDh ; mov si, 7C40h
    next: lodsb ; test al, al ; jz done ; mov ah, al
    full: in al, dx ; test al, 20h ; jz full ; mov dl, F8h ; mov al, ah ; out dx, al ; mov dl, FDh ; jmp next
    done: mov al, FEh ; out 64h, al ; hlt ; jmp done    (the keyboard controller resets the machine)
"""


def write_cd(path: Path) -> Path:
    """Make `path` the image of one."""
    boot = (_CODE.ljust(_BANNER_AT, b"\0") + BANNER).ljust(_SECTOR, b"\0")
    record = struct.pack("<B5sB32s32xI", 0, b"CD001", 1, b"EL TORITO SPECIFICATION", 19)
    # Validation entry (its words add up to 0), then the default entry: bootable, 4 sectors of 512 bytes from sector 20.
    validation = struct.pack("<BBH24sHH", 1, 0, 0, b"", 0x55AA, 0xAA55)
    catalog = validation + struct.pack("<BBHBBHI", 0x88, 0, 0, 0, 0, 4, 20)
    sectors = [b"\1CD001\1", record, b"\xffCD001\1", catalog, boot]
    path.write_bytes(bytes(16 * _SECTOR) + b"".join(sector.ljust(_SECTOR, b"\0") for sector in sectors))
    return path
