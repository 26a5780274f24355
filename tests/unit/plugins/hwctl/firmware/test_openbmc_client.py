# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the client for OpenBMC's old REST asks, and how it takes what comes back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.clients import openbmc
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.clients.firmware import (
    READY,
    UNUSABLE,
    UPDATING,
    WRITTEN,
    Stored,
)
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.clients.openbmc import OpenBmcClient
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.deadline import Deadline
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.errors import (
    AuthFailed,
    Busy,
    InDoubt,
    Refused,
    Unsupported,
)
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.firmware.image import Image
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.target import Target
from rig.firmware import image_file
from rig.redfish_service import RedfishService

XYZ = "/xyz/openbmc_project"
SOFTWARE = f"{XYZ}/software"
COOKIES = "SESSION=s3ss10n; Path=/; Secure; HttpOnly, XSRF-TOKEN=x5rf; Expires=Wed, 21 Oct 2026 07:28:00 GMT; Secure"


def software(activation: str = "Active", priority: int = 1) -> dict[str, Any]:
    kind = "xyz.openbmc_project.Software"
    return {
        "Activation": f"{kind}.Activation.Activations.{activation}",
        "Priority": priority,
        "Version": "2.6.0",
        "Purpose": f"{kind}.Version.VersionPurpose.BMC",
    }


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """To log out may take its time: the computer that runs the tests may stall."""
    monkeypatch.setattr(openbmc, "CLOSE_TIMEOUT", 60.0)


@pytest.fixture
def service() -> Iterator[RedfishService]:
    with RedfishService() as running:
        running.answers["POST", "/login"] = (200, {"Set-Cookie": COOKIES}, {"status": "ok"})
        running.resources = {
            f"{SOFTWARE}/enumerate": {
                "data": {
                    f"{SOFTWARE}/1a2b": software(priority=0),
                    f"{SOFTWARE}/3c4d": software("Ready"),
                    f"{SOFTWARE}/functional": {"endpoints": [f"{SOFTWARE}/1a2b"]},
                }
            },
            f"{XYZ}/state/bmc0": {
                "data": {
                    "CurrentBMCState": "xyz.openbmc_project.State.BMC.BMCState.Ready",
                    "LastRebootTime": 1700000000000,
                }
            },
            f"{XYZ}/state/chassis0": {"data": {"CurrentPowerState": "xyz.openbmc_project.State.Chassis.PowerState.On"}},
        }
        yield running


@pytest.fixture
def client(service: RedfishService) -> Iterator[OpenBmcClient]:
    with connect(service) as connected:
        yield connected


def connect(service: RedfishService) -> Any:
    item = {"address": "127.0.0.1", "port": service.port, "protocol": "openbmc", "plain_http": True}
    return OpenBmcClient(Target.of({**item, "username": "root", "password": "0penBmc"}), Deadline(60))


def test_a_login_is_made_used_and_ended(service: RedfishService) -> None:
    with connect(service) as client:
        assert client.power() == "on"
    assert service.seen[0].document == {"data": ["root", "0penBmc"]}
    headers = service.requests("GET")[-1].headers
    assert (headers["cookie"], headers["x-xsrf-token"]) == ("SESSION=s3ss10n; XSRF-TOKEN=x5rf", "x5rf")
    assert service.seen[-1].path == "/logout"


def test_a_wrong_password_is_told_as_such(service: RedfishService) -> None:
    service.answers["POST", "/login"] = (401, {}, b"")
    with pytest.raises(AuthFailed, match="check user name and password"):
        connect(service)


def test_a_bmc_that_speaks_redfish_alone_is_told_as_such(service: RedfishService) -> None:
    service.answers["POST", "/login"] = (404, {}, b"")
    with pytest.raises(Unsupported, match="try protocol redfish"):
        connect(service)


def test_images_are_told_with_what_they_are_for_and_which_runs(client: OpenBmcClient) -> None:
    found = client.inventory()
    assert found.images == (
        Stored(f"{SOFTWARE}/1a2b", "2.6.0", "bmc", WRITTEN, running=True, chosen=True),
        Stored(f"{SOFTWARE}/3c4d", "2.6.0", "bmc", READY),
    )
    assert (found.version("bmc"), found.reset_time, found.booted) == ("2.6.0", "1700000000000", True)


@pytest.mark.parametrize(
    ("activation", "state"),
    [("NotReady", UPDATING), ("Activating", UPDATING), ("Invalid", UNUSABLE), ("Failed", UNUSABLE), ("", UNUSABLE)],
)
def test_an_activation_is_never_guessed(
    service: RedfishService, client: OpenBmcClient, activation: str, state: str
) -> None:
    service.resources[f"{SOFTWARE}/enumerate"]["data"][f"{SOFTWARE}/3c4d"] = software(activation)
    assert client.inventory().images[1].state == state


def test_an_image_is_sent_as_it_is_and_activated_by_a_property(
    service: RedfishService, client: OpenBmcClient, tmp_path: Path
) -> None:
    image = Image.open(str(image_file(tmp_path / "obmc image.tar", "2.7.0")))
    client.upload(image, "on_reset", lambda count: None)
    sent = service.seen[-1]
    assert (sent.method, sent.path, sent.body) == ("POST", "/upload/image/obmc%20image.tar", bytes(image.content))
    image.close()
    client.activate(Stored(f"{SOFTWARE}/3c4d", "2.7.0", "bmc", READY))
    assert not client.switch(Stored(f"{SOFTWARE}/3c4d", "2.7.0", "bmc", WRITTEN)), "it reboots nothing"
    client.reset()
    assert [(one.path.removeprefix(XYZ), one.document) for one in service.requests("PUT")] == [
        (
            "/software/3c4d/attr/RequestedActivation",
            {"data": "xyz.openbmc_project.Software.Activation.RequestedActivations.Active"},
        ),
        ("/software/3c4d/attr/Priority", {"data": 0}),
        ("/state/bmc0/attr/RequestedBMCTransition", {"data": "xyz.openbmc_project.State.BMC.Transition.Reboot"}),
    ]


@pytest.mark.parametrize(
    ("status", "error"), [(400, Refused), (403, AuthFailed), (404, Unsupported), (503, Busy), (500, Refused)]
)
def test_a_refusal_is_told_in_the_bmcs_words(
    service: RedfishService, client: OpenBmcClient, status: int, error: type[Exception]
) -> None:
    words = {"data": {"description": "Invalid value"}, "message": f"{status} Oh", "status": "error"}
    service.answers["PUT", f"{XYZ}/state/host0/attr/RequestedHostTransition"] = (status, {}, words)
    with pytest.raises(error, match="Invalid value"):
        client.set_power("on")


def test_an_upload_that_is_refused_for_now_may_be_there_all_the_same(
    service: RedfishService, client: OpenBmcClient, tmp_path: Path
) -> None:
    image = Image.open(str(image_file(tmp_path / "i.tar", "2.7.0")))
    service.answers["POST", "/upload/image/i.tar"] = (503, {}, b"")
    with pytest.raises(InDoubt):
        client.upload(image, "on_reset", lambda count: None)
    image.close()


def test_what_the_protocol_has_not_is_told(client: OpenBmcClient) -> None:
    with pytest.raises(Unsupported, match="use ipmi"):
        client.boot()
    with pytest.raises(Unsupported, match="power action nmi"):
        client.set_power("nmi")
