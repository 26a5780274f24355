# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Firmware rolled out to BMCs of vbmcd: every dialect, every fault, crashes of the controller, a thousand at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.clients import http as http_module
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.firmware.image import Image
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.firmware.request import FirmwareRequest, Timings
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.firmware.states import Want
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.limits import Limits
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.managers.firmware import FirmwareManager
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.outcome import Outcome
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.target import Target
from rig.firmware import image_file
from rig.firmware_lab import FirmwareLab, LabBmc

QUICK = Timings(activation=60, reboot=60, poll=0.2, doubt=3, idle=10, verify_reads=3, verify_pause=0.1)
TIMES = {"activation_seconds": 0.2, "reboot_seconds": 0.6}
DIALECTS = [
    ("openbmc-2025", "redfish"),
    ("openbmc-2023", "redfish"),
    ("openbmc-legacy", "redfish"),
    ("openbmc-legacy", "openbmc"),
]
UPLOAD_FAULTS = ["busy", "cut", "stall", "slow"]
FATAL_FAULTS = ["exception", "wrong-machine", "old-version"]


@pytest.fixture(scope="module")
def lab() -> Iterator[FirmwareLab]:
    with FirmwareLab() as found:
        yield found


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """More than the sockets' buffers hold, so that an upload can be cut in its middle."""
    path = image_file(tmp_path_factory.mktemp("images") / "bmc.tar", "2.0.0", size=20 << 20)
    opened = Image.open(str(path))
    yield opened
    opened.close()


def target(bmc: LabBmc, protocol: str = "redfish") -> Target:
    return Target.of(
        {
            "name": bmc.name,
            "address": bmc.host,
            "port": bmc.port,
            "protocol": protocol,
            "username": bmc.username,
            "password": bmc.password,
            "validate_certs": False,
        }
    )


def roll_out(
    folder: Path, image: Image, targets: list[Target], timings: Timings = QUICK, **options: Any
) -> list[Outcome]:
    wants = (Want(options.pop("state", "active"), image.version, image.purpose, image),)
    request = FirmwareRequest(wants[0].state, wants, folder=str(folder), timings=timings, **options)
    return FirmwareManager(targets, Limits(20, 120)).run("update", request=request)


def versions(bmcs: list[LabBmc]) -> list[str]:
    found = []
    for bmc in bmcs:
        with bmc.client() as client:
            found.append(client.get("/redfish/v1/Managers/1").json["FirmwareVersion"])
    return found


@pytest.mark.parametrize(("dialect", "protocol"), DIALECTS)
def test_every_dialect_is_updated_and_then_unchanged(
    lab: FirmwareLab, image: Image, tmp_path: Path, dialect: str, protocol: str
) -> None:
    bmcs = lab.add(2, dialect=dialect, **TIMES)
    targets = [target(bmc, protocol) for bmc in bmcs]
    foreseen = roll_out(tmp_path, image, targets, check=True)
    assert versions(bmcs) == ["1.0.0", "1.0.0"]
    done = roll_out(tmp_path, image, targets)
    assert [one.failure for one in done] == [None, None]
    assert versions(bmcs) == ["2.0.0", "2.0.0"]
    assert [(one.status, one.before, one.after) for one in foreseen] == [
        (one.status, one.before, one.after) for one in done
    ]
    again = roll_out(tmp_path, image, targets)
    assert [one.status for one in again] == ["ok", "ok"]


@pytest.mark.parametrize(("dialect", "protocol"), DIALECTS)
def test_what_goes_wrong_with_an_upload_is_got_over(
    lab: FirmwareLab, image: Image, tmp_path: Path, dialect: str, protocol: str
) -> None:
    bmcs = [
        *(lab.add(1, dialect=dialect, faults=[{"kind": kind, "seconds": 2}], **TIMES)[0] for kind in UPLOAD_FAULTS),
    ]
    done = roll_out(tmp_path, image, [target(bmc, protocol) for bmc in bmcs])
    assert {kind: one.failure for kind, one in zip(UPLOAD_FAULTS, done, strict=True)} == dict.fromkeys(UPLOAD_FAULTS)
    assert versions(bmcs) == ["2.0.0"] * len(bmcs)
    uploads = {kind: one.data["uploads"] for kind, one in zip(UPLOAD_FAULTS, done, strict=True)}
    assert uploads == {"busy": 1, "cut": 2, "stall": 1, "slow": 1}


@pytest.mark.parametrize(("dialect", "protocol"), DIALECTS)
def test_what_can_not_be_got_over_is_told_with_its_step(
    lab: FirmwareLab, image: Image, tmp_path: Path, dialect: str, protocol: str
) -> None:
    bmcs = [lab.add(1, dialect=dialect, faults=[{"kind": kind}], **TIMES)[0] for kind in FATAL_FAULTS]
    timings = Timings(activation=30, reboot=12, poll=0.2, doubt=1, idle=10, verify_reads=2, verify_pause=0.1)
    done = roll_out(tmp_path, image, [target(bmc, protocol) for bmc in bmcs], timings)
    told = {kind: one.failure for kind, one in zip(FATAL_FAULTS, done, strict=True)}
    assert all(told.values()), done
    assert told["exception"] and told["exception"].kind == "activation"
    assert told["wrong-machine"] and told["wrong-machine"].kind in ("activation", "refused")
    assert told["old-version"] and (told["old-version"].kind, told["old-version"].step) == ("not-reached", "VERIFY")
    assert versions(bmcs) == ["1.0.0"] * len(bmcs)


def test_a_bmc_that_stops_reading_is_given_up_and_sent_the_image_again(
    lab: FirmwareLab, image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_module, "ANSWER_TIMEOUT", 3.0)
    (bmc,) = lab.add(1, faults=[{"kind": "stall"}], **TIMES)
    (done,) = roll_out(tmp_path, image, [target(bmc)])
    assert (done.failure, done.data["uploads"]) == (None, 2)
    assert versions([bmc]) == ["2.0.0"]


def test_an_image_is_present_switched_to_and_the_old_one_removed(
    lab: FirmwareLab, image: Image, tmp_path: Path
) -> None:
    (bmc,) = lab.add(1, dialect="openbmc-legacy", **TIMES)
    targets = [target(bmc, "openbmc")]
    (there,) = roll_out(tmp_path, image, targets, state="present")
    assert (there.status, versions([bmc])) == ("changed", ["1.0.0"])
    (runs,) = roll_out(tmp_path, image, targets)
    assert (runs.status, runs.data["uploads"], versions([bmc])) == ("changed", 0, ["2.0.0"])
    request = FirmwareRequest("absent", (Want("absent", "1.0.0", "bmc"),), folder=str(tmp_path), timings=QUICK)
    gone, again = (FirmwareManager(targets, Limits()).run("update", request=request)[0] for _run in range(2))
    assert (gone.status, again.status) == ("changed", "ok"), (gone, again)
