# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The `firmware` options as JSON."""

from __future__ import annotations

from typing import Any

import pytest

from vbmcd.errors import VbmcError
from vbmcd.firmware import documents
from vbmcd.firmware.options import Dialect, Fault, FaultKind, FirmwareOptions

ALL: dict[str, Any] = {
    "version": "2.9",
    "machine": "romulus",
    "host_version": "b7",
    "dialect": "openbmc-2023",
    "slots": 3,
    "activation_seconds": 1.5,
    "reboot_seconds": 2,
    "upload_rate": 1000000,
    "max_image_bytes": 1 << 20,
    "simple_update": False,
    "faults": [{"kind": "busy"}, {"kind": "slow", "count": 0, "seconds": 3}],
}


def parsed(value: object) -> FirmwareOptions:
    errors: list[VbmcError] = []
    changes = documents.parse(value, "node-07", errors)
    assert not errors, errors
    return documents.applied(changes, FirmwareOptions())


def test_all_that_can_be_given_is_taken() -> None:
    faults = (Fault(FaultKind.BUSY), Fault(FaultKind.SLOW, 0, 3.0))
    expected = FirmwareOptions(
        "2.9", "romulus", "b7", Dialect.OPENBMC_2023, 3, 1.5, 2.0, 1000000, 1 << 20, False, faults
    )
    assert parsed(ALL) == expected


@pytest.mark.parametrize("value", [{}, ALL, {"faults": []}])
def test_what_is_shown_can_be_asked_for(value: dict[str, Any]) -> None:
    options = parsed(value)
    assert parsed(documents.to_document(options)) == options


def test_what_is_not_given_stays() -> None:
    before = parsed(ALL)
    assert documents.applied(documents.parse({"version": "3"}, "a", []), before).faults == before.faults
    assert documents.applied(documents.parse({"faults": []}, "a", []), before).faults == ()
    assert documents.applied(None, before) == before


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (3, "firmware is 3: give an object"),
        ({"verison": "1"}, "unknown key 'verison': did you mean 'version'?"),
        ({"version": ""}, "version"),
        ({"version": "a\u200eb"}, "unprintable"),
        ({"dialect": "ilo"}, "dialect 'ilo' is not a dialect: give openbmc-2023, openbmc-2025 or openbmc-legacy"),
        ({"slots": 0}, "slots 0 is not a whole number from 1 to 16"),
        ({"slots": True}, "slots"),
        ({"reboot_seconds": -1}, "reboot_seconds -1 is not a number of seconds"),
        ({"reboot_seconds": float("nan")}, "reboot_seconds"),
        ({"simple_update": "yes"}, "neither true nor false"),
        ({"faults": {}}, "faults is not a list"),
        ({"faults": [1]}, "firmware.faults[0] is no object"),
        ({"faults": [{}]}, "firmware.faults[0]: kind is missing"),
        ({"faults": [{"kind": "fire"}]}, "'fire' is not a fault: give busy, stall, cut"),
        ({"faults": [{"kind": "cut", "count": -1}]}, "count -1"),
        ({"faults": [{"kind": "cut"}] * 51}, "at most 50"),
    ],
)
def test_what_is_wrong_is_named(value: object, said: str) -> None:
    errors: list[VbmcError] = []
    documents.parse(value, "node-07", errors)
    assert len(errors) == 1 and said in str(errors[0]) and "instance 'node-07'" in str(errors[0])
