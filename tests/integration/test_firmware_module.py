# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules firmware and firmware_info as a playbook calls them, against BMCs of vbmcd."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rig.firmware import image_file
from rig.firmware_lab import FirmwareLab, LabBmc
from rig.module import Module
from rig.playbooks import Playbooks

PASSWORD = "password"
TIMES = {"activation_seconds": 0.2, "reboot_seconds": 0.6}
MOST_MEMORY = 100_000
"""KiB, for a thousand BMCs."""


@pytest.fixture(scope="module")
def lab() -> Iterator[FirmwareLab]:
    with FirmwareLab(workers="2") as found:
        yield found


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return image_file(tmp_path_factory.mktemp("images") / "bmc.tar", "2.0.0", size=64 << 10)


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Playbooks:
    return Playbooks(tmp_path_factory.mktemp("controller"))


def options(bmcs: list[LabBmc], journals: Path, **more: Any) -> dict[str, Any]:
    return {
        "targets": [{"name": bmc.name, "address": bmc.host, "port": bmc.port} for bmc in bmcs],
        "username": "admin",
        "password": PASSWORD,
        "validate_certs": False,
        "journal_dir": str(journals),
        **more,
    }


def quick(bmcs: list[LabBmc], journals: Path, image: Path, **more: Any) -> dict[str, Any]:
    return options(bmcs, journals, image=str(image), poll_interval=0.2, verify_interval=0.1, **more)


def test_a_task_foresees_does_and_then_leaves_alone(
    lab: FirmwareLab, image: Path, controller: Playbooks, tmp_path: Path
) -> None:
    update = {"baremetal.lab.firmware": quick(lab.add(2, **TIMES), tmp_path / "journals", image)}
    (foreseen,) = controller.results(update, check=True)
    assert not (tmp_path / "journals").exists()
    done, again = controller.results(update, update)
    assert (foreseen["changed"], done["changed"], again["changed"]) == (True, True, False)
    for key in ("before", "after"):
        assert [one[key] for one in foreseen["results"]] == [one[key] for one in done["results"]]
    assert done["summary"] == {"changed": 2}
    assert PASSWORD not in controller.said and PASSWORD not in Path(done["journal"]).read_text()


def test_an_update_in_the_background_is_followed_by_its_run_id(
    lab: FirmwareLab, image: Path, controller: Playbooks, tmp_path: Path
) -> None:
    bmcs = lab.add(2, **{**TIMES, "activation_seconds": 2})
    update = {
        "baremetal.lab.firmware": quick(bmcs, tmp_path, image, run_id="night"),
        "async": 120,
        "poll": 0,
    }
    follow = {"run_id": "night", "journal_dir": str(tmp_path)}
    begun, ended, read = controller.results(
        update,
        {"baremetal.lab.firmware_info": {**follow, "wait": True, "wait_timeout": 60}},
        {"baremetal.lab.firmware_info": options(bmcs, tmp_path)},
    )
    assert begun["started"], begun
    assert (ended["run"]["status"], ended["run"]["summary"]) == ("ended", {"DONE": 2})
    assert [one["versions"] for one in read["results"]] == [{"bmc": "2.0.0"}] * 2
    assert [[image["running"] for image in one["images"]].count(True) for one in read["results"]] == [1, 1]


def test_an_update_that_is_under_way_is_seen_as_such_and_keeps_others_off(
    lab: FirmwareLab, image: Path, tmp_path: Path
) -> None:
    bmcs = lab.add(1, **{**TIMES, "activation_seconds": 5})
    firmware, info = Module("firmware", tmp_path / "c"), Module("firmware_info", tmp_path / "c")
    process = firmware.start(**quick(bmcs, tmp_path / "j", image, run_id="one"))
    assert process.stdout is not None
    while True:
        seen = info(run_id="one", journal_dir=str(tmp_path / "j"))
        if not seen.get("failed") and seen["run"]["targets"]:
            break
    os.kill(process.pid, signal.SIGSTOP)  # or it might end, on a machine that takes long to ask
    others = [
        firmware.start(**quick(bmcs, tmp_path / "j", image, run_id=name, lock_timeout=0)) for name in ("one", "two")
    ]
    same, other = map(firmware.result, others)
    missing = info(run_id="three", journal_dir=str(tmp_path / "j"))
    os.kill(process.pid, signal.SIGCONT)
    assert missing["failed"] and "there is no run three" in missing["msg"]
    assert seen["run"]["status"] == "running"
    assert same["failed"] and "the run one is under way" in same["msg"]
    assert [one["kind"] for one in other["results"]] == ["locked"]
    assert firmware.result(process)["summary"] == {"changed": 1}


def test_the_first_of_many_tries_the_image_for_the_others(lab: FirmwareLab, tmp_path: Path) -> None:
    foreign = image_file(tmp_path / "foreign.tar", "2.0.0", machine="somebody-elses")
    firmware = Module("firmware", tmp_path / "c")
    result = firmware(**quick(lab.add(3, **TIMES), tmp_path / "j", foreign, canary=1))
    assert result["failed"] and result["summary"] == {"failed": 1, "skipped": 2}
    assert result["results"][0]["kind"] == "activation"
    assert result["results"][1]["msg"].startswith("a canary failed: ")


def test_a_host_image_beside_the_bmcs_runs_when_its_machine_is_started_again(
    lab: FirmwareLab, image: Path, tmp_path: Path
) -> None:
    bmcs = lab.add(1, host_version="B1", **TIMES)
    host = image_file(tmp_path / "host.tar", "B2", purpose="Host")
    firmware = Module("firmware", tmp_path / "c")
    pair = quick(bmcs, tmp_path / "j", image, host_image=str(host))
    result = firmware(**pair)
    assert not result.get("failed"), result
    (one,) = result["results"]
    assert (one["status"], one["versions"]["bmc"], one["pending"]) == ("changed", "2.0.0", True)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"image": None}, "one of the following is required"),
        ({"image": "/nowhere.tar"}, "the image /nowhere.tar can't be read: No such file"),
        ({"image": None, "version": "2.0.0", "state": "present"}, "takes the image: give its file"),
        ({"reboot": "never", "apply_time": "immediate"}, "reboots the BMC"),
        ({"run_id": "../etc/passwd"}, "is no name for a run"),
        ({"max_fail_percentage": 101}, "give 0 to 100"),
        ({"polls": 0}, "give 1 to 1000"),
    ],
)
def test_what_can_not_be_is_refused_with_the_remedy(
    image: Path, tmp_path: Path, given: dict[str, Any], message: str
) -> None:
    bmc = LabBmc("bmc", "127.0.0.1", 9, 9)
    wanted = {
        name: value for name, value in {**quick([bmc], tmp_path / "j", image), **given}.items() if value is not None
    }
    result = Module("firmware", tmp_path / "c")(**wanted)
    assert result["failed"] and message in result["msg"]


def test_a_thousand_bmcs_in_one_task_are_all_accounted_for_and_cost_little_memory(
    lab: FirmwareLab, image: Path, tmp_path: Path
) -> None:
    bmcs = lab.add(1000, **TIMES)
    lab.change(bmcs[7], faults=[{"kind": "exception"}])
    lab.change(bmcs[8], faults=[{"kind": "busy"}])
    firmware = Module("firmware", tmp_path / "c")
    patient = {"image": str(image), "poll_interval": 2, "verify_interval": 1, "fan_out": 1000}
    process = firmware.start(**options(bmcs, tmp_path / "j", run_id="many", **patient))
    watch = Memory(process.pid)
    result = firmware.result(process)
    assert watch.peak() < MOST_MEMORY
    assert result["summary"] == {"changed": 999, "failed": 1}
    assert [one["name"] for one in result["results"]] == [bmc.name for bmc in bmcs]
    assert {one["uploads"] for one in result["results"] if one["changed"]} == {1}
    assert result["results"][7]["kind"] == "activation"
    records = [json.loads(line) for line in (tmp_path / "j/many.jsonl").read_text().splitlines()]
    assert records[-1]["end"] == {"changed": 999, "failed": 1}


class Memory:
    """The most that a process has had of its own, in KiB: pages of a mapped image are the page cache's."""

    def __init__(self, pid: int) -> None:
        self._most = 0
        self._thread = threading.Thread(target=self._watch, args=(pid,))
        self._thread.start()

    def peak(self) -> int:
        self._thread.join()
        assert self._most
        return self._most

    def _watch(self, pid: int) -> None:
        pause = threading.Event()
        while not pause.wait(0.02):
            try:
                status = Path(f"/proc/{pid}/status").read_text()
            except OSError:
                return
            own = [line for line in status.splitlines() if line.startswith("RssAnon:")]
            if not own:
                return
            self._most = max(self._most, int(own[0].split()[1]))
