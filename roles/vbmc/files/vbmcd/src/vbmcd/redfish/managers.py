# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The BMC itself (Manager, DSP0268): its firmware, and its reset, by which the machine stays as it is."""

from __future__ import annotations

import time
import uuid
from functools import partial
from typing import Any, Dict

from vbmcd.commands.bmc import Bmc
from vbmcd.firmware.image import Purpose
from vbmcd.firmware.software import Image, Refusal
from vbmcd.firmware.unit import Unit
from vbmcd.redfish.exchange import Request, Response, done
from vbmcd.redfish.messages import failure
from vbmcd.redfish.network import INTERFACES, PROTOCOLS
from vbmcd.redfish.properties import Settable, action_parameter, moment, read_changes
from vbmcd.redfish.roles import MANAGER as CONFIGURE_MANAGER
from vbmcd.redfish.root import CHASSIS, MANAGER, ROOT, SYSTEM, collection, date_time, link
from vbmcd.redfish.table import Chapter
from vbmcd.redfish.update_service import manager_parts
from vbmcd.redfish.update_ways import INVENTORY

managers = Chapter()

RESET = "Manager.Reset"
RESET_TYPES = ("GracefulRestart", "ForceRestart")
_ACTIVE = "Links/ActiveSoftwareImage"


@managers.get(f"{ROOT}/Managers")
async def list_managers(request: Request, bmc: Bmc) -> Response:
    return collection(f"{ROOT}/Managers", "Manager", "Manager Collection", [MANAGER])


@managers.get(MANAGER)
async def get_manager(request: Request, bmc: Bmc) -> Response:
    return Response(manager_document(bmc))


def manager_document(bmc: Bmc) -> Dict[str, Any]:
    parts = manager_parts(bmc)
    links = {
        "ManagerForServers": [link(SYSTEM)],
        "ManagerForServers@odata.count": 1,
        "ManagerForChassis": [link(CHASSIS)],
        "ManagerForChassis@odata.count": 1,
        **parts.pop("Links"),
    }
    return {
        "@odata.id": MANAGER,
        "@odata.type": "#Manager.v1_19_1.Manager",
        "Id": "1",
        "Name": "Manager",
        "ManagerType": "BMC",
        "Manufacturer": "baremetal.lab",
        "Model": "vbmcd",
        "UUID": str(uuid.UUID(bytes=bmc.engine.guid)),
        "ServiceEntryPointUUID": str(uuid.UUID(bytes=bmc.engine.guid)),
        "PowerState": "On",
        "DateTime": date_time(bmc.journal.sel.time(time.time())),
        "DateTimeLocalOffset": "+00:00",
        "SerialConsole": {"ServiceEnabled": True, "MaxConcurrentSessions": 1, "ConnectTypesSupported": ["IPMI"]},
        "NetworkProtocol": link(PROTOCOLS),
        "EthernetInterfaces": link(INTERFACES),
        "LogServices": link(f"{MANAGER}/LogServices"),
        "VirtualMedia": link(f"{MANAGER}/VirtualMedia"),
        **parts,
        "Links": links,
        "Actions": {
            f"#{RESET}": {
                "target": f"{MANAGER}/Actions/{RESET}",
                "ResetType@Redfish.AllowableValues": list(RESET_TYPES),
            }
        },
    }


@managers.post(f"{MANAGER}/Actions/{RESET}", privilege=CONFIGURE_MANAGER)
async def reset(request: Request, bmc: Bmc) -> Response:
    """Both ways are the same: the BMC is away for its time, and then the image runs that was activated."""
    action_parameter(request.body, RESET, "ResetType", RESET_TYPES, default="GracefulRestart")
    bmc.part(Unit).reset_soon()
    return done()


@managers.patch(MANAGER, privilege=CONFIGURE_MANAGER)
async def set_manager(request: Request, bmc: Bmc) -> Response:
    """Links.ActiveSoftwareImage: run another image that is present, for which the BMC resets at once. DateTime: as
    Set SEL Time (31.11)."""
    settable: Settable = {"DateTime": moment, "Links": {"ActiveSoftwareImage": partial(_image, bmc)}}
    changes = read_changes(request.body, manager_document(bmc), settable)
    if "DateTime" in changes:
        seconds = changes.get("DateTime", 0)
        await bmc.journal.change(lambda log, now: log.set_time(seconds, now))
    if _ACTIVE in changes:
        image: Image = changes.values[_ACTIVE]
        await bmc.part(Unit).change(lambda software: software.switch(image))
    return changes.response(manager_document(bmc))


def _image(bmc: Bmc, path: str, value: Any) -> Image:
    """The image that is linked to, which can run."""
    wanted = value.get("@odata.id") if isinstance(value, dict) else None
    if not isinstance(wanted, str):
        raise failure(400, "PropertyValueTypeError", value, "ActiveSoftwareImage", related=f"#/{path}")
    folder, _slash, name = wanted.rstrip("/").rpartition("/")
    if folder != INVENTORY:
        raise failure(400, "PropertyValueFormatError", wanted, "ActiveSoftwareImage", related=f"#/{path}")
    image = bmc.part(Unit).look().find(name)
    if image is None or image.manifest.purpose is not Purpose.BMC:
        raise failure(400, "PropertyValueNotInList", wanted, "ActiveSoftwareImage", related=f"#/{path}")
    if not image.stays:
        reason = Refusal.NOT_READY.value
        raise failure(400, "PropertyValueError", "ActiveSoftwareImage", related=f"#/{path}", resolution=reason)
    return image
