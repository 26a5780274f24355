# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions (DSP0266, 'Session management'): log in, look, log out."""

from __future__ import annotations

import datetime
from typing import Any, Dict

from vbmcd.commands.bmc import Bmc
from vbmcd.redfish.access import MAX_TIMEOUT, MIN_TIMEOUT, Access, WebSession
from vbmcd.redfish.exchange import Login, Request, Response, nothing
from vbmcd.redfish.messages import failure
from vbmcd.redfish.properties import integer, only, read_changes, required
from vbmcd.redfish.roles import MANAGER, SELF, privileges_of
from vbmcd.redfish.root import ROOT, collection, link
from vbmcd.redfish.settings import Settings
from vbmcd.redfish.table import Chapter

sessions = Chapter()

SERVICE = f"{ROOT}/SessionService"
SESSIONS = f"{SERVICE}/Sessions"


@sessions.get(SERVICE)
async def session_service(request: Request, bmc: Bmc) -> Response:
    """How long sessions live."""
    return Response(_service(bmc))


def _service(bmc: Bmc) -> Dict[str, Any]:
    return {
        "@odata.id": SERVICE,
        "@odata.type": "#SessionService.v1_1_9.SessionService",
        "Id": "SessionService",
        "Name": "Session Service",
        "ServiceEnabled": True,
        "SessionTimeout": bmc.part(Access).timeout,
        "Status": {"State": "Enabled", "Health": "OK"},
        "Sessions": link(SESSIONS),
    }


@sessions.patch(SERVICE, privilege=MANAGER)
async def set_session_service(request: Request, bmc: Bmc) -> Response:
    """The idle time-out, of all sessions."""
    settable = {"SessionTimeout": integer(MIN_TIMEOUT, MAX_TIMEOUT)}
    changes = read_changes(request.body, _service(bmc), settable)
    await bmc.part(Settings).set(SessionTimeout=changes.get("SessionTimeout", bmc.part(Access).timeout))
    return changes.response(_service(bmc))


@sessions.get(SESSIONS)
async def list_sessions(request: Request, bmc: Bmc) -> Response:
    """Of whom may not manage sessions, only the own ones."""
    found = [one.id for one in bmc.part(Access).sessions.values() if _may_see(request, one)]
    return collection(SESSIONS, "Session", "Sessions", [f"{SESSIONS}/{id}" for id in found])


@sessions.post(SESSIONS, privilege=None)
async def log_in(request: Request, bmc: Bmc) -> Response:
    """Log in: the token goes into each request from now on."""
    name = required(request.body, "UserName", str)
    password = required(request.body, "Password", str)
    only(request.body, ("UserName", "Password"))
    access = bmc.part(Access)
    user = access.check(name, password, request.source)
    session, token = access.open(user, request.source)
    request.login = Login(user, privileges_of(user.privilege), session.id)
    headers = {"X-Auth-Token": token, "Location": f"{SESSIONS}/{session.id}"}
    return Response(_document(session), 201, headers)


@sessions.post(f"{SESSIONS}/Members", privilege=None)
async def log_in_by_members(request: Request, bmc: Bmc) -> Response:
    """A collection's Members can be posted to as well (DSP0266, 'POST (create)')."""
    return await log_in(request, bmc)


@sessions.get(f"{SESSIONS}/{{session}}")
async def get_session(request: Request, bmc: Bmc) -> Response:
    return Response(_document(_find(request, bmc)))


@sessions.delete(f"{SESSIONS}/{{session}}", privilege=SELF)
async def log_out(request: Request, bmc: Bmc) -> Response:
    """Another's takes an administrator."""
    bmc.part(Access).close(_find(request, bmc).id)
    return nothing()


def _find(request: Request, bmc: Bmc) -> WebSession:
    session = bmc.part(Access).sessions.get(request.ids["session"])
    if session is None:
        raise failure(404, "ResourceNotFound", "Session", request.ids["session"])
    if not _may_see(request, session):
        raise failure(403, "InsufficientPrivilege")
    return session


def _may_see(request: Request, session: WebSession) -> bool:
    login = request.login
    return login is not None and (MANAGER in login.privileges or login.user.name == session.user)


def _document(session: WebSession) -> Dict[str, Any]:
    created = datetime.datetime.fromtimestamp(int(session.created), datetime.timezone.utc)
    return {
        "@odata.id": f"{SESSIONS}/{session.id}",
        "@odata.type": "#Session.v1_7_0.Session",
        "Id": session.id,
        "Name": "User Session",
        "UserName": session.user,
        "ClientOriginIPAddress": session.source,
        "CreatedTime": created.isoformat().replace("+00:00", "Z"),
        "SessionType": "Redfish",
    }
