# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""RMCP presence ping and pong (IPMI 2.0, 13.2.3 and 13.2.4; ASF 2.0, 3.2.4): how consoles find BMCs."""

from __future__ import annotations

import struct
from typing import Optional

RMCP_ASF = 0x06
"""The class of an ASF message, in the fourth byte of an RMCP header."""
_ASF_ENTERPRISE = 4542
_PING, _PONG = 0x80, 0x40
_HEAD = struct.Struct(">IBBxB")
_NO_SEQUENCE = 0xFF
"""RMCP: no acknowledge wanted (13.1.3)."""
_IPMI_SUPPORTED = 0x81
"""IPMI, and ASF version 1.0 (13.2.4)."""


def pong(datagram: bytes) -> Optional[bytes]:
    """The answer to `datagram`, an RMCP message of class ASF; None where it is no ping."""
    if len(datagram) < 4 + _HEAD.size or datagram[0] != 0x06:
        return None
    enterprise, kind, tag, _length = _HEAD.unpack_from(datagram, 4)
    if enterprise != _ASF_ENTERPRISE or kind != _PING:
        return None
    body = struct.pack(">IIBB6x", _ASF_ENTERPRISE, 0, _IPMI_SUPPORTED, 0)
    return bytes((0x06, 0, _NO_SEQUENCE, RMCP_ASF)) + _HEAD.pack(_ASF_ENTERPRISE, _PONG, tag, len(body)) + body
