# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Completion codes (IPMI 2.0, 5.2), and the error that carries one out of a handler."""

from __future__ import annotations

import enum


class Code(enum.IntEnum):
    """The generic codes, and the few command-specific ones in use."""

    OK = 0x00
    PARAMETER_NOT_SUPPORTED = 0x80
    """Get/Set System Boot Options (28.12, 28.13)."""
    RECORD_TYPE_NOT_SUPPORTED = 0x80
    """Add SEL Entry (31.6)."""
    SET_IN_PROGRESS = 0x81
    """Set System Boot Options (28.12)."""
    SESSION_LEVEL_ABOVE_LIMIT = 0x81
    """Set Session Privilege Level (22.18): above the user's or the channel's limit."""
    INVALID_SESSION_ID = 0x87
    """Close Session (22.19)."""
    INVALID_SESSION_HANDLE = 0x88
    """Close Session (22.19)."""
    DATA_NOT_AVAILABLE = 0x80
    """Get Message (22.6): the queue is empty."""
    WATCHDOG_NOT_SET = 0x80
    """Reset Watchdog Timer (27.5): it was never set."""
    PASSWORD_DIFFERS = 0x80
    """Set User Password, test (22.30)."""
    PASSWORD_SIZE_DIFFERS = 0x81
    """Set User Password, test (22.30): with the wrong size."""
    READ_ONLY = 0x82
    """Set System Info (22.14a), LAN (23.1) and PEF (30.3) Configuration Parameters."""
    SET_NOT_SUPPORTED = 0x82
    """Set Channel Access (22.22)."""
    KEY_LOCKED = 0x80
    """Set Channel Security Keys (22.25)."""
    KEY_NOT_USED = 0x84
    """Set Channel Security Keys (22.25)."""
    ACCESS_MODE_NOT_SUPPORTED = 0x83
    """Set Channel Access (22.22)."""
    PAYLOAD_ACTIVE = 0x80
    """Activate Payload (24.1): on another session."""
    PAYLOAD_INACTIVE = 0x80
    """Deactivate Payload (24.2)."""
    PAYLOAD_UNKNOWN = 0x80
    """Get Channel Payload Version (24.9)."""
    PAYLOAD_DISABLED = 0x81
    """Activate Payload (24.1)."""
    OPERATION_NOT_ALLOWED = 0x81
    """Suspend/Resume Payload Encryption (24.3)."""
    INSTANCE_INACTIVE = 0x83
    """Suspend/Resume Payload Encryption (24.3)."""
    ENCRYPTION_NEEDED = 0x84
    """Activate Payload (24.1)."""
    NODE_BUSY = 0xC0
    INVALID_COMMAND = 0xC1
    INVALID_FOR_LUN = 0xC2
    RESERVATION_CANCELED = 0xC5
    REQUEST_LENGTH_INVALID = 0xC7
    PARAMETER_OUT_OF_RANGE = 0xC9
    NOT_PRESENT = 0xCB
    """The sensor, record or device that was asked for does not exist."""
    INVALID_FIELD = 0xCC
    ILLEGAL_FOR_RECORD = 0xCD
    """A command that this kind of sensor or record has not."""
    INSUFFICIENT_PRIVILEGE = 0xD4
    NOT_IN_PRESENT_STATE = 0xD5
    UNSPECIFIED = 0xFF


class CommandError(Exception):
    """Ends a command with a completion code other than 00h; `reason` is for the log."""

    def __init__(self, code: Code, reason: str = "") -> None:
        super().__init__(reason or code.name.lower())
        self.code = code
