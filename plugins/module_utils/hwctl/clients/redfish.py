# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Redfish (DSP0266). Follows the links that the service gives and constructs none, since they differ between BMCs."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

from ..deadline import Deadline
from ..errors import BadAnswer, BadRequest, Busy, Unsupported
from ..target import Target
from . import base
from .base import Boot, Client
from .http import Answer
from .redfish_answers import Document, at, document, link, refusal, text
from .redfish_firmware import RedfishFirmware
from .redfish_session import RedfishSession

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


class RedfishClient(Client):
    """A session with a service. Raises Unreachable, TlsFailed, AuthFailed or BadAnswer when it can't be had."""

    def __init__(self, target: Target, deadline: Deadline) -> None:
        self._target = target
        self._session = RedfishSession(target, deadline)
        self._root = self._session.root
        self._system_path: Optional[str] = None

    def power(self) -> str:
        state = self._system().get("PowerState")
        if state in POWER_STATES:
            return POWER_STATES[state]
        if state in ("PoweringOn", "PoweringOff"):
            raise Busy(f"the machine is on its way ({state})")
        if state is None:  # unknown at the moment (DSP0268), as libvirt is slow say
            raise Busy("the BMC does not know just now whether the machine is on")
        raise BadAnswer(f"the BMC says of the machine's power: {state!r}")

    def set_power(self, action: str) -> None:
        """ComputerSystem.Reset."""
        reset = at(self._system(), "Actions", "#ComputerSystem.Reset")
        uri = reset.get("target")
        if not isinstance(uri, str):
            raise self.unsupported("reset action")
        allowed = reset.get("ResetType@Redfish.AllowableValues")
        known = RESET_TYPES[action]
        wanted = [one for one in known if one in allowed] if isinstance(allowed, list) else known
        if not wanted:
            raise Unsupported(f"the BMC has no reset of type {known[0]}, only these: {allowed}")
        self._session.change("POST", uri, {"ResetType": wanted[0]})

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
            raise refusal(answer, self._system_uri())

    def _patch_boot(self, wanted: Document) -> Answer:
        found = self._session.get(self._system_uri())
        system = document(found, self._system_uri())
        if not isinstance(system.get("Boot"), dict):
            raise self.unsupported("boot override")
        if "BootSourceOverrideMode" in wanted and "BootSourceOverrideMode" not in system["Boot"]:
            raise self.unsupported("choice between UEFI and BIOS: leave efi out")
        etag = found.headers.get("etag") or system.get("@odata.etag")
        headers = {"If_Match": str(etag)} if etag else {}
        return self._session.request("PATCH", self._system_uri(), {"Boot": wanted}, **headers)

    def info(self) -> Dict[str, Any]:
        system = self._system()
        found: Dict[str, Any] = {
            "uuid": text(system, "UUID").lower(),
            "manufacturer": text(system, "Manufacturer"),
            "model": text(system, "Model"),
            "serial_number": text(system, "SerialNumber"),
            "redfish_version": text(self._root, "RedfishVersion"),
        }
        managers = at(system, "Links").get("ManagedBy")
        if isinstance(managers, list) and managers:
            uri = link(managers[0])
            found["firmware_version"] = text(self._session.read(uri), "FirmwareVersion")
        return found

    def firmware(self) -> RedfishFirmware:
        return RedfishFirmware(self._session, self._system_uri)

    def rest(self) -> None:
        self._session.http.close()

    def close(self) -> None:
        self._session.close()

    # --- Resources ---------------------------------------------------------------------------------------------------

    def _system(self) -> Document:
        uri = self._system_uri()
        return self._session.read(uri)

    def _system_uri(self) -> str:
        """The one ComputerSystem, or the one that the target names by id, name or UUID."""
        if self._system_path is None:
            self._system_path = self._find_system()
        return self._system_path

    def _find_system(self) -> str:
        collection = link(at(self._root, "Systems"))
        members = self._session.read(collection).get("Members")
        uris = [link(one) for one in members] if isinstance(members, list) else []
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
            system = self._session.read(uri)
            if wanted.lower() in (text(system, key).lower() for key in ("Id", "Name", "UUID")):
                return uri
        raise BadRequest(f"the BMC has no system {wanted!r}")
