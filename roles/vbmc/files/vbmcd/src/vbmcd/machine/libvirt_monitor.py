# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What libvirt has no call for, said to QEMU's own monitor. libvirt marks a domain that this was done to as tainted."""

from __future__ import annotations

import json
from typing import Any

import libvirt


class MonitorError(Exception):
    """There is no monitor, one may not use it, or QEMU does not do it."""


def tell(domain: Any, command: str, **arguments: Any) -> None:
    """Raises MonitorError."""
    try:
        import libvirt_qemu  # a package of the binding may leave it out

        said = libvirt_qemu.qemuMonitorCommand(domain, json.dumps({"execute": command, "arguments": arguments}), 0)
    except (ImportError, libvirt.libvirtError) as error:
        raise MonitorError(str(error)) from error
    answer = json.loads(said)
    if "error" in answer:
        raise MonitorError(f"QEMU refuses {command}: {answer['error'].get('desc')}")
