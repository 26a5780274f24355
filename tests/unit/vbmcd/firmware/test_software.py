# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images, slots, activation, resets and the plan of faults, on a clock that the test owns."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from vbmcd.firmware.image import Manifest, Purpose
from vbmcd.firmware.options import Dialect, Fault, FaultKind, FirmwareOptions
from vbmcd.firmware.record import Kept
from vbmcd.firmware.software import Activation, ApplyTime, Image, Refused, Software
from vbmcd.firmware.tasks import MAX_TASKS, Monitor, Tasks, TaskState

OPTIONS = FirmwareOptions(activation_seconds=10.0)


def software(options: FirmwareOptions = OPTIONS, kept: Kept | None = None) -> Software:
    numbers = itertools.count(1)
    return Software(options, kept, lambda: f"{next(numbers):08x}", wall=lambda: 1000.0)


def update(
    one: Software, version: str, apply: ApplyTime = ApplyTime.ON_RESET, now: float = 0.0, purpose: Purpose = Purpose.BMC
) -> Image:
    image = one.add(Manifest(purpose, version, "vbmcd"))
    one.activate(image, now, apply, one.tasks.start(1000.0, "/redfish/v1/UpdateService"))
    return image


def versions(one: Software) -> dict[str, Activation]:
    return {image.manifest.version: image.activation for image in one.images}


def running(one: Software, purpose: Purpose = Purpose.BMC) -> str:
    image = one.running(purpose)
    return image.manifest.version if image else ""


def test_at_first_the_version_of_the_options_runs() -> None:
    assert running(software()) == "1.0.0"
    assert versions(software()) == {"1.0.0": Activation.ACTIVE}


def test_an_activation_goes_on_with_the_time_and_then_waits_for_the_reset() -> None:
    one = software()
    image = update(one, "2.0.0")
    assert one.next_event() == 10.0
    one.advance(4.2)
    assert image.task is not None and image.task.percent == 42 and image.task.monitor() is Monitor.RUNNING
    one.advance(10.0)
    assert image.task.state is TaskState.COMPLETED and image.task.percent == 100
    assert [key for key, _arguments in image.task.messages] == [
        "TaskStarted",
        "TaskProgressChanged",
        "TaskProgressChanged",
        "TaskCompletedOK",
    ]
    assert running(one) == "1.0.0" and not one.reset_due and one.priority(image) == 0
    one.reset()
    assert running(one) == "2.0.0" and one.last_reset == 1000.0
    assert versions(one) == {"1.0.0": Activation.STANDBY, "2.0.0": Activation.ACTIVE}


def test_immediate_resets_the_bmc_by_itself() -> None:
    one = software()
    update(one, "2.0.0", ApplyTime.IMMEDIATE)
    one.advance(9.9)
    assert not one.reset_due
    one.advance(10.0)
    assert one.reset_due


def test_a_reset_forgets_tasks_and_what_was_not_finished() -> None:
    one = software()
    update(one, "2.0.0")
    one.advance(5.0)
    one.reset()
    one.advance(20.0)
    assert versions(one) == {"1.0.0": Activation.ACTIVE} and list(one.tasks) == []


def test_a_monitor_tells_the_end_once() -> None:
    one = software()
    image = update(one, "2.0.0")
    one.advance(10.0)
    assert image.task is not None
    assert [image.task.monitor() for _turn in range(3)] == [Monitor.DONE, Monitor.GONE, Monitor.GONE]


def test_the_oldest_task_makes_room() -> None:
    tasks = Tasks()
    for _turn in range(MAX_TASKS + 5):
        tasks.start(0.0, "/")
    assert [task.number for task in tasks] == list(range(5, MAX_TASKS + 5))


def test_an_activation_frees_the_other_slots_but_not_the_running_one() -> None:
    one = software()
    for version in ("2.0.0", "3.0.0"):
        update(one, version)
        one.advance(1e3)
    assert versions(one) == {"1.0.0": Activation.ACTIVE, "3.0.0": Activation.ACTIVE}


@pytest.mark.parametrize(
    ("slots", "left"),
    [(1, ["3.0.0"]), (2, ["2.0.0", "3.0.0"]), (3, ["1.0.0", "2.0.0", "3.0.0"]), (9, ["1.0.0", "2.0.0", "3.0.0"])],
)
def test_as_many_images_are_kept_as_there_are_slots(slots: int, left: list[str]) -> None:
    one = software(replace(OPTIONS, slots=slots))
    for version in ("2.0.0", "3.0.0"):
        update(one, version)
        one.advance(1e3)
        one.reset()
    assert list(versions(one)) == left and running(one) == "3.0.0"


def test_a_present_image_is_switched_to_by_a_reset() -> None:
    one = software()
    first = one.images[0]
    update(one, "2.0.0")
    one.advance(10.0)
    one.reset()
    one.switch(first)
    assert one.reset_due
    one.reset()
    assert running(one) == "1.0.0" and versions(one)["2.0.0"] is Activation.STANDBY


def test_to_switch_to_what_runs_changes_nothing() -> None:
    one = software()
    one.switch(one.images[0])
    assert not one.reset_due


def test_to_switch_back_before_the_reset_cancels_the_pending_image() -> None:
    one = software()
    update(one, "2.0.0")
    one.advance(10.0)
    one.switch(one.images[0])
    one.reset()
    assert running(one) == "1.0.0"


def test_one_update_at_a_time() -> None:
    one = software()
    update(one, "2.0.0")
    with pytest.raises(Refused, match="received or activated"):
        one.add(Manifest(Purpose.BMC, "3.0.0"))


def test_a_version_that_is_there_is_refused_and_one_that_failed_is_not() -> None:
    one = software(replace(OPTIONS, dialect=Dialect.LEGACY, faults=(Fault(FaultKind.EXCEPTION),)))
    with pytest.raises(Refused, match="there already"):
        one.add(Manifest(Purpose.BMC, "1.0.0"))
    update(one, "2.0.0")
    one.advance(5.0)
    assert versions(one)["2.0.0"] is Activation.FAILED
    image = update(one, "2.0.0", now=6.0)
    one.advance(16.0)
    assert image.activation is Activation.ACTIVE and list(versions(one)) == ["1.0.0", "2.0.0"]


def test_what_runs_cannot_be_deleted_and_the_pending_one_can() -> None:
    one = software()
    image = update(one, "2.0.0")
    with pytest.raises(Refused, match="received or activated"):
        one.delete(image)
    one.advance(10.0)
    with pytest.raises(Refused, match="runs"):
        one.delete(one.images[0])
    one.delete(image)
    one.reset()
    assert versions(one) == {"1.0.0": Activation.ACTIVE} and running(one) == "1.0.0"


def test_the_hosts_firmware_runs_when_the_host_starts() -> None:
    one = software(replace(OPTIONS, host_version="b1"))
    update(one, "b2", ApplyTime.IMMEDIATE, purpose=Purpose.HOST)
    one.advance(10.0)
    assert not one.reset_due
    one.reset()
    one.host_seen(True, 900.0)
    assert running(one, Purpose.HOST) == "b1"
    one.host_seen(True, 1001.0)
    assert running(one, Purpose.HOST) == "b2" and running(one) == "1.0.0"


def test_a_restart_of_the_daemon_changes_nothing_that_a_reset_would_not() -> None:
    one = software()
    update(one, "2.0.0")
    one.advance(10.0)
    kept = Kept.from_bytes(one.record().to_bytes())
    assert kept is not None
    again = software(kept=kept)
    assert versions(again) == versions(one) and running(again) == "1.0.0"
    assert {image.id for image in again.images} == {image.id for image in one.images}
    again.reset()
    assert running(again) == "2.0.0"


def test_another_version_in_the_options_starts_all_over() -> None:
    one = software()
    update(one, "2.0.0")
    one.advance(10.0)
    again = software(replace(OPTIONS, version="0.9"), one.record())
    assert versions(again) == {"0.9": Activation.ACTIVE}


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"images": [{}]}', b"\xff"])
def test_a_record_that_is_none_starts_all_over(data: bytes) -> None:
    assert Kept.from_bytes(data) is None


def test_a_fault_happens_as_often_as_planned() -> None:
    one = software(replace(OPTIONS, faults=(Fault(FaultKind.EXCEPTION, count=2),)))
    ends = []
    for turn in range(3):
        image = update(one, "2.0.0", now=100.0 * turn)
        one.advance(100.0 * turn + 50)
        assert image.task is not None
        ends.append(image.task.state.value)
    assert ends == ["Exception", "Exception", "Completed"]


def test_a_fault_that_has_happened_does_not_come_again_after_a_restart() -> None:
    options = replace(OPTIONS, faults=(Fault(FaultKind.EXCEPTION),))
    one = software(options)
    update(one, "2.0.0")
    again = software(options, Kept.from_bytes(one.record().to_bytes()))
    image = update(again, "2.0.0")
    again.advance(10.0)
    assert image.activation is Activation.ACTIVE


def test_a_fault_that_is_planned_anew_happens_anew() -> None:
    one = software(replace(OPTIONS, faults=(Fault(FaultKind.EXCEPTION),)))
    update(one, "2.0.0")
    again = software(replace(OPTIONS, faults=(Fault(FaultKind.EXCEPTION, count=2),)), one.record())
    assert update(again, "2.0.0").fails


def test_a_bmc_may_come_back_with_the_old_version_and_be_switched_then() -> None:
    one = software(replace(OPTIONS, faults=(Fault(FaultKind.OLD_VERSION),)))
    image = update(one, "2.0.0")
    one.advance(10.0)
    one.reset()
    assert running(one) == "1.0.0" and image.activation is Activation.STANDBY
    one.switch(image)
    one.reset()
    assert running(one) == "2.0.0"


def test_an_old_version_is_not_used_up_by_a_reset_that_changes_none() -> None:
    one = software(replace(OPTIONS, faults=(Fault(FaultKind.OLD_VERSION),)))
    one.reset()
    update(one, "2.0.0")
    one.advance(10.0)
    one.reset()
    assert running(one) == "1.0.0"


def test_an_activation_may_be_slow() -> None:
    one = software(replace(OPTIONS, faults=(Fault(FaultKind.SLOW, seconds=5.0),)))
    update(one, "2.0.0")
    assert one.next_event() == 15.0


def test_an_image_of_another_machine_does_not_fit_and_the_fault_says_so_of_any() -> None:
    one = software(replace(OPTIONS, faults=(Fault(FaultKind.WRONG_MACHINE),)))
    mine = Manifest(Purpose.BMC, "2", "vbmcd")
    assert [
        one.misfit(mine),
        one.misfit(mine),
        one.misfit(Manifest(Purpose.BMC, "2", "other")),
        one.misfit(Manifest(Purpose.BMC, "2")),
    ] == [
        "the image is for another machine, by the plan of faults",
        "",
        "the image is for the machine other, and this is vbmcd",
        "",
    ]
