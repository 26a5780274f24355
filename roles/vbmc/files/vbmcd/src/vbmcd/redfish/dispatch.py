# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a request to its answer: the rules that every resource shares (DSP0266), and then its own handler.

Pure but for what the handler does. ``worker.web`` calls ``answer`` with what came over a connection; whatever fails
becomes an error response, and only bugs are logged.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from dataclasses import replace
from typing import Any, Dict, Optional

from vbmcd.commands.bmc import Bmc, audit_log
from vbmcd.commands.codes import CommandError
from vbmcd.machine.base import Busy, MachineError, Unsupported, WrongState
from vbmcd.redfish import query
from vbmcd.redfish.access import TOKEN, Access
from vbmcd.redfish.exchange import Request, Response, nothing
from vbmcd.redfish.messages import Failure, failure, message
from vbmcd.redfish.table import Found, Router, Row

log = logging.getLogger(__name__)

MAX_BODY = 64 * 1024
"""Bytes of a JSON body: no request here needs more than a few hundred."""

JSON = "application/json;charset=utf-8"
BUSY_SECONDS = "2"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

SCHEMAS = "http://redfish.dmtf.org/schemas/v1"
COMMON = {
    "OData-Version": "4.0",
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
    "Server": "vbmcd",
}


class Turn:
    """Whose turn it is to change a resource: a part of the Bmc."""

    def __init__(self, bmc: Bmc) -> None:
        self.lock = asyncio.Lock()


class Service:
    """Answers the requests of all BMCs of a worker."""

    def __init__(self, router: Router) -> None:
        self._router = router

    async def answer(self, request: Request, bmc: Bmc) -> Response:
        """What comes of `request`. Its body is bytes or nothing, and its headers are complete."""
        found = self._router.find(request.path)
        try:
            response = await self._answer(request, bmc, found)
        except Failure as refused:
            response = Response(refused.body(), refused.status, refused.headers)
        except (MachineError, CommandError) as error:
            reason = _translated(error)
            response = Response(reason.body(), reason.status, reason.headers)
        except Exception:
            fields = {"instance": bmc.instance.name, "path": request.path[:200]}
            log.exception("a request failed by a mistake in its handler", extra={"fields": fields})
            response = Response(failure(500, "InternalError").body(), 500)
        if request.method in ("POST", "PUT", "PATCH", "DELETE"):
            _audit(request, bmc, response)
        return _finished(request, response, found)

    async def _answer(self, request: Request, bmc: Bmc, found: Optional[Found]) -> Response:
        if request.method not in METHODS:
            raise failure(501, "OperationNotAllowed")
        row = found.resource.rows.get("GET" if request.method == "HEAD" else request.method) if found else None
        access = bmc.part(Access)
        if row is None or row.privilege is not None:
            if request.method == "OPTIONS" and found is not None:
                return nothing()
            request.login = access.login_of(request)
        elif request.query and (TOKEN in request.headers or "authorization" in request.headers):
            # Open to all, and what its links lead to is not.
            request.login = access.login_of(request)
        if found is None:
            raise failure(404, "ResourceMissingAtURI", request.path)
        if row is None:
            raise failure(405, "OperationNotAllowed")
        request.ids = found.ids
        if row.privilege is not None and row.privilege not in (request.login.privileges if request.login else ()):
            raise failure(403, "InsufficientPrivilege")
        return await self._run(request, bmc, row)

    async def _run(self, request: Request, bmc: Bmc, row: Row) -> Response:
        if not row.checks:
            return await row.handler(request, bmc)
        _check_headers(request)
        parameters = query.checked(request)
        if request.method in ("POST", "PATCH") and not row.streams:
            request.body = await read_json(request)
        if request.method in ("PATCH", "PUT", "DELETE"):
            # One at a time, so that of several who have read the same only the first changes it.
            async with bmc.part(Turn).lock:
                await self._check_match(request, bmc)
                return await row.handler(request, bmc)
        response = await row.handler(request, bmc)
        if request.method in ("GET", "HEAD") and isinstance(response.body, dict) and response.status == 200:
            document = await query.applied(parameters, response.body, lambda path: self.read(request, bmc, path))
            # Of a part, what is left out counts as well: who changes the resource gives the ETag back.
            whole = response.body if parameters.is_selection else document
            response = _tagged(request, replace(response, body=document, schema=_schema(document)), whole)
        return response

    async def read(self, request: Request, bmc: Bmc, path: str) -> Optional[Dict[str, Any]]:
        """The resource at `path` as who sent `request` may see it; None where there is none, or it may not be seen."""
        found = self._router.find(path)
        row = found.resource.rows.get("GET") if found else None
        if found is None or row is None or not row.checks:
            return None
        if row.privilege is not None and (request.login is None or row.privilege not in request.login.privileges):
            return None
        # An answer may take hundreds of these, and the worker's other BMCs are to wait for one at most.
        await asyncio.sleep(0)
        inner = Request("GET", path, headers=request.headers, source=request.source, login=request.login, ids=found.ids)
        try:
            response = await row.handler(inner, bmc)
        except (Failure, MachineError, CommandError):
            return None
        return response.body if isinstance(response.body, dict) else None

    async def _check_match(self, request: Request, bmc: Bmc) -> None:
        """If-Match (RFC 9110, 13.1.1): only a resource that is as the client has seen it is changed."""
        wanted = request.headers.get("if-match")
        if wanted is None:
            return
        document = await self.read(request, bmc, request.path)
        if document is not None and not _names(wanted, etag_of(document)):
            raise failure(412, "PreconditionFailed")


def _check_headers(request: Request) -> None:
    version = request.headers.get("odata-version")
    if version is not None and version.strip() != "4.0":
        raise failure(412, "HeaderInvalid", "OData-Version")
    accept = request.headers.get("accept")
    if accept and request.method in ("GET", "HEAD") and not _accepts(accept, request.path):
        raise failure(406, "HeaderInvalid", "Accept")


def _accepts(accept: str, path: str) -> bool:
    kinds = [one.partition(";")[0].strip().lower() for one in accept.split(",")]
    wanted = "application/xml" if path.rstrip("/").endswith("$metadata") else "application/json"
    return any(kind in ("*/*", "application/*", "", wanted) for kind in kinds)


async def read_json(request: Request) -> Dict[str, Any]:
    """The body, a JSON object; empty for none. Raises Failure."""
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > MAX_BODY:
        raise failure(413, "PayloadTooLarge")
    body = b""
    while True:
        chunk = await request.stream.read(MAX_BODY)
        if not chunk:
            break
        body += chunk
        if len(body) > MAX_BODY:
            raise failure(413, "PayloadTooLarge")
    if not body.strip():
        return {}
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise failure(415, "HeaderInvalid", "Content-Type")
    try:
        document = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError):
        raise failure(400, "MalformedJSON") from None
    if not isinstance(document, dict):
        raise failure(400, "UnrecognizedRequestBody")
    return document


VOLATILE = frozenset(("DateTime",))
"""Properties that change by themselves, and say nothing of whether a resource changed."""


def etag_of(document: Dict[str, Any]) -> str:
    """A weak ETag: it stands for what the resource says, not for its bytes."""
    if not VOLATILE.isdisjoint(document):
        document = {key: value for key, value in document.items() if key not in VOLATILE}
    return _etag(json.dumps(document, separators=(",", ":")))


def _etag(text: str) -> str:
    return f'W/"{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}"'


def _names(header: str, etag: str) -> bool:
    """Whether If-Match or If-None-Match has the ETag among its own, compared weakly (RFC 9110, 8.8.3.2)."""
    given = [one.strip() for one in header.split(",")]
    return "*" in given or _opaque(etag) in map(_opaque, given)


def _opaque(etag: str) -> str:
    return etag[2:] if etag.startswith("W/") else etag


def _tagged(request: Request, response: Response, whole: Dict[str, Any]) -> Response:
    """The answer with the ETag of the `whole`, or 304 for who has it already (RFC 9110, 13.1.2)."""
    document = response.body
    assert isinstance(document, dict)
    text = json.dumps(document, separators=(",", ":"))
    etag = _etag(text) if whole is document and VOLATILE.isdisjoint(document) else etag_of(whole)
    headers = {**response.headers, "ETag": etag}
    known = request.headers.get("if-none-match")
    if known is not None and _names(known, etag):
        return Response(status=304, headers=headers, schema=response.schema)
    if "@odata.id" in document and "@odata.etag" not in document:
        # Spliced in: to encode it all again would cost as much as the first time.
        text = f'{{"@odata.etag":{json.dumps(etag)},{text[1:]}'
    return Response(text.encode(), response.status, {"Content-Type": JSON, **headers}, schema=response.schema)


def _schema(document: Dict[str, Any]) -> str:
    """The schema's name in a type such as #Chassis.v1_23_0.Chassis."""
    kind = document.get("@odata.type")
    return kind[1:].rpartition(".")[0] if isinstance(kind, str) else ""


def _finished(request: Request, response: Response, found: Optional[Found]) -> Response:
    headers = {**COMMON, **response.headers}
    body = response.body
    if isinstance(body, dict):
        headers.setdefault("Content-Type", JSON)
        body = json.dumps(body, separators=(",", ":")).encode()
    if request.method in ("GET", "HEAD") and response.schema:
        headers.setdefault("Link", f"<{SCHEMAS}/{response.schema}.json>; rel=describedby")
    if found is not None and (request.method in ("GET", "HEAD", "OPTIONS") or response.status == 405):
        allowed = found.resource.allow
        if response.status == 405:
            # Where only another dialect has it, too.
            allowed = ", ".join(one for one in allowed.split(", ") if one != request.method)
        headers.setdefault("Allow", allowed)
    if request.method == "HEAD":
        headers["Content-Length"] = str(len(body or b""))
        body = None
    return replace(response, body=body, headers=headers)


def _translated(error: Exception) -> Failure:
    """What a machine, or one of IPMI's rules, has said."""
    if isinstance(error, Busy):
        headers = {"Retry-After": BUSY_SECONDS}
        reason = f"{error}: try again." if str(error) else ""
        return Failure(503, [message("ServiceTemporarilyUnavailable", BUSY_SECONDS, resolution=reason)], headers)
    reason = str(error)
    if isinstance(error, WrongState):
        return failure(409, "ResourceInStandby", resolution=reason)
    if isinstance(error, (Unsupported, CommandError)):
        return failure(400, "GeneralError", resolution=reason)
    return failure(500, "GeneralError", resolution=reason)


def _audit(request: Request, bmc: Bmc, response: Response) -> None:
    """The audit line of what changes something. Holds no body: there may be a password in it."""
    kind = request.body.get("ResetType") if isinstance(request.body.get("ResetType"), str) else ""
    audit_log.info(
        "redfish",
        extra={
            "fields": {
                "event": "redfish",
                "action": f"{request.method} {request.path[:200]} {kind}".strip(),
                "instance": bmc.instance.name,
                "domain": bmc.instance.domain,
                "user": request.user,
                "source": request.source,
                "result": str(response.status),
            }
        },
    )
