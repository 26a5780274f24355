# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenBMC's REST service of before: an update from login to reset."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rig.board import until
from rig.firmware import image
from rig.redfish_board import RedfishBoard
from vbmcd.config import Privilege, User
from vbmcd.firmware.options import Dialect, Fault, FaultKind, FirmwareOptions
from vbmcd.firmware.unit import Unit

SOFTWARE = "/xyz/openbmc_project/software"
STATE = "/xyz/openbmc_project/state"
ACTIVE = "xyz.openbmc_project.Software.Activation.RequestedActivations.Active"
REBOOT = "xyz.openbmc_project.State.BMC.Transition.Reboot"
OPTIONS = FirmwareOptions(dialect=Dialect.LEGACY, activation_seconds=0.05, reboot_seconds=0.1)


def board(options: FirmwareOptions = OPTIONS, *faults: Fault) -> RedfishBoard:
    one = RedfishBoard()
    one.bmc.instance = replace(one.bmc.instance, firmware=replace(options, faults=faults))
    return one


async def objects(one: RedfishBoard) -> dict[str, dict[str, object]]:
    answer = await one.get(f"{SOFTWARE}/enumerate")
    assert answer.status == 200
    found: dict[str, dict[str, object]] = answer.json["data"]
    return found


async def word(one: RedfishBoard, version: str) -> str:
    (found,) = [str(item["Activation"]) for item in (await objects(one)).values() if item.get("Version") == version]
    return found.rpartition(".")[2]


async def test_an_update_from_login_to_reset() -> None:
    one = board(replace(OPTIONS, activation_seconds=60.0))
    one.headers = {}
    answer = await one.web("POST", "/login", {"data": ["admin", "secret"]})
    assert answer.json["status"] == "ok"
    one.headers = {"Cookie": answer.headers["set-cookie"].partition(";")[0]}
    upload = await one.web("PUT", "/upload/image/any.tar", data=image(ExtendedVersion="x"))
    assert upload.json["message"] == "200 OK"
    path = f"{SOFTWARE}/{upload.json['data']}"
    assert await word(one, "2.0.0") == "Ready"
    assert (await one.web("PUT", f"{path}/attr/RequestedActivation", {"data": ACTIVE})).status == 200
    document = (await one.get(path)).json["data"]
    assert document["Activation"].endswith(".Activating") and 0 <= document["Progress"] <= 100
    assert document["Purpose"] == "xyz.openbmc_project.Software.Version.VersionPurpose.BMC"
    one.pass_activation()
    document = (await one.get(path)).json["data"]
    assert (document["Priority"], "Progress" in document) == (0, False)
    assert (await one.web("PUT", f"{STATE}/bmc0/attr/RequestedBMCTransition", {"data": REBOOT})).status == 200
    await until(lambda: one.resets and not one.bmc.away)
    assert (await one.get(path)).status == 401, "sessions end with the reset"
    one.headers = RedfishBoard().headers
    assert (await objects(one))[f"{SOFTWARE}/functional"]["endpoints"] == [path]


async def test_a_bmc_that_starts_is_not_ready() -> None:
    one = board()
    for seconds, expected in ((60, "NotReady"), (0, "Ready")):
        one.bmc.go_away(0, seconds)
        state = (await one.get(f"{STATE}/bmc0")).json["data"]["CurrentBMCState"]
        assert state.rpartition(".")[2] == expected


async def test_priority_switches_back() -> None:
    one = board()
    first = next(iter(await objects(one)))
    upload = await one.web("POST", "/upload/image", data=image())
    path = f"{SOFTWARE}/{upload.json['data']}"
    await one.web("PUT", f"{path}/attr/RequestedActivation", {"data": ACTIVE})
    await until(lambda: one.bmc.part(Unit).look().activating is None)
    assert (await one.get(f"{first}/attr/Priority")).json["data"] == 1
    assert (await one.web("PUT", f"{first}/attr/Priority", {"data": 0})).status == 200
    assert (await one.get(f"{path}/attr/Priority")).json["data"] == 1


async def test_what_runs_is_not_deleted_and_the_rest_is() -> None:
    one = board()
    running = next(iter(await objects(one)))
    upload = await one.web("POST", "/upload/image", data=image())
    path = f"{SOFTWARE}/{upload.json['data']}"
    answers = [await one.web("POST", f"{each}/action/Delete", {"data": []}) for each in (running, path)]
    assert [answer.status for answer in answers] == [400, 200]
    assert answers[0].json == {
        "data": {"description": "this image runs"},
        "message": "400 Bad Request",
        "status": "error",
    }
    assert list(await objects(one)) == [running, f"{SOFTWARE}/functional", f"{SOFTWARE}/active"]


async def test_a_bad_image_and_one_that_is_there_are_told_in_openbmcs_words() -> None:
    one = board()
    for data in (b"x", image("1.0.0"), image(machine="other")):
        answer = await one.web("POST", "/upload/image", data=data)
        assert answer.json["data"] == {"description": "Version already exists or failed to be extracted"}


async def test_an_upload_that_is_refused_with_503_is_ready_all_the_same() -> None:
    one = board(OPTIONS, Fault(FaultKind.BUSY))
    assert (await one.web("POST", "/upload/image", data=image())).status == 503
    assert await word(one, "2.0.0") == "Ready"


async def test_errors_are_openbmcs_own() -> None:
    one = board()
    one.headers = {}
    for method, path in (
        ("GET", SOFTWARE),
        ("POST", "/upload/image"),
        ("PUT", f"{STATE}/bmc0/attr/RequestedBMCTransition"),
    ):
        answer = await one.web(method, path)
        assert (answer.status, answer.json["status"], answer.json["message"]) == (401, "error", "401 Unauthorized")
    wrong = await one.web("POST", "/login", {"data": ["admin", "wrong"]})
    assert wrong.status == 401 and "set-cookie" not in wrong.headers


async def test_who_may_only_look_changes_nothing() -> None:
    reader = User("reader", "secret", Privilege.USER)
    one = RedfishBoard(users=(reader,))
    one.bmc.instance = replace(one.bmc.instance, firmware=OPTIONS)
    one.headers = {}
    answer = await one.web("POST", "/login", {"username": "reader", "password": "secret"})
    one.headers = {"X-Auth-Token": answer.json["token"]}
    assert (await one.get(f"{SOFTWARE}/enumerate")).status == 200
    assert (await one.web("POST", "/upload/image", data=image())).status == 403


async def test_the_power_of_the_machine_is_asked_for_and_told() -> None:
    one = board()
    on = "xyz.openbmc_project.State.Host.Transition.On"
    assert (await one.web("PUT", f"{STATE}/host0/attr/RequestedHostTransition", {"data": on})).status == 200
    found = (await one.get(f"{STATE}/enumerate")).json["data"]
    assert found[f"{STATE}/host0"]["CurrentHostState"].endswith(".Running")
    assert found[f"{STATE}/chassis0"]["CurrentPowerState"].endswith(".On")


async def test_other_dialects_have_none_of_it() -> None:
    one = board(replace(OPTIONS, dialect=Dialect.OPENBMC_2025))
    for method, path in (("POST", "/login"), ("GET", f"{SOFTWARE}/enumerate"), ("POST", "/upload/image")):
        assert (await one.web(method, path, {})).status == 404


@pytest.mark.parametrize(
    "path", ["inventory/enumerate", "logging/entry/1", "software/1/2/3", "sensors", "state/a/b/c/d", ""]
)
async def test_objects_that_are_not_there_are_told_in_its_own_words(path: str) -> None:
    one = board()
    for method in ("GET", "PUT", "POST", "DELETE"):
        answer = await one.web(method, f"/xyz/openbmc_project/{path}")
        assert (answer.status, answer.json["status"], answer.json["message"]) == (404, "error", "404 Not Found")
    one.headers = {}
    answer = await one.get(f"/xyz/openbmc_project/{path}")
    assert (answer.status, answer.json["data"]["description"]) == (401, "Login required")


async def test_a_wrong_password_is_called_so() -> None:
    answer = await board().web("POST", "/login", {"data": ["admin", "wrong"]})
    assert (answer.status, answer.json["data"]["description"]) == (401, "Invalid username or password")
