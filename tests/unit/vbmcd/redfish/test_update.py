# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""UpdateService, FirmwareInventory and TaskService in OpenBMC's dialects, and the faults that strike an upload."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

import pytest

from rig.board import until
from rig.firmware import form, image
from rig.redfish import Answer
from rig.redfish_board import RedfishBoard, basic
from vbmcd.config import Privilege, User
from vbmcd.firmware.options import Dialect, Fault, FaultKind, FirmwareOptions
from vbmcd.firmware.record import RECORD
from vbmcd.firmware.unit import Unit
from vbmcd.redfish.exchange import Request
from vbmcd.redfish.messages import failure

UPDATE = "/redfish/v1/UpdateService"
INVENTORY = f"{UPDATE}/FirmwareInventory"
TASKS = "/redfish/v1/TaskService/Tasks"
MANAGER = "/redfish/v1/Managers/1"
QUICK = FirmwareOptions(activation_seconds=0.05, reboot_seconds=0.1)
SLOW = replace(QUICK, activation_seconds=60.0)
OLD = replace(QUICK, dialect=Dialect.OPENBMC_2023)
ON_RESET = {"Targets": [MANAGER], "@Redfish.OperationApplyTime": "OnReset"}
FORM = {"Content-Type": "multipart/form-data; boundary=b0undary"}
RAW = {"Content-Type": "application/octet-stream"}


def board(options: FirmwareOptions = QUICK, *faults: Fault, records: dict[str, bytes] | None = None) -> RedfishBoard:
    one = RedfishBoard(kept=records)
    one.bmc.instance = replace(one.bmc.instance, firmware=replace(options, faults=faults))
    return one


def push_options(apply_time: object) -> dict[str, Any]:
    return {"HttpPushUriOptions": {"HttpPushUriApplyTime": {"ApplyTime": apply_time}}}


async def service(one: RedfishBoard) -> Any:
    return (await one.get(UPDATE)).json


async def push(one: RedfishBoard, data: bytes, uri: str = "") -> Answer:
    headers = {**RAW, "Content-Length": str(len(data))}
    return await one.web("POST", uri or (await service(one))["HttpPushUri"], data=data, headers=headers)


async def push_form(
    one: RedfishBoard, data: bytes | None = None, parameters: object = ..., *more: tuple[str, bytes]
) -> Answer:
    """`parameters`: ON_RESET where none are given; None for a form without."""
    parameters = ON_RESET if parameters is ... else parameters
    parts = [("UpdateFile", image() if data is None else data), *more]
    if parameters is not None:
        parts.insert(0, ("UpdateParameters", json.dumps(parameters).encode()))
    body = form(parts)
    headers = {**FORM, "Content-Length": str(len(body))}
    return await one.web("POST", (await service(one))["MultipartHttpPushUri"], data=body, headers=headers)


async def firmware(one: RedfishBoard) -> dict[str, str]:
    """Status.State by version."""
    found = {}
    for member in (await one.get(INVENTORY)).json["Members"]:
        document = (await one.get(member["@odata.id"])).json
        found[document["Version"]] = document["Status"]["State"]
    return found


async def task(one: RedfishBoard, number: int = 0) -> Any:
    return (await one.get(f"{TASKS}/{number}")).json


async def finished(one: RedfishBoard) -> str:
    await until(lambda: one.bmc.part(Unit).look().activating is None)
    return str((await task(one))["TaskState"])


async def test_a_form_is_flashed_and_waits_for_the_reset() -> None:
    one = board(SLOW)
    answer = await push_form(one)
    assert answer.status == 202 and answer.headers["retry-after"] == "12"
    assert answer.json["TaskState"] == "Running" and answer.json["@odata.id"] == f"{TASKS}/0"
    assert await firmware(one) == {"1.0.0": "Enabled", "2.0.0": "Updating"}
    assert (await one.get(answer.headers["location"])).status == 202
    one.pass_activation()
    assert await finished(one) == "Completed"
    document = await task(one)
    assert document["PercentComplete"] == 100 and document["EndTime"]
    ids = [message["MessageId"] for message in document["Messages"]]
    assert (ids[0], ids[-1]) == ("TaskEvent.1.0.TaskStarted", "TaskEvent.1.0.TaskCompletedOK")
    assert [(await one.get(answer.headers["location"])).status for _turn in range(2)] == [204, 404]
    assert await firmware(one) == {"1.0.0": "Enabled", "2.0.0": "Enabled"} and not one.bmc.away


async def test_a_raw_image_is_immediate() -> None:
    one = board()
    assert (await push(one, image())).status == 202
    await until(lambda: one.resets)
    await until(lambda: not one.bmc.away)
    assert await firmware(one) == {"1.0.0": "StandbySpare", "2.0.0": "Enabled"}
    assert (await one.get(TASKS)).json["Members@odata.count"] == 0


@pytest.mark.parametrize("dialect", [Dialect.OPENBMC_2023, Dialect.LEGACY])
async def test_a_raw_image_is_applied_when_the_service_was_told_to(dialect: Dialect) -> None:
    one = board(replace(QUICK, dialect=dialect))
    answer = await one.web("PATCH", UPDATE, push_options("OnReset"))
    assert (answer.status, answer.json["HttpPushUriOptions"]) == (200, push_options("OnReset")["HttpPushUriOptions"])
    assert (await push(one, image())).status == 202
    assert await finished(one) == "Completed" and not one.bmc.part(Unit).look().reset_due
    later = board(replace(QUICK, dialect=dialect), records=one.records)
    assert (await service(later))["HttpPushUriOptions"] == push_options("OnReset")["HttpPushUriOptions"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (push_options("AtMaintenanceWindowStart"), "PropertyValueNotInList"),
        (push_options(7), "PropertyValueTypeError"),
        ({"MaxImageSizeBytes": 1}, "PropertyNotWritable"),
    ],
)
async def test_no_other_apply_time_can_be_set_and_nothing_else(body: object, message: str) -> None:
    answer = await board(OLD).web("PATCH", UPDATE, body)
    assert (answer.status, answer.messages) == (400, [message])


async def test_since_2025_a_raw_image_is_always_immediate() -> None:
    assert (await board().web("PATCH", UPDATE, push_options("OnReset"))).status == 405


async def test_a_forms_immediate_is_one() -> None:
    one = board()
    await push_form(one, None, {**ON_RESET, "@Redfish.OperationApplyTime": "Immediate"})
    await until(lambda: one.resets)
    one.bmc.stop()


@pytest.mark.parametrize(
    ("dialect", "push_uri", "multipart", "monitor", "simple"),
    [
        (
            Dialect.OPENBMC_2025,
            f"{UPDATE}/update",
            f"{UPDATE}/update-multipart",
            "/redfish/v1/TaskService/TaskMonitors/0",
            False,
        ),
        (Dialect.OPENBMC_2023, f"{UPDATE}/update", f"{UPDATE}/update", f"{TASKS}/0/Monitor", True),
        (Dialect.LEGACY, UPDATE, None, f"{TASKS}/0/Monitor", False),
    ],
)
async def test_each_dialect_has_its_own_places(
    dialect: Dialect, push_uri: str, multipart: str | None, monitor: str, simple: bool
) -> None:
    one = board(replace(SLOW, dialect=dialect))
    document = await service(one)
    assert (document["HttpPushUri"], document.get("MultipartHttpPushUri")) == (push_uri, multipart)
    assert ("Actions" in document) is simple
    answer = await push(one, image())
    assert (answer.status, answer.headers["location"]) == (202, monitor)
    assert (await task(one))["TaskMonitor"] == monitor
    others = {"/redfish/v1/TaskService/TaskMonitors/0", f"{TASKS}/0/Monitor"} - {monitor}
    assert [(await one.get(other)).status for other in others] == [404]
    one.bmc.stop()


@pytest.mark.parametrize(
    ("dialect", "uri", "status"),
    [
        (Dialect.OPENBMC_2025, UPDATE, 405),
        (Dialect.LEGACY, f"{UPDATE}/update", 404),
        (Dialect.OPENBMC_2023, f"{UPDATE}/update-multipart", 404),
    ],
)
async def test_the_places_of_other_dialects_are_none(dialect: Dialect, uri: str, status: int) -> None:
    assert (await push(board(replace(QUICK, dialect=dialect)), image(), uri)).status == status


async def test_simple_update_can_be_had_in_every_dialect() -> None:
    assert "Actions" in await service(board(replace(QUICK, simple_update=True)))
    assert "Actions" not in await service(board(replace(OLD, simple_update=False)))


@pytest.mark.parametrize(
    ("options", "parameters", "status", "message"),
    [
        (QUICK, None, 202, ""),
        (QUICK, {}, 202, ""),
        (OLD, None, 400, "MissingOrMalformedPart"),
        (OLD, {}, 400, "PropertyMissing"),
        (QUICK, {"Targets": []}, 400, "PropertyValueFormatError"),
        (QUICK, {"Targets": [MANAGER, MANAGER]}, 400, "PropertyValueFormatError"),
        (QUICK, {"Targets": MANAGER}, 400, "PropertyValueTypeError"),
        (QUICK, {"Targets": ["/redfish/v1/Chassis/1"]}, 400, "PropertyValueNotInList"),
        (QUICK, {**ON_RESET, "ForceUpdate": True}, 400, "PropertyUnknown"),
        (QUICK, {**ON_RESET, "Oem": {}}, 400, "PropertyUnknown"),
        (QUICK, {"@Redfish.OperationApplyTime": "AtMaintenanceWindowStart"}, 400, "PropertyValueNotInList"),
        (QUICK, {"@Redfish.OperationApplyTime": 7}, 400, "PropertyValueNotInList"),
        (QUICK, [], 400, "UnrecognizedRequestBody"),
    ],
)
async def test_update_parameters_are_taken_as_bmcweb_takes_them(
    options: FirmwareOptions, parameters: object, status: int, message: str
) -> None:
    answer = await push_form(board(options), None, parameters)
    assert answer.status == status
    assert not message or answer.messages == [message]


async def test_a_part_that_nobody_asked_for_is_refused() -> None:
    answer = await push_form(board(), None, ON_RESET, ("OemFile", b"x"))
    assert (answer.status, answer.messages) == (400, ["MissingOrMalformedPart"])


async def test_parameters_that_are_no_json_are_refused() -> None:
    one = board()
    body = form([("UpdateParameters", b"{"), ("UpdateFile", image())])
    assert (await one.web("POST", f"{UPDATE}/update-multipart", data=body, headers=FORM)).messages == ["MalformedJSON"]


@pytest.mark.parametrize(
    "kind", ["multipart/form-data; boundary=other", 'multipart/form-data; boundary="b0undary"', "text/plain"]
)
async def test_a_form_that_bmcweb_cannot_read_is_hung_up_on(kind: str) -> None:
    one = board()
    answer = await one.web(
        "POST", f"{UPDATE}/update-multipart", data=form([("UpdateFile", image())]), headers={"Content-Type": kind}
    )
    assert answer.cut and await firmware(one) == {"1.0.0": "Enabled"}


async def test_a_body_that_stalls_or_breaks_off_is_hung_up_on() -> None:
    class Stalled:
        """What comes first, and then nothing for too long."""

        first = b"--b0undary\r\n"

        async def read(self, size: int) -> bytes:
            part, self.first = self.first, b""
            if not part:
                raise failure(408, "OperationFailed")
            return part

    one = board()
    for kind in (FORM, RAW):
        headers = {name.lower(): value for name, value in {**one.headers, **kind}.items()}
        path = f"{UPDATE}/update-multipart" if kind is FORM else f"{UPDATE}/update"
        request = Request("POST", path, headers=headers, source="192.0.2.1", stream=Stalled())
        assert (await one.service.answer(request, one.bmc)).cut
    assert await firmware(one) == {"1.0.0": "Enabled"}


async def test_an_image_that_is_too_large_is_refused_before_it_is_read() -> None:
    one = board(replace(QUICK, max_image_bytes=4096))
    answer = await push(one, image(size=9000))
    assert (answer.status, answer.messages) == (413, ["PayloadTooLarge"])
    unsaid = await one.web("POST", f"{UPDATE}/update", data=image(size=9000), headers=RAW)
    assert unsaid.status == 413 and unsaid.headers["connection"] == "close"


async def test_a_bad_image_is_refused_at_once_in_2023_and_by_its_task_in_2025() -> None:
    for data, why in ((b"no tar", "middle of a member"), (image(machine="other"), "for the machine other")):
        early = await push_form(board(OLD), data)
        assert (early.status, early.messages) == (400, ["InvalidUpload"]) and why in early.data.decode()
        one = board()
        assert (await push_form(one, data)).status == 202
        assert await finished(one) == "Exception"
        document = await task(one)
        assert document["TaskStatus"] == "Warning" and why in document["Messages"][-1]["Resolution"]
        assert (await firmware(one))["1.0.0"] == "Enabled"


async def test_what_is_there_already_was_a_conflict_once_and_is_taken_today() -> None:
    legacy = board(replace(QUICK, dialect=Dialect.LEGACY))
    answer = await legacy.web("POST", UPDATE, data=image("1.0.0"), headers=RAW)
    assert (answer.status, answer.messages) == (400, ["InvalidUpload", "ResourceAlreadyExists"])
    for options in (OLD, QUICK):
        assert (await push_form(board(options), image("1.0.0"))).status == 202


async def test_one_at_a_time() -> None:
    one = board(SLOW)
    await push_form(one)
    answer = await push_form(one, image("3.0.0"))
    assert (answer.status, answer.messages, answer.headers["retry-after"]) == (
        503,
        ["ServiceTemporarilyUnavailable"],
        "30",
    )
    one.bmc.stop()


async def test_who_may_only_look_cannot_update() -> None:
    reader = User("reader", "secret", Privilege.USER)
    one = RedfishBoard(users=(reader,))
    one.headers = basic(reader)
    assert (await one.web("POST", f"{UPDATE}/update", data=image(), headers=RAW)).status == 403
    assert (await one.get(INVENTORY)).status == 200


async def test_an_upload_that_is_refused_with_503_lands_all_the_same_and_only_as_often_as_planned() -> None:
    one = board(QUICK, Fault(FaultKind.BUSY))
    assert (await push_form(one)).status == 503
    assert "2.0.0" in await firmware(one)
    assert await finished(one) == "Completed"
    assert (await push_form(one, image("3.0.0"))).status == 202
    one.bmc.stop()


async def test_an_upload_is_cut_as_often_as_planned() -> None:
    one = board(QUICK, Fault(FaultKind.CUT, count=2))
    assert [(await push_form(one)).cut for _turn in range(3)] == [True, True, False]
    one.bmc.stop()


async def test_an_upload_that_stalls_for_a_time_goes_on() -> None:
    one = board(QUICK, Fault(FaultKind.STALL, seconds=0.2))
    began = time.monotonic()
    assert (await push_form(one)).status == 202
    assert time.monotonic() - began > 0.2
    one.bmc.stop()


async def test_a_task_fails_by_plan_and_then_does_not() -> None:
    one = board(QUICK, Fault(FaultKind.EXCEPTION))
    await push_form(one)
    assert await finished(one) == "Exception"
    begun, *_others, ended = [message["Resolution"] for message in (await task(one))["Messages"]]
    assert (begun, ended) == ("None.", "an exception, by the plan of faults")
    assert await firmware(one) == {"1.0.0": "Enabled", "2.0.0": "Disabled"}
    assert (await push_form(one)).status == 202
    one.bmc.stop()


@pytest.mark.parametrize(
    ("kind", "status"),
    [("Application/Octet-Stream", 202), ("application/octet-stream; x=y", 202), ("application/json", 415), ("", 415)],
)
async def test_a_raw_image_says_that_it_is_one(kind: str, status: int) -> None:
    one = board()
    answer = await one.web("POST", f"{UPDATE}/update", data=image(), headers={"Content-Type": kind})
    assert answer.status == status
    one.bmc.stop()


async def test_a_slow_line_is_read_slowly() -> None:
    one = board(replace(QUICK, upload_rate=100_000))
    began = time.monotonic()
    await push(one, image(size=20_000))
    assert time.monotonic() - began > 0.2
    one.bmc.stop()


async def test_what_an_update_did_outlives_the_worker() -> None:
    one = board()
    await push_form(one)
    await finished(one)
    await until(lambda: RECORD in one.records and b'"2.0.0"' in one.records[RECORD])
    again = board(records=one.records)
    assert await firmware(again) == {"1.0.0": "Enabled", "2.0.0": "Enabled"}
    again.bmc.part(Unit).reset_soon()
    await until(lambda: again.resets)
    assert (await firmware(again))["2.0.0"] == "Enabled"


@pytest.mark.parametrize(
    "path",
    [
        f"{INVENTORY}/nothing",
        f"{TASKS}/0",
        f"{TASKS}/x",
        f"{TASKS}/-1",
        f"{TASKS}/00",
        "/redfish/v1/TaskService/TaskMonitors/9",
    ],
)
async def test_what_is_not_there_is_not_found(path: str) -> None:
    assert (await board().get(path)).status == 404


async def test_the_messages_of_tasks_are_in_a_registry() -> None:
    one = board()
    await push_form(one)
    await finished(one)
    file = (await one.get("/redfish/v1/Registries/TaskEvent")).json
    registry = (await one.get(file["Location"][0]["Uri"])).json
    for message in (await task(one))["Messages"]:
        prefix, _dot, name = message["MessageId"].rpartition(".")
        assert prefix == file["Registry"] and registry["Messages"][name]["NumberOfArgs"] == len(message["MessageArgs"])
    assert (await one.get("/redfish/v1/Registries/TaskEvent/Base.1.18.1.json")).status == 404
    assert (await one.get("/redfish/v1/Registries/None")).status == 404
