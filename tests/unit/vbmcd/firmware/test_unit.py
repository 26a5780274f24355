# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The firmware of a BMC on a real event loop: it goes on by itself, is stored, and the BMC resets for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from rig.board import Board, until
from vbmcd.firmware.image import Manifest, Purpose
from vbmcd.firmware.options import FirmwareOptions
from vbmcd.firmware.record import RECORD, Kept
from vbmcd.firmware.software import ApplyTime
from vbmcd.firmware.unit import Unit
from vbmcd.machine.base import Power

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
    await until(lambda: one.bmc.away)
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
    await until(lambda: again.bmc.away)
    assert running(again) == "2.0.0"
    again.bmc.stop()


async def test_a_reset_is_remembered_though_it_cannot_be_stored() -> None:
    one = board()
    one.full = True
    update(one, "2.0.0", ApplyTime.IMMEDIATE)
    await until(lambda: one.bmc.away)
    assert running(one) == "2.0.0" and one.bmc.part(Unit).look().last_reset is not None
    one.bmc.stop()


async def test_several_who_ask_for_a_reset_get_one() -> None:
    one = board()
    unit = one.bmc.part(Unit)
    unit.reset_soon()
    unit.reset_soon()
    await until(lambda: one.bmc.away)
    first = one.bmc.away_until
    await until(lambda: not one.bmc.starting)
    assert one.bmc.away_until == first


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
