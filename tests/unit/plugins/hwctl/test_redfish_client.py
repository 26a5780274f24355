# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the Redfish client sends, and how it takes what comes back."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.clients import http as http_module
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.clients import redfish_session
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.clients.base import Boot
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.clients.http import Answer
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.clients.redfish import RedfishClient
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.clients.redfish_answers import retry_after
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.deadline import Deadline
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.errors import (
    AuthFailed,
    BadAnswer,
    BadRequest,
    Busy,
    Refused,
    TlsFailed,
    Unreachable,
    Unsupported,
)
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.target import Target
from rig.redfish_service import SESSIONS, SYSTEM, RedfishService


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """To log out may take its time: the computer that runs the tests may stall."""
    monkeypatch.setattr(redfish_session, "CLOSE_TIMEOUT", 60.0)


@pytest.fixture
def service() -> Iterator[RedfishService]:
    with RedfishService() as running:
        yield running


def connect(service: RedfishService, **options: Any) -> RedfishClient:
    item = {
        "address": "127.0.0.1",
        "port": service.port,
        "protocol": "redfish",
        "username": "admin",
        "password": "pa55word",
        "plain_http": True,
        **options,
    }
    return RedfishClient(Target.of(item), Deadline(60))


def test_a_session_is_made_used_and_ended(service: RedfishService) -> None:
    with connect(service) as client:
        assert client.power() == "off"
    assert service.requests("GET")[-1].headers["x-auth-token"] == "t0ken"
    assert [one.path for one in service.requests("DELETE")] == [f"{SESSIONS}/7"]


def test_one_connection_serves_a_whole_session(service: RedfishService) -> None:
    with connect(service) as client:
        client.power()
        client.boot()
        assert client._session.http._connection is not None


def test_a_service_without_sessions_gets_basic_authentication(service: RedfishService) -> None:
    service.answers["POST", SESSIONS] = (405, {}, b"")
    with connect(service) as client:
        client.power()
    assert service.requests("GET")[-1].headers["authorization"] == "Basic YWRtaW46cGE1NXdvcmQ="
    assert service.requests("DELETE") == []


def test_a_wrong_password_is_told_as_such(service: RedfishService) -> None:
    with pytest.raises(AuthFailed, match="check user name and password"):
        connect(service, password="wrong")


def test_power_is_changed_by_the_action_that_the_system_links(service: RedfishService) -> None:
    with connect(service) as client:
        client.set_power("on")
    (sent,) = [one for one in service.requests("POST") if one.path != SESSIONS]
    assert (sent.path, sent.document) == (f"{SYSTEM}/Actions/ComputerSystem.Reset", {"ResetType": "On"})


def test_a_reset_that_the_system_does_not_offer_is_not_sent(service: RedfishService) -> None:
    with connect(service) as client, pytest.raises(Unsupported, match="no reset of type Nmi"):
        client.set_power("nmi")


@pytest.mark.parametrize(
    ("found", "boot"),
    [
        ({"BootSourceOverrideEnabled": "Once", "BootSourceOverrideTarget": "Pxe"}, Boot("pxe")),
        (
            {
                "BootSourceOverrideEnabled": "Continuous",
                "BootSourceOverrideTarget": "Hdd",
                "BootSourceOverrideMode": "UEFI",
            },
            Boot("disk", True, True),
        ),
        ({"BootSourceOverrideEnabled": "Disabled", "BootSourceOverrideMode": "Legacy"}, Boot(efi=False)),
        ({"BootSourceOverrideEnabled": "Once", "BootSourceOverrideTarget": "SDCard"}, Boot("SDCard")),
        ({"BootSourceOverrideEnabled": "Disabled", "BootSourceOverrideTarget": "Pxe"}, Boot()),
        ({"BootSourceOverrideEnabled": "Once", "BootSourceOverrideTarget": "None"}, Boot()),
        ({}, Boot()),
    ],
)
def test_a_boot_override_is_read(service: RedfishService, found: dict[str, str], boot: Boot) -> None:
    service.resources[SYSTEM]["Boot"] = found
    with connect(service) as client:
        assert client.boot() == boot


def test_a_boot_override_is_written_with_the_systems_etag(service: RedfishService) -> None:
    service.answers["GET", SYSTEM] = (200, {"ETag": '"42"'}, service.resources[SYSTEM])
    with connect(service) as client:
        client.set_boot(Boot("pxe", persistent=True, efi=True))
    (sent,) = service.requests("PATCH")
    assert sent.headers["if-match"] == '"42"'
    assert sent.document == {
        "Boot": {
            "BootSourceOverrideEnabled": "Continuous",
            "BootSourceOverrideTarget": "Pxe",
            "BootSourceOverrideMode": "UEFI",
        }
    }


def test_a_mode_that_nobody_asked_for_is_not_written(service: RedfishService) -> None:
    with connect(service) as client:
        client.set_boot(Boot("pxe"))
    (sent,) = service.requests("PATCH")
    assert sent.document == {"Boot": {"BootSourceOverrideEnabled": "Once", "BootSourceOverrideTarget": "Pxe"}}


def test_a_mode_that_the_system_does_not_have_is_refused_before_anything_is_written(service: RedfishService) -> None:
    del service.resources[SYSTEM]["Boot"]["BootSourceOverrideMode"]
    with connect(service) as client, pytest.raises(Unsupported, match="leave efi out"):
        client.set_boot(Boot("pxe", efi=True))
    assert service.requests("PATCH") == []


def test_a_system_that_changed_since_it_was_read_is_read_again_once(service: RedfishService) -> None:
    service.answers["PATCH", SYSTEM] = (412, {}, {})
    with connect(service) as client, pytest.raises(Refused, match="412"):
        client.set_boot(Boot("pxe"))
    assert len(service.requests("PATCH")) == 2


@pytest.mark.parametrize(
    ("state", "told"),
    [("On", "on"), ("Paused", "on"), ("Off", "off"), ("PoweringOn", Busy), (None, Busy), ("Asleep", BadAnswer)],
)
def test_a_power_state_is_never_guessed(service: RedfishService, state: str | None, told: Any) -> None:
    service.resources[SYSTEM]["PowerState"] = state
    with connect(service) as client:
        if isinstance(told, str):
            assert client.power() == told
            return
        with pytest.raises(told):
            client.power()


def test_a_session_is_ended_though_the_nodes_time_is_over(service: RedfishService) -> None:
    client = connect(service)
    client._session.http.deadline = Deadline(0)
    client.close()
    assert len(service.requests("DELETE")) == 1


def test_information_follows_the_link_to_the_manager(service: RedfishService) -> None:
    with connect(service) as client:
        info = client.info()
    assert (info["firmware_version"], info["uuid"]) == ("2.14.0", "6695eb01-f6a4-8304-79aa-97f2502e193f")


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, Refused), (401, AuthFailed), (403, AuthFailed), (404, Unsupported), (412, Refused), (503, Busy)],
)
def test_a_refusal_carries_the_services_own_words(service: RedfishService, status: int, error: type[Exception]) -> None:
    message = {"Message": "This can't be done now.", "Resolution": "The moon is in the wrong house."}
    extended = {"error": {"@Message.ExtendedInfo": [message]}}
    service.answers["PATCH", SYSTEM] = (status, {}, extended)
    with connect(service) as client, pytest.raises(error, match="can't be done now. The moon is in the wrong house"):
        client.set_boot(Boot("pxe"))


def test_what_a_service_says_twice_is_told_once(service: RedfishService) -> None:
    message = {"Message": "Not now. The moon is in the wrong house.", "Resolution": "The moon is in the wrong house."}
    service.answers["PATCH", SYSTEM] = (409, {}, {"error": {"@Message.ExtendedInfo": [message, message]}})
    with connect(service) as client, pytest.raises(Refused, match=r"409, Not now\. The moon is in the wrong house\.$"):
        client.set_boot(Boot("pxe"))


def test_of_several_systems_one_has_to_be_named(service: RedfishService) -> None:
    service.resources["/redfish/v1/Systems"]["Members"].append({"@odata.id": "/redfish/v1/Systems/2"})
    service.resources["/redfish/v1/Systems/2"] = {"Id": "2", "Name": "blade", "PowerState": "On"}
    with connect(service) as client, pytest.raises(BadRequest, match=r"2 systems \(1, 2\)"):
        client.power()
    for name in ("2", "blade"):
        with connect(service, system=name) as client:
            assert client.power() == "on"
    with connect(service, system="3") as client, pytest.raises(BadRequest, match="no system '3'"):
        client.power()


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"", b"\xff"])
def test_what_is_no_redfish_is_told_as_such(service: RedfishService, body: bytes) -> None:
    service.answers["GET", "/redfish/v1/"] = (200, {}, body)
    with pytest.raises(BadAnswer):
        connect(service)


def test_a_missing_link_is_told_as_such(service: RedfishService) -> None:
    del service.resources["/redfish/v1/"]["Systems"]
    with connect(service) as client, pytest.raises(BadAnswer, match="@odata.id"):
        client.power()


def test_nothing_listening_is_unreachable(service: RedfishService) -> None:
    with pytest.raises(Unreachable, match=r"does not answer \(Connection refused\): check the address, the port"):
        connect(service, port=1)


def test_a_port_that_has_no_tls_is_told_as_such(service: RedfishService) -> None:
    with pytest.raises(TlsFailed, match="plain_http"):
        connect(service, plain_http=False)


def test_a_port_that_takes_connections_and_says_nothing_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_module, "CONNECT_TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        item = {"address": "127.0.0.1", "port": silent.getsockname()[1], "protocol": "redfish"}
        target = Target.of({**item, "username": "admin", "password": "pa55word"})
        with pytest.raises(Unreachable, match=r"does not answer \(it timed out\)"):
            RedfishClient(target, Deadline(60))


def test_a_server_that_speaks_no_redfish_is_told_as_such(service: RedfishService) -> None:
    del service.resources["/redfish/v1/"]
    with pytest.raises(Unsupported, match="speaks no Redfish there: check the port and the protocol"):
        connect(service)


def test_a_bmc_that_goes_away_in_the_handshake_is_unreachable(service: RedfishService) -> None:
    """It may come back; a certificate that is not trusted won't change."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            connection, _peer = listener.accept()
            connection.recv(4096)
            connection.shutdown(socket.SHUT_WR)
            connection.recv(4096)
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        with pytest.raises(Unreachable, match="closed the connection"):
            connect(service, plain_http=False, port=listener.getsockname()[1])
        thread.join()


def test_a_certificate_that_nobody_signed_is_refused_unless_told_otherwise(tmp_path: Path) -> None:
    with RedfishService(tmp_path) as service:
        with pytest.raises(TlsFailed, match="ca_path"):
            connect(service, plain_http=False)
        for trusted in (
            {"validate_certs": False},
            {"ca_path": str(service.certificate)},
            {"fingerprint": service.fingerprint},
            {"fingerprint": ":".join(service.fingerprint[at : at + 2].upper() for at in range(0, 64, 2))},
        ):
            with connect(service, plain_http=False, **trusted) as client:
                assert client.power() == "off"


def test_another_certificate_than_the_pinned_one_gets_no_password(tmp_path: Path) -> None:
    with RedfishService(tmp_path) as service:
        with pytest.raises(TlsFailed, match=f"{service.fingerprint}.*: give this one if"):
            connect(service, plain_http=False, fingerprint="0" * 64)
        assert service.seen == []


def test_a_fingerprint_that_is_none_is_refused(service: RedfishService) -> None:
    with pytest.raises(BadRequest, match="openssl x509"):
        connect(service, fingerprint="ab:cd")


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 5000, b"{" * 8_000_000])
def test_an_answer_of_endless_depth_ends_this_node_and_not_the_program(service: RedfishService, body: bytes) -> None:
    service.answers["GET", SYSTEM] = (200, {}, body)
    with connect(service) as client, pytest.raises(BadAnswer, match="is no JSON object"):
        client.power()


def test_an_answer_that_comes_byte_by_byte_is_not_waited_for_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_module, "WHOLE_ANSWER_TIMEOUT", 0.3)
    over = threading.Event()

    def drip() -> None:
        connection, _address = server.accept()
        with contextlib.suppress(OSError), connection:
            while not over.wait(0.02):
                connection.send(b"H")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=drip)
        thread.start()
        item = {"address": "127.0.0.1", "port": server.getsockname()[1], "protocol": "redfish"}
        target = Target.of({**item, "username": "a", "password": "b", "plain_http": True})
        with pytest.raises(Unreachable, match="timed out"):
            RedfishClient(target, Deadline(60))
        over.set()
        thread.join()


@pytest.mark.parametrize("uri", ["/redfish/v1/Systeme/\u00e4", "/redfish/v1/a b", "/redfish/v1/\r\nX: y"])
def test_an_address_that_is_none_is_told_as_such(service: RedfishService, uri: str) -> None:
    service.resources["/redfish/v1/"]["Systems"] = {"@odata.id": uri}
    with connect(service) as client, pytest.raises(BadAnswer, match="for an address, which is none"):
        client.power()


@pytest.mark.parametrize(
    ("said", "heeded"), [("30", 30), ("99999999", 120), ("9" * 400, 120), ("\u00b2", 0), ("-1", 0), ("soon", 0)]
)
def test_a_service_is_left_alone_for_as_long_as_it_asks_within_reason(said: str, heeded: float) -> None:
    assert retry_after(Answer(503, {"retry-after": said}, b"")) == heeded


def test_threads_that_come_at_once_share_the_authorities(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def slow(**given: object) -> object:
        made.append(given)
        threading.Event().wait(0.05)
        return object()

    monkeypatch.setattr(ssl, "create_default_context", slow)
    threads = [threading.Thread(target=http_module._context, args=(True, "/no/such")) for _number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    http_module._made_context.cache_clear()
    assert len(made) == 1


def test_many_uploads_connect_in_few_threads_and_each_learns_of_its_own_failure() -> None:
    few = http_module._FewThreads(3)
    workers: set[int] = set()

    def work(number: int) -> int:
        workers.add(threading.get_ident())
        if number % 2:
            raise Unreachable(str(number))
        return number

    with ThreadPoolExecutor(20) as many:
        asked = [many.submit(few.call, lambda number=number: work(number)) for number in range(60)]
    assert [one.result() for one in asked[::2]] == list(range(0, 60, 2))
    assert [str(one.exception()) for one in asked[1::2]] == [str(number) for number in range(1, 60, 2)]
    assert len(workers) <= 3


def test_an_ipv6_address_may_have_the_brackets_that_it_has_in_urls() -> None:
    item = {"address": "[2001:db8::7]", "protocol": "redfish", "username": "a", "password": "b"}
    assert (Target.of(item).address, Target.of(item).name) == ("2001:db8::7", "2001:db8::7")
