# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The BMC's own resource: its firmware, its reset, and the switch to another image."""

from __future__ import annotations

import datetime
from dataclasses import replace
from typing import Any

import pytest

from rig.board import until
from rig.redfish_board import RedfishBoard
from vbmcd.config import Redfish
from vbmcd.firmware.image import Manifest, Purpose
from vbmcd.firmware.options import FirmwareOptions
from vbmcd.firmware.software import ApplyTime
from vbmcd.firmware.unit import Unit
from vbmcd.machine.base import Power

MANAGER = "/redfish/v1/Managers/1"
RESET = f"{MANAGER}/Actions/Manager.Reset"
INVENTORY = "/redfish/v1/UpdateService/FirmwareInventory"


@pytest.fixture
def board() -> RedfishBoard:
    one = RedfishBoard()
    options = FirmwareOptions(activation_seconds=0.02, reboot_seconds=0.2, host_version="b1")
    one.bmc.instance = replace(one.bmc.instance, firmware=options)
    return one


async def manager(board: RedfishBoard) -> Any:
    return (await board.get(MANAGER)).json


async def back(board: RedfishBoard, resets: int = 1) -> None:
    await until(lambda: board.resets == resets and not board.bmc.away)


async def update(board: RedfishBoard, version: str, purpose: Purpose = Purpose.BMC) -> str:
    """A link to an image that was activated."""
    unit = board.bmc.part(Unit)
    image = unit.look().add(Manifest(purpose, version))
    unit.look().activate(image, unit.now, ApplyTime.ON_RESET)
    unit.done()
    await until(lambda: unit.look().activating is None)
    return f"{INVENTORY}/{image.id}"


async def test_after_a_reset_the_activated_image_runs(board: RedfishBoard) -> None:
    link = await update(board, "2.0.0")
    before = await manager(board)
    assert before["FirmwareVersion"] == "1.0.0" and "LastResetTime" not in before
    assert before["Links"]["SoftwareImages@odata.count"] == 2, "the host's is none of them"
    assert (await board.web("POST", RESET, {"ResetType": "GracefulRestart"})).status == 200
    await back(board)
    after = await manager(board)
    assert after["FirmwareVersion"] == "2.0.0" and after["LastResetTime"]
    assert after["Links"]["ActiveSoftwareImage"] == {"@odata.id": link}
    assert [call for call, _argument in board.machine.calls if call != "is_on"] == []


async def test_ipmis_cold_reset_is_the_same_reset(board: RedfishBoard) -> None:
    await update(board, "2.0.0")
    board.bmc.instance = replace(board.bmc.instance, redfish=Redfish(8443))
    assert await board.ask(0x06, 0x02) == "00"
    await back(board)
    assert (await manager(board))["FirmwareVersion"] == "2.0.0"


async def test_a_bmc_that_starts_says_so(board: RedfishBoard) -> None:
    for seconds, expected in ((60, "Starting"), (0, "Enabled")):
        board.bmc.go_away(0, seconds)
        assert (await manager(board))["Status"]["State"] == expected


async def test_a_present_image_is_switched_to_and_the_bmc_resets_at_once(board: RedfishBoard) -> None:
    first = (await manager(board))["Links"]["ActiveSoftwareImage"]
    await update(board, "2.0.0")
    await board.web("POST", RESET, {})
    await back(board)
    assert (await board.web("PATCH", MANAGER, {"Links": {"ActiveSoftwareImage": first}})).status == 200
    await back(board, resets=2)
    assert (await manager(board))["FirmwareVersion"] == "1.0.0"


async def test_to_switch_to_what_runs_is_fine_and_does_nothing(board: RedfishBoard) -> None:
    link = (await manager(board))["Links"]["ActiveSoftwareImage"]
    assert (await board.web("PATCH", MANAGER, {"Links": {"ActiveSoftwareImage": link}})).status == 200
    assert not board.bmc.part(Unit).look().reset_due and not board.bmc.starting


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"@odata.id": f"{INVENTORY}/nothing"}, "PropertyValueNotInList"),
        ({"@odata.id": "/redfish/v1/Systems/1"}, "PropertyValueFormatError"),
        ({"@odata.id": 7}, "PropertyValueTypeError"),
        ("x", "PropertyValueTypeError"),
        ({}, "PropertyValueTypeError"),
    ],
)
async def test_only_an_image_can_be_switched_to(board: RedfishBoard, value: object, message: str) -> None:
    answer = await board.web("PATCH", MANAGER, {"Links": {"ActiveSoftwareImage": value}})
    assert (answer.status, answer.messages) == (400, [message])


async def test_the_hosts_firmware_is_none_of_the_bmcs(board: RedfishBoard) -> None:
    host = await update(board, "b2", Purpose.HOST)
    answer = await board.web("PATCH", MANAGER, {"Links": {"ActiveSoftwareImage": {"@odata.id": host}}})
    assert answer.messages == ["PropertyValueNotInList"]


async def test_the_system_says_which_firmware_of_the_host_runs(board: RedfishBoard) -> None:
    link = await update(board, "b2", Purpose.HOST)
    board.bmc.history.switched(Power(False))
    system = (await board.get("/redfish/v1/Systems/1")).json
    assert system["BiosVersion"] == "b2"
    document = (await board.get(system["Bios"]["@odata.id"])).json
    assert document["Links"]["ActiveSoftwareImage"] == {"@odata.id": link}
    assert (await board.get(link)).json["RelatedItem"] == [system["Bios"]]
    board.bmc.history.close()


async def test_a_switch_that_cannot_be_stored_is_refused(board: RedfishBoard) -> None:
    link = await update(board, "2.0.0")
    board.full = True
    assert (await board.web("PATCH", MANAGER, {"Links": {"ActiveSoftwareImage": {"@odata.id": link}}})).status == 503
    board.bmc.stop()


async def test_a_reset_of_another_kind_is_none(board: RedfishBoard) -> None:
    assert (await board.web("POST", RESET, {"ResetType": "On"})).messages == ["ActionParameterValueNotInList"]


async def test_the_clock_is_the_event_logs(board: RedfishBoard) -> None:
    answer = await board.web("PATCH", MANAGER, {"DateTime": "2031-02-03T04:05:06+01:00"})
    assert answer.json["DateTime"].startswith("2031-02-03T03:05:")
    seconds = int.from_bytes(bytes.fromhex(await board.ask(0x0A, 0x48))[1:], "little")
    assert datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat().startswith("2031-02-03T03:05:")


@pytest.mark.parametrize("wrong", ["soon", "2031-02-03T04:05:06", "1931-02-03T04:05:06Z", 5, None])
async def test_a_time_that_the_clock_can_not_have_is_refused(board: RedfishBoard, wrong: object) -> None:
    before = board.bmc.journal.sel.offset
    assert (await board.web("PATCH", MANAGER, {"DateTime": wrong})).status == 400
    assert board.bmc.journal.sel.offset == before


# --- In the network --------------------------------------------------------------------------------------------------


async def test_its_interface_is_the_one_that_ipmi_tells_of(board: RedfishBoard) -> None:
    board.at("127.0.0.1")
    (link,) = (await board.get(f"{MANAGER}/EthernetInterfaces")).json["Members"]
    interface = (await board.get(link["@odata.id"])).json
    (address,) = interface["IPv4Addresses"]
    for parameter, value in ((3, address["Address"]), (6, address["SubnetMask"])):
        assert ".".join(map(str, (await lan(board, parameter)))) == value
    assert (await lan(board, 5)).hex(":").upper() == interface["MACAddress"]


async def lan(board: RedfishBoard, parameter: int) -> bytes:
    return bytes.fromhex(await board.ask(0x0C, 0x02, f"01 {parameter:02x} 00 00"))[2:]


async def test_an_interface_may_have_an_address_of_ipv6(board: RedfishBoard) -> None:
    board.at("2001:db8::7")
    interface = (await board.get(f"{MANAGER}/EthernetInterfaces/eth0")).json
    assert [one["Address"] for one in interface["IPv6Addresses"]] == ["2001:db8::7"]
    assert interface["IPv4Addresses"] == []
