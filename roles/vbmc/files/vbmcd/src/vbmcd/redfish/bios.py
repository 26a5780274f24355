# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host's firmware (Bios, DSP0268): only which of it runs. It has no attributes that could be set."""

from __future__ import annotations

from typing import Any, Dict

from vbmcd.commands.bmc import Bmc
from vbmcd.firmware.image import Purpose
from vbmcd.firmware.unit import Unit
from vbmcd.redfish.exchange import Request, Response
from vbmcd.redfish.root import SYSTEM, link
from vbmcd.redfish.table import Chapter
from vbmcd.redfish.update_service import inventory_path

bios = Chapter()

BIOS = f"{SYSTEM}/Bios"


def bios_parts(bmc: Bmc) -> Dict[str, Any]:
    """What the system's own resource says of it. Nothing is looked up for a host that has none to update."""
    parts: Dict[str, Any] = {"Bios": link(BIOS)}
    if bmc.instance.firmware.host_version or bmc.has(Unit) is not None:
        running = bmc.part(Unit).look().running(Purpose.HOST)
        if running is not None:
            parts["BiosVersion"] = running.manifest.version
    return parts


@bios.get(BIOS)
async def get_bios(request: Request, bmc: Bmc) -> Response:
    document: Dict[str, Any] = {
        "@odata.id": BIOS,
        "@odata.type": "#Bios.v1_2_3.Bios",
        "Id": "Bios",
        "Name": "BIOS Configuration",
        "Description": "BIOS Configuration Service",
        "Attributes": {},
    }
    running = bmc.part(Unit).look().running(Purpose.HOST)
    if running is not None:
        document["Links"] = {"ActiveSoftwareImage": link(inventory_path(running))}
    return Response(document)
