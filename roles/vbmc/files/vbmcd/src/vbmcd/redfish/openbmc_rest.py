# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenBMC's REST service of before Redfish, as far as an update needs it: /login, /xyz/openbmc_project, /upload/image.

Served in the dialect `openbmc-legacy` alone. Objects are D-Bus paths, answers have data, message and status.
"""

from __future__ import annotations

import functools
import http
from http.cookies import CookieError, SimpleCookie
from typing import Any, Callable, Dict, Optional, Tuple

from vbmcd.commands.bmc import Bmc
from vbmcd.commands.chassis import command_power
from vbmcd.firmware.image import BadImage, ImageReader
from vbmcd.firmware.options import Dialect, FaultKind
from vbmcd.firmware.software import Activation, ApplyTime, Image, Refused, Software
from vbmcd.firmware.unit import Unit
from vbmcd.machine.base import Action
from vbmcd.redfish.access import TOKEN, Access
from vbmcd.redfish.dispatch import read_json
from vbmcd.redfish.exchange import Request, Response
from vbmcd.redfish.messages import Failure, failure
from vbmcd.redfish.roles import COMPONENTS, LOGIN, MANAGER
from vbmcd.redfish.table import REST, Chapter, Handler
from vbmcd.redfish.upload import Cut, receive

legacy = Chapter()

XYZ = "/xyz/openbmc_project"
LOG_IN = "/login"
SOFTWARE = f"{XYZ}/software"
STATE = f"{XYZ}/state"
COOKIE = "SESSION"
_ACTIVATIONS = "xyz.openbmc_project.Software.Activation.Activations."
_REQUESTED = "xyz.openbmc_project.Software.Activation.RequestedActivations."
_WORDS = {Activation.STANDBY: "Active"}
"""The spare one is active as well, with another priority."""
_STATE = "xyz.openbmc_project.State."
_TRANSITIONS: Dict[Tuple[str, str], Tuple[str, Dict[str, Optional[Action]]]] = {
    ("bmc0", "RequestedBMCTransition"): ("BMC", {"Reboot": None}),
    ("host0", "RequestedHostTransition"): ("Host", {"On": Action.ON, "Off": Action.SOFT, "Reboot": Action.CYCLE}),
    ("chassis0", "RequestedPowerTransition"): ("Chassis", {"On": Action.ON, "Off": Action.OFF}),
}
"""What can be asked of which object: the words, and what they do to the machine. None: the BMC is reset."""
NOT_THERE = "org.freedesktop.DBus.Error.FileNotFound"
_BAD = "Version already exists or failed to be extracted"


def ok(data: Any) -> Response:
    return Response({"data": data, "message": "200 OK", "status": "ok"})


def error(status: int, description: str) -> Response:
    words = f"{status} {http.HTTPStatus(status).phrase}"
    return Response({"data": {"description": description}, "message": words, "status": "error"}, status)


def _guarded(privilege: Optional[str]) -> Callable[[Handler], Handler]:
    """Only in this dialect, for whom it may, and with errors as this service has them."""

    def wrap(handler: Handler) -> Handler:
        @functools.wraps(handler)
        async def guarded(request: Request, bmc: Bmc) -> Response:
            if bmc.instance.firmware.dialect is not Dialect.LEGACY:
                raise failure(404, "ResourceMissingAtURI", request.path)
            try:
                if privilege is not None:
                    _log_in(request, bmc, privilege)
                return await handler(request, bmc)
            except Failure as refused:
                if refused.status == 401:
                    return error(401, "Login required" if request.path != LOG_IN else "Invalid username or password")
                return error(refused.status, refused.messages[0].to_json()["Message"])
            except Cut:
                return Response(cut=True)

        return guarded

    return wrap


def _log_in(request: Request, bmc: Bmc, privilege: str) -> None:
    """By token, by cookie or by basic authentication. Raises Failure."""
    if TOKEN not in request.headers and COOKIE in request.headers.get("cookie", ""):
        try:
            cookie = SimpleCookie(request.headers["cookie"]).get(COOKIE)
        except CookieError:
            cookie = None
        if cookie is not None:
            request.headers = {**request.headers, TOKEN: cookie.value}
    request.login = bmc.part(Access).login_of(request)
    if privilege not in request.login.privileges:
        raise failure(403, "InsufficientPrivilege")


@legacy.post(LOG_IN, privilege=None, streams=True, checks=False)
@_guarded(None)
async def log_in(request: Request, bmc: Bmc) -> Response:
    """{"data": [user, password]}, or username and password."""
    body = await read_json(request)
    given = body.get("data", [body.get("username"), body.get("password")])
    if not isinstance(given, list) or len(given) != 2 or not all(isinstance(one, str) for one in given):
        return error(400, "give user and password as data")
    access = bmc.part(Access)
    _session, token = access.open(access.check(given[0], given[1], request.source), request.source)
    response = ok(f"User '{given[0]}' logged in")
    secure = "; Secure" if request.secure else ""
    response.headers = {
        "X-Auth-Token": token,
        "Set-Cookie": f"{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict{secure}",
    }
    assert isinstance(response.body, dict)
    response.body["token"] = token
    return response


@legacy.post("/logout", privilege=None, streams=True, checks=False)
@_guarded(LOGIN)
async def log_out(request: Request, bmc: Bmc) -> Response:
    if request.login is not None:
        bmc.part(Access).close(request.login.session)
    return ok(f"User '{request.user}' logged out")


# --- Software -------------------------------------------------------------------------------------------------------


def _object(software: Software, image: Image) -> Dict[str, Any]:
    word = _WORDS.get(image.activation, image.activation.value)
    values: Dict[str, Any] = {
        "Activation": _ACTIVATIONS + word,
        "RequestedActivation": _REQUESTED + ("None" if image.activation is Activation.READY else "Active"),
        "Version": image.manifest.version,
        "ExtendedVersion": image.manifest.extended_version,
        "Purpose": image.manifest.purpose.dbus,
        "Path": "",
    }
    if image.stays:
        values["Priority"] = software.priority(image)
    return values


def _objects(bmc: Bmc) -> Dict[str, Any]:
    unit = bmc.part(Unit)
    software = unit.look()
    objects: Dict[str, Any] = {}
    for image in software.images:
        path = f"{SOFTWARE}/{image.id}"
        objects[path] = _object(software, image)
        if image.activation is Activation.ACTIVATING:
            objects[path]["Progress"] = image.progress(unit.now)
    for name, wanted in (("functional", software.is_running), ("active", lambda image: image.stays)):
        endpoints = [f"{SOFTWARE}/{image.id}" for image in software.images if wanted(image)]
        objects[f"{SOFTWARE}/{name}"] = {"endpoints": endpoints}
    return objects


def _image(request: Request, bmc: Bmc) -> Image:
    image = bmc.part(Unit).look().find(request.ids["software"])
    if image is None:
        raise failure(404, "ResourceNotFound", "software", request.ids["software"])
    return image


@legacy.get(f"{XYZ}/{REST}", privilege=None, checks=False)
@legacy.put(f"{XYZ}/{REST}", privilege=None, checks=False)
@legacy.post(f"{XYZ}/{REST}", privilege=None, checks=False)
@legacy.delete(f"{XYZ}/{REST}", privilege=None, checks=False)
@_guarded(LOGIN)
async def find_nothing(request: Request, bmc: Bmc) -> Response:
    """Objects of which this BMC has none: sensors, inventory, logs."""
    return error(404, NOT_THERE)


@legacy.get(f"{SOFTWARE}/enumerate", privilege=None, checks=False)
@_guarded(LOGIN)
async def enumerate_software(request: Request, bmc: Bmc) -> Response:
    """All of it, in one answer: what xCAT reads."""
    return ok(_objects(bmc))


@legacy.get(SOFTWARE, privilege=None, checks=False)
@_guarded(LOGIN)
async def list_software(request: Request, bmc: Bmc) -> Response:
    return ok(list(_objects(bmc)))


@legacy.get(f"{SOFTWARE}/{{software}}", privilege=None, checks=False)
@_guarded(LOGIN)
async def get_software(request: Request, bmc: Bmc) -> Response:
    found = _objects(bmc).get(f"{SOFTWARE}/{request.ids['software']}")
    return error(404, NOT_THERE) if found is None else ok(found)


@legacy.get(f"{SOFTWARE}/{{software}}/attr/{{attribute}}", privilege=None, checks=False)
@_guarded(LOGIN)
async def get_attribute(request: Request, bmc: Bmc) -> Response:
    found = _objects(bmc).get(f"{SOFTWARE}/{request.ids['software']}", {}).get(request.ids["attribute"])
    return error(404, "The specified property cannot be found") if found is None else ok(found)


@legacy.put(f"{SOFTWARE}/{{software}}/attr/{{attribute}}", privilege=None, streams=True, checks=False)
@_guarded(COMPONENTS)
async def set_attribute(request: Request, bmc: Bmc) -> Response:
    """RequestedActivation begins to activate an image, Priority 0 has it run after the next reset."""
    image, wanted = _image(request, bmc), (await read_json(request)).get("data")
    unit = bmc.part(Unit)
    software = unit.look()
    attribute = request.ids["attribute"]
    try:
        if attribute == "RequestedActivation" and wanted == f"{_REQUESTED}Active":
            if not image.stays and image.activation is not Activation.ACTIVATING:
                software.activate(image, unit.now, ApplyTime.ON_RESET)
                unit.done()
            return ok(None)
        if attribute == "Priority" and wanted == 0 and image.stays:
            await unit.change(lambda software: software.prefer(image))
            return ok(None)
    except Refused as refused:
        return error(503, str(refused))
    return error(403 if attribute not in ("RequestedActivation", "Priority") else 400, "The value can't be set")


@legacy.post(f"{SOFTWARE}/{{software}}/action/Delete", privilege=None, streams=True, checks=False)
@_guarded(COMPONENTS)
async def delete_software(request: Request, bmc: Bmc) -> Response:
    """Not what runs."""
    image = _image(request, bmc)
    unit = bmc.part(Unit)
    try:
        await unit.change(lambda software: software.delete(image))
    except Refused as refused:
        return error(400, str(refused))
    return ok(None)


@legacy.post("/upload/image", privilege=None, streams=True, checks=False)
@legacy.put("/upload/image", privilege=None, streams=True, checks=False)
@legacy.post("/upload/image/{name}", privilege=None, streams=True, checks=False)
@legacy.put("/upload/image/{name}", privilege=None, streams=True, checks=False)
@_guarded(COMPONENTS)
async def upload(request: Request, bmc: Bmc) -> Response:
    """Take an image: it is Ready then, and its id is told."""
    reader = ImageReader()
    await receive(request, bmc, reader.feed)
    unit = bmc.part(Unit)
    software = unit.look()
    try:
        manifest = reader.close()
        image = None if software.misfit(manifest) else software.add(manifest)
    except (BadImage, Refused):
        image = None
    if image is None:
        unit.done()
        return error(400, _BAD)
    busy = software.due(FaultKind.BUSY)
    unit.done()
    return error(503, "The service is busy") if busy is not None else ok(image.id)


# --- State ----------------------------------------------------------------------------------------------------------


async def _states(bmc: Bmc) -> Dict[str, Any]:
    word = "On" if await bmc.machine.is_on() else "Off"
    host = "Running" if word == "On" else "Off"
    return {
        f"{STATE}/bmc0": {
            "CurrentBMCState": f"{_STATE}BMC.BMCState.{'NotReady' if bmc.starting else 'Ready'}",
            "RequestedBMCTransition": f"{_STATE}BMC.Transition.None",
        },
        f"{STATE}/chassis0": {
            "CurrentPowerState": f"{_STATE}Chassis.PowerState.{word}",
            "RequestedPowerTransition": f"{_STATE}Chassis.Transition.{word}",
        },
        f"{STATE}/host0": {
            "CurrentHostState": f"{_STATE}Host.HostState.{host}",
            "RequestedHostTransition": f"{_STATE}Host.Transition.{word}",
        },
    }


@legacy.get(f"{STATE}/enumerate", privilege=None, checks=False)
@_guarded(LOGIN)
async def enumerate_state(request: Request, bmc: Bmc) -> Response:
    return ok(await _states(bmc))


@legacy.get(f"{STATE}/{{object}}", privilege=None, checks=False)
@_guarded(LOGIN)
async def get_state(request: Request, bmc: Bmc) -> Response:
    found = (await _states(bmc)).get(f"{STATE}/{request.ids['object']}")
    return error(404, NOT_THERE) if found is None else ok(found)


@legacy.get(f"{STATE}/{{object}}/attr/{{attribute}}", privilege=None, checks=False)
@_guarded(LOGIN)
async def get_state_attribute(request: Request, bmc: Bmc) -> Response:
    found = (await _states(bmc)).get(f"{STATE}/{request.ids['object']}", {}).get(request.ids["attribute"])
    return error(404, "The specified property cannot be found") if found is None else ok(found)


@legacy.put(f"{STATE}/{{object}}/attr/{{attribute}}", privilege=None, streams=True, checks=False)
@_guarded(COMPONENTS)
async def set_state(request: Request, bmc: Bmc) -> Response:
    """Reset the BMC, by which the machine stays, or power the machine."""
    place = (request.ids["object"], request.ids["attribute"])
    if place not in _TRANSITIONS:
        return error(404, "The specified property cannot be found")
    kind, actions = _TRANSITIONS[place]
    wanted = (await read_json(request)).get("data")
    words = {f"{_STATE}{kind}.Transition.{word}": action for word, action in actions.items()}
    if not isinstance(wanted, str) or wanted not in words:
        return error(400, f"give one of {', '.join(words)}")
    action = words[wanted]
    if action is not None:
        await _power(bmc, action)
        return ok(None)
    if request.login is None or MANAGER not in request.login.privileges:
        raise failure(403, "InsufficientPrivilege")
    bmc.part(Unit).reset_soon()
    return ok(None)


async def _power(bmc: Bmc, action: Action) -> None:
    on = await bmc.machine.is_on()
    if action is Action.CYCLE and not on:
        action = Action.ON
    if on or action is Action.ON:
        await command_power(bmc, action)
