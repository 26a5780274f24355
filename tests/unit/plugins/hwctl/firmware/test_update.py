# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of BMCs whose firmware is updated, whatever they do meanwhile."""

from __future__ import annotations

import copy
import json
import multiprocessing
import os
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.clients.firmware import (
    UPDATING,
    WRITTEN,
    Stored,
)
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.errors import BadRequest
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.firmware.image import Image
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.firmware.journal import Journal
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.firmware.locks import TargetLocks
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.firmware.request import FirmwareRequest, Timings
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.firmware.states import ABSENT, ACTIVE, PRESENT, Want
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.limits import Limits
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.managers.firmware import FirmwareManager
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.outcome import Outcome
from rig import scripted_firmware as rig
from rig.firmware import image_file
from rig.scripted_firmware import FirmwareBmc, FirmwareFleet
from rig.waiting import eventually

FAST = Timings(activation=2, reboot=2, poll=0.001, doubt=0.03, idle=0.05, verify_reads=3, verify_pause=0.001)


class Updates:
    """Runs on a fleet, with an image of version 2.0."""

    def __init__(self, fleet: FirmwareFleet, folder: Path) -> None:
        self.fleet = fleet
        self.folder = folder / "journals"
        self.image = Image.open(str(image_file(folder / "image.tar", "2.0")))
        self.manager: FirmwareManager | None = None

    def request(self, state: str = ACTIVE, version: str = "2.0", image: Image | None = None, **more: Any) -> Any:
        image = None if state == ABSENT else image or self.image
        wants = (Want(state, version, "bmc", image),)
        return FirmwareRequest(state, wants, **{"folder": str(self.folder), "timings": FAST, **more})

    def __call__(self, *names: str, limits: Limits | None = None, **more: Any) -> list[Outcome]:
        self.manager = FirmwareManager(self.fleet.targets(*names), limits or Limits(10, 20))
        return self.manager.run("update", request=self.request(**more))

    def journal(self) -> list[dict[str, Any]]:
        (path,) = self.folder.glob("*.jsonl")
        return [json.loads(line) for line in path.read_text().splitlines()]

    def states(self, name: str) -> list[str]:
        return [one["state"] for one in self.journal() if one.get("target") == name and "state" in one]


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch) -> FirmwareFleet:
    return FirmwareFleet(monkeypatch)


@pytest.fixture
def update(fleet: FirmwareFleet, tmp_path: Path) -> Iterator[Updates]:
    updates = Updates(fleet, tmp_path)
    yield updates
    updates.image.close()


def test_an_image_is_sent_once_and_its_version_read_back_after_the_reboot(update: Updates) -> None:
    (outcome,) = update("a")
    bmc = update.fleet.bmc("a")
    assert (outcome.status, outcome.before, outcome.after) == (
        "changed",
        {"running": {"bmc": "1.0"}},
        {"running": {"bmc": "2.0"}},
    )
    assert (bmc.uploads, bmc.resets, bmc.boots, bmc.version) == (1, 1, 2, "2.0")
    assert update.states("a") == [
        "INSPECT", "INSPECT", "UPLOAD", "ACCEPTED", "FLASHED", "RESET", "WAIT", "VERIFY", "DONE",
    ]  # fmt: skip


def test_a_bmc_that_runs_the_version_is_left_alone(update: Updates) -> None:
    first, again = update("a"), update("a")
    assert ([one.status for one in first], [one.status for one in again]) == (["changed"], ["ok"])
    assert (update.fleet.bmc("a").uploads, update.fleet.bmc("a").boots) == (1, 2)


def test_a_run_removes_journals_that_are_older_than_it_is_told_and_check_mode_none(update: Updates) -> None:
    update("a", run_id="old")
    (old,) = update.folder.glob("*.jsonl")
    os.utime(old, (0, 0))
    update("a", check=True, journal_days=30)
    update("a")
    assert old.exists()
    update("a", run_id="new", journal_days=30)
    assert not old.exists() and (update.folder / "new.jsonl").exists()


def test_check_mode_foresees_what_a_run_does_and_leaves_no_trace(update: Updates) -> None:
    (foreseen,) = update("a", check=True)
    assert not update.folder.exists()
    assert update.fleet.bmc("a").uploads == 0
    (done,) = update("a")
    assert (foreseen.status, foreseen.before, foreseen.after) == (done.status, done.before, done.after)


def test_force_sends_an_image_whose_version_runs_already(update: Updates) -> None:
    update("a")
    (forced,) = update("a", force=True)
    bmc = update.fleet.bmc("a")
    assert (forced.status, bmc.uploads, bmc.runs, bmc.version) == ("changed", 2, "i2", "2.0")


def test_force_sends_an_image_to_a_bmc_that_lists_none(update: Updates) -> None:
    bmc = update.fleet.bmc("a")
    update("a")
    bmc.lists = False
    (forced,) = update("a", force=True)
    assert (forced.status, bmc.uploads, bmc.runs) == ("changed", 2, "i2")


def test_force_is_not_content_with_the_image_of_before_though_it_has_the_version(update: Updates) -> None:
    bmc = update.fleet.bmc("a")
    update("a")
    bmc.faults = [rig.OLD_VERSION]
    (outcome,) = update("a", force=True, timings=replace(FAST, reboot=0.2))
    assert outcome.failure is not None and outcome.failure.kind == "not-reached"
    assert outcome.failure.message == "after the reboot the bmc image of before runs, which has the same version"
    (again,) = update("a", force=True)
    assert (again.status, bmc.uploads, bmc.runs) == ("changed", 2, "i2")


def test_force_says_at_once_that_a_bmc_takes_no_second_image_of_a_version(update: Updates) -> None:
    bmc = update.fleet.bmc("a")
    bmc.one_of_a_version = True
    update("a")
    (refused,) = update("a", force=True)
    assert refused.failure is not None and refused.failure.kind == "refused"
    assert refused.failure.message == "There is one. Remove that image first; if it runs, have another version run"
    assert bmc.uploads == 2


def test_an_image_that_is_gone_after_its_upload_is_not_present(update: Updates) -> None:
    update.fleet.bmc("a").faults = [rig.VANISHES]
    (outcome,) = update("a", state=PRESENT)
    assert outcome.failure is not None and outcome.failure.kind == "not-reached"
    assert outcome.failure.message == "the BMC took the image and does not have it: bmc 2.0"


@pytest.mark.parametrize(
    ("purposes", "message"),
    [(("host", "host"), "both images are for the host"), (("other",), "which one of those runs")],
)
def test_images_that_can_not_run_beside_each_other_or_be_seen_to_are_refused(
    update: Updates, purposes: tuple[str, ...], message: str
) -> None:
    wants = tuple(Want(ACTIVE, "2.0", purpose, update.image) for purpose in purposes)
    with pytest.raises(BadRequest, match=message):
        FirmwareRequest(ACTIVE, wants).validate()


def test_an_image_that_is_present_is_sent_but_not_run(update: Updates) -> None:
    first, again = update("a", state=PRESENT), update("a", state=PRESENT)
    assert [first[0].status, again[0].status] == ["changed", "ok"]
    assert first[0].after == {"images": ["bmc 1.0", "bmc 2.0"]}
    assert (update.fleet.bmc("a").boots, update.fleet.bmc("a").uploads) == (1, 1)


def test_an_image_that_is_present_is_switched_to_and_not_sent_again(update: Updates) -> None:
    update("a", state=PRESENT)
    (outcome,) = update("a")
    assert (outcome.status, outcome.data["uploads"]) == ("changed", 0)
    assert (update.fleet.bmc("a").uploads, update.fleet.bmc("a").version) == (1, "2.0")


def test_without_a_reboot_the_image_waits_and_says_so(update: Updates) -> None:
    first, again = update("a", reboot="never"), update("a", reboot="never")
    assert [(one[0].status, one[0].data["pending"]) for one in (first, again)] == [("changed", True), ("ok", True)]
    assert update.fleet.bmc("a").boots == 1


def test_an_image_is_removed_once_and_the_running_one_never(update: Updates) -> None:
    update("a", state=PRESENT)
    done, again = update("a", state=ABSENT), update("a", state=ABSENT)
    assert [done[0].status, again[0].status] == ["changed", "ok"]
    assert done[0].before == {"images": ["bmc 1.0", "bmc 2.0"]} and done[0].after == {"images": ["bmc 1.0"]}
    (refused,) = update("a", state=ABSENT, version="1.0")
    assert refused.failure is not None and refused.failure.kind == "refused"
    assert "have another version run" in refused.failure.message


@pytest.mark.parametrize(
    ("fault", "uploads"), [(rig.LANDS_UNHEARD, 1), (rig.FORGETS_TASK, 1), (rig.REFUSED_503, 2), (rig.CUT, 2)]
)
def test_an_upload_without_an_answer_is_looked_for_before_it_is_sent_again(
    update: Updates, fault: str, uploads: int
) -> None:
    bmc = update.fleet.bmc("a")
    bmc.faults = [fault]
    (outcome,) = update("a")
    assert (outcome.status, bmc.uploads, bmc.landed, bmc.version) == ("changed", uploads, 1, "2.0")


def test_a_bmc_that_never_takes_the_image_is_asked_three_times(update: Updates) -> None:
    bmc = update.fleet.bmc("a")
    bmc.faults = [rig.CUT] * 5
    (outcome,) = update("a")
    assert outcome.failure is not None
    assert (outcome.failure.kind, outcome.failure.message) == ("unreachable", "the BMC broke off at ********")
    assert (bmc.uploads, bmc.landed, bmc.boots) == (3, 0, 1)


def test_a_failed_activation_is_told_and_nothing_rebooted(update: Updates) -> None:
    bmc = update.fleet.bmc("a")
    bmc.faults = [rig.EXCEPTION]
    (outcome,) = update("a")
    assert outcome.failure is not None
    assert (outcome.failure.kind, outcome.failure.step) == ("activation", "ACCEPTED")
    assert bmc.boots == 1


def test_a_bmc_that_comes_back_with_the_old_version_has_failed(update: Updates) -> None:
    bmc = update.fleet.bmc("a")
    bmc.faults = [rig.OLD_VERSION]
    (outcome,) = update("a", timings=replace(FAST, reboot=0.2))
    assert outcome.failure is not None
    assert (outcome.failure.kind, outcome.failure.step) == ("not-reached", "VERIFY")
    assert outcome.failure.message == "after the reboot bmc 1.0 runs, and not 2.0"


def test_a_reboot_that_does_not_happen_is_asked_for_once_more(update: Updates) -> None:
    bmc = update.fleet.bmc("a")
    bmc.faults = [rig.LOST_RESET]
    (outcome,) = update("a")
    assert (outcome.status, bmc.resets, bmc.boots) == ("changed", 2, 2)


def test_a_bmc_that_never_reboots_has_failed(update: Updates) -> None:
    bmc = update.fleet.bmc("a")
    bmc.faults = [rig.LOST_RESET] * 3
    (outcome,) = update("a", timings=replace(FAST, reboot=0.2))
    assert outcome.failure is not None
    assert (outcome.failure.step, bmc.resets) == ("WAIT", 2)
    assert "did not reboot" in outcome.failure.message


def test_a_bmc_that_reboots_by_itself_is_not_told_to(update: Updates) -> None:
    bmc = update.fleet.bmc("a")
    bmc.immediate = True
    (outcome,) = update("a")
    assert (outcome.status, bmc.resets, bmc.boots, bmc.version) == ("changed", 0, 2, "2.0")


def test_a_bmc_that_would_reboot_though_nobody_wants_it_gets_no_image(update: Updates) -> None:
    bmc = update.fleet.bmc("a")
    bmc.immediate = True
    for options in ({"reboot": "never"}, {"state": PRESENT}):
        (outcome,) = update("a", **options)
        assert outcome.failure is not None and outcome.failure.kind == "unsupported"
    assert bmc.uploads == 0


def test_an_image_that_somebody_else_sent_is_waited_for(update: Updates) -> None:
    bmc = update.fleet.bmc("a")
    bmc.images["theirs"] = Stored("theirs", "2.0", "bmc", UPDATING)
    bmc.activating["theirs"] = 5
    (outcome,) = update("a")
    assert (outcome.status, bmc.uploads, bmc.version) == ("changed", 0, "2.0")
    assert "ATTACH" in update.states("a")


def test_another_image_under_way_is_waited_for_and_then_ours_is_sent(update: Updates) -> None:
    bmc = update.fleet.bmc("a")
    bmc.images["theirs"] = Stored("theirs", "1.5", "bmc", UPDATING)
    bmc.activating["theirs"] = 5
    (outcome,) = update("a")
    assert (outcome.status, bmc.uploads, bmc.version) == ("changed", 1, "2.0")


def test_the_machine_is_off_meanwhile_and_on_again_afterwards_where_that_is_wanted(update: Updates) -> None:
    update("left", "cycled", host_power="leave")
    assert update.fleet.bmc("left").powers == []
    bmc, off = update.fleet.bmc("one"), update.fleet.bmc("off")
    off.power = "off"
    update("one", "off", host_power="cycle")
    assert (bmc.powers, off.powers) == (["off", "on"], [])


def test_a_dead_bmc_fails_alone(update: Updates) -> None:
    update.fleet.bmc("dead").away = 10**6
    outcomes = update("dead", "b", "c")
    assert [one.status for one in outcomes] == ["failed", "changed", "changed"]
    assert outcomes[0].failure is not None
    assert (outcomes[0].failure.kind, outcomes[0].failure.step) == ("unreachable", "INSPECT")


def test_a_canary_that_fails_saves_the_others(update: Updates) -> None:
    update.fleet.bmc("a").faults = [rig.EXCEPTION]
    outcomes = update("a", "b", "c", canary=1)
    assert [one.status for one in outcomes] == ["failed", "skipped", "skipped"]
    assert outcomes[1].data == {"msg": "a canary failed: a"}
    assert update.fleet.bmc("b").uploads == 0


def test_a_canary_that_lives_is_followed_by_the_others(update: Updates) -> None:
    assert [one.status for one in update("a", "b", "c", canary=1)] == ["changed"] * 3


def test_too_many_failures_spare_those_that_wait_for_their_upload(update: Updates) -> None:
    for name in "abcdefghij":
        update.fleet.bmc(name).faults = [rig.REFUSES]
    outcomes = update(*"abcdefghij", max_fail_percentage=20, limits=Limits(1, 20))
    assert Counter(one.status for one in outcomes) == {"failed": 3, "skipped": 7}
    assert sum(update.fleet.bmc(name).uploads for name in "abcdefghij") == 3
    assert {one.data["msg"] for one in outcomes if one.status == "skipped"} == {
        "3 of 10 BMCs failed, more than 20 percent"
    }


def test_too_many_failures_spare_those_that_have_the_image_their_reboot(update: Updates) -> None:
    update.fleet.bmc("bad").faults = [rig.EXCEPTION]
    good = update.fleet.bmc("good")
    good.activation = 100
    failed, spared = update("bad", "good", max_fail_percentage=0)
    assert (failed.status, spared.status, good.uploads, good.boots) == ("failed", "skipped", 1, 1)
    (later,) = update("good")
    assert (later.status, good.uploads, good.version) == ("changed", 1, "2.0")


def test_as_many_failures_as_are_allowed_spare_nobody(update: Updates) -> None:
    update.fleet.bmc("a").faults = [rig.REFUSES]
    outcomes = update(*"abcd", max_fail_percentage=25, limits=Limits(1, 20))
    assert Counter(one.status for one in outcomes) == {"failed": 1, "changed": 3}


def test_a_bmc_is_locked_against_a_second_run(update: Updates) -> None:
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()

    def hold() -> None:
        TargetLocks(str(update.folder)).take("a:443")
        theirs.send("held")
        theirs.recv()

    holder = context.Process(target=hold)
    holder.start()
    try:
        assert ours.recv() == "held"
        locked, free = update("a", "b")
    finally:
        ours.send("done")
        holder.join()
    assert locked.failure is not None and locked.failure.kind == "locked"
    assert (free.status, update.fleet.bmc("a").uploads) == ("changed", 0)


def test_a_second_run_waits_for_the_first_and_finds_nothing_left_to_do(update: Updates) -> None:
    """As where ansible-playbook is killed, and not the module that it began."""
    bmc = update.fleet.bmc("a")
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()

    def first() -> None:
        locks, journal = TargetLocks(str(update.folder)), Journal(str(update.folder), "first")
        locks.take("a:443")
        journal.write(target="a", key="a:443", state="INSPECT", wanted=update.request().labels)
        journal.write(target="a", key="a:443", state="WAIT", host_was_on=True)
        theirs.send("held")
        theirs.recv()
        journal.write(target="a", key="a:443", state="DONE", status="changed")

    holder = context.Process(target=first)
    holder.start()
    assert ours.recv() == "held"

    def ended() -> None:
        second = update.folder / "second.jsonl"
        eventually(lambda: second.exists() and '"waits":true' in second.read_text(), what="the second run waits")
        bmc.images["new"] = Stored("new", "2.0", "bmc", WRITTEN)
        bmc.runs = "new"
        ours.send("done")

    thread = threading.Thread(target=ended)
    thread.start()
    (outcome,) = update("a", run_id="second", lock_timeout=1000, limits=Limits(10, 2000))
    thread.join()
    holder.join()
    assert (outcome.status, bmc.uploads, bmc.boots, bmc.powers) == ("ok", 0, 1, [])


def test_two_targets_that_are_one_bmc_are_refused(update: Updates) -> None:
    targets = update.fleet.targets("a")
    manager = FirmwareManager([*targets, replace(targets[0], name="b")], Limits())
    with pytest.raises(BadRequest, match="'a' and 'b' are one BMC"):
        manager.run("update", request=update.request())


def test_a_run_that_is_called_off_accounts_for_all(update: Updates) -> None:
    bmc = update.fleet.bmc("a")
    bmc.activation = 10**6

    def call_off(name: str) -> None:
        if name == "progress" and update.manager is not None:
            update.manager.cancel()

    bmc.most_steps = call_off
    outcomes = update("a", "b", timings=replace(FAST, activation=100, poll=30))
    assert {one.status for one in outcomes} == {"failed"}
    assert {one.failure.kind for one in outcomes if one.failure} == {"cancelled"}
    assert update.journal()[-1]["end"] == {"failed": 2}


def test_a_reboot_that_a_run_was_called_off_in_is_seen_through_by_the_next_one(update: Updates) -> None:
    bmc = update.fleet.bmc("a")

    def call_off(name: str) -> None:
        if name == "reset" and update.manager is not None:
            update.manager.cancel()

    bmc.most_steps = call_off
    (off,) = update("a", run_id="first")
    bmc.most_steps = None
    (outcome,) = update("a", run_id="second")
    assert off.failure is not None and off.failure.kind == "cancelled"
    assert (outcome.status, bmc.uploads, bmc.resets, bmc.version) == ("changed", 1, 1, "2.0")


def test_no_journal_shows_a_password_and_nobody_else_reads_it(update: Updates) -> None:
    update.fleet.bmc("a").faults = [rig.CUT, rig.EXCEPTION]
    update("a")
    (path,) = update.folder.glob("*.jsonl")
    assert "pa55word" not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert update.folder.stat().st_mode & 0o777 == 0o700


def test_a_disk_that_is_full_in_the_end_takes_nobodys_outcome(update: Updates, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Journal.write

    def full(journal: Journal, **record: Any) -> None:
        if "end" in record:
            raise BadRequest("No space left on device")
        write(journal, **record)

    monkeypatch.setattr(Journal, "write", full)
    assert [one.status for one in update("a")] == ["changed"]


@dataclass
class Moment:
    """What a crash would leave."""

    call: str
    bmc: FirmwareBmc
    journal: bytes


def moments(update: Updates, faults: list[str], **options: Any) -> list[Moment]:
    """Of a whole run: before each call, as if what came before it had been the last of the controller."""
    found: list[Moment] = []
    bmc = update.fleet.bmc("a")
    bmc.faults = list(faults)

    def keep(call: str) -> None:
        (path,) = update.folder.glob("*.jsonl")
        watched, bmc.most_steps = bmc.most_steps, None
        found.append(Moment(call, copy.deepcopy(bmc), path.read_bytes()))
        bmc.most_steps = watched

    bmc.most_steps = keep
    (outcome,) = update("a", run_id="first", **options)
    assert outcome.status == "changed"
    return found


@pytest.mark.parametrize("faults", [[], [rig.LANDS_UNHEARD], [rig.FORGETS_TASK], [rig.LOST_RESET]])
@pytest.mark.parametrize("options", [{}, {"force": True}, {"host_power": "cycle"}])
@pytest.mark.parametrize("unrecorded", [False, True])
def test_after_a_crash_at_any_moment_a_second_run_ends_right_without_a_second_upload(
    update: Updates, faults: list[str], options: dict[str, Any], unrecorded: bool
) -> None:
    """`unrecorded`: what the last call did is done, and the journal does not know of it."""
    told = moments(update, faults, **options)
    for earlier, moment in pairwise(told):
        journal = earlier.journal if unrecorded else moment.journal
        (update.folder / "first.jsonl").write_bytes(journal)
        bmc = update.fleet._bmcs["a"] = moment.bmc
        (outcome,) = update("a", run_id="second", **options)
        (update.folder / "second.jsonl").unlink()
        assert outcome.status in ("ok", "changed"), (moment.call, outcome)
        assert (bmc.version, bmc.landed) == ("2.0", 1), moment.call
        assert bmc.power == "on", moment.call


def test_a_machine_that_a_crash_left_off_is_on_again_though_another_image_is_wanted_now(update: Updates) -> None:
    told = moments(update, [], host_power="cycle")
    left_off = next(one for one in told if one.bmc.power == "off")
    (update.folder / "first.jsonl").write_bytes(left_off.journal)
    bmc = update.fleet._bmcs["a"] = left_off.bmc
    other = Image.open(str(image_file(update.folder / "other.tar", "3.0")))
    (outcome,) = update("a", run_id="second", version="3.0", image=other)
    other.close()
    assert (outcome.status, bmc.version, bmc.power) == ("changed", "3.0", "on")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    faults=st.lists(st.sampled_from([*rig.UPLOAD_FAULTS, rig.LOST_RESET, rig.OLD_VERSION, rig.EXCEPTION]), max_size=4),
    immediate=st.booleans(),
    activation=st.integers(0, 6),
    boots=st.integers(1, 3),
)
def test_changed_means_that_the_version_runs_and_no_upload_was_one_too_many(
    fleet: FirmwareFleet, tmp_path: Path, faults: list[str], immediate: bool, activation: int, boots: int
) -> None:
    bmc = fleet._bmcs["a"] = FirmwareBmc(faults=list(faults), immediate=immediate, activation=activation, boots=boots)
    updates = Updates(fleet, tmp_path)
    try:
        (outcome,) = updates("a", timings=replace(FAST, reboot=0.15))
    finally:
        updates.image.close()
    if outcome.status == "changed":
        assert bmc.version == "2.0"
    else:
        assert outcome.failure is not None and outcome.failure.message
    usable = [one for one in bmc.images.values() if one.version == "2.0" and one.state == WRITTEN]
    assert len(usable) <= 1, "an image that had landed was sent again"
    assert bmc.uploads <= 3
