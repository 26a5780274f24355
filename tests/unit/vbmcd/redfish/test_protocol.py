# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every request of Redfish has in common: login, privilege, headers, bodies, ETags, queries, errors (DSP0266)."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rig.redfish import RESET, ROOT, SYSTEM
from rig.redfish_board import RedfishBoard, basic
from vbmcd.config import Privilege, User
from vbmcd.redfish.access import Access
from vbmcd.redfish.dispatch import MAX_BODY
from vbmcd.redfish.messages import MESSAGES

OPERATOR = User("op", "operator", Privilege.OPERATOR)
READER = User("ro", "reader", Privilege.USER)
CALLBACK = User("cb", "callback", Privilege.CALLBACK)
ADMIN = User("admin", "secret")

SENSORS = f"{ROOT}/Chassis/1/Sensors"


@pytest.fixture
def board() -> RedfishBoard:
    return RedfishBoard(users=(ADMIN, OPERATOR, READER, CALLBACK))


# --- The whole service -----------------------------------------------------------------------------------------------


def links(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["@odata.id"].partition("#")[0]} if "@odata.id" in value else set()
        return own.union(*(links(part) for part in value.values()))
    if isinstance(value, list):
        return set().union(*map(links, value))
    return set()


async def crawl(board: RedfishBoard) -> dict[str, Any]:
    """Everything that links lead to from the service root."""
    found: dict[str, Any] = {}
    waiting = {f"{ROOT}/"}
    while waiting:
        path = waiting.pop()
        answer = await board.get(path)
        assert answer.status == 200, path
        found[path] = answer.json
        waiting |= links(answer.json) - set(found)
    return found


async def test_every_link_leads_somewhere_and_every_type_is_in_the_metadata(board: RedfishBoard) -> None:
    await board.ask(0x00, 0x02, "01")
    found = await crawl(board)
    assert len(found) > 40
    metadata = ET.fromstring((await board.get(f"{ROOT}/$metadata")).data)
    known = {one.get("Namespace") for one in metadata.iter() if one.tag.endswith("Include")}
    for path, document in found.items():
        assert document["@odata.id"] == path
        assert document["@odata.type"][1:].rpartition(".")[0] in known, path
        assert document["Name"]


async def test_the_registry_has_every_message_with_the_arguments_that_it_takes(board: RedfishBoard) -> None:
    (place,) = (await board.get(f"{ROOT}/Registries/Base")).json["Location"]
    registry = (await board.get(place["Uri"])).json
    assert set(registry["Messages"]) == set(MESSAGES)
    assert registry["Messages"]["PropertyValueTypeError"]["NumberOfArgs"] == 2


async def test_the_root_is_open_and_nothing_below_it_is(board: RedfishBoard) -> None:
    found = await crawl(board)
    board.headers = {}
    for path in found:
        assert (await board.get(path)).status == (200 if path == f"{ROOT}/" else 401), path


@pytest.mark.parametrize("path", ["/redfish", ROOT, f"{ROOT}/", f"{ROOT}/odata", f"{ROOT}/$metadata"])
async def test_these_need_no_login(board: RedfishBoard, path: str) -> None:
    board.headers = {}
    assert (await board.get(path)).status == 200


# --- Who may do what -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user", "status", "reset", "accounts"),
    [(ADMIN, 200, 200, 201), (OPERATOR, 200, 200, 403), (READER, 200, 403, 403)],
)
async def test_a_role_is_an_ipmi_privilege(
    board: RedfishBoard, user: User, status: int, reset: int, accounts: int
) -> None:
    board.headers = basic(user)
    assert (await board.get(SYSTEM)).status == status
    assert (await board.web("POST", RESET, {"ResetType": "On"})).status == reset
    wanted = {"UserName": "new", "Password": "new", "RoleId": "ReadOnly"}
    assert (await board.web("POST", f"{ROOT}/AccountService/Accounts", wanted)).status == accounts


async def test_a_callback_user_may_not_log_in(board: RedfishBoard) -> None:
    board.headers = basic(CALLBACK)
    assert (await board.get(SYSTEM)).status == 401


@pytest.mark.parametrize("header", ["", "Basic", "Basic !!", "Basic YWRtaW4=", "Bearer x", "Basic " + "A" * 8000])
async def test_a_malformed_authorization_is_no_login(board: RedfishBoard, header: str) -> None:
    board.headers = {"Authorization": header}
    answer = await board.get(SYSTEM)
    assert answer.status == 401
    assert "basic" in answer.headers["www-authenticate"].lower()


def stop_the_clock(board: RedfishBoard) -> None:
    """By which failed logins are forgotten."""
    board.bmc.part(Access)._clock = lambda: 1000.0


async def test_a_password_of_no_characters_is_a_wrong_one(board: RedfishBoard) -> None:
    stop_the_clock(board)
    board.headers = {}
    body = rb'{"UserName":"admin","Password":"\ud800"}'
    for _turn in range(33):
        answer = await board.web("POST", f"{ROOT}/SessionService/Sessions", data=body)
    assert answer.status == 503
    assert answer.messages == ["ServiceTemporarilyUnavailable"]


async def test_who_guesses_is_refused_for_a_while_and_others_are_not(board: RedfishBoard) -> None:
    stop_the_clock(board)
    board.headers = basic(User("admin", "wrong"))
    statuses = [(await board.get(SYSTEM)).status for _turn in range(40)]
    assert statuses[0] == 401
    assert statuses[-1] == 503
    board.headers = basic(ADMIN)
    answer = await board.get(SYSTEM)
    assert (answer.status, answer.headers["retry-after"]) == (503, "2")


async def test_a_wrong_password_is_in_the_event_log(board: RedfishBoard) -> None:
    board.headers = basic(User("admin", "wrong"))
    await board.get(SYSTEM)
    board.headers = basic(ADMIN)
    (entry,) = (await board.get(f"{ROOT}/Managers/1/LogServices/SEL/Entries")).json["Members"]
    assert entry["SensorType"] == "Session Audit"


# --- Methods, paths, headers, bodies ---------------------------------------------------------------------------------


async def test_a_method_that_a_resource_has_not_is_405_with_those_that_it_has(board: RedfishBoard) -> None:
    answer = await board.web("DELETE", SYSTEM)
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD, PATCH")
    assert answer.messages == ["OperationNotAllowed"]
    assert (await board.web("BREW", SYSTEM)).status == 501
    assert (await board.web("OPTIONS", SYSTEM)).headers["allow"] == "GET, HEAD, PATCH"


async def test_a_method_that_another_dialect_has_is_not_among_those_that_can_be_used(board: RedfishBoard) -> None:
    answer = await board.web("POST", f"{ROOT}/UpdateService", data=b"x")
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD, PATCH")


async def test_head_is_get_without_the_body(board: RedfishBoard) -> None:
    got, head = await board.get(SYSTEM), await board.web("HEAD", SYSTEM)
    assert (head.status, head.data) == (200, b"")
    assert head.headers["content-length"] == str(len(got.data))
    assert head.headers["etag"] == got.headers["etag"]


@pytest.mark.parametrize(
    "path",
    [
        f"{ROOT}/Systems/2",
        f"{ROOT}/Systems/..",
        f"{ROOT}/Systems/%2e%2e/Chassis",
        f"{ROOT}//Systems/1",
        f"{ROOT}/Systems/1//",
        f"{ROOT}/Systems/1%2fActions",
        f"{ROOT}/Systems/1%00",
        f"{ROOT}/AccountService/Accounts/99999999999999999999",
        f"{ROOT}/AccountService/Accounts/%C2%B2",
        f"{ROOT}/Managers/1/LogServices/SEL/Entries/%D9%A1",
        f"{ROOT}/Systems/1/Processors/00",
        "/etc/passwd",
        "/" + "a/" * 5000,
        "",
        "*",
    ],
)
async def test_there_is_nothing_at_odd_paths(board: RedfishBoard, path: str) -> None:
    assert (await board.get(path)).status == 404


@pytest.mark.parametrize(
    ("data", "status", "id"),
    [
        (b"{", 400, "MalformedJSON"),
        (b"\xff\xfe", 400, "MalformedJSON"),
        (b"[]", 400, "UnrecognizedRequestBody"),
        (b"null", 400, "UnrecognizedRequestBody"),
        (b"{}", 400, "EmptyJSON"),
        (b"", 400, "EmptyJSON"),
        (b"[" * 60000, 400, "MalformedJSON"),
        (b'{"a":' * 10000, 400, "MalformedJSON"),
        (b" " * (MAX_BODY + 1), 413, "PayloadTooLarge"),
    ],
)
async def test_a_malformed_body_is_refused(board: RedfishBoard, data: bytes, status: int, id: str) -> None:
    answer = await board.web("PATCH", SYSTEM, data=data)
    assert (answer.status, answer.messages) == (status, [id])


@pytest.mark.parametrize(("method", "path"), [("PATCH", SYSTEM), ("POST", f"{ROOT}/AccountService/Accounts")])
async def test_an_answer_is_not_much_larger_than_what_was_asked(board: RedfishBoard, method: str, path: str) -> None:
    answer = await board.web(method, path, {f"p{number}": 1 for number in range(5000)})
    assert answer.status == 400
    assert len(answer.data) < MAX_BODY
    assert len(answer.messages) > 1


async def test_the_message_says_why_for_those_who_show_nothing_else(board: RedfishBoard) -> None:
    answer = await board.web("DELETE", f"{ROOT}/AccountService/Accounts/2")
    assert "first user" in answer.json["error"]["message"]


async def test_a_body_that_says_how_large_it_is_need_not_be_read(board: RedfishBoard) -> None:
    assert (await board.web("PATCH", SYSTEM, {}, {"Content-Length": "99999999"})).status == 413


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Accept": "text/html"}, 406),
        ({"Accept": "text/html, */*;q=0.1"}, 200),
        ({"Accept": "application/json; charset=utf-8"}, 200),
        ({"OData-Version": "3.0"}, 412),
        ({"OData-Version": "4.0"}, 200),
    ],
)
async def test_headers_are_looked_at(board: RedfishBoard, headers: dict[str, str], status: int) -> None:
    assert (await board.web("GET", SYSTEM, headers=headers)).status == status


async def test_json_has_to_be_called_json(board: RedfishBoard) -> None:
    assert (await board.web("PATCH", SYSTEM, {"AssetTag": "a"}, {"Content-Type": "text/plain"})).status == 415


# --- ETags -----------------------------------------------------------------------------------------------------------


async def test_a_resource_is_changed_only_as_it_was_seen(board: RedfishBoard) -> None:
    etag = (await board.get(SYSTEM)).headers["etag"]
    first = await board.web("PATCH", SYSTEM, {"AssetTag": "one"}, {"If-Match": etag})
    again = await board.web("PATCH", SYSTEM, {"AssetTag": "two"}, {"If-Match": etag})
    assert (first.status, again.status, again.messages) == (200, 412, ["PreconditionFailed"])
    assert (await board.get(SYSTEM)).json["AssetTag"] == "one"


async def test_what_is_known_already_is_not_sent(board: RedfishBoard) -> None:
    got = await board.get(SYSTEM)
    assert got.json["@odata.etag"] == got.headers["etag"]
    again = await board.get(SYSTEM, If_None_Match=got.headers["etag"])
    assert (again.status, again.data) == (304, b"")


async def test_etags_are_compared_weakly(board: RedfishBoard) -> None:
    """RFC 9110, 8.8.3.2: what stands between a client and the BMC may have made a strong one of it."""
    etag = (await board.get(SYSTEM)).headers["etag"]
    assert (await board.get(SYSTEM, If_None_Match=etag.removeprefix("W/"))).status == 304
    assert (await board.get(SYSTEM, If_None_Match="*")).status == 304
    headers = {"If-Match": f'"another", {etag.removeprefix("W/")}'}
    assert (await board.web("PATCH", SYSTEM, {"AssetTag": "one"}, headers)).status == 200


async def test_a_part_of_a_resource_has_the_etag_of_the_whole(board: RedfishBoard) -> None:
    whole, part = await board.get(SYSTEM), await board.get(f"{SYSTEM}?$select=AssetTag")
    assert part.headers["etag"] == part.json["@odata.etag"] == whole.headers["etag"]
    changed = await board.web("PATCH", SYSTEM, {"AssetTag": "one"}, {"If-Match": part.headers["etag"]})
    assert changed.status == 200


async def test_the_clock_alone_changes_no_etag(board: RedfishBoard) -> None:
    first = await board.get(f"{ROOT}/Managers/1")
    await board.ask(0x0A, 0x49, "00 00 00 20")
    again = await board.get(f"{ROOT}/Managers/1")
    assert again.json["DateTime"] != first.json["DateTime"]
    assert again.headers["etag"] == first.headers["etag"]


# --- Queries ---------------------------------------------------------------------------------------------------------


async def test_select_keeps_what_is_asked_for(board: RedfishBoard) -> None:
    document = (await board.get(f"{SYSTEM}?$select=Status/State,PowerState,Nothing")).json
    assert document["Status"] == {"State": "Disabled"}
    assert {key for key in document if not key.startswith("@")} == {"Status", "PowerState"}


async def test_expand_puts_members_in_the_place_of_links(board: RedfishBoard) -> None:
    members = (await board.get(f"{SENSORS}?$expand=.")).json["Members"]
    assert {one["Name"] for one in members} >= {"CPU", "Memory"}


async def test_expand_knows_levels_and_kinds_of_links(board: RedfishBoard) -> None:
    root = (await board.get(f"{ROOT}?$expand=.($levels=2)")).json
    assert root["Systems"]["Members"][0]["PowerState"] == "Off"
    assert root["Links"]["Sessions"] == {"@odata.id": f"{ROOT}/SessionService/Sessions"}
    system = (await board.get(f"{SYSTEM}?$expand=~")).json
    assert system["Links"]["Chassis"][0]["ChassisType"] == "Other"
    assert set(system["Processors"]) == {"@odata.id"}


async def test_expand_shows_nobody_more_than_may_be_seen(board: RedfishBoard) -> None:
    board.headers = {}
    root = (await board.get(f"{ROOT}?$expand=*($levels=3)")).json
    assert set(root["Systems"]) == {"@odata.id"}


async def test_members_are_filtered_skipped_and_counted(board: RedfishBoard) -> None:
    found = (await board.get(f"{SENSORS}?$filter=ReadingUnits%20eq%20'%25'%20and%20not%20(Name%20eq%20'CPU')")).json
    assert [one["@odata.id"].rpartition("/")[2] for one in found["Members"]] == ["Memory", "MemoryResident"]
    assert found["Members@odata.count"] == 2
    page = (await board.get(f"{SENSORS}?$skip=1&$top=2")).json
    assert [one["@odata.id"].rpartition("/")[2] for one in page["Members"]] == ["Memory", "MemoryResident"]
    assert page["Members@odata.count"] == 7


async def test_only_is_the_only_member(board: RedfishBoard) -> None:
    assert (await board.get(f"{ROOT}/Systems?only")).json["@odata.id"] == SYSTEM
    assert "Members" in (await board.get(f"{SENSORS}?only")).json


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("$nonsense", 501),
        ("$top=-1", 400),
        ("$top=x", 400),
        ("$top=\u0663", 400),
        ("$skip=99999999999999", 400),
        ("$expand=x", 400),
        ("$expand=.($levels=99)", 400),
        ("$filter=Name", 400),
        ("$filter=" + "(" * 500, 400),
        ("$filter=" + "not%20" * 200 + "a%20eq%201", 400),
        ("only=1", 400),
        ("only&$top=1", 400),
        ("excerpt", 400),
        ("a=1&b=2", 200),
        ("&".join(f"a{number}" for number in range(1000)), 400),
    ],
)
async def test_queries_that_make_no_sense_are_refused(board: RedfishBoard, query: str, status: int) -> None:
    assert (await board.get(f"{SENSORS}?{query}")).status == status


async def test_paging_is_for_collections(board: RedfishBoard) -> None:
    assert (await board.get(f"{SYSTEM}?$top=1")).messages == ["QueryNotSupportedOnResource"]


# --- Whatever comes --------------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=10,
)
PROPERTIES = st.sampled_from(["Boot", "BootSourceOverrideTarget", "AssetTag", "ResetType", "UserName", "Password"])
BODIES = st.dictionaries(PROPERTIES | st.text(max_size=12), JSON, max_size=4)
PATHS = st.sampled_from(
    [SYSTEM, RESET, f"{ROOT}/Chassis/1", f"{ROOT}/AccountService/Accounts/2", f"{ROOT}/SessionService"]
)
METHODS = st.sampled_from(["GET", "POST", "PATCH", "PUT", "DELETE", "HEAD"])


@settings(max_examples=150, deadline=None)
@given(method=METHODS, path=PATHS, body=BODIES, query=st.text(max_size=30))
async def test_no_request_is_a_mistake_of_the_service(method: str, path: str, body: Any, query: str) -> None:
    board = RedfishBoard()
    answer = await board.web(method, f"{path}?{query}", body)
    assert answer.status < 500 or answer.status == 501
    if answer.status >= 400 and method != "HEAD":
        assert json.loads(answer.data)["error"]["@Message.ExtendedInfo"]
