# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The messages of the control socket, as bytes: a JSON object each way.

    request  {"version": 1, "command": "apply", "arguments": {...}}
    reply    {"version": 1, "ok": true, "result": {...}}
    or       {"version": 1, "ok": false, "error": {"code", "message", "instance", "details": [...]}}

Used by the client and the server. Pure. What is no such message raises InvalidRequest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Dict, List, Optional, Tuple, Type

from vbmcd import fields
from vbmcd.documents import Wanted, parse_specs
from vbmcd.errors import (
    Conflict,
    DaemonUnavailable,
    InvalidRequest,
    NotFound,
    Refused,
    StateError,
    VbmcError,
    refusal,
)

VERSION = 1
MAX_MESSAGE = 16 << 20
"""Bytes; far above what thousands of instances need."""
MAX_DETAILS = 200
"""Errors of one request that are told; more help nobody, and a request may hold a million."""

COMMANDS = ("ping", "list", "apply", "delete", "start", "stop", "reload", "shutdown")

_ERRORS: Dict[str, Type[VbmcError]] = {
    error.code: error for error in (VbmcError, InvalidRequest, Conflict, NotFound, StateError, DaemonUnavailable)
}


@dataclass(frozen=True)
class Request:
    """A request whose arguments are not looked at yet."""

    command: str
    arguments: Mapping[str, object]


@dataclass(frozen=True)
class ApplyRequest:
    """The arguments of ``apply``."""

    wanted: Tuple[Wanted, ...]
    purge_owner: Optional[str] = None
    """None: nothing is purged."""
    check: bool = False
    create_only: bool = False


def encode_request(command: str, arguments: Mapping[str, object]) -> bytes:
    return _encode({"version": VERSION, "command": command, "arguments": dict(arguments)})


def encode_result(result: Mapping[str, object]) -> bytes:
    return _encode({"version": VERSION, "ok": True, "result": dict(result)})


def encode_error(error: VbmcError) -> bytes:
    return _encode({"version": VERSION, "ok": False, "error": error_body(error)})


def error_body(error: VbmcError) -> Dict[str, object]:
    """What a reply, and the CLI's JSON output, say of an error."""
    several = error.errors if isinstance(error, Refused) else (error,)
    if len(several) > MAX_DETAILS:
        more = VbmcError(f"{len(several) - MAX_DETAILS} more errors of this request are not shown: mend these first")
        several = (*several[:MAX_DETAILS], more)
    details = [{"code": one.code, "instance": one.instance, "message": str(one)} for one in several]
    return {"code": error.code, "message": str(error), "instance": error.instance, "details": details}


def decode_request(data: bytes) -> Request:
    message = _decode(data)
    command = message.get("command")
    if command not in COMMANDS or not isinstance(command, str):
        raise InvalidRequest(f"unknown command {fields.shown(command)}: known are {', '.join(COMMANDS)}")
    arguments = message.get("arguments", {})
    if not isinstance(arguments, dict):
        raise InvalidRequest(f"{command}: arguments is no object: send one, empty if there are none")
    return Request(command, arguments)


def decode_reply(data: bytes) -> Dict[str, object]:
    """The result. Raises the error that the reply holds, or InvalidRequest if it is no reply."""
    message = _decode(data)
    result, error = message.get("result"), message.get("error")
    if message.get("ok") is True and isinstance(result, dict):
        return result
    if message.get("ok") is False and isinstance(error, dict):
        raise _decode_error(error)
    raise InvalidRequest("the answer is no reply of vbmcd: something else listens on that socket")


def _decode_error(body: Mapping[str, object]) -> VbmcError:
    details = body.get("details")
    errors = [_decode_one(one) for one in details if isinstance(one, dict)] if isinstance(details, list) else []
    return refusal(errors) if errors else _decode_one(body)


def _decode_one(body: Mapping[str, object]) -> VbmcError:
    instance = body.get("instance")
    kind = _ERRORS.get(str(body.get("code")), VbmcError)
    return kind(str(body.get("message")), instance=instance if isinstance(instance, str) else None)


def parse_apply(arguments: Mapping[str, object]) -> ApplyRequest:
    """The arguments of apply, checked. Raises InvalidRequest, or Refused with all that is wrong."""
    errors: List[VbmcError] = []
    reader = fields.Reader(arguments, "apply", errors)
    reader.only(("instances", "purge", "owner", "check", "create_only"))
    purge = reader.get("purge", _flag) or False
    owner = reader.get("owner", fields.owner) or ""
    check = reader.get("check", _flag) or False
    create_only = reader.get("create_only", _flag) or False
    if purge and not owner and not errors:
        reader.refuse("purge needs an owner: give the label of the instances that may be deleted")
    wanted: Tuple[Wanted, ...] = ()
    try:
        wanted = parse_specs(arguments.get("instances"))
    except Refused as error:
        errors.extend(error.errors)
    except InvalidRequest as error:
        errors.append(error)
    if errors:
        raise refusal(errors)
    return ApplyRequest(wanted, owner if purge else None, check, create_only)


def parse_names(command: str, arguments: Mapping[str, object], required: bool = True) -> Tuple[str, ...]:
    """The names of delete, start, stop and (not `required`) list; each once, in their order."""
    errors: List[VbmcError] = []
    reader = fields.Reader(arguments, command, errors)
    reader.only(("names",))
    names = arguments.get("names")
    if names is None:
        names = []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        reader.refuse("names is not a list of strings: give one")
        names = []
    elif required and not names:
        reader.refuse("names is empty: give one or more")
    if errors:
        raise refusal(errors)
    return tuple(dict.fromkeys(names))


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{fields.shown(value)} is neither true nor false: give one of them")
    return value


def _encode(message: Mapping[str, object]) -> bytes:
    # ASCII with escapes, so that even a lone surrogate in an error message can be sent.
    return json.dumps(message, allow_nan=False, separators=(",", ":")).encode("ascii")


def _decode(data: bytes) -> Mapping[str, object]:
    if len(data) > MAX_MESSAGE:
        raise InvalidRequest(f"a message of {len(data)} bytes is too long: send at most {MAX_MESSAGE}")
    try:
        message = json.loads(data.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise InvalidRequest("the message is not JSON in UTF-8: send one object") from None
    if not isinstance(message, dict):
        raise InvalidRequest("the message is no JSON object: send one")
    version = message.get("version")
    if isinstance(version, bool) or version != VERSION:
        raise InvalidRequest(
            f"version {fields.shown(version)} of the control protocol is not known, {VERSION} is: "
            "use vbmc and vbmcd of the same release"
        )
    return message


def _no_constant(word: str) -> float:
    raise ValueError(word)
