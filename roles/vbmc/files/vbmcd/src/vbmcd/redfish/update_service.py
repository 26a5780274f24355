# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""UpdateService and FirmwareInventory (DSP0268): what can be updated, and with what. ``upload`` takes the images."""

from __future__ import annotations

from typing import Any, Dict

from vbmcd.commands.bmc import Bmc
from vbmcd.firmware.image import Purpose
from vbmcd.firmware.software import Activation, ApplyTime, Image, Software
from vbmcd.firmware.unit import Unit, firmware_version
from vbmcd.redfish.exchange import Request, Response
from vbmcd.redfish.messages import failure
from vbmcd.redfish.properties import Settable, one_of, read_changes
from vbmcd.redfish.roles import COMPONENTS
from vbmcd.redfish.root import MANAGER, SYSTEM, collection, date_time, link
from vbmcd.redfish.settings import Settings
from vbmcd.redfish.table import Chapter
from vbmcd.redfish.update_ways import INVENTORY, UPDATE, ways_of

update_service = Chapter()

SIMPLE_UPDATE = "UpdateService.SimpleUpdate"
APPLY_TIME = "HttpPushUriApplyTime"
"""Its name among the settings."""
SIMPLE_SCHEMES = ("HTTP", "HTTPS")

STATES = {
    Activation.READY: "Disabled",
    Activation.ACTIVATING: "Updating",
    Activation.ACTIVE: "Enabled",
    Activation.STANDBY: "StandbySpare",
    Activation.FAILED: "Disabled",
}
"""Status.State by activation, as bmcweb has it."""


@update_service.get(UPDATE)
async def get_update_service(request: Request, bmc: Bmc) -> Response:
    """Where images are pushed to. Clients follow what is said here, as OpenBMC has moved it more than once."""
    return Response(_service(bmc))


@update_service.patch(UPDATE, privilege=COMPONENTS)
async def set_update_service(request: Request, bmc: Bmc) -> Response:
    """When a raw image is applied, where that can be said."""
    if not ways_of(bmc).apply_time:
        raise failure(405, "OperationNotAllowed")
    times = one_of([one.value for one in ApplyTime])
    settable: Settable = {"HttpPushUriOptions": {"HttpPushUriApplyTime": {"ApplyTime": times}}}
    changes = read_changes(request.body, _service(bmc), settable)
    path = "HttpPushUriOptions/HttpPushUriApplyTime/ApplyTime"
    await bmc.part(Settings).set(**{APPLY_TIME: changes.get(path, raw_apply_time(bmc).value)})
    return changes.response(_service(bmc))


def raw_apply_time(bmc: Bmc) -> ApplyTime:
    """When an image is applied that came without a word about it."""
    kept = bmc.part(Settings).text(APPLY_TIME) if ways_of(bmc).apply_time else ""
    return ApplyTime(kept) if kept else ApplyTime.IMMEDIATE


def _service(bmc: Bmc) -> Dict[str, Any]:
    options, ways = bmc.instance.firmware, ways_of(bmc)
    busy = bmc.part(Unit).look().activating is not None
    document: Dict[str, Any] = {
        "@odata.id": UPDATE,
        "@odata.type": "#UpdateService.v1_11_1.UpdateService",
        "Id": "UpdateService",
        "Name": "Update Service",
        "Description": "Service for Software Update",
        "ServiceEnabled": True,
        "Status": {"State": "Updating" if busy else "Enabled", "Health": "OK"},
        "HttpPushUri": ways.push,
        "HttpPushUriOptions": {"HttpPushUriApplyTime": {"ApplyTime": raw_apply_time(bmc).value}},
        "MaxImageSizeBytes": options.max_image_bytes,
        "FirmwareInventory": link(INVENTORY),
    }
    if ways.multipart is not None:
        document["MultipartHttpPushUri"] = ways.multipart
    if options.has_simple_update:
        document["Actions"] = {
            f"#{SIMPLE_UPDATE}": {
                "target": f"{UPDATE}/Actions/{SIMPLE_UPDATE}",
                "TransferProtocol@Redfish.AllowableValues": list(SIMPLE_SCHEMES),
                "@Redfish.OperationApplyTimeSupport": {
                    "@odata.type": "#Settings.v1_3_5.OperationApplyTimeSupport",
                    "SupportedValues": ["Immediate", "OnReset"],
                },
            }
        }
    return document


@update_service.get(INVENTORY)
async def list_firmware(request: Request, bmc: Bmc) -> Response:
    """All images. Those that run are among them."""
    images = bmc.part(Unit).look().images
    paths = [inventory_path(image) for image in images]
    return collection(INVENTORY, "SoftwareInventory", "Software Inventory Collection", paths)


@update_service.get(f"{INVENTORY}/{{software}}")
async def get_firmware(request: Request, bmc: Bmc) -> Response:
    software = bmc.part(Unit).look()
    image = software.find(request.ids["software"])
    if image is None:
        raise failure(404, "ResourceNotFound", "SoftwareInventory", request.ids["software"])
    return Response(_document(software, image))


def inventory_path(image: Image) -> str:
    return f"{INVENTORY}/{image.id}"


def _document(software: Software, image: Image) -> Dict[str, Any]:
    bmc_image = image.manifest.purpose is Purpose.BMC
    bad = image.activation is Activation.FAILED
    return {
        "@odata.id": inventory_path(image),
        "@odata.type": "#SoftwareInventory.v1_10_0.SoftwareInventory",
        "Id": image.id,
        "Name": "Software Inventory",
        "Description": f"{'BMC' if bmc_image else 'Host'} image",
        "Version": image.manifest.version,
        "Updateable": True,
        "Status": {
            "State": STATES[image.activation],
            "Health": "Warning" if bad else "OK",
            "HealthRollup": "Warning" if bad else "OK",
        },
        "RelatedItem": [link(MANAGER if bmc_image else f"{SYSTEM}/Bios")],
        "RelatedItem@odata.count": 1,
    }


def manager_parts(bmc: Bmc) -> Dict[str, Any]:
    """What a Manager says of its firmware: to be laid over its document, whose Links it completes."""
    software = bmc.part(Unit).look()
    running = software.running(Purpose.BMC)
    images = [image for image in software.images if image.manifest.purpose is Purpose.BMC]
    parts: Dict[str, Any] = {
        "FirmwareVersion": firmware_version(bmc),
        "Status": {"State": "Starting" if bmc.starting else "Enabled", "Health": "OK"},
        "Links": {
            "SoftwareImages": [link(inventory_path(image)) for image in images],
            "SoftwareImages@odata.count": len(images),
        },
    }
    if running is not None:
        parts["Links"]["ActiveSoftwareImage"] = link(inventory_path(running))
    if software.last_reset is not None:
        parts["LastResetTime"] = date_time(software.last_reset)
    return parts
