# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Virtual media: from a URL or a listed folder into the machine's drive, and out again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from rig.redfish import Answer
from rig.redfish_board import RedfishBoard
from rig.waiting import eventually_async
from rig.web_server import web_server
from vbmcd.machine.base import WrongState
from vbmcd.media.drive import Drive
from vbmcd.media.options import MediaOptions

MANAGER = "/redfish/v1/Managers/1/VirtualMedia"
SYSTEM = "/redfish/v1/Systems/1/VirtualMedia"
DATA = b"an image" * 100_000


@pytest.fixture
def board(tmp_path: Path) -> RedfishBoard:
    one = RedfishBoard()
    (tmp_path / "a.iso").write_bytes(DATA)
    one.bmc.instance = replace(one.bmc.instance, media=MediaOptions(folders=(str(tmp_path),)))
    return one


@pytest_asyncio.fixture
async def server() -> AsyncIterator[str]:
    async def serve(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/stalls.iso":
            response = web.StreamResponse(headers={"Content-Length": "1000"})
            await response.prepare(request)
            await response.write(b"x")
            await asyncio.sleep(60)
        return web.Response(body=DATA) if request.path == "/b.iso" else web.Response(status=404)

    async with web_server(serve) as url:
        yield url


async def insert(board: RedfishBoard, image: str, **more: object) -> Answer:
    return await board.web("POST", f"{MANAGER}/Cd/Actions/VirtualMedia.InsertMedia", {"Image": image, **more})


async def eject(board: RedfishBoard) -> Answer:
    return await board.web("POST", f"{MANAGER}/Cd/Actions/VirtualMedia.EjectMedia", {})


async def medium(board: RedfishBoard) -> Any:
    return (await board.get(f"{MANAGER}/Cd")).json


async def test_a_file_of_a_listed_folder_is_inserted_where_it_is(board: RedfishBoard, tmp_path: Path) -> None:
    assert (await insert(board, f"file://{tmp_path}/a.iso")).status == 200
    document = await medium(board)
    assert (document["Inserted"], document["WriteProtected"], document["ConnectedVia"]) == (True, True, "URI")
    assert (document["Image"], document["ImageName"]) == (f"file://{tmp_path}/a.iso", "a.iso")
    assert board.machine.loaded == str(tmp_path / "a.iso") and not board.machine.stored


async def test_a_url_is_downloaded_into_a_volume_that_goes_with_the_medium(board: RedfishBoard, server: str) -> None:
    assert (await insert(board, f"{server}/b.iso")).status == 200
    assert board.machine.stored == {board.machine.loaded: DATA}
    assert (await medium(board))["TransferProtocolType"] == "HTTP"
    assert (await eject(board)).status == 200
    assert board.machine.loaded is None and not board.machine.stored
    assert (await medium(board))["Inserted"] is False


async def test_a_file_is_brought_to_the_host_of_a_machine_that_is_elsewhere(
    board: RedfishBoard, tmp_path: Path
) -> None:
    board.machine.host = ""
    assert (await insert(board, f"file://{tmp_path}/a.iso")).status == 200
    assert board.machine.stored == {board.machine.loaded: DATA}


async def test_both_places_show_the_same(board: RedfishBoard, tmp_path: Path) -> None:
    await insert(board, f"file://{tmp_path}/a.iso")
    for folder in (MANAGER, SYSTEM):
        (member,) = (await board.get(folder)).json["Members"]
        document = (await board.get(member["@odata.id"])).json
        assert document["Inserted"] and document["@odata.id"].startswith(folder)


async def test_another_medium_takes_the_place_of_the_one_that_is_there(
    board: RedfishBoard, server: str, tmp_path: Path
) -> None:
    await insert(board, f"{server}/b.iso")
    first = board.machine.loaded
    await insert(board, f"{server}/b.iso")
    assert board.machine.loaded != first and list(board.machine.stored) == [board.machine.loaded]
    await insert(board, f"file://{tmp_path}/a.iso")
    assert not board.machine.stored


async def test_a_download_that_fails_leaves_what_is_there(board: RedfishBoard, server: str, tmp_path: Path) -> None:
    await insert(board, f"file://{tmp_path}/a.iso")
    answer = await insert(board, f"{server}/none.iso")
    assert (answer.status, answer.messages) == (400, ["CouldNotEstablishConnection"])
    assert board.machine.loaded == str(tmp_path / "a.iso")


async def test_what_somebody_else_put_there_is_not_ours_and_can_be_ejected(board: RedfishBoard, tmp_path: Path) -> None:
    await insert(board, f"file://{tmp_path}/a.iso")
    board.machine.loaded = "/somewhere/else.iso"
    document = await medium(board)
    assert (document["Inserted"], document["Image"], document["ConnectedVia"]) == (True, None, "NotConnected")
    assert (await eject(board)).status == 200
    assert board.machine.loaded is None


async def test_what_was_inserted_is_known_after_a_restart(board: RedfishBoard, server: str) -> None:
    await insert(board, f"{server}/b.iso")
    again = RedfishBoard(kept=board.records)
    again.machine = board.machine
    again.bmc.machine = board.machine
    assert (await medium(again))["Image"] == f"{server}/b.iso"
    await eject(again)
    assert not board.machine.stored


@pytest.mark.parametrize(
    ("image", "more", "message"),
    [
        ("file:///etc/passwd", {}, "ActionParameterValueFormatError"),
        ("ftp://h/x", {}, "ActionParameterValueFormatError"),
        ("x", {}, "ActionParameterValueFormatError"),
        ("", {}, "ActionParameterMissing"),
        ("http://h/x", {"WriteProtected": False}, "ActionParameterNotSupported"),
        ("http://h/x", {"Inserted": False}, "ActionParameterNotSupported"),
        ("http://h/x", {"Inserted": "yes"}, "ActionParameterValueTypeError"),
        ("http://h/x", {"UserName": 7}, "ActionParameterValueTypeError"),
        ("http://h/x", {"Password": False}, "ActionParameterValueTypeError"),
        ("http://h/x", {"TransferMethod": "Stream"}, "ActionParameterValueNotInList"),
        ("http://h/x", {"TransferProtocolType": "NFS"}, "ActionParameterValueNotInList"),
        ("http://h/x", {"Boot": True}, "ActionParameterUnknown"),
    ],
)
async def test_what_can_not_be_is_refused(
    board: RedfishBoard, image: str, more: dict[str, object], message: str
) -> None:
    answer = await insert(board, image, **more)
    assert (answer.status, answer.messages) == (400, [message])
    assert board.machine.loaded is None


async def test_a_machine_without_a_drive_has_no_virtual_media(board: RedfishBoard, tmp_path: Path) -> None:
    board.machine.parts = replace(board.machine.parts, disks=())
    assert (await board.get(MANAGER)).json["Members"] == []
    assert (await board.get(f"{MANAGER}/Cd")).status == 404
    assert (await insert(board, f"file://{tmp_path}/a.iso")).status == 400


async def test_a_change_that_the_machine_refuses_leaves_no_volume(board: RedfishBoard, server: str) -> None:
    async def refuse(path: str | None) -> None:
        raise WrongState("the drive is stuck")

    board.machine.change_medium = refuse  # type: ignore[method-assign]
    assert (await insert(board, f"{server}/b.iso")).status == 409
    assert not board.machine.stored


async def begin(board: RedfishBoard, image: str) -> asyncio.Task[Answer]:
    """An insertion whose download is under way."""
    inserting = asyncio.create_task(insert(board, image))

    async def downloads() -> bool:
        return board.bmc.part(Drive)._download is not None

    await eventually_async(downloads, what="a download is under way")
    return inserting


async def test_a_second_insertion_is_told_to_wait(board: RedfishBoard, server: str, tmp_path: Path) -> None:
    inserting = await begin(board, f"{server}/stalls.iso")
    assert (await insert(board, f"file://{tmp_path}/a.iso")).status == 503
    await eject(board)
    await inserting


async def test_an_ejection_ends_a_download(board: RedfishBoard, server: str) -> None:
    inserting = await begin(board, f"{server}/stalls.iso")
    assert (await eject(board)).status == 200
    assert (await inserting).status == 503
    assert board.machine.loaded is None and not board.machine.stored


async def test_nothing_is_inserted_once_the_bmc_has_reset(board: RedfishBoard, server: str) -> None:
    inserting = await begin(board, f"{server}/stalls.iso")
    board.bmc.power_up()
    assert (await inserting).status == 503
    storing, goes_on = asyncio.Event(), asyncio.Event()
    store = board.machine.store_medium

    async def slowly(*what: Any) -> str:
        storing.set()
        await goes_on.wait()
        return await store(*what)

    board.machine.store_medium = slowly  # type: ignore[method-assign]
    inserting = asyncio.create_task(insert(board, f"{server}/b.iso"))
    await storing.wait()
    board.bmc.power_up()
    goes_on.set()
    assert (await inserting).status == 503
    assert board.machine.loaded is None and not board.machine.stored


async def test_a_volume_that_a_worker_left_behind_goes_with_the_next_change(board: RedfishBoard, server: str) -> None:
    async def end(*what: object) -> None:
        raise asyncio.CancelledError  # as the worker's end does

    board.machine.change_medium, change = end, board.machine.change_medium  # type: ignore[method-assign]
    discard, board.machine.discard_medium = board.machine.discard_medium, end  # type: ignore[method-assign]
    with pytest.raises(asyncio.CancelledError):
        await insert(board, f"{server}/b.iso")
    assert len(board.machine.stored) == 1
    again = RedfishBoard(kept=board.records)
    again.bmc.machine = again.machine = board.machine
    board.machine.change_medium, board.machine.discard_medium = change, discard  # type: ignore[method-assign]
    assert (await eject(again)).status == 200
    assert not board.machine.stored


async def test_a_host_without_room_for_a_download_says_so(
    board: RedfishBoard, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vbmcd.media.drive._spool", partial(open, "/dev/full", "r+b", buffering=0))
    answer = await insert(board, f"{server}/b.iso")
    assert answer.status == 409 and "no room" in str(answer.json)
