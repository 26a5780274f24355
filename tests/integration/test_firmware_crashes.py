# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module firmware, killed in the midst of it, against BMCs of vbmcd: run again, all ends right."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from rig.firmware import image_file
from rig.firmware_lab import FirmwareLab, LabBmc
from rig.module import Module
from rig.waiting import eventually

TIMES = {"activation_seconds": 1.0, "reboot_seconds": 1.5, "upload_rate": 8 << 20}
REDFISH = ["INSPECT", "UPLOAD", "ACCEPTED", "FLASHED", "RESET", "WAIT", "VERIFY"]
OPENBMC = ["UPLOAD", "ACCEPTED", "ACTIVATE", "FLASHED", "RESET", "VERIFY"]


@pytest.fixture(scope="module")
def lab() -> Iterator[FirmwareLab]:
    with FirmwareLab() as found:
        yield found


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return image_file(tmp_path_factory.mktemp("images") / "bmc.tar", "2.0.0", size=8 << 20)


class Controller:
    """Runs the module for one BMC, with a journal of its own."""

    def __init__(self, folder: Path, bmc: LabBmc, image: Path, **options: Any) -> None:
        self.bmc = bmc
        self.folder = folder / bmc.name
        self.folder.mkdir(parents=True)
        self._runs = 0
        self._module = Module("firmware", folder / "collections")
        self._options = {
            "targets": [{"name": bmc.name, "address": bmc.host, "port": bmc.port}],
            "username": bmc.username,
            "password": bmc.password,
            "validate_certs": False,
            "image": str(image),
            "journal_dir": str(self.folder),
            "poll_interval": 0.2,
            "verify_interval": 0.3,
            "reboot_timeout": 30,
            **options,
        }

    def run(self) -> dict[str, Any]:
        self._runs += 1
        return self._module(**self._options, run_id=f"run-{self._runs}")

    def killed_in(self, state: str) -> None:
        """A run that gets SIGKILL as soon as its journal has that state."""
        self._runs += 1
        process = self._module.start(**self._options, run_id=f"run-{self._runs}")
        try:
            eventually(lambda: state in self.states(self._runs), what=f"{state} of {self.bmc.name}", interval=0.002)
        finally:
            process.kill()
            process.communicate()

    def states(self, run: int) -> list[str]:
        path = self.folder / f"run-{run}.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [record["state"] for record in map(json.loads, lines) if "target" in record and "state" in record]

    def version(self) -> str:
        with self.bmc.client() as client:
            found: str = client.get("/redfish/v1/Managers/1").json["FirmwareVersion"]
        return found


def ends_right(controller: Controller, state: str) -> None:
    controller.killed_in(state)
    (result,) = controller.run()["results"]
    assert result["status"] in ("ok", "changed"), (state, result)
    assert controller.version() == "2.0.0", state
    first, second = controller.states(1), controller.states(2)
    if "ACCEPTED" in first:
        assert "UPLOAD" not in second, f"killed in {state}, it sent an image that had landed: {second}"
    assert controller.run()["results"][0]["status"] == "ok", state


@pytest.mark.parametrize(
    ("protocol", "dialect", "states"),
    [("redfish", "openbmc-2025", REDFISH), ("openbmc", "openbmc-legacy", OPENBMC)],
)
def test_a_controller_that_is_killed_in_any_state_is_run_again_and_ends_right(
    lab: FirmwareLab, image: Path, tmp_path: Path, protocol: str, dialect: str, states: list[str]
) -> None:
    bmcs = lab.add(len(states), dialect=dialect, **TIMES)
    controllers = [Controller(tmp_path, bmc, image, protocol=protocol) for bmc in bmcs]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(ends_right, controllers, states))


def test_a_second_crash_while_it_waits_for_what_the_first_began_is_got_over(
    lab: FirmwareLab, image: Path, tmp_path: Path
) -> None:
    (bmc,) = lab.add(1, **{**TIMES, "activation_seconds": 12})
    controller = Controller(tmp_path, bmc, image)
    controller.killed_in("ACCEPTED")
    controller.killed_in("ATTACH")
    (result,) = controller.run()["results"]
    assert (result["status"], controller.version()) == ("changed", "2.0.0")
    assert "UPLOAD" not in controller.states(2) + controller.states(3)


def test_a_crash_while_an_image_is_switched_to_is_got_over(lab: FirmwareLab, image: Path, tmp_path: Path) -> None:
    (bmc,) = lab.add(1, **TIMES)
    assert Controller(tmp_path / "first", bmc, image, state="present").run()["changed"]
    controller = Controller(tmp_path, bmc, image)
    controller.killed_in("SWITCH")
    (result,) = controller.run()["results"]
    assert (result["status"], controller.version()) == ("changed", "2.0.0")
    assert "UPLOAD" not in controller.states(1) + controller.states(2)
