# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where nothing can be stored, a change is refused, and what is refused is not done."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from rig.board import ADMIN, until
from rig.redfish_board import RedfishBoard
from vbmcd.commands import power_policy
from vbmcd.config import Privilege, User
from vbmcd.firmware.image import Manifest, Purpose
from vbmcd.firmware.options import Dialect, FirmwareOptions
from vbmcd.firmware.software import ApplyTime
from vbmcd.firmware.unit import Unit
from vbmcd.machine.base import WrongState
from vbmcd.media.options import MediaOptions

ROOT = "/redfish/v1"
SYSTEM, CHASSIS, MANAGER = f"{ROOT}/Systems/1", f"{ROOT}/Chassis/1", f"{ROOT}/Managers/1"
LOG = f"{MANAGER}/LogServices/SEL"
ACCOUNTS = f"{ROOT}/AccountService/Accounts"
MEDIUM = f"{MANAGER}/VirtualMedia/Cd"
IMAGES = f"{ROOT}/UpdateService/FirmwareInventory"
REST = "/xyz/openbmc_project/software"
SHOWN = (
    SYSTEM, CHASSIS, MANAGER, MEDIUM, LOG, f"{LOG}/Entries", ACCOUNTS, f"{ACCOUNTS}/3", f"{ROOT}/SessionService",
    f"{ROOT}/UpdateService", IMAGES, f"{REST}/enumerate",
)  # fmt: skip
READS = ("is_on", "check_boot", "statistics")
"""Of what a machine is asked, that which changes nothing."""


@pytest_asyncio.fixture
async def board(tmp_path: Path) -> AsyncIterator[RedfishBoard]:
    """With a second user, an image that could run, a medium in its drive, and an entry in its log."""
    one = RedfishBoard(users=(ADMIN, User("second", "password", Privilege.OPERATOR)))
    (tmp_path / "a.iso").write_bytes(b"an image")
    options = FirmwareOptions(dialect=Dialect.LEGACY, activation_seconds=0.02, reboot_seconds=0.02)
    one.bmc.instance = replace(one.bmc.instance, firmware=options, media=MediaOptions(folders=(str(tmp_path),)))
    unit = one.bmc.part(Unit)
    spare = unit.look().add(Manifest(Purpose.BMC, "2.0.0"))
    unit.look().activate(spare, unit.now, ApplyTime.ON_RESET)
    unit.done()
    await until(lambda: unit.look().activating is None)
    (running,) = [image for image in unit.look().images if image is not spare]
    await change(one, "PUT", f"{REST}/{running.id}/attr/Priority", {"data": 0})
    await one.bmc.journal.add(bytes((0, 0, 2, *bytes(13))))
    yield one
    one.bmc.stop()


async def change(board: RedfishBoard, method: str, path: str, body: object = None) -> int:
    return (await board.web(method, path, body)).status


async def shown(board: RedfishBoard) -> dict[str, Any]:
    """All that a client can see of it."""
    found = {path: (await board.get(path)).json for path in SHOWN}
    for path in (MANAGER, LOG):
        found[path].pop("@odata.etag", None)
        # The clock goes on, and how far it was set ahead does not.
        found[path]["DateTime"] = board.bmc.journal.sel.offset
    return found


def acts(board: RedfishBoard) -> list[tuple[str, object]]:
    return [call for call in board.machine.calls if call[0] not in READS]


CHANGES = {
    "another image": ("PATCH", MANAGER, {"Links": {"ActiveSoftwareImage": {"@odata.id": f"{IMAGES}/SPARE"}}}),
    "the clock": ("PATCH", MANAGER, {"DateTime": "2031-02-03T04:05:06+01:00"}),
    "a user": ("PATCH", f"{ACCOUNTS}/3", {"UserName": "other", "Password": "better", "RoleId": "ReadOnly"}),
    "a new user": ("POST", ACCOUNTS, {"UserName": "third", "Password": "password", "RoleId": "Operator"}),
    "a user less": ("DELETE", f"{ACCOUNTS}/3", None),
    "a tag": ("PATCH", SYSTEM, {"AssetTag": "rack 7"}),
    "a tag and the light": ("PATCH", CHASSIS, {"LocationIndicatorActive": True, "AssetTag": "rack 7"}),
    "one boot": ("PATCH", SYSTEM, {"Boot": {"BootSourceOverrideTarget": "Pxe"}}),
    "all boots": (
        "PATCH", SYSTEM, {"Boot": {"BootSourceOverrideTarget": "Pxe", "BootSourceOverrideEnabled": "Continuous"}},
    ),
    "the order and one boot": (
        "PATCH", SYSTEM, {"Boot": {"BootSourceOverrideTarget": "Pxe", "BootOrder": ["Boot0000", "Boot0001"]}},
    ),
    "the order and a tag": ("PATCH", SYSTEM, {"Boot": {"BootOrder": ["Boot0000", "Boot0001"]}, "AssetTag": "rack 7"}),
    "always on": ("PATCH", SYSTEM, {"PowerRestorePolicy": "AlwaysOn"}),
    "as before": ("PATCH", SYSTEM, {"PowerRestorePolicy": "LastState"}),
    "the sessions": ("PATCH", f"{ROOT}/SessionService", {"SessionTimeout": 60}),
    "raw images": (
        "PATCH", f"{ROOT}/UpdateService", {"HttpPushUriOptions": {"HttpPushUriApplyTime": {"ApplyTime": "OnReset"}}},
    ),
    "an empty log": ("POST", f"{LOG}/Actions/LogService.ClearLog", {}),
    "an entry less": ("DELETE", f"{LOG}/Entries/1", None),
    "a medium": ("POST", f"{MEDIUM}/Actions/VirtualMedia.InsertMedia", {"Image": "file://FOLDER/a.iso"}),
    "the next image": ("PUT", f"{REST}/SPARE/attr/Priority", {"data": 0}),
    "an image less": ("POST", f"{REST}/SPARE/action/Delete", {"data": []}),
}  # fmt: skip


TAKEN_BACK = ("a medium", "the order and one boot")
"""What only the machine can refuse, and so is asked first."""


def request(board: RedfishBoard, tmp_path: Path, what: str) -> tuple[str, str, object]:
    """The change, with what only the board knows filled in."""
    images = board.bmc.part(Unit).look().images
    (spare,) = [image.id for image in images if image.manifest.version == "2.0.0"]
    text = json.dumps(CHANGES[what]).replace("SPARE", spare).replace("FOLDER", str(tmp_path))
    method, path, body = json.loads(text)
    return method, path, body


@pytest.mark.parametrize("what", CHANGES)
async def test_what_can_not_be_stored_is_refused_and_not_done(board: RedfishBoard, tmp_path: Path, what: str) -> None:
    method, path, body = request(board, tmp_path, what)
    before, asked = await shown(board), len(acts(board))
    board.full = True
    assert await change(board, method, path, body) == 503
    assert await shown(board) == before
    assert what in TAKEN_BACK or acts(board)[asked:] == []
    board.full = False
    assert await change(board, method, path, body) in (200, 201, 204)
    assert await shown(board) != before


async def test_a_switch_that_is_refused_does_not_come_later(board: RedfishBoard, tmp_path: Path) -> None:
    board.full = True
    assert await change(board, *request(board, tmp_path, "another image")) == 503
    board.full = False
    await shown(board)
    with pytest.raises(AssertionError):
        await until(lambda: board.resets, seconds=0.2)


async def test_a_drive_is_emptied_though_it_can_not_be_stored(board: RedfishBoard, tmp_path: Path) -> None:
    """Who looks at the drive sees it: a record that is behind does no harm, and an empty drive may be what helps."""
    assert await change(board, *request(board, tmp_path, "a medium")) == 200
    board.full = True
    assert await change(board, "POST", f"{MEDIUM}/Actions/VirtualMedia.EjectMedia", {}) == 200
    assert (await board.get(MEDIUM)).json["Inserted"] is False


@pytest.mark.parametrize(
    "body",
    [
        {"PowerRestorePolicy": "AlwaysOn"},
        {"Boot": {"BootSourceOverrideTarget": "Pxe", "BootSourceOverrideEnabled": "Continuous"}},
    ],
)
async def test_what_the_machine_refuses_is_not_kept(board: RedfishBoard, body: dict[str, object]) -> None:
    async def refuse(*_arguments: object) -> None:
        raise WrongState("its definition can't be changed")

    board.machine.set_autostart = board.machine.set_persistent_boot = refuse  # type: ignore[method-assign]
    before = await shown(board)
    assert await change(board, "PATCH", SYSTEM, body) == 409
    assert await shown(board) == before
    after = RedfishBoard(kept=board.records)
    assert not after.bmc.boot.flags.valid
    assert power_policy.restore_policy(after.bmc) == power_policy.UNKNOWN
