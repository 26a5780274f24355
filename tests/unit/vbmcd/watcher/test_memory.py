# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happened to a master since it was last looked at."""

from __future__ import annotations

import json
from dataclasses import replace

import libvirt
import pytest

from vbmcd.dependency import decide
from vbmcd.dependency.hypervisor import Seen
from vbmcd.dependency.model import Dependency, Level
from vbmcd.watcher import memory
from vbmcd.watcher.memory import Remembered

OFF = Remembered("A")
RUNNING = Remembered("A", Level.RUNNING, 1)
PAUSED = Remembered("A", Level.PAUSED, 1)
DESTROYED, CRASHED, SAVED, FROM_SNAPSHOT = 2, 3, 5, 7
"""virDomainShutoffReason."""


def seen(state: int, reason: int = 0, number: int = 1) -> Seen:
    return Seen("A", "A", -1 if state == 5 else number, state, reason)


def happened(before: Remembered, found: Seen | None, ending: int | None = None) -> str:
    transitions = memory.since("A", before, memory.now(found, ending), ending)
    assert all(one.done for one in transitions)
    names = {
        decide.start("A", done=True): "start",
        decide.start("A", paused=True, done=True): "start paused",
        decide.destroy("A", done=True): "destroy",
        decide.suspend("A", done=True): "suspend",
        decide.resume("A", done=True): "resume",
        decide.crash("A"): "crash",
    }
    return ", ".join(names[one] for one in transitions)


@pytest.mark.parametrize(
    ("before", "found", "expected"),
    [
        (OFF, seen(1), "start"),
        (OFF, seen(1, reason=libvirt.VIR_DOMAIN_RUNNING_RESTORED), "start"),
        (OFF, seen(1, reason=libvirt.VIR_DOMAIN_RUNNING_UNPAUSED), "start"),  # started paused, and resumed at once
        (OFF, seen(1, reason=libvirt.VIR_DOMAIN_RUNNING_MIGRATED), ""),
        (OFF, seen(1, reason=libvirt.VIR_DOMAIN_RUNNING_POSTCOPY), ""),
        (OFF, seen(1, reason=libvirt.VIR_DOMAIN_RUNNING_FROM_SNAPSHOT), ""),
        (OFF, seen(3, reason=1), "start paused"),
        (OFF, seen(3, reason=11), ""),  # starting up
        (OFF, seen(5), ""),
        (RUNNING, seen(1), ""),
        (RUNNING, seen(3, reason=1), "suspend"),
        (RUNNING, seen(3, reason=3), ""),  # being saved
        (RUNNING, seen(3, reason=2), ""),  # being migrated
        (RUNNING, seen(3, reason=5), ""),  # I/O error
        (RUNNING, seen(4), ""),  # being shut down
        (RUNNING, seen(7), ""),  # asleep
        (RUNNING, seen(5, reason=1), "destroy"),  # shut down
        (RUNNING, seen(5, reason=DESTROYED), "destroy"),
        (RUNNING, seen(5, reason=0), "destroy"),  # while libvirtd was away
        (RUNNING, seen(5, reason=CRASHED), "crash"),
        (RUNNING, seen(5, reason=6), "crash"),  # failed
        (RUNNING, seen(5, reason=4), ""),  # migrated
        (RUNNING, seen(5, reason=SAVED), ""),
        (RUNNING, seen(5, reason=7), ""),  # from a snapshot
        (RUNNING, seen(6), "crash"),
        (PAUSED, seen(1), "resume"),
        (PAUSED, seen(1, reason=libvirt.VIR_DOMAIN_RUNNING_FROM_SNAPSHOT), ""),
        (PAUSED, seen(1, reason=libvirt.VIR_DOMAIN_RUNNING_MIGRATED), ""),  # it came paused, and now goes on here
        (PAUSED, seen(3, reason=1), ""),
        (RUNNING, seen(1, number=2), "destroy, start"),
        (RUNNING, seen(1, reason=libvirt.VIR_DOMAIN_RUNNING_UNPAUSED, number=2), "destroy, start"),
        (PAUSED, seen(1, number=2), "destroy, start"),
        (replace(RUNNING, unsettled=True), seen(1), "resume"),
        (replace(PAUSED, unsettled=True), seen(3, reason=1), "suspend"),
        (replace(OFF, unsettled=True), seen(5, reason=DESTROYED), "destroy"),
    ],
)
def test_the_state_and_its_reason_tell_what_happened(before: Remembered, found: Seen, expected: str) -> None:
    assert happened(before, found) == expected


@pytest.mark.parametrize(
    ("ending", "expected"), [(None, "destroy"), (DESTROYED, "destroy"), (CRASHED, "crash"), (SAVED, "")]
)
def test_of_a_transient_one_that_is_gone_its_last_event_tells(ending: int | None, expected: str) -> None:
    assert happened(RUNNING, None, ending) == expected


def test_a_quick_save_and_restore_is_no_end() -> None:
    assert happened(RUNNING, seen(1, number=2), SAVED) == "start"


def test_what_says_nothing_changes_nothing_that_is_remembered() -> None:
    held = seen(3, reason=3)
    assert memory.settled(RUNNING, memory.now(held), held, {}) == RUNNING


@pytest.mark.parametrize("before", [OFF, RUNNING])
def test_a_snapshot_that_is_paused_and_then_resumed_is_no_new_start(before: Remembered) -> None:
    reverted = seen(3, reason=libvirt.VIR_DOMAIN_PAUSED_FROM_SNAPSHOT, number=2)
    assert happened(before, reverted, FROM_SNAPSHOT) == ""
    after = memory.settled(before, memory.now(reverted), reverted, {})
    assert happened(after, seen(1, reason=libvirt.VIR_DOMAIN_RUNNING_UNPAUSED, number=2)) == "resume"


def test_a_crashed_machine_is_still_to_be_destroyed() -> None:
    crashed = seen(6)
    after = memory.settled(RUNNING, memory.now(crashed), crashed, {})
    assert happened(after, seen(5, reason=DESTROYED)) == "destroy"


def test_what_is_remembered_survives_its_way_to_the_disk() -> None:
    one = Remembered("A", Level.PAUSED, 7, True, {"B": 3}, (Dependency("B", file="/b.xml", order="after"),))
    assert Remembered.from_wire(json.loads(json.dumps(one.to_wire()))) == one
