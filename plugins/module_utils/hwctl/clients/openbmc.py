# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenBMC's REST of before Redfish: objects of D-Bus by their paths. Older BMCs speak it, newer ones if told to."""

from __future__ import annotations

import contextlib
from typing import Any, Callable, Dict, Mapping, Optional
from urllib.parse import quote

from ..deadline import Deadline
from ..errors import AuthFailed, BadAnswer, HwctlError, InDoubt, Unsupported
from ..firmware.image import BMC, HOST, OTHER, Image
from ..target import Target
from . import base
from .base import Boot, Client
from .firmware import (
    READY,
    RUNNING,
    UNUSABLE,
    UPDATING,
    WRITTEN,
    Accepted,
    FirmwareCalls,
    Inventory,
    Progress,
    Stored,
)
from .http import Answer, HttpClient, refused

NAMES = "xyz.openbmc_project"
ROOT = "/xyz/openbmc_project"
SOFTWARE = f"{ROOT}/software"
BMC_STATE, CHASSIS, HOST_STATE = f"{ROOT}/state/bmc0", f"{ROOT}/state/chassis0", f"{ROOT}/state/host0"
CLOSE_TIMEOUT = 2.0
BODY_SECONDS = 120.0
BODY_SECONDS_PER_MB = 2.0
"""How long a body may take: the more of the two."""

HOST_TRANSITION, CHASSIS_TRANSITION = "State.Host.Transition", "State.Chassis.Transition"
# What to write where
ACTIONS: Dict[str, Any] = {
    base.ON: (HOST_STATE, "RequestedHostTransition", f"{NAMES}.{HOST_TRANSITION}.On"),
    base.OFF: (CHASSIS, "RequestedPowerTransition", f"{NAMES}.{CHASSIS_TRANSITION}.Off"),
    base.SOFT: (HOST_STATE, "RequestedHostTransition", f"{NAMES}.{HOST_TRANSITION}.Off"),
    base.RESET: (HOST_STATE, "RequestedHostTransition", f"{NAMES}.{HOST_TRANSITION}.Reboot"),
}
# The last word of Software.Activation's Activation
ACTIVATIONS = {
    "NotReady": UPDATING,
    "Staging": UPDATING,
    "Activating": UPDATING,
    "Ready": READY,
    "Active": WRITTEN,
    "Staged": WRITTEN,
    "StandbySpare": WRITTEN,
}
PURPOSES = {"BMC": BMC, "System": BMC, "Host": HOST}

Properties = Mapping[str, Any]


class OpenBmcClient(Client, FirmwareCalls):
    """A session, logged in. Raises Unreachable, TlsFailed, AuthFailed or BadAnswer when it can't be."""

    switching_reboots = False

    def __init__(self, target: Target, deadline: Deadline) -> None:
        self._http = HttpClient(target, deadline)
        self._logged_in = False
        try:
            self._login(target)
        except HwctlError:
            self.close()
            raise

    def power(self) -> str:
        return base.ON if _word(self._read(CHASSIS), "CurrentPowerState") == "On" else base.OFF

    def set_power(self, action: str) -> None:
        if action not in ACTIONS:
            raise self.unsupported(f"power action {action} by this protocol")
        self._write(*ACTIONS[action])

    def boot(self) -> Boot:
        raise self.unsupported("boot override by this protocol: use ipmi")

    def set_boot(self, boot: Boot) -> None:
        self.boot()

    def info(self) -> Dict[str, Any]:
        return {"firmware_version": self.inventory().version(BMC) or ""}

    def firmware(self) -> FirmwareCalls:
        return self

    def rest(self) -> None:
        self._http.close()

    def close(self) -> None:
        if self._logged_in:
            self._http.deadline = Deadline(CLOSE_TIMEOUT)
            with contextlib.suppress(HwctlError):
                self._http.request("POST", "/logout", {"data": []})
        self._logged_in = False
        self._http.close()

    # --- Firmware ----------------------------------------------------------------------------------------------------

    def inventory(self) -> Inventory:
        objects = self._read(f"{SOFTWARE}/enumerate")
        functional = objects.get(f"{SOFTWARE}/functional")
        running_ids = functional.get("endpoints") if isinstance(functional, dict) else None
        images = tuple(
            _stored(path, properties, running_ids)
            for path, properties in sorted(objects.items())
            if isinstance(properties, dict) and "Activation" in properties and "Version" in properties
        )
        state = self._read(BMC_STATE)
        reset_time = state.get("LastRebootTime")
        return Inventory(
            images,
            tuple((one.purpose, one.version) for one in images if one.running),
            None if reset_time is None else str(reset_time),
            _word(state, "CurrentBMCState") in ("Ready", ""),
        )

    def fits(self, image: Image, apply_time: str) -> str:
        return apply_time

    def upload(self, image: Image, apply_time: str, sent: Callable[[int], None]) -> Accepted:
        """The image is there, and not written: that is `activate`."""
        seconds = max(BODY_SECONDS, BODY_SECONDS_PER_MB * image.size / 1e6)
        path = f"/upload/image/{quote(image.name, safe='')}"
        answer = self._http.send("POST", path, [image.content], sent, seconds, Content_Type="application/octet-stream")
        if not answer.ok:
            error = _refusal(answer, path)
            raise InDoubt(str(error)) if answer.status >= 500 and answer.status != 507 else error
        return Accepted()

    def progress(self, accepted: Accepted) -> Progress:
        return Progress(RUNNING)

    def activate(self, stored: Stored) -> None:
        wanted = f"{NAMES}.Software.Activation.RequestedActivations.Active"
        self._write(stored.id, "RequestedActivation", wanted)

    def switch(self, stored: Stored) -> bool:
        """The image of the least priority boots next."""
        self._write(stored.id, "Priority", 0)
        return False

    def reset(self) -> None:
        self._write(BMC_STATE, "RequestedBMCTransition", f"{NAMES}.State.BMC.Transition.Reboot")

    def delete(self, stored: Stored) -> None:
        answer = self._http.request("POST", f"{stored.id}/action/Delete", {"data": []})
        if not answer.ok and answer.status != 404:
            raise _refusal(answer, stored.id)

    # --- Requests ----------------------------------------------------------------------------------------------------

    def _login(self, target: Target) -> None:
        answer = self._http.request("POST", "/login", {"data": [target.username, target.password]})
        if answer.status in (401, 403):
            raise AuthFailed(f"the BMC at {target.address} refused the login: check user name and password")
        if answer.status == 404:
            raise Unsupported("the BMC has no /login, so it has not OpenBMC's REST of before: try protocol redfish")
        if not answer.ok:
            raise _refusal(answer, "/login")
        self._logged_in = True
        cookies = dict(one.strip().partition("=")[::2] for one in _cookies(answer))
        if cookies:
            self._http.headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
        if "XSRF-TOKEN" in cookies:
            self._http.headers["X-XSRF-TOKEN"] = cookies["XSRF-TOKEN"]

    def _read(self, path: str) -> Dict[str, Any]:
        answer = self._http.request("GET", path)
        if not answer.ok:
            raise _refusal(answer, path)
        data = answer.json().get("data")
        if not isinstance(data, dict):
            raise BadAnswer(f"the BMC's answer for {path} has no data: does it speak OpenBMC's REST?")
        return data

    def _write(self, path: str, attribute: str, value: Any) -> None:
        uri = f"{path}/attr/{attribute}"
        answer = self._http.request("PUT", uri, {"data": value})
        if not answer.ok:
            raise _refusal(answer, uri)


def _stored(path: str, properties: Properties, running: Any) -> Stored:
    state = ACTIVATIONS.get(_word(properties, "Activation"), UNUSABLE)
    chosen = properties.get("Priority") == 0
    runs = path in running if isinstance(running, list) else chosen and state == WRITTEN
    purpose = PURPOSES.get(_word(properties, "Purpose"), OTHER)
    return Stored(path, str(properties["Version"]), purpose, state, runs, chosen)


def _word(properties: Properties, name: str) -> str:
    """The last part of an enumeration's value."""
    return str(properties.get(name, "")).rpartition(".")[2]


def _cookies(answer: Answer) -> Any:
    """Each cookie's name and value, without its attributes, which may have commas too."""
    heads = [one.partition(";")[0] for one in answer.headers.get("set-cookie", "").split(",")]
    return [head for head in heads if "=" in head]


def _refusal(answer: Answer, uri: str) -> HwctlError:
    return refused(answer, uri, _words(answer))


def _words(answer: Answer) -> str:
    """``{"data": {"description": ...}, "message": "400 Bad Request", "status": "error"}``"""
    described: Optional[object] = None
    with contextlib.suppress(BadAnswer):
        found = answer.json()
        data = found.get("data")
        described = data.get("description") if isinstance(data, dict) else data or found.get("message")
    return str(described) if described else ""
