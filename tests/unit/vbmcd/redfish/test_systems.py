# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine over Redfish: power, boot and identify light, which are IPMI's own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rig.board import until
from rig.redfish import RESET, SYSTEM
from rig.redfish_board import RedfishBoard
from vbmcd.commands import graceful_restart, power
from vbmcd.machine.base import Busy, Unsupported, WrongState

CHASSIS_STATUS = (0x00, 0x01)
SET_BOOT = (0x00, 0x08)
GET_BOOT = (0x00, 0x09, "05 00 00")


@pytest.fixture
def board() -> RedfishBoard:
    return RedfishBoard()


async def test_resets_are_power_commands_of_the_machine(board: RedfishBoard) -> None:
    for kind in ("On", "ForceRestart", "PowerCycle", "Nmi", "GracefulShutdown", "PushPowerButton", "ForceOff"):
        assert (await board.web("POST", RESET, {"ResetType": kind})).status == 200
    done = [call for call, _argument in board.machine.calls if call not in ("is_on", "set_autostart")]
    assert done == ["on", "reset", "cycle", "diag", "soft", "on", "off"]


async def test_a_machine_that_stands_still_is_paused(board: RedfishBoard) -> None:
    board.machine.on = True
    assert (await board.web("POST", RESET, {"ResetType": "Pause"})).status == 200
    board.machine.parts = replace(board.machine.parts, paused=True)
    assert (await board.get(SYSTEM)).json["PowerState"] == "Paused"
    assert (await board.web("POST", RESET, {"ResetType": "Resume"})).status == 200
    board.machine.parts = replace(board.machine.parts, paused=False)
    assert (await board.get(SYSTEM)).json["PowerState"] == "On"
    done = [call for call, _argument in board.machine.calls if call != "is_on"]
    assert done == ["pause", "resume"]


# --- A graceful restart ----------------------------------------------------------------------------------------------


async def restart(board: RedfishBoard) -> None:
    """Of a machine that is on, with a boot override."""
    board.machine.on = True
    await board.web("PATCH", SYSTEM, {"Boot": {"BootSourceOverrideTarget": "Pxe"}})
    assert (await board.web("POST", RESET, {"ResetType": "GracefulRestart"})).status == 200


def commanded(board: RedfishBoard) -> list[str]:
    return [call for call, _argument in board.machine.calls if call in ("on", "off", "soft", "reset")]


async def test_a_graceful_restart_switches_on_what_has_shut_down(board: RedfishBoard) -> None:
    await restart(board)
    await until(lambda: board.machine.on)
    assert commanded(board) == ["soft", "on"]
    assert (await board.get(SYSTEM)).json["Boot"]["BootSourceOverrideEnabled"] == "Disabled", "it was booted by PXE"


async def test_a_graceful_restart_waits_for_the_guest_and_for_libvirt(
    board: RedfishBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graceful_restart, "LOOK_SECONDS", 0.01)
    await restart(board)
    board.machine.on = True
    looks = len(board.machine.calls)
    await until(lambda: len(board.machine.calls) > looks + 2)
    board.machine.fails = Busy("libvirt is away")
    looks = len(board.machine.calls)
    await until(lambda: len(board.machine.calls) > looks + 2)
    assert commanded(board) == ["soft"]
    board.machine.fails, board.machine.on = None, False
    await until(lambda: board.machine.on)


async def test_another_power_command_ends_a_graceful_restart(
    board: RedfishBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graceful_restart, "LOOK_SECONDS", 0.01)
    await restart(board)
    board.machine.on = True
    await board.web("POST", RESET, {"ResetType": "ForceOff"})
    await until(lambda: not board.bmc.part(graceful_restart.GracefulRestart)._acting)
    assert commanded(board) == ["soft", "off"]


async def test_a_guest_that_does_not_shut_down_stays_on(board: RedfishBoard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graceful_restart, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(graceful_restart, "GRACE_SECONDS", 0.05)
    await restart(board)
    board.machine.on = True
    await until(lambda: not board.bmc.part(graceful_restart.GracefulRestart)._acting)
    assert commanded(board) == ["soft"]
    assert not board.records[power.RESTART]


async def successor(board: RedfishBoard) -> RedfishBoard:
    """The BMC as another worker has it, after the one before was killed."""
    after = RedfishBoard(kept=board.records)
    board.bmc.stop()
    after.machine = after.bmc.machine = board.machine
    return after


async def test_a_graceful_restart_outlives_its_worker(board: RedfishBoard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graceful_restart, "LOOK_SECONDS", 0.01)
    await restart(board)
    board.machine.on = True
    after = await successor(board)
    looks = len(board.machine.calls)
    await until(lambda: len(board.machine.calls) > looks + 2)
    board.machine.on = False
    await until(lambda: board.machine.on)
    assert commanded(board) == ["soft", "on"]
    await until(lambda: not after.bmc.part(graceful_restart.GracefulRestart)._acting)
    assert not after.records[power.RESTART], "it is done"


@pytest.mark.parametrize("end", ["ForceOff", "a reset of the BMC", "too late"])
async def test_a_graceful_restart_that_has_ended_does_not_come_again(
    board: RedfishBoard, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    monkeypatch.setattr(graceful_restart, "LOOK_SECONDS", 0.01)
    await restart(board)
    board.machine.on = True
    acting = board.bmc.part(graceful_restart.GracefulRestart)._acting
    if end == "ForceOff":
        await board.web("POST", RESET, {"ResetType": end})
    elif end == "too late":
        board.records[power.RESTART] = b"1"
    else:
        board.bmc.go_away(0.0, 60.0)
        await until(lambda: not acting)
    board.machine.on = False
    after = await successor(board)
    assert after.bmc.has(graceful_restart.GracefulRestart) is None
    assert "on" not in commanded(board)


async def test_a_graceful_restart_is_done_though_nothing_can_be_stored(board: RedfishBoard) -> None:
    board.full = True
    board.machine.on = True
    assert (await board.web("POST", RESET, {"ResetType": "GracefulRestart"})).status == 200
    await until(lambda: board.machine.on)


@pytest.mark.parametrize(
    ("error", "status", "id"),
    [
        (Busy("libvirt is away"), 503, "ServiceTemporarilyUnavailable"),
        (WrongState("domain 'x' is off"), 409, "ResourceInStandby"),
        (Unsupported("no NMI"), 400, "GeneralError"),
    ],
)
async def test_what_a_machine_can_not_do_is_told(board: RedfishBoard, error: Exception, status: int, id: str) -> None:
    board.machine.fails = error  # type: ignore[assignment]
    answer = await board.web("POST", RESET, {"ResetType": "ForceRestart"})
    assert (answer.status, answer.messages) == (status, [id])
    assert str(error) in answer.json["error"]["@Message.ExtendedInfo"][0]["Resolution"]


async def test_a_boot_override_is_ipmis_boot_flags(board: RedfishBoard) -> None:
    wanted = {"BootSourceOverrideTarget": "Pxe", "BootSourceOverrideEnabled": "Once", "BootSourceOverrideMode": "UEFI"}
    answer = await board.web("PATCH", SYSTEM, {"Boot": wanted})
    assert {key: answer.json["Boot"][key] for key in wanted} == wanted
    assert await board.ask(*GET_BOOT) == "00 01 05 a0 04 00 00 00"


async def test_ipmis_boot_flags_are_a_boot_override(board: RedfishBoard) -> None:
    await board.ask(*SET_BOOT, "05 c0 08 00 00 00")
    boot = (await board.get(SYSTEM)).json["Boot"]
    assert boot["BootSourceOverrideTarget"] == "Hdd"
    assert boot["BootSourceOverrideEnabled"] == "Continuous"
    assert boot["BootSourceOverrideMode"] == "Legacy"


async def test_disabled_clears_the_override(board: RedfishBoard) -> None:
    await board.web("PATCH", SYSTEM, {"Boot": {"BootSourceOverrideTarget": "Cd"}})
    answer = await board.web("PATCH", SYSTEM, {"Boot": {"BootSourceOverrideEnabled": "Disabled"}})
    assert answer.json["Boot"]["BootSourceOverrideTarget"] == "None"
    await board.web("POST", RESET, {"ResetType": "On"})
    assert ("on", None) in board.machine.calls


@pytest.mark.parametrize(
    "wrong",
    [{"BootSourceOverrideTarget": "UefiHttp"}, {"BootSourceOverrideEnabled": "Twice"}, {"BootSourceOverrideMode": 1}],
)
async def test_an_override_is_set_as_a_whole_or_not(board: RedfishBoard, wrong: dict[str, object]) -> None:
    await board.web("PATCH", SYSTEM, {"Boot": {"BootSourceOverrideTarget": "Pxe"}})
    body = {"BootSourceOverrideTarget": "Cd", "BootSourceOverrideEnabled": "Continuous", **wrong}
    answer = await board.web("PATCH", SYSTEM, {"Boot": body})
    assert answer.status == 400
    boot = (await board.get(SYSTEM)).json["Boot"]
    assert (boot["BootSourceOverrideTarget"], boot["BootSourceOverrideEnabled"]) == ("Pxe", "Once")


async def test_an_override_that_the_firmware_can_not_do_is_none(board: RedfishBoard) -> None:
    board.machine.parts = replace(board.machine.parts, efi=True)
    wanted = {"BootSourceOverrideTarget": "Pxe", "BootSourceOverrideMode": "Legacy"}
    answer = await board.web("PATCH", SYSTEM, {"Boot": wanted})
    assert (answer.status, answer.messages) == (400, ["PropertyValueNotInList"])
    boot = (await board.get(SYSTEM)).json["Boot"]
    assert boot["BootSourceOverrideEnabled"] == "Disabled"


async def test_a_boot_order_is_the_machines_own_and_can_be_changed(board: RedfishBoard) -> None:
    assert (await board.get(SYSTEM)).json["Boot"]["BootOrder"] == ["Boot0001", "Boot0000"]
    wanted = {"BootOrder": ["Boot0000", "Boot0001"], "BootSourceOverrideTarget": "Pxe"}
    answer = await board.web("PATCH", SYSTEM, {"Boot": wanted})
    assert {key: answer.json["Boot"][key] for key in wanted} == wanted
    assert board.machine.parts.boot_order == ("vda", "52:54:00:00:00:07")
    assert (await board.get(f"{SYSTEM}/BootOptions/Boot0001")).json["Alias"] == "Pxe"


@pytest.mark.parametrize(
    "order", [["Boot0000"], ["Boot0000", "Boot0000"], ["Boot0000", "Boot0002"], [0, 1], "Boot0000", []]
)
async def test_a_boot_order_that_is_none_is_refused(board: RedfishBoard, order: object) -> None:
    assert (await board.web("PATCH", SYSTEM, {"Boot": {"BootOrder": order}})).status == 400
    assert not any(call == "set_boot_order" for call, _argument in board.machine.calls)


async def test_the_identify_light_is_ipmis(board: RedfishBoard) -> None:
    assert (await board.web("PATCH", SYSTEM, {"LocationIndicatorActive": True})).json["IndicatorLED"] == "Blinking"
    assert (await board.ask(*CHASSIS_STATUS)).split()[3] == "60"
    await board.ask(0x00, 0x04, "00")
    assert (await board.get(SYSTEM)).json["LocationIndicatorActive"] is False


async def test_while_libvirt_is_away_the_rest_is_told(board: RedfishBoard) -> None:
    board.machine.fails = Busy("libvirt is away")
    system = (await board.get(SYSTEM)).json
    assert system["PowerState"] is None
    assert system["Status"] == {"State": "UnavailableOffline", "Health": "Critical"}


@pytest.mark.parametrize(("autostart", "policy"), [(True, "AlwaysOn"), (False, "AlwaysOff"), (None, None)])
async def test_a_restore_policy_that_was_never_set_is_the_hypervisors(
    board: RedfishBoard, autostart: bool | None, policy: str | None
) -> None:
    board.machine.parts = replace(board.machine.parts, autostart=autostart)
    assert (await board.get(SYSTEM)).json.get("PowerRestorePolicy") == policy
    answer = await board.web("PATCH", SYSTEM, {"PowerRestorePolicy": "LastState"})
    assert answer.json["PowerRestorePolicy"] == "LastState"


async def test_an_interface_of_a_machine_that_is_off_is_there_all_the_same(board: RedfishBoard) -> None:
    (interface,) = board.machine.parts.interfaces
    board.machine.parts = replace(board.machine.parts, interfaces=(replace(interface, up=False),))
    found = (await board.get(f"{SYSTEM}/EthernetInterfaces/0")).json
    assert (found["LinkStatus"], found["Status"]["State"]) == ("LinkDown", "Enabled")
