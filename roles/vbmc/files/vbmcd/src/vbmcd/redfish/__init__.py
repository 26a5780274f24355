# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Redfish (DSP0266): tables of resources, small functions over a Bmc, no sockets.

``dispatch`` does what every request needs once; ``worker.web`` meets the HTTP library and asks :func:`service`. The Bmc
is the one that ``commands`` serves by IPMI, so what one protocol changes the other reads back.
"""

from __future__ import annotations

from vbmcd.redfish.accounts import accounts
from vbmcd.redfish.bios import bios
from vbmcd.redfish.chassis import chassis
from vbmcd.redfish.dispatch import Service
from vbmcd.redfish.hardware import hardware
from vbmcd.redfish.logs import logs
from vbmcd.redfish.managers import managers
from vbmcd.redfish.network import network
from vbmcd.redfish.openbmc_rest import legacy
from vbmcd.redfish.registries import registries
from vbmcd.redfish.root import root
from vbmcd.redfish.secure_boot import secure_boot
from vbmcd.redfish.sessions import sessions
from vbmcd.redfish.simple_update import simple_updates
from vbmcd.redfish.systems import systems
from vbmcd.redfish.table import Router
from vbmcd.redfish.task_service import task_service
from vbmcd.redfish.update_service import update_service
from vbmcd.redfish.upload import uploads
from vbmcd.redfish.virtual_media import virtual_media

CHAPTERS = (
    root,
    registries,
    sessions,
    accounts,
    systems,
    bios,
    secure_boot,
    hardware,
    chassis,
    managers,
    network,
    logs,
    update_service,
    uploads,
    simple_updates,
    task_service,
    virtual_media,
    legacy,
)
"""What is served. A new chapter is added here."""


def service() -> Service:
    """What answers the requests of all BMCs of a worker."""
    return Service(Router(CHAPTERS))
