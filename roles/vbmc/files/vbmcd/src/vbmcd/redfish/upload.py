# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images on their way in: pushed raw or as multipart, read as they come, and what becomes of them.

The faults of the plan that strike an upload strike here. A BMC reads a body to its end before it finds anything wrong
with it, but for its size.
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any, Callable, Dict, Optional

from vbmcd.commands.bmc import Bmc
from vbmcd.firmware.image import BadImage, ImageReader, Manifest
from vbmcd.firmware.multipart import FormReader, ParseError, Sink, boundary_of
from vbmcd.firmware.options import Dialect, FaultKind
from vbmcd.firmware.software import ApplyTime, Refusal, Refused
from vbmcd.firmware.unit import Unit
from vbmcd.redfish.exchange import Request, Response
from vbmcd.redfish.messages import Failure, failure, message
from vbmcd.redfish.roles import COMPONENTS
from vbmcd.redfish.root import MANAGER, SYSTEM
from vbmcd.redfish.table import Chapter
from vbmcd.redfish.task_service import accepted
from vbmcd.redfish.update_service import raw_apply_time
from vbmcd.redfish.update_ways import INVENTORY, MULTIPART, PUSH, UPDATE, ways_of

log = logging.getLogger(__name__)

uploads = Chapter()

CHUNK = 64 << 10
STALL_SECONDS = 600.0
"""How long an upload hangs by FaultKind.STALL, unless the fault says how long; nobody waits for it longer."""
MAX_PARAMETERS = 16 << 10
BUSY_SECONDS = "30"


class Cut(Exception):
    """The connection is to be closed without an answer."""


@uploads.post(UPDATE, privilege=COMPONENTS, streams=True, checks=False)
async def push_to_service(request: Request, bmc: Bmc) -> Response:
    """A raw image, where it went until 2022."""
    if bmc.instance.firmware.dialect is not Dialect.LEGACY:
        raise failure(405, "OperationNotAllowed")
    return await _answer(request, bmc, _raw)


@uploads.post(PUSH, privilege=COMPONENTS, streams=True, checks=False)
async def push(request: Request, bmc: Bmc) -> Response:
    """A raw image; in the dialect of 2023 a form as well."""
    ways = ways_of(bmc)
    if ways.push != PUSH:
        raise failure(404, "ResourceMissingAtURI", request.path)
    kind = request.headers.get("content-type", "").lower()
    if kind.startswith("multipart/") and ways.multipart == PUSH:
        return await _answer(request, bmc, _form)
    if kind.partition(";")[0].strip() != "application/octet-stream":
        raise failure(415, "HeaderInvalid", "Content-Type", headers={"Connection": "close"})
    return await _answer(request, bmc, _raw)


@uploads.post(MULTIPART, privilege=COMPONENTS, streams=True, checks=False)
async def push_form(request: Request, bmc: Bmc) -> Response:
    """A form with UpdateParameters and UpdateFile, since 2025 in a place of its own."""
    if ways_of(bmc).multipart != MULTIPART:
        raise failure(404, "ResourceMissingAtURI", request.path)
    return await _answer(request, bmc, _form)


async def _answer(request: Request, bmc: Bmc, take: Callable[[Request, Bmc], Any]) -> Response:
    try:
        response: Response = await take(request, bmc)
    except (Cut, ParseError) as error:
        fields = {"instance": bmc.instance.name, "reason": str(error)}
        log.info("an upload's connection is closed", extra={"fields": fields})
        return Response(cut=True)
    return response


async def _raw(request: Request, bmc: Bmc) -> Response:
    """Applied when the service says: a raw body leaves no room to."""
    reader = ImageReader()
    await receive(request, bmc, reader.feed)
    return finish(request.path, bmc, reader, raw_apply_time(bmc))


async def _form(request: Request, bmc: Bmc) -> Response:
    boundary = boundary_of(request.headers.get("content-type", ""))
    form = _Form()
    reader = FormReader(boundary, form.open)
    await receive(request, bmc, reader.feed)
    reader.close()
    apply = form.apply_time(bmc)
    if form.image is None or form.unknown:
        raise failure(400, "MissingOrMalformedPart")
    return finish(request.path, bmc, form.image, apply)


class _Form:
    """The two parts that there may be."""

    def __init__(self) -> None:
        self.image: Optional[ImageReader] = None
        self.unknown = False
        self._parameters: Optional[bytearray] = None

    def open(self, name: str, headers: Dict[str, str]) -> Sink:
        if name == "UpdateFile" and self.image is None:
            self.image = ImageReader()
            return self.image.feed
        if name == "UpdateParameters" and self._parameters is None:
            self._parameters = bytearray()
            return self._take
        self.unknown = True
        return _forget

    def _take(self, data: bytes) -> None:
        if self._parameters is not None and len(self._parameters) <= MAX_PARAMETERS:
            self._parameters += data

    def apply_time(self, bmc: Bmc) -> ApplyTime:
        """What UpdateParameters says. Raises Failure for anything that bmcweb does not know."""
        if self._parameters is None or len(self._parameters) > MAX_PARAMETERS:
            if self._parameters is None and not ways_of(bmc).targets:
                return ApplyTime.ON_RESET
            raise failure(400, "MissingOrMalformedPart")
        try:
            parameters = json.loads(bytes(self._parameters).decode())
        except (ValueError, RecursionError):
            raise failure(400, "MalformedJSON") from None
        if not isinstance(parameters, dict):
            raise failure(400, "UnrecognizedRequestBody")
        return _checked(parameters, bmc)


def _forget(data: bytes) -> None:
    """For a part that nobody asked for."""


APPLY_TIME = "@Redfish.OperationApplyTime"


def _checked(parameters: Dict[str, Any], bmc: Bmc) -> ApplyTime:
    for name in parameters:
        if name not in ("Targets", APPLY_TIME):
            raise failure(400, "PropertyUnknown", name)
    targets = parameters.get("Targets")
    if targets is None and ways_of(bmc).targets:
        raise failure(400, "PropertyMissing", "Targets")
    if targets is not None:
        _check_targets(targets)
    return wanted_apply_time(parameters)


def _check_targets(targets: Any) -> None:
    if not isinstance(targets, list) or not all(isinstance(one, str) for one in targets):
        raise failure(400, "PropertyValueTypeError", json.dumps(targets), "Targets")
    if len(targets) != 1:
        raise failure(400, "PropertyValueFormatError", json.dumps(targets), "Targets")
    one = targets[0].rstrip("/")
    if one not in (MANAGER, f"{SYSTEM}/Bios", SYSTEM) and not one.startswith(f"{INVENTORY}/"):
        raise failure(400, "PropertyValueNotInList", targets[0], "Targets/0")


def wanted_apply_time(parameters: Dict[str, Any]) -> ApplyTime:
    """The apply time that is asked for; OnReset where none is. Raises Failure."""
    wanted = parameters.get(APPLY_TIME, ApplyTime.ON_RESET.value)
    if wanted not in [one.value for one in ApplyTime]:
        raise failure(400, "PropertyValueNotInList", wanted, APPLY_TIME)
    return ApplyTime(wanted)


async def receive(request: Request, bmc: Bmc, sink: Sink) -> None:
    """Hand the body on, no faster than the BMC takes it. Raises Cut, and Failure for one that is too large."""
    options, loop = bmc.instance.firmware, asyncio.get_running_loop()
    declared = request.headers.get("content-length", "")
    length = int(declared) if declared.isdigit() else 0
    if length > options.max_image_bytes:
        raise _too_large()
    fault_at = length // 2
    software = bmc.part(Unit).look()
    cut, stall = software.due(FaultKind.CUT), None
    if cut is None:
        stall = software.due(FaultKind.STALL)
    bmc.part(Unit).done()
    begun, size = loop.time(), 0
    while chunk := await _next(request, bmc):
        size += len(chunk)
        if size > options.max_image_bytes:
            raise _too_large()
        sink(chunk)
        if cut is not None and size >= fault_at:
            raise Cut("by the plan of faults")
        if stall is not None and size >= fault_at:
            await asyncio.sleep(STALL_SECONDS if stall.seconds is None else stall.seconds)
            if stall.seconds is None:
                raise Cut("by the plan of faults")
            stall = None
        if options.upload_rate:
            await asyncio.sleep(max(0.0, begun + size / options.upload_rate - loop.time()))


async def _next(request: Request, bmc: Bmc) -> bytes:
    try:
        chunk = await request.stream.read(CHUNK)
    except Failure:
        # bmcweb, too, waits 15 s for more of a body, and then hangs up without a word.
        raise Cut("the body stalled or broke off") from None
    if bmc.away:
        raise Cut("the BMC resets")
    return chunk


def _too_large() -> Failure:
    return failure(413, "PayloadTooLarge", headers={"Connection": "close"})


def finish(target: str, bmc: Bmc, reader: ImageReader, apply: ApplyTime) -> Response:
    """Take the image that came, and begin to activate it: the answer to who sent it. Raises Failure."""
    unit, early = bmc.part(Unit), ways_of(bmc).early
    software = unit.look()
    try:
        manifest = reader.close()
    except BadImage as error:
        log.info("an image is refused", extra={"fields": {"instance": bmc.instance.name, "reason": str(error)}})
        if early:
            raise _invalid(target, str(error)) from None
        # It is found out after the answer: there is a task, and nothing of it in the inventory.
        task = software.tasks.start(software.wall(), target)
        response = accepted(task, bmc)
        task.fail(software.wall(), str(error))
        return response
    try:
        software.check(manifest)
        misfit = software.misfit(manifest)
        if early and misfit:
            unit.done()
            raise _invalid(target, misfit)
        image = software.add(manifest)
        task = software.tasks.start(software.wall(), target)
        software.activate(image, unit.now, apply, task, fails=misfit)
    except Refused as refused:
        raise _refused(refused.why, manifest, target) from None
    busy = software.due(FaultKind.BUSY)
    unit.done()
    if busy is not None:
        raise try_later()
    return accepted(task, bmc)


def _refused(why: Refusal, manifest: Manifest, target: str) -> Failure:
    if why is not Refusal.EXISTS:
        return try_later()
    exists = message("ResourceAlreadyExists", "SoftwareInventory", "Version", manifest.version)
    return Failure(400, [message("InvalidUpload", target, why.value), exists])  # no 409: as bmcweb has it


def try_later() -> Failure:
    return failure(503, "ServiceTemporarilyUnavailable", BUSY_SECONDS, headers={"Retry-After": BUSY_SECONDS})


def _invalid(target: str, why: str) -> Failure:
    """bmcweb says InvalidUpload, of OpenBMC's own registry."""
    return failure(400, "InvalidUpload", target, why)
