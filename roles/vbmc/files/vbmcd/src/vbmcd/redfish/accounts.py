# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Accounts and roles: the instance's users, whom IPMI has by number (22.26 to 22.30)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Dict, Mapping, Tuple

from vbmcd import fields
from vbmcd.commands.bmc import Bmc
from vbmcd.commands.user_table import FIRST_ID, MESSAGING, NO_ACCESS, Slot
from vbmcd.commands.users import Users
from vbmcd.config import MAX_PASSWORD, Privilege
from vbmcd.redfish.access import Access
from vbmcd.redfish.exchange import Request, Response, nothing
from vbmcd.redfish.messages import failure
from vbmcd.redfish.properties import Changes, Settable, boolean, one_of, only, read_changes, required
from vbmcd.redfish.roles import PRIVILEGE_OF, ROLE_OF, ROLES, SELF, USERS
from vbmcd.redfish.root import ROOT, collection, link
from vbmcd.redfish.table import Chapter

accounts = Chapter()

SERVICE = f"{ROOT}/AccountService"
ACCOUNTS = f"{SERVICE}/Accounts"
ROLES_PATH = f"{SERVICE}/Roles"

ACCOUNT_TYPES = ("Redfish", "IPMI")
"""What each account is for."""


@accounts.get(SERVICE)
async def account_service(request: Request, bmc: Bmc) -> Response:
    """What passwords may be. Who guesses them is refused by host, and no account is ever locked for others."""
    return Response(
        {
            "@odata.id": SERVICE,
            "@odata.type": "#AccountService.v1_14_1.AccountService",
            "Id": "AccountService",
            "Name": "Account Service",
            "ServiceEnabled": True,
            "MinPasswordLength": 1,
            "MaxPasswordLength": MAX_PASSWORD,
            "LocalAccountAuth": "Enabled",
            "SupportedAccountTypes": list(ACCOUNT_TYPES),
            "Status": {"State": "Enabled", "Health": "OK"},
            "Accounts": link(ACCOUNTS),
            "Roles": link(ROLES_PATH),
        }
    )


@accounts.get(ROLES_PATH)
async def list_roles(request: Request, bmc: Bmc) -> Response:
    return collection(ROLES_PATH, "Role", "Roles", [f"{ROLES_PATH}/{role}" for role in ROLES])


@accounts.get(f"{ROLES_PATH}/{{role}}")
async def get_role(request: Request, bmc: Bmc) -> Response:
    """A role, which is a privilege level of IPMI (6.8)."""
    role = request.ids["role"]
    if role not in ROLES:
        raise failure(404, "ResourceNotFound", "Role", role)
    return Response(
        {
            "@odata.id": f"{ROLES_PATH}/{role}",
            "@odata.type": "#Role.v1_3_2.Role",
            "Id": role,
            "Name": role,
            "RoleId": role,
            "IsPredefined": True,
            "AssignedPrivileges": sorted(ROLES[role]),
        }
    )


@accounts.get(ACCOUNTS)
async def list_accounts(request: Request, bmc: Bmc) -> Response:
    """Of whom may not manage users, only the own one."""
    slots = bmc.part(Users).slots
    found = [number for number, slot in sorted(slots.items()) if slot.name and _may_see(request, slot)]
    return collection(ACCOUNTS, "ManagerAccount", "Accounts", [f"{ACCOUNTS}/{number}" for number in found])


def _may_see(request: Request, slot: Slot) -> bool:
    login = request.login
    return login is not None and (USERS in login.privileges or login.user.name == slot.name)


def _find(request: Request, bmc: Bmc) -> Tuple[int, Slot]:
    """The account. Raises Failure: for one that is not there, or that is not to be seen."""
    id = request.ids["account"]
    slots = bmc.part(Users).slots
    slot = slots.get(int(id)) if id.isascii() and id.isdigit() and len(id) < 3 else None
    if slot is None or not slot.name:
        raise failure(404, "ResourceNotFound", "ManagerAccount", id)
    if not _may_see(request, slot):
        raise failure(403, "InsufficientPrivilege")
    return int(id), slot


@accounts.get(f"{ACCOUNTS}/{{account}}", privilege=SELF)
async def get_account(request: Request, bmc: Bmc) -> Response:
    return Response(_document(*_find(request, bmc)))


def _document(number: int, slot: Slot) -> Dict[str, Any]:
    role = "NoAccess" if slot.limit == NO_ACCESS else ROLE_OF[Privilege(slot.limit)]
    return {
        "@odata.id": f"{ACCOUNTS}/{number}",
        "@odata.type": "#ManagerAccount.v1_12_1.ManagerAccount",
        "Id": str(number),
        "Name": "User Account",
        "UserName": slot.name,
        "Password": None,
        "RoleId": role,
        "Enabled": slot.user is not None,
        "Locked": False,
        "AccountTypes": list(ACCOUNT_TYPES),
        "Links": {"Role": link(f"{ROLES_PATH}/{role}")},
    }


def _username(path: str, value: Any) -> str:
    try:
        return fields.username(value)
    except ValueError as error:
        resolution = f"UserName {error}."
        raise failure(
            400, "PropertyValueFormatError", value, path, related=f"#/{path}", resolution=resolution
        ) from None


def _password(path: str, value: Any) -> str:
    """Never shown, not even a wrong one."""
    try:
        return fields.password(value)
    except ValueError as error:
        resolution = f"The password {error}."
        raise failure(400, "PropertyValueError", path, related=f"#/{path}", resolution=resolution) from None


def _unlocked(path: str, value: Any) -> bool:
    """Who unlocks an account finds it so: none is ever locked."""
    if boolean(path, value):
        never = "Disable the account instead: none is ever locked."
        raise failure(400, "PropertyValueError", path, related=f"#/{path}", resolution=never)
    return False


SETTABLE: Settable = {
    "UserName": _username,
    "Password": _password,
    "RoleId": one_of(tuple(ROLES)),
    "Enabled": boolean,
    "Locked": _unlocked,
}


@accounts.post(ACCOUNTS, privilege=USERS)
async def create_account(request: Request, bmc: Bmc) -> Response:
    """A new user, with the first id that is free."""
    body = request.body
    only(body, (*SETTABLE, "AccountTypes", "PasswordChangeRequired"))
    for name in ("UserName", "Password", "RoleId"):
        required(body, name, str)
    _refuse_what_is_ignored(body)
    changes = read_changes({name: body[name] for name in SETTABLE if name in body}, {}, SETTABLE)
    if changes.problems:
        raise failure_of(changes)
    users = bmc.part(Users)
    _refuse_taken(users, changes.get("UserName", ""), 0)
    slot = _changed(Slot(flags=MESSAGING, enabled=True), changes)
    number = await users.add(slot)
    if number is None:
        raise failure(400, "CreateLimitReachedForResource")
    return Response(_document(number, slot), 201, {"Location": f"{ACCOUNTS}/{number}"})


def _refuse_what_is_ignored(body: Mapping[str, Any]) -> None:
    """Who wants an account for one protocol alone, or one whose password has to be changed, does not get another."""
    types = body.get("AccountTypes", ACCOUNT_TYPES)
    if not isinstance(types, (list, tuple)) or sorted(map(str, types)) != sorted(ACCOUNT_TYPES):
        every = "Every account is for both protocols: leave AccountTypes out."
        raise failure(400, "PropertyValueError", "AccountTypes", related="#/AccountTypes", resolution=every)
    if body.get("PasswordChangeRequired", False) is not False:
        never = "Nobody is made to change a password here: leave PasswordChangeRequired out."
        name = "PasswordChangeRequired"
        raise failure(400, "PropertyValueError", name, related=f"#/{name}", resolution=never)


def failure_of(changes: Changes) -> Exception:
    refused = failure(400, "GeneralError")
    refused.messages = [problem for _path, problem in changes.problems]
    return refused


def _refuse_taken(users: Users, name: str, number: int) -> None:
    if users.id_of(name) not in (None, number):
        raise failure(409, "ResourceAlreadyExists", "ManagerAccount", "UserName", name)


def _changed(slot: Slot, changes: Changes) -> Slot:
    role = changes.get("RoleId", "")
    limit = int(PRIVILEGE_OF[role]) if role else slot.limit
    # Whom IPMI has only named may not use a channel yet (22.26).
    messaging = MESSAGING if changes.get("Enabled", False) else 0
    return replace(
        slot,
        flags=slot.flags | messaging,
        name=changes.get("UserName", slot.name),
        password=changes.get("Password", slot.password),
        limit=limit,
        enabled=changes.get("Enabled", slot.enabled),
    )


@accounts.patch(f"{ACCOUNTS}/{{account}}", privilege=SELF)
async def set_account(request: Request, bmc: Bmc) -> Response:
    """Name, password, role, enabled. Who may not manage users may give itself another password."""
    number, slot = _find(request, bmc)
    login = request.login
    assert login is not None
    if USERS not in login.privileges and set(request.body) - {"Password"}:
        raise failure(403, "InsufficientPrivilege")
    changes = read_changes(request.body, _document(number, slot), SETTABLE)
    users = bmc.part(Users)
    _refuse_taken(users, changes.get("UserName", slot.name), number)
    own = login.user.name == slot.name
    await users.change(number, lambda before: _changed(before, changes))
    after = users.slots[number]
    if changes.get("Enabled", False) and after.user is None:
        missing = "Password" if not after.password else "RoleId"
        changes.refuse("Enabled", failure(400, "PropertyValueConflict", "Enabled", missing, related="#/Enabled"))
    if own and login.session and after.user is not None:
        bmc.part(Access).follow(login.session, after.user)
    return changes.response(_document(number, after))


@accounts.delete(f"{ACCOUNTS}/{{account}}", privilege=USERS)
async def delete_account(request: Request, bmc: Bmc) -> Response:
    """Never the first user, who is the instance's own."""
    number, _slot = _find(request, bmc)
    if number == FIRST_ID:
        resolution = "The instance's first user has to be able to log in."
        raise failure(400, "ResourceCannotBeDeleted", resolution=resolution)
    await bmc.part(Users).change(number, lambda before: Slot())
    return nothing()
