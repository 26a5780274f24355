# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the Redfish client asks of an update service, and how it takes what comes back."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.clients import http as http_module
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.clients.firmware import (
    COMPLETED,
    FAILED,
    GONE,
    IMMEDIATE,
    ON_RESET,
    RUNNING,
    UNUSABLE,
    UPDATING,
    WRITTEN,
    Accepted,
    Stored,
)
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.clients.redfish import RedfishClient
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.deadline import Deadline
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.errors import (
    AlreadyThere,
    InDoubt,
    Refused,
    Unreachable,
    Unsupported,
)
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.firmware.image import Image
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.target import Target
from rig.firmware import image_file
from rig.redfish_service import IMAGES, MANAGER, SESSIONS, SYSTEM, UPDATES, RedfishService, firmware_resources

PUSH = f"{UPDATES}/update-multipart"


@pytest.fixture
def service() -> Iterator[RedfishService]:
    with RedfishService() as running:
        running.resources = firmware_resources()
        yield running


@pytest.fixture
def image(tmp_path: Path) -> Iterator[Image]:
    opened = Image.open(str(image_file(tmp_path / "bmc.tar", "2.15.0", size=3 << 20)))
    yield opened
    opened.close()


@pytest.fixture
def client(service: RedfishService) -> Iterator[RedfishClient]:
    with RedfishClient(target(service.port), Deadline(60)) as connected:
        yield connected


def target(port: int) -> Target:
    item = {"address": "127.0.0.1", "port": port, "protocol": "redfish", "plain_http": True}
    return Target.of({**item, "username": "admin", "password": "pa55word"})


def upload(client: RedfishClient, image: Image) -> Accepted:
    return client.firmware().upload(image, ON_RESET, lambda count: None)


def test_images_are_told_with_what_they_are_for_and_which_runs(client: RedfishClient) -> None:
    found = client.firmware().inventory()
    assert found.images == (
        Stored(f"{IMAGES}/1f3a", "2.14.0", "bmc", WRITTEN, running=True),
        Stored(f"{IMAGES}/77c0", "2.13.0", "bmc", WRITTEN),
    )
    assert (found.version("bmc"), found.booted) == ("2.14.0", True)


@pytest.mark.parametrize(("state", "told"), [("Updating", UPDATING), ("StandbySpare", WRITTEN), ("Disabled", UNUSABLE)])
def test_an_images_state_is_never_guessed(
    service: RedfishService, client: RedfishClient, state: str, told: str
) -> None:
    service.resources[f"{IMAGES}/77c0"]["Status"]["State"] = state
    assert client.firmware().inventory().images[1].state == told


def test_a_bmc_that_names_no_running_image_runs_the_one_of_its_version(
    service: RedfishService, client: RedfishClient
) -> None:
    del service.resources[MANAGER]["Links"]
    assert [one.running for one in client.firmware().inventory().images] == [True, False]


def test_the_hosts_image_is_the_one_that_its_bios_names(service: RedfishService, client: RedfishClient) -> None:
    service.resources[f"{IMAGES}/77c0"] |= {
        "Version": "B-3",
        "RelatedItem": [{"@odata.id": f"{SYSTEM}/Bios"}],
    }
    service.resources[SYSTEM] |= {"Bios": {"@odata.id": f"{SYSTEM}/Bios"}, "BiosVersion": "B-3"}
    service.resources[f"{SYSTEM}/Bios"] = {"Links": {"ActiveSoftwareImage": {"@odata.id": f"{IMAGES}/77c0"}}}
    found = client.firmware().inventory()
    assert dict(found.running) == {"bmc": "2.14.0", "host": "B-3"}
    assert [(one.purpose, one.running) for one in found.images] == [("bmc", True), ("host", True)]


def test_a_bmc_that_boots_is_not_done_yet(service: RedfishService, client: RedfishClient) -> None:
    service.resources[MANAGER]["Status"]["State"] = "Starting"
    assert not client.firmware().inventory().booted


def test_an_image_is_sent_whole_to_the_address_that_the_service_gives(
    service: RedfishService, client: RedfishClient, image: Image
) -> None:
    headers = {"Location": "/redfish/v1/TaskService/TaskMonitors/3", "Retry-After": "7"}
    service.answers["POST", PUSH] = (202, headers, {"TaskState": "Running", "@odata.id": "/redfish/v1/Tasks/3"})
    accepted = upload(client, image)
    (sent,) = [one for one in service.requests("POST") if one.path == PUSH]
    assert sent.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert '"' not in sent.headers["content-type"], "bmcweb takes no quoted boundary"
    form = message_from_bytes(f"Content-Type: {sent.headers['content-type']}\r\n\r\n".encode() + sent.body)
    parameters, file = form.get_payload()
    assert json.loads(parameters.get_payload()) == {"Targets": [MANAGER], "@Redfish.OperationApplyTime": "OnReset"}
    assert file.get_payload(decode=True) == bytes(image.content)
    assert accepted == Accepted("/redfish/v1/Tasks/3", 7.0)


def test_pieces_are_counted_as_they_go(service: RedfishService, client: RedfishClient, image: Image) -> None:
    counts: list[int] = []
    client.firmware().upload(image, ON_RESET, counts.append)
    (sent,) = [one for one in service.requests("POST") if one.path == PUSH]
    assert sum(counts) == len(sent.body)
    assert max(counts) == 1 << 20


def test_a_service_without_multipart_gets_the_image_alone_and_reboots(
    service: RedfishService, client: RedfishClient, image: Image
) -> None:
    del service.resources[UPDATES]["MultipartHttpPushUri"]
    service.resources[UPDATES]["MaxImageSizeBytes"] = 1 << 30
    assert client.firmware().fits(image, ON_RESET) == IMMEDIATE
    for said, applied in (("Immediate", IMMEDIATE), ("OnReset", ON_RESET)):
        service.resources[UPDATES]["HttpPushUriOptions"] = {"HttpPushUriApplyTime": {"ApplyTime": said}}
        assert client.firmware().fits(image, ON_RESET) == applied
    upload(client, image)
    (sent,) = [one for one in service.requests("POST") if one.path != SESSIONS]
    assert (sent.path, sent.body) == (f"{UPDATES}/update", bytes(image.content))


def test_an_image_that_the_bmc_has_no_room_for_is_not_sent(client: RedfishClient, image: Image) -> None:
    with pytest.raises(Refused, match="takes 1048576 at most"):
        client.firmware().fits(image, ON_RESET)


def test_a_service_without_updates_says_so(service: RedfishService, client: RedfishClient, image: Image) -> None:
    service.resources[UPDATES] = {"FirmwareInventory": {"@odata.id": IMAGES}}
    with pytest.raises(Unsupported, match="takes no upload"):
        client.firmware().fits(image, ON_RESET)


@pytest.mark.parametrize(
    ("status", "error"),
    [(503, InDoubt), (500, InDoubt), (409, InDoubt), (400, Refused), (413, Refused), (507, Refused)],
)
def test_a_refusal_tells_whether_the_image_may_be_there_all_the_same(
    service: RedfishService, client: RedfishClient, image: Image, status: int, error: type[Exception]
) -> None:
    service.answers["POST", PUSH] = (status, {"Retry-After": "3"}, {"error": {"message": "no"}})
    with pytest.raises(error) as told:
        upload(client, image)
    assert getattr(told.value, "retry_after", None) == 3.0


def test_an_image_that_is_there_already_is_told_from_other_conflicts(
    service: RedfishService, client: RedfishClient, image: Image
) -> None:
    extended = [{"MessageId": "Base.1.19.ResourceAlreadyExists", "Message": "There is one."}]
    service.answers["POST", PUSH] = (409, {}, {"error": {"@Message.ExtendedInfo": extended}})
    with pytest.raises(AlreadyThere, match="There is one"):
        upload(client, image)


def test_rubbish_after_the_whole_image_leaves_open_whether_it_landed(
    service: RedfishService, client: RedfishClient, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.answers["POST", PUSH] = (202, {"Connection": "close"}, b"x" * 2000)
    monkeypatch.setattr(http_module, "ANSWER_LIMIT", 1000)
    with pytest.raises(InDoubt, match="longer than 1000 bytes"):
        upload(client, image)


@pytest.mark.parametrize("place", ["error", "Version@Message.ExtendedInfo"])
@pytest.mark.parametrize("status", [400, 409])
def test_that_an_image_is_there_is_understood_wherever_it_is_said(
    service: RedfishService, client: RedfishClient, image: Image, status: int, place: str
) -> None:
    said = [{"MessageId": "Base.1.13.0.ResourceAlreadyExists"}]
    body = {place: {"@Message.ExtendedInfo": said} if place == "error" else said}
    service.answers["POST", PUSH] = (status, {}, body)
    with pytest.raises(AlreadyThere):
        upload(client, image)


def test_a_session_that_the_bmc_forgot_is_made_anew(service: RedfishService, client: RedfishClient) -> None:
    answered = service.answer

    def forgetful(seen: Any) -> Any:
        if seen.path == f"{UPDATES}/" or seen.headers.get("x-auth-token") == "old":
            service.seen.append(seen)
            return 401, {}, b""
        return answered(seen)

    service.answer = forgetful  # type: ignore[method-assign]
    client._session.http.headers["X-Auth-Token"] = "old"
    assert client.power() == "off"
    assert [one.path for one in service.requests("POST")] == [SESSIONS, SESSIONS]


TASK = "/redfish/v1/TaskService/Tasks/3"


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        ((202, {}, b""), RUNNING),
        ((200, {}, {"TaskState": "Running", "PercentComplete": 40}), RUNNING),
        ((200, {}, {"TaskState": "Completed"}), COMPLETED),
        ((204, {}, b""), COMPLETED),
        ((404, {}, b""), GONE),
        ((200, {}, {"TaskState": "Exception", "Messages": [{"Message": "Bad signature."}]}), FAILED),
        ((200, {}, {"TaskState": "Cancelled"}), FAILED),
    ],
)
def test_a_task_is_followed_to_its_end(service: RedfishService, client: RedfishClient, answer: Any, state: str) -> None:
    service.answers["GET", TASK] = answer
    progress = client.firmware().progress(Accepted(TASK))
    assert progress.state == state
    if state == FAILED and answer[2].get("Messages"):
        assert progress.message == "Bad signature."


def test_of_a_tasks_messages_those_are_told_that_say_what_went_wrong(
    service: RedfishService, client: RedfishClient
) -> None:
    messages = [
        {"Message": "The task 0 has started.", "MessageSeverity": "OK", "Resolution": "None."},
        {"Message": "The task 0 is aborted.", "Severity": "Critical", "Resolution": "Give the right image."},
        {"Message": "Power was lost.", "MessageSeverity": "Warning", "Resolution": "None"},
    ]
    service.answers["GET", TASK] = (200, {}, {"TaskState": "Exception", "Messages": messages})
    said = client.firmware().progress(Accepted(TASK)).message
    assert said == "The task 0 is aborted. Give the right image. Power was lost."


def test_the_running_image_is_chosen_by_its_link(service: RedfishService, client: RedfishClient) -> None:
    assert client.firmware().switch(Stored(f"{IMAGES}/77c0", "2.13.0", "bmc", WRITTEN))
    (sent,) = service.requests("PATCH")
    assert (sent.path, sent.document) == (
        MANAGER,
        {"Links": {"ActiveSoftwareImage": {"@odata.id": f"{IMAGES}/77c0"}}},
    )


def test_a_bmc_that_lets_nobody_choose_is_told_from_one_that_refuses(
    service: RedfishService, client: RedfishClient
) -> None:
    spare = Stored(f"{IMAGES}/77c0", "2.13.0", "bmc", WRITTEN)
    info = {"error": {"@Message.ExtendedInfo": [{"MessageId": "Base.1.13.PropertyNotWritable", "Message": "no"}]}}
    service.answers["PATCH", MANAGER] = (400, {}, info)
    with pytest.raises(Unsupported):
        client.firmware().switch(spare)
    service.answers["PATCH", MANAGER] = (400, {}, {"error": {"message": "no"}})
    with pytest.raises(Refused):
        client.firmware().switch(spare)


def test_a_bmc_is_restarted_gently_where_it_knows_how(service: RedfishService, client: RedfishClient) -> None:
    client.firmware().reset()
    service.resources[MANAGER]["Actions"]["#Manager.Reset"]["ResetType@Redfish.AllowableValues"] = ["ForceRestart"]
    client.firmware().reset()
    resets = [one.document for one in service.requests("POST") if one.path.endswith("Manager.Reset")]
    assert resets == [{"ResetType": "GracefulRestart"}, {"ResetType": "ForceRestart"}]


def test_an_image_that_is_gone_already_counts_as_removed(service: RedfishService, client: RedfishClient) -> None:
    gone = Stored(f"{IMAGES}/77c0", "2.13.0", "bmc", WRITTEN)
    service.answers["DELETE", gone.id] = (404, {}, b"")
    client.firmware().delete(gone)
    service.answers["DELETE", gone.id] = (405, {}, b"")
    with pytest.raises(Unsupported, match="the BMC removes no images when it is asked to, so bmc 2.13.0 stays"):
        client.firmware().delete(gone)


class Listener:
    """Takes one connection after another and does with each what it is told to."""

    def __init__(self, *acts: Any) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, args=(acts,), daemon=True).start()

    def _serve(self, acts: Any) -> None:
        for act in acts:
            connection = self._socket.accept()[0]
            with connection:
                act(connection)


def read_all(connection: socket.socket) -> None:
    """A request with its body, and then no answer."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, body = data.split(b"\r\n\r\n", 1)
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    while length > len(body):
        body += connection.recv(1 << 20)


def refuse_early(connection: socket.socket) -> None:
    connection.recv(1000)
    connection.sendall(b"HTTP/1.1 413 Payload Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    connection.shutdown(socket.SHUT_WR)
    while connection.recv(1 << 16):
        pass


def hang_up(connection: socket.socket) -> None:
    connection.recv(1000)


@pytest.mark.parametrize(("act", "error"), [(read_all, InDoubt), (hang_up, Unreachable), (refuse_early, Refused)])
def test_a_connection_that_ends_tells_what_became_of_the_image(
    service: RedfishService, client: RedfishClient, image: Image, act: Any, error: type[Exception]
) -> None:
    listener = Listener(act)
    firmware = client.firmware()
    service_document = firmware._service()
    firmware._service = lambda: service_document  # type: ignore[method-assign]
    manager = firmware._manager_uri()
    firmware._manager_uri = lambda: manager  # type: ignore[method-assign]
    client._session.http._target = target(listener.port)
    with pytest.raises(error) as told:
        firmware.upload(image, ON_RESET, lambda count: None)
    assert isinstance(told.value, InDoubt) == (act is read_all)
    client._session.http._target = target(service.port)
