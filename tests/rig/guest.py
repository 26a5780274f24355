# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest of one sector: greets on its first serial port, and echoes. A `!` gets FLOOD instead."""

from __future__ import annotations

from pathlib import Path

BANNER = b"guest is up\r\n"
FLOOD = bytes(0x30 + (-count & 0x3F) for count in range(1 << 16))
"""64 KiB: how far the low bits of CX are from 0, counting down."""

_CODE = bytes.fromhex(
    "31c08ed8fcbafd03be507cac84c07405e81500ebf6eca80174fbb2f8ecb2fd3c217414"
    "e80200ebed88c4eca82074fbb2f888e0eeb2fdc331c988c8243f0430e8e6ffe2f5ebcf"
)
"""16-bit code, as the firmware starts it at 0000h:7C00h; DX is the line status (3FDh) or the data (3F8h) of COM1.

    xor ax, ax ; mov ds, ax ; cld ; mov dx, 3FDh ; mov si, 7C50h
    banner: lodsb ; test al, al ; jz wait ; call put ; jmp banner
    wait:   in al, dx ; test al, 1 ; jz wait ; mov dl, F8h ; in al, dx ; mov dl, FDh
            cmp al, '!' ; je flood ; call put ; jmp wait
    put:    mov ah, al
    full:   in al, dx ; test al, 20h ; jz full ; mov dl, F8h ; mov al, ah ; out dx, al ; mov dl, FDh ; ret
    flood:  xor cx, cx
    more:   mov al, cl ; and al, 3Fh ; add al, 30h ; call put ; loop more ; jmp wait
"""
_BANNER_AT = 0x50

SERIAL = "<serial type='pty'><target port='0'/></serial><console type='pty'><target type='serial' port='0'/></console>"
"""The devices that its domain needs, besides the disk."""


def write_guest(disk: Path) -> Path:
    """Make `disk` boot it."""
    sector = (_CODE.ljust(_BANNER_AT, b"\0") + BANNER + b"\0").ljust(510, b"\0") + b"\x55\xaa"
    disk.write_bytes(sector.ljust(1 << 20, b"\0"))
    return disk
