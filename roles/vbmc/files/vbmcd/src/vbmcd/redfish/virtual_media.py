# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VirtualMedia (DSP0268): an image from a URL or a listed folder in the machine's CD drive.

One resource, below the Manager and below the system: clients look in the one place or the other.
"""

from __future__ import annotations

from typing import Any, Dict, Optional
from urllib.parse import unquote, urlsplit

from vbmcd.commands.bmc import Bmc
from vbmcd.machine.base import Unsupported
from vbmcd.media.drive import Drive
from vbmcd.media.record import Inserted
from vbmcd.media.source import NotAllowed, Source, SourceError, source_of
from vbmcd.redfish.exchange import Request, Response, done
from vbmcd.redfish.messages import Failure, failure
from vbmcd.redfish.roles import COMPONENTS
from vbmcd.redfish.root import MANAGER, SYSTEM, collection
from vbmcd.redfish.table import Chapter

virtual_media = Chapter()

FOLDERS = (f"{MANAGER}/VirtualMedia", f"{SYSTEM}/VirtualMedia")
NAME = "Cd"
INSERT, EJECT = "VirtualMedia.InsertMedia", "VirtualMedia.EjectMedia"
PROTOCOLS = ("HTTP", "HTTPS")
_TEXTS = ("Image", "TransferProtocolType", "TransferMethod", "UserName", "Password")
_PARAMETERS = (*_TEXTS, "Inserted", "WriteProtected")


async def _list(request: Request, bmc: Bmc) -> Response:
    """One drive, or none where the machine has none."""
    folder = request.path.rstrip("/")
    try:
        await bmc.machine.medium()
    except Unsupported:
        return collection(folder, "VirtualMedia", "Virtual Media Services", [])
    return collection(folder, "VirtualMedia", "Virtual Media Services", [f"{folder}/{NAME}"])


async def _get(request: Request, bmc: Bmc) -> Response:
    try:
        loaded = await bmc.machine.medium()
        inserted = await bmc.part(Drive).inserted()
    except Unsupported:
        raise failure(404, "ResourceNotFound", "VirtualMedia", NAME) from None
    return Response(_document(request.path.rstrip("/"), loaded, inserted))


def _document(path: str, loaded: Optional[str], inserted: Optional[Inserted]) -> Dict[str, Any]:
    image = inserted.uri if inserted is not None else None
    return {
        "@odata.id": path,
        "@odata.type": "#VirtualMedia.v1_6_3.VirtualMedia",
        "Id": NAME,
        "Name": "Virtual CD",
        "MediaTypes": ["CD", "DVD"],
        "Image": image,
        "ImageName": unquote(urlsplit(image).path).rpartition("/")[2] if image else None,
        "Inserted": loaded is not None,
        "ConnectedVia": "URI" if inserted is not None else "NotConnected",
        "TransferMethod": "Upload",
        "TransferProtocolType": _protocol(image),
        "WriteProtected": True,
        "UserName": None,
        "Password": None,
        "Status": {"State": "Enabled", "Health": "OK"},
        "Actions": {
            f"#{INSERT}": {
                "target": f"{path}/Actions/{INSERT}",
                "TransferProtocolType@Redfish.AllowableValues": list(PROTOCOLS),
                "TransferMethod@Redfish.AllowableValues": ["Upload"],
            },
            f"#{EJECT}": {"target": f"{path}/Actions/{EJECT}"},
        },
    }


def _protocol(image: Optional[str]) -> Optional[str]:
    protocol = urlsplit(image).scheme.upper() if image else ""
    return protocol if protocol in PROTOCOLS else None


async def _insert(request: Request, bmc: Bmc) -> Response:
    """Fetch the image and insert it, write-protected; what is in the drive gives way. Answers when it is done."""
    source = _wanted(request.body)
    try:
        await bmc.part(Drive).insert(source)
    except NotAllowed as error:
        raise _refused(source.uri, str(error)) from None
    except SourceError as error:
        raise failure(400, "CouldNotEstablishConnection", source.uri, resolution=_sentence(error)) from None
    return done()


def _wanted(body: Dict[str, Any]) -> Source:
    for name in body:
        if name not in _PARAMETERS:
            raise failure(400, "ActionParameterUnknown", INSERT, name)
    if not body.get("Image"):
        raise failure(400, "ActionParameterMissing", INSERT, "Image")
    for name in _TEXTS:
        if not isinstance(body.get(name), (str, type(None))):
            raise failure(400, "ActionParameterValueTypeError", "given", name, INSERT)
    for name in ("Inserted", "WriteProtected"):
        if body.get(name) is None or body[name] is True:
            continue
        kind = "ActionParameterNotSupported" if body[name] is False else "ActionParameterValueTypeError"
        arguments = (name, INSERT) if body[name] is False else (body[name], name, INSERT)
        raise failure(400, kind, *arguments)
    if body.get("TransferMethod") not in (None, "Upload"):
        raise failure(400, "ActionParameterValueNotInList", body["TransferMethod"], "TransferMethod", INSERT)
    protocol = body.get("TransferProtocolType") or ""
    if protocol not in ("", *PROTOCOLS):
        raise failure(400, "ActionParameterValueNotInList", protocol, "TransferProtocolType", INSERT)
    try:
        return source_of(body["Image"], protocol, body.get("UserName") or "", body.get("Password") or "")
    except SourceError as error:
        raise _refused("given", str(error)) from None


def _refused(uri: str, why: str) -> Failure:
    return failure(400, "ActionParameterValueFormatError", uri, "Image", INSERT, resolution=_sentence(why))


def _sentence(error: object) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."


async def _eject(request: Request, bmc: Bmc) -> Response:
    """Empty the drive; an empty one stays empty."""
    for name in request.body:
        raise failure(400, "ActionParameterUnknown", EJECT, name)
    await bmc.part(Drive).eject()
    return done()


for _folder in FOLDERS:
    virtual_media.get(_folder)(_list)
    virtual_media.get(f"{_folder}/{NAME}")(_get)
    virtual_media.post(f"{_folder}/{NAME}/Actions/{INSERT}", privilege=COMPONENTS)(_insert)
    virtual_media.post(f"{_folder}/{NAME}/Actions/{EJECT}", privilege=COMPONENTS)(_eject)
