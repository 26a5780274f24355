# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Firmware by Redfish's UpdateService (DSP2062), as OpenBMC's bmcweb and others serve it.

Addresses are those that the service gives, read anew in each inventory: they differ between versions of bmcweb, and so
may change with the update itself.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, Callable, Dict, List, Tuple

from ..errors import AlreadyThere, BadAnswer, BadRequest, Busy, HwctlError, InDoubt, Refused, Unsupported
from ..firmware.image import BMC, HOST, OTHER, Image
from .firmware import (
    COMPLETED,
    FAILED,
    GONE,
    IMMEDIATE,
    ON_RESET,
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
from .http import Answer
from .redfish_answers import Document, at, link, message_ids, path, refusal, retry_after, sentences, text, words
from .redfish_session import RedfishSession

BOUNDARY = "baremetal-lab-9c1f6b0e5d7a4a3f"
BODY_SECONDS = 120.0
BODY_SECONDS_PER_MB = 2.0
"""How long a body may take: the more of the two."""

# SoftwareInventory's Status.State (DSP0268), as bmcweb uses it. Disabled may be an image that is being checked, or one
# that was refused.
STATES: Dict[Any, str] = {
    "Enabled": WRITTEN,
    "StandbySpare": WRITTEN,
    "StandbyOffline": WRITTEN,
    "Updating": UPDATING,
    "Starting": UPDATING,
}
APPLY_TIMES = {ON_RESET: "OnReset", IMMEDIATE: "Immediate"}
# TaskState (DSP0268); any other one is one of a task that runs
TASK_ENDS = {
    "Completed": COMPLETED,
    "Exception": FAILED,
    "Killed": FAILED,
    "Cancelled": FAILED,
    "Cancelling": FAILED,
    "Interrupted": FAILED,
}
NOT_SETTABLE = {"PropertyUnknown", "PropertyNotWritable", "PropertyValueNotInList"}


class RedfishFirmware(FirmwareCalls):
    """Within a session. `system` gives the address of the machine's ComputerSystem."""

    def __init__(self, session: RedfishSession, system: Callable[[], str]) -> None:
        self._session = session
        self._system = system

    def inventory(self) -> Inventory:
        manager_uri = self._manager_uri()
        manager = self._session.read(manager_uri)
        stored = [self._stored(uri, manager_uri) for uri in self._member_uris(self._service(), "FirmwareInventory")]
        active = {_reference(at(manager, "Links"), "ActiveSoftwareImage")}
        running = {BMC: text(manager, "FirmwareVersion")}
        if any(one.purpose == HOST for one in stored):
            version, image = self._host()
            running[HOST] = version or next((one.version for one in stored if one.id == image), "")
            active.add(image)
        active.discard("")
        return Inventory(
            tuple(_with_running(one, active, running) for one in stored),
            tuple((purpose, version) for purpose, version in running.items() if version),
            text(manager, "LastResetTime") or None,
            at(manager, "Status").get("State") not in ("Starting", "Updating"),
        )

    def fits(self, image: Image, apply_time: str) -> str:
        service = self._service()
        if service.get("ServiceEnabled") is False:
            raise Refused("the BMC's update service is switched off")
        largest = service.get("MaxImageSizeBytes")
        if isinstance(largest, int) and largest and image.size > largest:
            raise Refused(f"the image has {image.size} bytes, and the BMC takes {largest} at most")
        if text(service, "MultipartHttpPushUri"):
            return apply_time
        if text(service, "HttpPushUri"):
            # Whatever was asked: nothing in the request says when, but the service may (bmcweb until 2023).
            options = at(service, "HttpPushUriOptions", "HttpPushUriApplyTime")
            return ON_RESET if text(options, "ApplyTime") == APPLY_TIMES[ON_RESET] else IMMEDIATE
        raise Unsupported("the BMC's update service takes no upload")

    def upload(self, image: Image, apply_time: str, sent: Callable[[int], None]) -> Accepted:
        service = self._service()
        uri, kind = text(service, "MultipartHttpPushUri"), f"multipart/form-data; boundary={BOUNDARY}"
        parts = [image.content]
        if uri:
            head, tail = _envelope(self._manager_uri(), APPLY_TIMES[apply_time], image.name)
            parts = [memoryview(head), image.content, memoryview(tail)]
        else:
            uri, kind = text(service, "HttpPushUri"), "application/octet-stream"
        seconds = max(BODY_SECONDS, BODY_SECONDS_PER_MB * image.size / 1e6)
        answer = self._session.http.send("POST", path(uri) or uri, parts, sent, seconds, Content_Type=kind)
        if not answer.ok:
            raise _upload_refusal(answer, uri)
        return Accepted(_followed(answer), retry_after(answer))

    def progress(self, accepted: Accepted) -> Progress:
        """Of the task, or of its monitor (DSP0266, 12.2): 202 as long as it runs, then something else once."""
        answer = self._session.get(accepted.monitor)
        if answer.status in (404, 410):
            return Progress(GONE)
        if answer.status >= 500:
            raise Busy(f"the BMC can't say how far it is: {accepted.monitor}: HTTP {answer.status}")
        if not answer.ok:
            return Progress(FAILED, None, words(answer) or f"HTTP {answer.status}")
        try:
            task = answer.json()
        except BadAnswer:
            task = {}
        if "TaskState" not in task:
            return Progress(RUNNING if answer.status == 202 else COMPLETED, None, "", retry_after(answer))
        percent = task.get("PercentComplete")
        state = TASK_ENDS.get(task["TaskState"], RUNNING)
        return Progress(state, percent if isinstance(percent, int) else None, _messages(task), retry_after(answer))

    def activate(self, stored: Stored) -> None:
        raise Unsupported("Redfish activates what is uploaded by itself")

    def switch(self, stored: Stored) -> bool:
        """PATCH of ActiveSoftwareImage: of the manager, which reboots it, or of the machine's Bios."""
        uri = self._manager_uri()
        if stored.purpose == HOST:
            uri = self._bios_uri()
            if not uri:
                raise Unsupported("the BMC does not say where its host's images are chosen")
        answer = self._session.request("PATCH", uri, {"Links": {"ActiveSoftwareImage": {"@odata.id": stored.id}}})
        if answer.status == 400 and set(message_ids(answer)) & NOT_SETTABLE:
            raise Unsupported(f"the BMC lets nobody choose the image that runs: {words(answer)}")
        if not answer.ok:
            raise refusal(answer, uri)
        return stored.purpose != HOST

    def reset(self) -> None:
        """Manager.Reset, gently where the BMC knows how."""
        action = at(self._session.read(self._manager_uri()), "Actions", "#Manager.Reset")
        uri = text(action, "target")
        if not uri:
            raise Unsupported("the BMC has no reset of itself")
        allowed = action.get("ResetType@Redfish.AllowableValues")
        kinds = [one for one in ("GracefulRestart", "ForceRestart") if not isinstance(allowed, list) or one in allowed]
        if not kinds:
            raise Unsupported(f"the BMC can't restart itself, only this: {allowed}")
        self._session.change("POST", uri, {"ResetType": kinds[0]})

    def delete(self, stored: Stored) -> None:
        answer = self._session.request("DELETE", stored.id)
        if answer.status in (405, 501):
            raise Unsupported(f"the BMC removes no images when it is asked to, so {stored.label} stays")
        if not answer.ok and answer.status != 404:
            raise refusal(answer, stored.id)

    # --- Resources ---------------------------------------------------------------------------------------------------

    def _service(self) -> Document:
        reference = self._session.root.get("UpdateService")
        if reference is None:
            raise Unsupported("the BMC has no update service")
        return self._session.read(link(reference))

    def _manager_uri(self) -> str:
        """The one manager, or the one that manages the machine."""
        uris = self._member_uris(self._session.root, "Managers")
        if len(uris) == 1:
            return uris[0]
        managers = at(self._session.read(self._system()), "Links").get("ManagedBy")
        if not isinstance(managers, list) or not managers:
            raise BadRequest(f"the BMC has {len(uris)} managers and does not say which is the machine's")
        return link(managers[0])

    def _member_uris(self, document: Document, name: str) -> List[str]:
        if name not in document:
            raise Unsupported(f"the BMC has no {name}")
        members = self._session.read(link(document[name])).get("Members")
        return [link(one) for one in members] if isinstance(members, list) else []

    def _stored(self, uri: str, manager_uri: str) -> Stored:
        """An image may go while the list is read: it counts as unusable then."""
        answer = self._session.get(uri)
        if answer.status == 404:
            return Stored(uri, "", OTHER, UNUSABLE)
        if not answer.ok:
            raise refusal(answer, uri)
        found = answer.json()
        state = STATES.get(at(found, "Status").get("State"), UNUSABLE)
        return Stored(uri, text(found, "Version"), _purpose(found, manager_uri), state)

    def _host(self) -> Tuple[str, str]:
        """The version that the machine's own firmware says, and the image that it is, as far as told."""
        try:
            version = text(self._session.read(self._system()), "BiosVersion")
            bios = self._bios_uri()
            image = _reference(at(self._session.read(bios), "Links"), "ActiveSoftwareImage") if bios else ""
        except (Unsupported, BadRequest):
            return "", ""
        return version, image

    def _bios_uri(self) -> str:
        return _reference(self._session.read(self._system()), "Bios")


@lru_cache(maxsize=64)
def _envelope(target: str, apply_time: str, name: str) -> Tuple[bytes, bytes]:
    """What is before and after the image in a multipart body (DSP0266, 12.6.2), the same for all BMCs of a kind.

    bmcweb wants no preamble and no unknown parameter, and before November 2025 exactly one target.
    """
    parameters = json.dumps({"Targets": [target], "@Redfish.OperationApplyTime": apply_time})
    safe = name.replace("\\", "_").replace('"', "_").replace("\r", "_").replace("\n", "_")
    head = (
        f"--{BOUNDARY}\r\n"
        'Content-Disposition: form-data; name="UpdateParameters"\r\n'
        "Content-Type: application/json\r\n\r\n"
        f"{parameters}\r\n"
        f"--{BOUNDARY}\r\n"
        f'Content-Disposition: form-data; name="UpdateFile"; filename="{safe}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    return head.encode(), f"\r\n--{BOUNDARY}--\r\n".encode()


def _upload_refusal(answer: Answer, uri: str) -> HwctlError:
    """A BMC that is busy or broke down may have taken the image nevertheless, and one in conflict has it already."""
    error = refusal(answer, uri)
    # bmcweb answers that with 400, and has the message at the property as well as at the error.
    there = b"ResourceAlreadyExists" in answer.body
    if there or answer.status in (409, 429) or (answer.status >= 500 and answer.status != 507):
        doubt = AlreadyThere(str(error)) if there else InDoubt(str(error))
        doubt.retry_after = error.retry_after
        return doubt
    return error


def _followed(answer: Answer) -> str:
    """The task where the answer has one, since it says more than its monitor; else the monitor."""
    try:
        task = answer.json()
    except BadAnswer:
        task = {}
    uri = text(task, "@odata.id") if "TaskState" in task else ""
    return uri or path(answer.headers.get("location", "")) or ""


def _messages(task: Document) -> str:
    """What went wrong, with what the BMC makes of it; all that it says where nothing is marked as wrong."""
    messages = task.get("Messages")
    found = [one for one in messages if isinstance(one, dict)] if isinstance(messages, list) else []
    wrong = [one for one in found if one.get("MessageSeverity", one.get("Severity", "OK")) != "OK"]
    return sentences(wrong or found)


def _purpose(item: Document, manager_uri: str) -> str:
    related = item.get("RelatedItem")
    uris = [one.get("@odata.id") for one in related if isinstance(one, dict)] if isinstance(related, list) else []
    if manager_uri in uris:
        return BMC
    if any(isinstance(uri, str) and "/Systems/" in uri for uri in uris):
        return HOST
    described = text(item, "Description").lower()
    return next((purpose for purpose in (BMC, HOST) if f"{purpose} image" in described), OTHER)


def _reference(document: Document, name: str) -> str:
    return text(at(document, name), "@odata.id")


def _with_running(stored: Stored, active: Any, running: Dict[str, str]) -> Stored:
    """Runs: what is named as active. Where none is named, what has the version that runs."""
    runs = stored.id in active
    if not active and stored.state != UPDATING:
        runs = bool(stored.version) and running.get(stored.purpose) == stored.version
    return Stored(stored.id, stored.version, stored.purpose, stored.state, runs)
