# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Boot overrides: read, written where they differ, read back."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.baremetal.lab.plugins.module_utils.hwctl import node
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.clients.base import Boot
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.errors import (
    BadRequest,
    Busy,
    Unreachable,
    Unsupported,
)
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.limits import Limits
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.managers import setboot
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.managers.inventory import InventoryManager
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.managers.setboot import BootRequest, SetbootManager
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.outcome import Outcome
from rig.scripted_bmc import Fleet


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch) -> Fleet:
    return Fleet(monkeypatch)


def act(fleet: Fleet, device: str, **options: Any) -> Outcome:
    (outcome,) = SetbootManager(fleet.targets("a"), Limits()).run("set_boot", request=BootRequest(device, **options))
    return outcome


def test_an_override_is_set_once_and_then_unchanged(fleet: Fleet) -> None:
    assert [act(fleet, "pxe").status, act(fleet, "pxe").status] == ["changed", "ok"]
    assert fleet.bmc("a").calls == ["boot pxe"]


@pytest.mark.parametrize("options", [{"persistent": True}, {"efi": True}])
def test_another_duration_or_mode_is_a_change(fleet: Fleet, options: dict[str, bool]) -> None:
    act(fleet, "pxe")
    assert act(fleet, "pxe", **options).status == "changed"


def test_the_mode_stays_unless_it_is_given(fleet: Fleet) -> None:
    fleet.bmc("a").override = Boot("disk", efi=True)
    assert act(fleet, "pxe").after == {"device": "pxe", "persistent": False, "efi": True}


def test_taking_an_override_away_is_unchanged_where_there_is_none(fleet: Fleet) -> None:
    assert act(fleet, "none", persistent=True).status == "ok"


def test_check_mode_says_the_same_and_sets_nothing(fleet: Fleet) -> None:
    foreseen = act(fleet, "cdrom", check=True)
    assert fleet.bmc("a").calls == []
    assert foreseen == act(fleet, "cdrom")


def test_a_bmc_that_takes_an_override_and_keeps_another_fails(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rig.scripted_bmc.ScriptedClient.set_boot", lambda client, boot: None)
    monkeypatch.setattr(setboot, "VERIFY_TIMEOUT", 0.1)
    outcome = act(fleet, "pxe")
    assert outcome.failure is not None
    assert (outcome.failure.kind, outcome.failure.step) == ("not-reached", "verify")


def test_an_override_that_was_lost_is_set_again(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node, "FIRST_PAUSE", 0.001)
    fleet.bmc("a").fails["set_boot"] = [Unreachable("lost"), Busy("not now")]
    assert act(fleet, "pxe").status == "changed"
    assert fleet.bmc("a").calls == ["boot pxe"]


@pytest.mark.parametrize(
    ("persistent", "kept", "remedy"),
    [
        (False, Boot("pxe", persistent=True), "ask for that (persistent: true)"),
        (
            True,
            Boot("pxe", efi=True),
            "pxe for every boot, and says that it has pxe for the next boot alone, by UEFI",
        ),
        (True, Boot(), "says that it has no override"),
    ],
)
def test_a_bmc_that_keeps_an_override_for_longer_or_shorter_is_told_of(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, persistent: bool, kept: Boot, remedy: str
) -> None:
    monkeypatch.setattr(setboot, "VERIFY_TIMEOUT", 0.1)
    bmc = fleet.bmc("a")
    monkeypatch.setattr("rig.scripted_bmc.ScriptedClient.set_boot", lambda client, boot: setattr(bmc, "override", kept))
    outcome = act(fleet, "pxe", persistent=persistent)
    assert outcome.failure is not None and remedy in outcome.failure.message


def test_an_unknown_device_is_refused(fleet: Fleet) -> None:
    with pytest.raises(BadRequest, match="'tape'"):
        act(fleet, "tape")


def test_information_does_without_boot_flags_where_a_bmc_has_none(fleet: Fleet) -> None:
    fleet.bmc("a").fails["boot"] = [Unsupported("no such command")]
    (outcome,) = InventoryManager(fleet.targets("a"), Limits()).run("get_info")
    assert outcome.data["boot"] is None
    assert outcome.data["power"] == "off"
