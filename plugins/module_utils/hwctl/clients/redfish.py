# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Redfish (DSP0266). Follows the links that the service gives and constructs none, since they differ between BMCs."""

from __future__ import annotations

import base64
from typing import Any, Dict, List, Mapping, Optional

from ..deadline import Deadline
from ..errors import AuthFailed, BadAnswer, BadRequest, Busy, HwctlError, Refused, Unsupported
from ..target import Target
from . import base
from .base import Boot, Client
from .http import Answer, HttpClient

ROOT = "/redfish/v1/"
CLOSE_TIMEOUT = 2.0

# ComputerSystem.Reset (DSP0268), in order of preference
RESET_TYPES: Dict[str, List[str]] = {
    base.ON: ["On", "ForceOn"],
    base.OFF: ["ForceOff"],
    base.SOFT: ["GracefulShutdown"],
    base.CYCLE: ["PowerCycle"],
    base.RESET: ["ForceRestart"],
    base.NMI: ["Nmi"],
}

# PowerState (DSP0268); a machine that is paused has power
POWER_STATES: Dict[Any, str] = {"On": base.ON, "Paused": base.ON, "Off": base.OFF}

# BootSourceOverrideTarget (DSP0268)
DEVICES: Dict[str, str] = {
    base.NO_OVERRIDE: "None",
    base.PXE: "Pxe",
    base.DISK: "Hdd",
    base.CDROM: "Cd",
    base.SETUP: "BiosSetup",
    base.REMOVABLE: "Usb",
}

Document = Dict[str, Any]


class RedfishClient(Client):
    """A session with a service, by X-Auth-Token where it has sessions and by Basic where not.

    Raises Unreachable, TlsFailed, AuthFailed or BadAnswer when it can't be had.
    """

    def __init__(self, target: Target, deadline: Deadline) -> None:
        self._target = target
        self._http = HttpClient(target, deadline)
        self._session: Optional[str] = None
        self._system_path: Optional[str] = None
        try:
            self._root = _document(self._http.request("GET", ROOT), ROOT)
            self._login()
        except HwctlError:
            self.close()
            raise

    def power(self) -> str:
        state = self._system().get("PowerState")
        if state in POWER_STATES:
            return POWER_STATES[state]
        if state in ("PoweringOn", "PoweringOff"):
            raise Busy(f"the machine is on its way ({state})")
        raise BadAnswer(f"the BMC says of the machine's power: {state!r}")

    def set_power(self, action: str) -> None:
        """ComputerSystem.Reset."""
        reset = _at(self._system(), "Actions", "#ComputerSystem.Reset")
        uri = reset.get("target")
        if not isinstance(uri, str):
            raise self.unsupported("reset action")
        allowed = reset.get("ResetType@Redfish.AllowableValues")
        known = RESET_TYPES[action]
        wanted = [one for one in known if one in allowed] if isinstance(allowed, list) else known
        if not wanted:
            raise Unsupported(f"the BMC has no reset of type {known[0]}, only these: {allowed}")
        self._change("POST", uri, {"ResetType": wanted[0]})

    def boot(self) -> Boot:
        """ComputerSystem.Boot."""
        found = self._system().get("Boot")
        if not isinstance(found, dict):
            raise self.unsupported("boot override")
        enabled = found.get("BootSourceOverrideEnabled", "Disabled")
        mode = found.get("BootSourceOverrideMode")
        efi = None if mode is None else mode == "UEFI"
        names = {value: name for name, value in DEVICES.items()}
        target = str(found.get("BootSourceOverrideTarget"))
        if enabled not in ("Once", "Continuous") or target == "None":
            return Boot(efi=efi)
        return Boot(names.get(target, target), enabled == "Continuous", efi)

    def set_boot(self, boot: Boot) -> None:
        """PATCH of ComputerSystem.Boot, with its ETag where it has one (DSP0266, 6.5).

        The mode is written only where it is asked for: services refuse a write of it that changes nothing.
        """
        wanted: Document = {"BootSourceOverrideEnabled": "Disabled", "BootSourceOverrideTarget": "None"}
        if boot.device != base.NO_OVERRIDE:
            wanted["BootSourceOverrideEnabled"] = "Continuous" if boot.persistent else "Once"
            wanted["BootSourceOverrideTarget"] = DEVICES[boot.device]
            if boot.efi is not None:
                wanted["BootSourceOverrideMode"] = "UEFI" if boot.efi else "Legacy"
        answer = self._patch_boot(wanted)
        if answer.status == 412:
            # Changed since it was read, and so nothing was done.
            answer = self._patch_boot(wanted)
        if not answer.ok:
            raise _refusal(answer, self._system_uri())

    def _patch_boot(self, wanted: Document) -> Answer:
        found = self._get(self._system_uri())
        system = _document(found, self._system_uri())
        if not isinstance(system.get("Boot"), dict):
            raise self.unsupported("boot override")
        if "BootSourceOverrideMode" in wanted and "BootSourceOverrideMode" not in system["Boot"]:
            raise self.unsupported("choice between UEFI and BIOS: leave efi out")
        etag = found.headers.get("etag") or system.get("@odata.etag")
        headers = {"If_Match": str(etag)} if etag else {}
        return self._http.request("PATCH", self._system_uri(), {"Boot": wanted}, **headers)

    def info(self) -> Dict[str, Any]:
        system = self._system()
        found: Dict[str, Any] = {
            "uuid": _text(system, "UUID").lower(),
            "manufacturer": _text(system, "Manufacturer"),
            "model": _text(system, "Model"),
            "serial_number": _text(system, "SerialNumber"),
            "redfish_version": _text(self._root, "RedfishVersion"),
        }
        managers = _at(system, "Links").get("ManagedBy")
        if isinstance(managers, list) and managers:
            uri = _link(managers[0])
            found["firmware_version"] = _text(_document(self._get(uri), uri), "FirmwareVersion")
        return found

    def close(self) -> None:
        try:
            if self._session is not None:
                self._http.deadline = Deadline(CLOSE_TIMEOUT)  # a node whose time is over leaves no session behind
                self._http.request("DELETE", self._session)
        except HwctlError:
            pass  # the BMC ends a forgotten session by itself
        finally:
            self._session = None
            self._http.close()

    # --- Sessions ----------------------------------------------------------------------------------------------------

    def _login(self) -> None:
        """SessionService where the root links one (DSP0266, 13.3.4), HTTP Basic otherwise."""
        target = self._target
        sessions = _at(_at(self._root, "Links"), "Sessions").get("@odata.id")
        if isinstance(sessions, str):
            credentials = {"UserName": target.username, "Password": target.password}
            answer = self._http.request("POST", sessions, credentials)
            token = answer.headers.get("x-auth-token")
            if answer.ok and token:
                self._http.headers["X-Auth-Token"] = token
                self._session = _path(answer.headers.get("location", "")) or answer.json().get("@odata.id")
                return
            if answer.status in (400, 401, 403):
                raise AuthFailed(f"the BMC at {target.address} refused the login: check user name and password")
            if answer.status not in (404, 405, 501):
                raise _refusal(answer, sessions)
        word = base64.b64encode(f"{target.username}:{target.password}".encode()).decode()
        self._http.headers["Authorization"] = f"Basic {word}"

    # --- Resources ---------------------------------------------------------------------------------------------------

    def _system(self) -> Document:
        uri = self._system_uri()
        return _document(self._get(uri), uri)

    def _system_uri(self) -> str:
        """The one ComputerSystem, or the one that the target names by id, name or UUID."""
        if self._system_path is None:
            self._system_path = self._find_system()
        return self._system_path

    def _find_system(self) -> str:
        collection = _link(_at(self._root, "Systems"))
        members = _document(self._get(collection), collection).get("Members")
        uris = [_link(one) for one in members] if isinstance(members, list) else []
        wanted = self._target.system
        if wanted is None:
            if len(uris) == 1:
                return uris[0]
            names = ", ".join(uri.rstrip("/").rpartition("/")[2] for uri in uris[:5])
            raise BadRequest(f"the BMC has {len(uris)} systems ({names}): say which with the option system")
        for uri in uris:
            if uri.rstrip("/").rpartition("/")[2] == wanted:
                return uri
        for uri in uris:
            system = _document(self._get(uri), uri)
            if wanted.lower() in (_text(system, key).lower() for key in ("Id", "Name", "UUID")):
                return uri
        raise BadRequest(f"the BMC has no system {wanted!r}")

    def _get(self, uri: str) -> Answer:
        return self._http.request("GET", uri)

    def _change(self, method: str, uri: str, document: Mapping[str, Any], **headers: str) -> None:
        answer = self._http.request(method, uri, document, **headers)
        if not answer.ok:
            raise _refusal(answer, uri)


def _document(answer: Answer, uri: str) -> Document:
    if not answer.ok:
        raise _refusal(answer, uri)
    return answer.json()


def _refusal(answer: Answer, uri: str) -> HwctlError:
    """What an error's status means, with the service's own words (DSP0266, 8.6)."""
    words = _words(answer)
    text = f"{uri}: HTTP {answer.status}" + (f", {words}" if words else "")
    if answer.status in (401, 403):
        return AuthFailed(f"the BMC refused {text}: check user name, password and the user's role")
    if answer.status in (404, 405, 501):
        return Unsupported(f"the BMC has no {text}")
    if answer.status in (429, 503):
        return Busy(f"the BMC is busy: {text}")
    return Refused(f"the BMC refused {text}")


def _words(answer: Answer) -> str:
    try:
        error = _at(answer.json(), "error")
    except BadAnswer:
        return ""
    extended = error.get("@Message.ExtendedInfo")
    texts = [one.get("Message") for one in extended if isinstance(one, dict)] if isinstance(extended, list) else []
    return " ".join(str(text) for text in texts if text) or str(error.get("message", ""))


def _at(document: Mapping[str, Any], *keys: str) -> Document:
    """An object within an object, empty where it is not there."""
    found: Any = document
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def _link(reference: Any) -> str:
    """The address in an @odata.id. Raises BadAnswer."""
    uri = reference.get("@odata.id") if isinstance(reference, dict) else None
    if not isinstance(uri, str) or not uri.startswith("/"):
        raise BadAnswer("the BMC's answer lacks a link that Redfish requires (@odata.id): is it a Redfish service?")
    return uri


def _path(location: str) -> Optional[str]:
    """A Location may be a path or a whole address (RFC 9110, 10.2.2)."""
    if "://" in location:
        location = "/" + location.split("://", 1)[1].partition("/")[2]
    return location or None


def _text(document: Mapping[str, Any], key: str) -> str:
    found = document.get(key)
    return found if isinstance(found, str) else ""
