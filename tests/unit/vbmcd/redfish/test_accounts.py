# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Accounts and sessions of Redfish, which are IPMI's users."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rig.board import until
from rig.redfish import ROOT, SYSTEM, Answer
from rig.redfish_board import RedfishBoard, basic
from vbmcd.config import Privilege, User
from vbmcd.redfish import access
from vbmcd.redfish.access import Access

ACCOUNTS = f"{ROOT}/AccountService/Accounts"
SESSIONS = f"{ROOT}/SessionService/Sessions"
ADMIN = User("admin", "secret")
READER = User("ro", "reader", Privilege.USER)
NEW = {"UserName": "new", "Password": "n3w-Pa55", "RoleId": "Operator"}


@pytest.fixture
def board() -> RedfishBoard:
    return RedfishBoard(users=(ADMIN, READER))


async def log_in(board: RedfishBoard, user: User = ADMIN) -> Answer:
    answer = await board.web("POST", SESSIONS, {"UserName": user.name, "Password": user.password})
    board.headers = {"X-Auth-Token": answer.headers["x-auth-token"]}
    return answer


# --- Accounts --------------------------------------------------------------------------------------------------------


async def test_an_account_that_is_made_is_an_ipmi_user(board: RedfishBoard) -> None:
    answer = await board.web("POST", ACCOUNTS, NEW)
    assert (answer.status, answer.headers["location"]) == (201, f"{ACCOUNTS}/4")
    assert answer.json["Password"] is None
    assert board.users[-1][-1] == User("new", "n3w-Pa55", Privilege.OPERATOR)
    assert bytes.fromhex((await board.ask(0x06, 0x46, "04"))[3:]).rstrip(b"\0") == b"new"


async def test_a_user_changed_by_ipmi_is_read_back(board: RedfishBoard) -> None:
    await board.ask(0x06, 0x43, "91 03 03")
    account = (await board.get(f"{ACCOUNTS}/3")).json
    assert (account["UserName"], account["RoleId"], account["Enabled"]) == ("ro", "Operator", True)


async def test_a_user_whom_ipmi_has_only_named_can_be_enabled(board: RedfishBoard) -> None:
    await board.ask(0x06, 0x45, "09" + b"nine".ljust(16, b"\0").hex())
    answer = await board.web("PATCH", f"{ACCOUNTS}/9", {"Enabled": True})
    assert answer.json["Enabled"] is False
    assert [one["MessageArgs"] for one in answer.json["@Message.ExtendedInfo"]] == [["Enabled", "Password"]]
    wanted = {"Password": "n9-Pa55", "RoleId": "Operator", "Enabled": True}
    assert (await board.web("PATCH", f"{ACCOUNTS}/9", wanted)).json["Enabled"] is True
    assert board.users[-1][-1] == User("nine", "n9-Pa55", Privilege.OPERATOR)


async def test_an_account_is_never_locked(board: RedfishBoard) -> None:
    assert (await board.web("PATCH", f"{ACCOUNTS}/3", {"Locked": False})).json["Locked"] is False
    assert (await board.web("PATCH", f"{ACCOUNTS}/3", {"Locked": True})).messages == ["PropertyValueError"]


async def test_an_account_is_changed_and_removed(board: RedfishBoard) -> None:
    changed = await board.web("PATCH", f"{ACCOUNTS}/3", {"RoleId": "Administrator", "UserName": "rw"})
    assert changed.json["UserName"] == "rw"
    assert board.users[-1][-1] == User("rw", "reader", Privilege.ADMINISTRATOR)
    assert (await board.web("DELETE", f"{ACCOUNTS}/3")).status == 204
    assert [user.name for user in board.users[-1]] == ["admin"]
    assert (await board.get(f"{ACCOUNTS}/3")).status == 404


async def test_the_first_user_stays(board: RedfishBoard) -> None:
    assert (await board.web("DELETE", f"{ACCOUNTS}/2")).messages == ["ResourceCannotBeDeleted"]
    assert (await board.web("PATCH", f"{ACCOUNTS}/2", {"Enabled": False})).status == 400


@pytest.mark.parametrize(
    ("body", "status", "ids"),
    [
        ({**NEW, "UserName": "ro"}, 409, ["ResourceAlreadyExists"]),
        ({**NEW, "UserName": "x" * 17}, 400, ["PropertyValueFormatError"]),
        ({**NEW, "Password": "x" * 21}, 400, ["PropertyValueError"]),
        ({**NEW, "RoleId": "King"}, 400, ["PropertyValueNotInList"]),
        ({**NEW, "Crown": True}, 400, ["PropertyUnknown"]),
        ({"UserName": "new", "RoleId": "Operator"}, 400, ["PropertyMissing"]),
        ({**NEW, "Password": 5}, 400, ["PropertyValueTypeError"]),
        ({**NEW, "AccountTypes": ["Redfish"]}, 400, ["PropertyValueError"]),
        ({**NEW, "PasswordChangeRequired": True}, 400, ["PropertyValueError"]),
    ],
)
async def test_an_account_that_can_not_be_is_refused(
    board: RedfishBoard, body: dict[str, Any], status: int, ids: list[str]
) -> None:
    answer = await board.web("POST", ACCOUNTS, body)
    assert (answer.status, answer.messages) == (status, ids)
    assert "x" * 21 not in answer.data.decode()


async def test_accounts_that_are_made_at_once_are_all_there(board: RedfishBoard) -> None:
    names = [f"user-{number}" for number in range(4)]
    answers = await asyncio.gather(*(board.web("POST", ACCOUNTS, {**NEW, "UserName": name}) for name in names))
    places = [answer.headers["location"] for answer in answers]
    assert [(await board.get(place)).json["UserName"] for place in places] == names


async def test_there_are_no_more_accounts_than_ipmi_has_ids(board: RedfishBoard) -> None:
    for number in range(13):
        assert (await board.web("POST", ACCOUNTS, {**NEW, "UserName": f"user-{number}"})).status == 201
    assert (await board.web("POST", ACCOUNTS, NEW)).messages == ["CreateLimitReachedForResource"]


async def test_who_reads_sees_itself_and_may_give_itself_a_password(board: RedfishBoard) -> None:
    board.headers = basic(READER)
    assert [one["@odata.id"] for one in (await board.get(ACCOUNTS)).json["Members"]] == [f"{ACCOUNTS}/3"]
    assert (await board.get(f"{ACCOUNTS}/2")).status == 403
    assert (await board.web("PATCH", f"{ACCOUNTS}/3", {"RoleId": "Administrator"})).status == 403
    assert (await board.web("PATCH", f"{ACCOUNTS}/3", {"Password": "better"})).status == 200
    assert board.users[-1][-1].password == "better"


async def test_what_is_right_is_set_beside_what_is_wrong(board: RedfishBoard) -> None:
    answer = await board.web("PATCH", f"{ACCOUNTS}/3", {"Password": "better", "Id": "9", "Hat": 1})
    assert answer.status == 200
    told = [one["MessageId"].rpartition(".")[2] for one in answer.json["@Message.ExtendedInfo"]]
    assert told == ["PropertyNotWritable", "PropertyUnknown"]
    assert board.users[-1][-1].password == "better"


async def test_what_can_not_be_stored_is_not_set(board: RedfishBoard) -> None:
    board.full = True
    assert (await board.web("PATCH", f"{ACCOUNTS}/3", {"Password": "better"})).status == 503
    board.headers = basic(READER)
    assert (await board.get(SYSTEM)).status == 200


# --- Sessions --------------------------------------------------------------------------------------------------------


async def test_a_session_is_made_used_and_ended(board: RedfishBoard) -> None:
    session = await log_in(board)
    assert session.status == 201
    assert session.json["UserName"] == "admin"
    assert (await board.get(session.headers["location"])).status == 200
    assert (await board.web("DELETE", session.headers["location"])).status == 204
    assert (await board.get(SYSTEM)).messages == ["NoValidSession"]


async def test_a_session_ends_when_it_is_idle(board: RedfishBoard) -> None:
    await board.web("PATCH", f"{ROOT}/SessionService", {"SessionTimeout": 30})
    access_of = board.bmc.part(Access)
    access_of._clock = lambda: 1000.0
    await log_in(board)
    access_of._clock = lambda: 1000.0 + 29
    assert (await board.get(SYSTEM)).status == 200
    access_of._clock = lambda: 1000.0 + 29 + 31
    assert (await board.get(SYSTEM)).status == 401


async def test_a_session_ends_with_its_users_password(board: RedfishBoard) -> None:
    await log_in(board, READER)
    await board.ask(0x06, 0x47, "03 02" + "6e65770000000000000000000000000000"[:32])
    assert (await board.get(SYSTEM)).status == 401


async def test_who_changes_its_own_password_goes_on(board: RedfishBoard) -> None:
    await log_in(board, READER)
    assert (await board.web("PATCH", f"{ACCOUNTS}/3", {"Password": "better"})).status == 200
    assert (await board.get(SYSTEM)).status == 200


async def test_who_reads_sees_its_own_sessions(board: RedfishBoard) -> None:
    other = await log_in(board)
    own = await log_in(board, READER)
    assert [one["@odata.id"] for one in (await board.get(SESSIONS)).json["Members"]] == [own.headers["location"]]
    assert (await board.web("DELETE", other.headers["location"])).status == 403


async def test_one_user_can_not_have_all_sessions(board: RedfishBoard) -> None:
    wanted = {"UserName": "ro", "Password": "reader"}
    answers = [await board.web("POST", SESSIONS, wanted) for _turn in range(access.MAX_SESSIONS_PER_USER + 1)]
    assert [one.status for one in answers[-2:]] == [201, 503]
    assert answers[-1].messages == ["SessionLimitExceeded"]
    assert (await log_in(board)).status == 201


async def test_a_reset_of_the_bmc_ends_all_sessions(board: RedfishBoard) -> None:
    await log_in(board)
    reset = f"{ROOT}/Managers/1/Actions/Manager.Reset"
    assert (await board.web("POST", reset, {"ResetType": "GracefulRestart"})).status == 200
    await until(lambda: not board.bmc.has(Access))
    assert (await board.get(SYSTEM)).status == 401
    assert board.machine.calls == []


async def test_tokens_and_passwords_are_in_no_answer_and_no_repr(board: RedfishBoard) -> None:
    session = await log_in(board)
    token = session.headers["x-auth-token"]
    assert token not in repr(board.bmc.part(Access).sessions)
    assert "secret" not in repr(board.bmc.part(Access).sessions)
    for path in (SESSIONS, session.headers["location"], ACCOUNTS, f"{ACCOUNTS}/2"):
        assert token.encode() not in (await board.get(path)).data
        assert b"secret" not in (await board.get(path)).data
