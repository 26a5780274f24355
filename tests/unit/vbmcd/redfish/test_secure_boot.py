# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secure Boot over Redfish."""

from __future__ import annotations

from dataclasses import replace

from rig.redfish_board import RedfishBoard

SECURE_BOOT = "/redfish/v1/Systems/1/SecureBoot"
SYSTEM = "/redfish/v1/Systems/1"


async def test_a_machine_with_efi_has_it_and_says_that_the_next_start_counts() -> None:
    board = RedfishBoard()
    board.machine.parts = replace(board.machine.parts, efi=True)
    assert (await board.get(SYSTEM)).json["SecureBoot"] == {"@odata.id": SECURE_BOOT}
    answer = await board.web("PATCH", SECURE_BOOT, {"SecureBootEnable": True})
    assert answer.status == 200
    shown = (await board.get(SECURE_BOOT)).json
    assert (shown["SecureBootEnable"], shown["SecureBootCurrentBoot"], shown["SecureBootMode"]) == (
        True,
        "Disabled",
        "UserMode",
    )
    assert [call for call, _argument in board.machine.calls if call != "is_on"] == ["set_secure_boot"]


async def test_a_machine_without_efi_has_none() -> None:
    board = RedfishBoard()
    assert "SecureBoot" not in (await board.get(SYSTEM)).json
    assert (await board.get(SECURE_BOOT)).status == 404
    assert (await board.web("PATCH", SECURE_BOOT, {"SecureBootEnable": True})).status == 404


async def test_what_is_no_boolean_is_refused() -> None:
    board = RedfishBoard()
    board.machine.parts = replace(board.machine.parts, efi=True)
    assert (await board.web("PATCH", SECURE_BOOT, {"SecureBootEnable": "yes"})).messages == ["PropertyValueTypeError"]
    assert (await board.web("PATCH", SECURE_BOOT, {"SecureBootMode": "UserMode"})).messages == ["PropertyNotWritable"]
