# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A BMC that fetches its image by itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rig.board import until
from rig.firmware import image
from rig.redfish_board import RedfishBoard
from vbmcd.firmware.options import Dialect, FirmwareOptions
from vbmcd.firmware.unit import Unit
from vbmcd.media.options import MediaOptions

ACTION = "/redfish/v1/UpdateService/Actions/UpdateService.SimpleUpdate"
TASK = "/redfish/v1/TaskService/Tasks/0"
OPTIONS = FirmwareOptions(dialect=Dialect.OPENBMC_2023, activation_seconds=0.02, reboot_seconds=0.1)


@pytest.fixture
def board(tmp_path: Path) -> RedfishBoard:
    one = RedfishBoard()
    media = MediaOptions(folders=(str(tmp_path),))
    one.bmc.instance = replace(one.bmc.instance, firmware=OPTIONS, media=media)
    return one


async def outcome(board: RedfishBoard) -> str:
    unit = board.bmc.part(Unit)
    await until(lambda: not unit.fetching and unit.look().activating is None)
    return str((await board.get(TASK)).json["TaskState"])


async def test_an_image_is_fetched_and_activated_and_the_bmc_resets(board: RedfishBoard, tmp_path: Path) -> None:
    (tmp_path / "image.tar").write_bytes(image())
    answer = await board.web("POST", ACTION, {"ImageURI": f"file://{tmp_path}/image.tar"})
    assert answer.status == 202 and answer.headers["location"] == f"{TASK}/Monitor"
    await until(lambda: board.resets)
    found = board.bmc.part(Unit).look()
    assert [one.manifest.version for one in found.images if found.is_running(one)] == ["2.0.0"]


async def test_what_can_not_be_fetched_or_is_no_image_shows_in_the_task(board: RedfishBoard, tmp_path: Path) -> None:
    (tmp_path / "rubbish").write_bytes(b"x" * 2000)
    for path in ("none", "rubbish"):
        board.bmc.part(Unit).stop()
        board.bmc._parts.clear()
        await board.web("POST", ACTION, {"ImageURI": f"file://{tmp_path}/{path}"})
        assert await outcome(board) == "Exception"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "ActionParameterMissing"),
        ({"ImageURI": 7}, "ActionParameterValueTypeError"),
        ({"ImageURI": None}, "ActionParameterMissing"),
        ({"ImageURI": []}, "ActionParameterValueTypeError"),
        ({"ImageURI": "http://h/x", "Username": False}, "ActionParameterValueTypeError"),
        ({"ImageURI": "http://h/x", "Targets": "/redfish/v1/Managers/1"}, "ActionParameterValueTypeError"),
        ({"ImageURI": "http://h/x", "Targets": [7]}, "ActionParameterValueTypeError"),
        ({"ImageURI": "x"}, "ActionParameterValueFormatError"),
        ({"ImageURI": "http://h/x", "TransferProtocol": "TFTP"}, "ActionParameterValueNotInList"),
        ({"ImageURI": "http://h/x", "Force": True}, "ActionParameterUnknown"),
    ],
)
async def test_parameters_are_checked(board: RedfishBoard, body: object, message: str) -> None:
    answer = await board.web("POST", ACTION, body)
    assert (answer.status, answer.messages) == (400, [message])


async def test_a_dialect_without_it_has_none(board: RedfishBoard) -> None:
    board.bmc.instance = replace(board.bmc.instance, firmware=replace(OPTIONS, simple_update=False))
    assert (await board.web("POST", ACTION, {"ImageURI": "http://h/x"})).status == 404
