# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Firmware updates over real connections: uploads that are streamed, cut and stalled, and a BMC that is away."""

from __future__ import annotations

import http.client
import json
import ssl
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from rig.console import Console, NoAnswer
from rig.firmware import form, image
from rig.firmware_lab import FirmwareLab, LabBmc
from rig.redfish import Answer
from rig.waiting import eventually

UPDATE = "/redfish/v1/UpdateService"
MANAGER = "/redfish/v1/Managers/1"
ON_RESET = json.dumps({"Targets": [MANAGER], "@Redfish.OperationApplyTime": "OnReset"})
DEVICE_ID = (0x06, 0x01)
GONE = (ConnectionError, ssl.SSLError, http.client.HTTPException)
"""What becomes of a connection that is broken off, depending on when."""


@pytest.fixture(scope="module")
def lab() -> Iterator[FirmwareLab]:
    with FirmwareLab() as found:
        yield found


def push_form(bmc: LabBmc, data: bytes, parameters: str = ON_RESET) -> Answer:
    body = form([("UpdateParameters", parameters.encode()), ("UpdateFile", data)])
    with bmc.client() as client:
        uri = client.get(UPDATE).json["MultipartHttpPushUri"]
        return client.ask("POST", uri, data=body, headers={"Content-Type": "multipart/form-data; boundary=b0undary"})


def get(bmc: LabBmc, path: str) -> Any:
    with bmc.client() as client:
        return client.get(path).json


def states(bmc: LabBmc) -> dict[str, str]:
    members = get(bmc, f"{UPDATE}/FirmwareInventory")["Members"]
    documents = [get(bmc, member["@odata.id"]) for member in members]
    return {one["Version"]: one["Status"]["State"] for one in documents}


def manager(bmc: LabBmc) -> dict[str, Any]:
    """What it says of itself; nothing while it is away."""
    try:
        found: dict[str, Any] = get(bmc, MANAGER)
    except GONE:
        return {}
    return found


def answers(bmc: LabBmc) -> bool:
    return bool(manager(bmc))


def runs(bmc: LabBmc, version: str) -> bool:
    return bool(manager(bmc).get("FirmwareVersion") == version)


def reset(bmc: LabBmc) -> None:
    with bmc.client() as client:
        assert client.post(f"{MANAGER}/Actions/Manager.Reset", {"ResetType": "GracefulRestart"}).status == 200


def curl(bmc: LabBmc, *arguments: str) -> subprocess.CompletedProcess[str]:
    login = ["--user", f"{bmc.username}:{bmc.password}", "--insecure", "--silent", "--show-error", "--max-time", "120"]
    return subprocess.run(["curl", *login, *arguments], capture_output=True, text=True, check=False)


def test_an_update_from_upload_to_the_version_that_runs(lab: FirmwareLab) -> None:
    (bmc,) = lab.add()
    answer = push_form(bmc, image("2.0.0", size=3 << 20))
    assert answer.status == 202
    with bmc.client() as client:
        monitor = answer.headers["location"]
        eventually(lambda: client.get(monitor).status == 204, what="the task is over")
        assert client.get(monitor).status == 404
        assert client.get(answer.json["@odata.id"]).json["TaskState"] == "Completed"
    assert get(bmc, MANAGER)["FirmwareVersion"] == "1.0.0"
    reset(bmc)
    eventually(lambda: runs(bmc, "2.0.0"), what="the new version runs")
    document = get(bmc, MANAGER)
    assert document["FirmwareVersion"] == "2.0.0" and document["LastResetTime"]
    assert states(bmc) == {"1.0.0": "StandbySpare", "2.0.0": "Enabled"}


def test_while_the_bmc_resets_neither_protocol_answers_and_sessions_are_gone(lab: FirmwareLab) -> None:
    (bmc,) = lab.add(reboot_seconds=10.0)
    with Console(bmc.ipmi_port) as console, bmc.client() as client:
        console.login()
        reset(bmc)
        eventually(lambda: not answers(bmc), what="the BMC is away")
        with pytest.raises(NoAnswer):
            console.request(*DEVICE_ID, timeout=0.5)
        with pytest.raises(GONE):
            client.get(MANAGER)
        eventually(lambda: answers(bmc), what="the BMC is back")
        with pytest.raises(NoAnswer):
            console.request(*DEVICE_ID, timeout=0.5)
        console.login()


def test_a_fault_that_is_planned_meanwhile_ends_no_session_and_no_update(lab: FirmwareLab) -> None:
    (bmc,) = lab.add(activation_seconds=1.5)
    with Console(bmc.ipmi_port) as console, bmc.client() as client:
        console.login()
        answer = push_form(bmc, image("2.0.0"))
        client.get(MANAGER)
        lab.change(bmc, faults=[{"kind": "old-version"}])
        assert console.request(*DEVICE_ID)[0] == 0
        task = answer.json["@odata.id"]
        eventually(lambda: client.get(task).json["TaskState"] == "Completed", what="the image is activated")
    reset(bmc)
    eventually(lambda: "LastResetTime" in manager(bmc), what="the BMC is back")
    assert get(bmc, MANAGER)["FirmwareVersion"] == "1.0.0"


def test_what_was_activated_outlives_the_daemon(lab: FirmwareLab) -> None:
    (bmc,) = lab.add()
    assert push_form(bmc, image("2.0.0")).status == 202
    eventually(lambda: states(bmc)["2.0.0"] == "Enabled", what="the image is activated")
    before = states(bmc)
    lab.vbmcd.restart()
    assert states(bmc) == before
    reset(bmc)
    eventually(lambda: runs(bmc, "2.0.0"), what="the new version runs")


@pytest.mark.parametrize("fault", [{"kind": "cut"}, {"kind": "stall", "seconds": 1}])
def test_an_upload_that_is_cut_or_stalls_leaves_nothing_behind_and_the_next_one_lands(
    lab: FirmwareLab, fault: dict[str, Any]
) -> None:
    (bmc,) = lab.add(faults=[fault])
    began = time.monotonic()
    if fault["kind"] == "cut":
        with pytest.raises(GONE):
            push_form(bmc, image("2.0.0", size=2 << 20))
        assert states(bmc) == {"1.0.0": "Enabled"}
    assert push_form(bmc, image("2.0.0", size=2 << 20)).status == 202
    assert fault["kind"] == "cut" or time.monotonic() - began >= 1


def test_an_image_is_not_held_by_the_worker(lab: FirmwareLab) -> None:
    (bmc,) = lab.add(max_image_bytes=200 << 20)
    status = Path(f"/proc/{lab.vbmcd.worker_of(bmc.name)}/status")

    def peak() -> int:
        return int(next(line for line in status.read_text().splitlines() if line.startswith("VmHWM")).split()[1])

    push_form(bmc, b"warm")
    before = peak()
    assert push_form(bmc, image(size=64 << 20)).status == 202
    assert peak() - before < 8 << 10, "KiB"


def test_curl_updates_a_bmc_with_a_raw_image(lab: FirmwareLab, tmp_path: Path) -> None:
    (bmc,) = lab.add(dialect="openbmc-2023")
    (tmp_path / "image.tar").write_bytes(image("2.1.0"))
    done = curl(
        bmc, "-X", "POST", "-H", "Content-Type: application/octet-stream", "-T", str(tmp_path / "image.tar"),
        bmc.url + get(bmc, UPDATE)["HttpPushUri"],
    )  # fmt: skip
    assert json.loads(done.stdout)["TaskState"] == "Running", done
    eventually(lambda: runs(bmc, "2.1.0"), what="the BMC resets by itself, and the new version runs")


def test_curls_form_is_taken_and_one_that_bmcweb_cannot_read_is_hung_up_on(lab: FirmwareLab, tmp_path: Path) -> None:
    (bmc,) = lab.add()
    (tmp_path / "image.tar").write_bytes(image("2.1.0"))
    parts = ["-F", f"UpdateParameters={ON_RESET};type=application/json"]
    parts += ["-F", f"UpdateFile=@{tmp_path / 'image.tar'};type=application/octet-stream"]
    uri = bmc.url + get(bmc, UPDATE)["MultipartHttpPushUri"]
    quoted = curl(bmc, "-H", 'Content-Type: multipart/form-data; boundary="quoted"', *parts, uri)
    assert (quoted.returncode, quoted.stdout) in ((52, ""), (56, ""), (55, "")), quoted
    assert json.loads(curl(bmc, *parts, uri).stdout)["@odata.type"].startswith("#Task.")


def test_curl_updates_a_bmc_over_the_rest_service_of_before(lab: FirmwareLab, tmp_path: Path) -> None:
    (bmc,) = lab.add(dialect="openbmc-legacy")
    (tmp_path / "image.tar").write_bytes(image("2.1.0"))
    jar = str(tmp_path / "jar")
    login = json.dumps({"data": [bmc.username, bmc.password]})
    anonymous = ["curl", "--insecure", "--silent", "-b", jar, "-c", jar]

    def ask(*arguments: str) -> Any:
        done = subprocess.run([*anonymous, *arguments], capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    assert ask("--json", login, f"{bmc.url}/login")["status"] == "ok"
    uploaded = ask("-T", str(tmp_path / "image.tar"), f"{bmc.url}/upload/image/")
    software = f"{bmc.url}/xyz/openbmc_project/software"
    wanted = json.dumps({"data": "xyz.openbmc_project.Software.Activation.RequestedActivations.Active"})
    assert (
        ask("-X", "PUT", "--json", wanted, f"{software}/{uploaded['data']}/attr/RequestedActivation")["status"] == "ok"
    )

    def active() -> bool:
        found = ask(f"{software}/enumerate")["data"][f"/xyz/openbmc_project/software/{uploaded['data']}"]
        return bool(found["Activation"].endswith(".Active")) and found["Priority"] == 0

    eventually(active, what="the image is active")
    reboot = json.dumps({"data": "xyz.openbmc_project.State.BMC.Transition.Reboot"})
    ask("-X", "PUT", "--json", reboot, f"{bmc.url}/xyz/openbmc_project/state/bmc0/attr/RequestedBMCTransition")
    eventually(lambda: runs(bmc, "2.1.0"), what="the new version runs")


def test_many_bmcs_are_updated_at_once(lab: FirmwareLab) -> None:
    bmcs = lab.add(20, faults=[{"kind": "slow", "seconds": 0.1}])
    data = image("2.0.0", size=1 << 20)
    with ThreadPoolExecutor(20) as pool:
        assert {answer.status for answer in pool.map(lambda bmc: push_form(bmc, data), bmcs)} == {202}
        eventually(lambda: all(states(bmc)["2.0.0"] == "Enabled" for bmc in bmcs), what="all are activated")
