# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""UpdateService.SimpleUpdate: the BMC fetches the image itself. For clients that know nothing else (sushy, Ironic)."""

from __future__ import annotations

import logging
from typing import Any, Dict

from vbmcd.commands.bmc import Bmc
from vbmcd.firmware.image import BadImage, ImageReader
from vbmcd.firmware.software import ApplyTime, Refused
from vbmcd.firmware.tasks import Task
from vbmcd.firmware.unit import Unit
from vbmcd.media.source import Source, SourceError, pieces, source_of
from vbmcd.redfish.exchange import Request, Response
from vbmcd.redfish.messages import failure
from vbmcd.redfish.roles import COMPONENTS
from vbmcd.redfish.table import Chapter
from vbmcd.redfish.task_service import accepted
from vbmcd.redfish.update_service import SIMPLE_SCHEMES, SIMPLE_UPDATE
from vbmcd.redfish.update_ways import UPDATE
from vbmcd.redfish.upload import APPLY_TIME, try_later, wanted_apply_time

log = logging.getLogger(__name__)

simple_updates = Chapter()

PARAMETERS = ("ImageURI", "TransferProtocol", "Targets", "Username", "Password", APPLY_TIME)


@simple_updates.post(f"{UPDATE}/Actions/{SIMPLE_UPDATE}", privilege=COMPONENTS)
async def simple_update(request: Request, bmc: Bmc) -> Response:
    """Begin to fetch an image; all that is wrong with it shows in the task."""
    if not bmc.instance.firmware.has_simple_update:
        raise failure(404, "ResourceMissingAtURI", request.path)
    source = _source(request.body)
    apply = wanted_apply_time({APPLY_TIME: ApplyTime.IMMEDIATE.value, **request.body})
    unit = bmc.part(Unit)
    software = unit.look()
    if software.activating is not None or unit.fetching:
        raise try_later()
    task = software.tasks.start(software.wall(), request.path)
    unit.fetch(_update(bmc, unit, source, task, apply))
    return accepted(task, bmc)


def _source(body: Dict[str, Any]) -> Source:
    for name in body:
        if name not in PARAMETERS:
            raise failure(400, "ActionParameterUnknown", SIMPLE_UPDATE, name)
    if body.get("ImageURI") is None:
        raise failure(400, "ActionParameterMissing", SIMPLE_UPDATE, "ImageURI")
    for name in ("ImageURI", "TransferProtocol", "Username", "Password"):
        if not isinstance(body.get(name), (str, type(None))):
            raise failure(400, "ActionParameterValueTypeError", "given", name, SIMPLE_UPDATE)
    targets = body.get("Targets")
    if targets is not None and not (isinstance(targets, list) and all(isinstance(one, str) for one in targets)):
        raise failure(400, "ActionParameterValueTypeError", "given", "Targets", SIMPLE_UPDATE)
    protocol = body.get("TransferProtocol") or ""
    if protocol not in ("", *SIMPLE_SCHEMES):
        raise failure(400, "ActionParameterValueNotInList", protocol, "TransferProtocol", SIMPLE_UPDATE)
    try:
        return source_of(body["ImageURI"], protocol, body.get("Username") or "", body.get("Password") or "")
    except SourceError as error:
        raise failure(
            400, "ActionParameterValueFormatError", body["ImageURI"], "ImageURI", SIMPLE_UPDATE, resolution=str(error)
        ) from None


async def _update(bmc: Bmc, unit: Unit, source: Source, task: Task, apply: ApplyTime) -> None:
    options = bmc.instance.firmware
    reader = ImageReader()
    try:
        async for piece in pieces(source, bmc.instance.media, options.max_image_bytes):
            reader.feed(piece)
        manifest = reader.close()
        software = unit.look()
        misfit = software.misfit(manifest)
        software.activate(software.add(manifest), unit.now, apply, task, fails=misfit)
    except (SourceError, BadImage, Refused) as error:
        fields = {"instance": bmc.instance.name, "reason": str(error)}
        log.info("an image could not be fetched", extra={"fields": fields})
        task.fail(unit.look().wall(), str(error))
    unit.done()
