# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of an instance, as the module ``vbmc`` takes them; ``lab_nodes`` checks an inventory's against them."""

from __future__ import annotations

from typing import Any, Dict

PRIVILEGES = ["administrator", "operator", "user", "callback"]
STATES = ["present", "absent", "started", "stopped"]

USER_ARGUMENTS: Dict[str, Dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    "password": {"type": "str", "required": True, "no_log": True},
    "privilege": {"type": "str", "choices": PRIVILEGES, "default": "administrator"},
}

FAULT_ARGUMENTS: Dict[str, Dict[str, Any]] = {
    "kind": {
        "type": "str",
        "required": True,
        "choices": ["busy", "stall", "cut", "exception", "wrong-machine", "slow", "old-version"],
    },
    "count": {"type": "int", "default": 1},
    "seconds": {"type": "float"},
}

REDFISH_ARGUMENTS: Dict[str, Dict[str, Any]] = {
    "enabled": {"type": "bool"},
    "port": {"type": "int"},
    "address": {"type": "str"},
    "tls": {"type": "bool"},
    "certificate": {"type": "path"},
    "key": {"type": "path", "no_log": False},
}

FIRMWARE_ARGUMENTS: Dict[str, Dict[str, Any]] = {
    "version": {"type": "str"},
    "machine": {"type": "str"},
    "host_version": {"type": "str"},
    "dialect": {"type": "str", "choices": ["openbmc-2023", "openbmc-2025", "openbmc-legacy"]},
    "slots": {"type": "int"},
    "activation_seconds": {"type": "float"},
    "reboot_seconds": {"type": "float"},
    "upload_rate": {"type": "int"},
    "max_image_bytes": {"type": "int"},
    "simple_update": {"type": "bool"},
    "faults": {"type": "list", "elements": "dict", "options": FAULT_ARGUMENTS},
}

MEDIA_ARGUMENTS: Dict[str, Dict[str, Any]] = {
    "schemes": {"type": "list", "elements": "str", "choices": ["http", "https"]},
    "folders": {"type": "list", "elements": "str"},
    "pool": {"type": "str"},
    "verify": {"type": "bool"},
    "max_bytes": {"type": "int"},
}

INSTANCE_ARGUMENTS: Dict[str, Dict[str, Any]] = {
    "domain": {"type": "str"},
    "username": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "privilege": {"type": "str", "choices": PRIVILEGES},
    "users": {"type": "list", "elements": "dict", "options": USER_ARGUMENTS},
    "address": {"type": "str"},
    "port": {"type": "int"},
    "libvirt_uri": {"type": "str"},
    "libvirt_sasl_username": {"type": "str"},
    "libvirt_sasl_password": {"type": "str", "no_log": True},
    "kg": {"type": "str", "no_log": True},
    "cipher_suites": {"type": "list", "elements": "int"},
    "redfish": {"type": "dict", "options": REDFISH_ARGUMENTS},
    "firmware": {"type": "dict", "options": FIRMWARE_ARGUMENTS},
    "media": {"type": "dict", "options": MEDIA_ARGUMENTS},
    "owner": {"type": "str"},
}
