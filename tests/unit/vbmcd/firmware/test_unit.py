# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The firmware of a BMC on a real event loop: it goes on by itself, is stored, and the BMC resets for it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from rig.board import Board, until
from vbmcd.config import Redfish
from vbmcd.firmware.image import Manifest, Purpose
from vbmcd.firmware.options import Fault, FaultKind, FirmwareOptions
from vbmcd.firmware.record import RECORD, Kept
from vbmcd.firmware.software import ApplyTime
from vbmcd.firmware.unit import Unit, renew
from vbmcd.machine.base import Busy, Power

QUICK = FirmwareOptions(activation_seconds=0.02, reboot_seconds=0.1, host_version="b1")


def board(options: FirmwareOptions = QUICK, kept: Mapping[str, bytes] | None = None) -> Board:
    one = Board(kept=kept)
    one.bmc.instance = replace(one.bmc.instance, firmware=options)
    return one


def update(one: Board, version: str, apply: ApplyTime, purpose: Purpose = Purpose.BMC) -> None:
    unit = one.bmc.part(Unit)
    software = unit.look()
    software.activate(software.add(Manifest(purpose, version)), unit.now, apply)
    unit.done()


def running(one: Board, purpose: Purpose = Purpose.BMC) -> str:
    image = one.bmc.part(Unit).look().running(purpose)
    assert image is not None
    return image.manifest.version


async def test_an_immediate_update_runs_after_a_reset_by_itself() -> None:
    one = board()
    update(one, "2.0.0", ApplyTime.IMMEDIATE)
    await until(lambda: one.resets)
    await until(lambda: not one.bmc.away)
    assert running(one) == "2.0.0"
    assert one.machine.calls == [], "the machine stays as it is"


async def test_what_waits_for_the_reset_is_stored_before_anybody_looks() -> None:
    one = board()
    update(one, "2.0.0", ApplyTime.ON_RESET)
    await until(lambda: b'"2.0.0"' in one.records.get(RECORD, b""))
    again = board(kept=one.records)
    assert running(again) == "1.0.0"
    again.bmc.part(Unit).reset_soon()
    await until(lambda: again.resets)
    assert running(again) == "2.0.0"
    again.bmc.stop()


async def test_a_reset_is_remembered_though_it_cannot_be_stored() -> None:
    one = board()
    one.full = True
    update(one, "2.0.0", ApplyTime.IMMEDIATE)
    await until(lambda: one.resets)
    assert running(one) == "2.0.0" and one.bmc.part(Unit).look().last_reset is not None
    one.bmc.stop()


async def test_of_two_changes_at_once_that_exclude_each_other_one_is_busy_and_the_other_is_stored() -> None:
    one = board()
    update(one, "2.0.0", ApplyTime.ON_RESET)
    one.pass_activation()
    unit = one.bmc.part(Unit)
    (spare,) = [image for image in unit.look().images if image.manifest.version == "2.0.0"]
    (first,) = [image for image in unit.look().images if image.manifest.version == "1.0.0"]
    await unit.change(lambda software: software.prefer(first))
    deleted, switched = await asyncio.gather(
        unit.change(lambda software: software.delete(spare)),
        unit.change(lambda software: software.switch(spare)),
        return_exceptions=True,
    )
    assert deleted is None and isinstance(switched, Busy)
    await until(lambda: b'"2.0.0"' not in one.records[RECORD])
    assert one.resets == 0
    one.bmc.stop()


async def test_several_who_ask_for_a_reset_get_one() -> None:
    one = board()
    unit = one.bmc.part(Unit)
    unit.reset_soon()
    unit.reset_soon()
    await until(lambda: one.resets)
    await until(lambda: not one.bmc.starting)
    assert one.resets == 1


async def test_a_bmc_that_stops_does_nothing_any_more() -> None:
    one = board()
    update(one, "2.0.0", ApplyTime.IMMEDIATE)
    one.bmc.stop()
    assert Kept.from_bytes(one.bmc.kept.get(RECORD, b"")) is None or running(one) == "1.0.0"
    assert not one.bmc.away


async def test_the_hosts_firmware_runs_once_the_host_is_off() -> None:
    one = board()
    one.bmc.history.switched(Power(True, 1, "m"))
    update(one, "b2", ApplyTime.ON_RESET, Purpose.HOST)
    await until(lambda: one.bmc.part(Unit).look().activating is None)
    assert running(one, Purpose.HOST) == "b1"
    one.bmc.history.switched(Power(False))
    assert running(one, Purpose.HOST) == "b2"
    one.bmc.history.close()


async def test_what_could_not_be_stored_is_stored_once_there_is_room() -> None:
    one = board()
    one.full = True
    update(one, "2.0.0", ApplyTime.ON_RESET)
    await until(lambda: one.bmc.part(Unit).look().activating is None)
    before = one.writes
    await until(lambda: bool(one.bmc.part(Unit).look()) and one.writes > before)
    one.full = False
    await until(lambda: bool(one.bmc.part(Unit).look()) and b'"2.0.0"' in one.records.get(RECORD, b""))


def becomes(one: Board, **firmware: Any) -> bool:
    instance = one.bmc.instance
    return renew(one.bmc, replace(instance, firmware=replace(instance.firmware, **firmware)))


async def test_other_options_count_from_now_on_and_what_is_under_way_goes_on() -> None:
    one = board(replace(QUICK, activation_seconds=60.0))
    update(one, "2.0.0", ApplyTime.IMMEDIATE)
    assert becomes(one, faults=(Fault(FaultKind.OLD_VERSION),), reboot_seconds=0.2)
    assert one.bmc.part(Unit).look().activating is not None
    one.pass_activation()
    await until(lambda: one.resets)
    assert running(one) == "1.0.0", "the fault was planned while the image was written"
    one.bmc.stop()


async def test_a_plan_that_was_emptied_and_is_given_again_is_a_new_one() -> None:
    one, plan = board(), (Fault(FaultKind.SLOW),)
    for _turn in range(2):
        assert becomes(one, faults=plan)
        software = one.bmc.part(Unit).look()
        assert [software.due(FaultKind.SLOW) is not None for _time in range(2)] == [True, False]
        assert becomes(one, faults=())


async def test_another_first_version_or_another_port_are_more_than_options() -> None:
    one = board()
    assert not becomes(one, version="5.0.0") and not becomes(one, host_version="b5") and not becomes(one)
    moved = replace(one.bmc.instance, port=7000, firmware=replace(QUICK, slots=3))
    assert not renew(one.bmc, moved)


async def test_a_reset_that_was_due_when_the_worker_ended_is_made_up_for() -> None:
    one = board(replace(QUICK, reboot_seconds=20.0))
    update(one, "2.0.0", ApplyTime.IMMEDIATE)
    await until(lambda: b'"reset_due":true' in one.records.get(RECORD, b""))
    one.bmc.stop()
    again = board(kept=one.records)
    assert running(again) == "1.0.0"
    await until(lambda: again.resets)
    await until(lambda: b'"reset_due":false' in again.records[RECORD])
    assert running(again) == "2.0.0"
    again.bmc.stop()


@pytest.mark.parametrize(
    ("version", "shown"),
    [("2.14.0", (0x02, 0x14)), ("v0.6-19-gf363f61-dirty", (0x00, 0x06)), ("130.250.7", (0x02, 0x99)), ("dev", (0, 0))],
)
async def test_the_device_id_has_the_version_that_runs(version: str, shown: tuple[int, int]) -> None:
    one = board()
    one.bmc.instance = replace(one.bmc.instance, redfish=Redfish(443))
    update(one, version, ApplyTime.IMMEDIATE)
    await until(lambda: one.resets)
    for seconds, starting in ((60, 0x80), (0, 0)):
        one.bmc.go_away(0, seconds)
        found = bytes.fromhex(await one.ask(0x06, 0x01))
        assert (found[3] & 0x7F, found[4]) == shown and found[3] & 0x80 == starting
