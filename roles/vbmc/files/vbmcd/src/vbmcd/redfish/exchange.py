# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A request and its answer, as the resources see them: no socket, no bytes of HTTP."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, FrozenSet, Mapping, Optional, Protocol, Union
from urllib.parse import parse_qsl

from vbmcd.config import User
from vbmcd.redfish.messages import Message, message


class Stream(Protocol):
    """The body of a request as it comes in."""

    async def read(self, size: int) -> bytes:
        """At most so many bytes; nothing at the end. Raises Failure for a body that stalls or ends early."""


class NoBody:
    """A request without one."""

    async def read(self, size: int) -> bytes:
        return b""


@dataclass(frozen=True)
class Login:
    """Who asks: by a session, or with user and password in the request itself."""

    user: User
    privileges: FrozenSet[str]
    session: str = ""
    """The session's id; empty for basic authentication."""


@dataclass
class Request:
    """What a client asks. ``dispatch`` fills in the last four."""

    method: str
    path: str
    """As it came, without the query."""
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Its names in lower case."""
    source: str = ""
    """The client's address."""
    stream: Stream = field(default_factory=NoBody)
    secure: bool = True
    """Whether it came over TLS."""
    login: Optional[Login] = None
    ids: Dict[str, str] = field(default_factory=dict)
    """What stood for the names in the path's pattern."""
    body: Dict[str, Any] = field(default_factory=dict)
    """The JSON object of a POST or PATCH."""

    @property
    def user(self) -> str:
        return self.login.user.name if self.login is not None else ""

    def parameters(self) -> Dict[str, str]:
        """The query, decoded."""
        return dict(parse_qsl(self.query, keep_blank_values=True, max_num_fields=64)) if self.query else {}


@dataclass
class Response:
    """An answer: JSON, bytes of another kind (say which in Content-Type), or nothing."""

    body: Union[Dict[str, Any], bytes, None] = None
    status: int = 200
    headers: Dict[str, str] = field(default_factory=dict)
    schema: str = ""
    """What the body follows; dispatch's."""
    cut: bool = False
    """Break the connection off instead of answering: for those who rehearse faults."""


def done(id: str = "Success") -> Response:
    """A change was carried out."""
    return Response({"@Message.ExtendedInfo": [message(id).to_json()]})


def nothing() -> Response:
    """It was carried out, and there is nothing to say."""
    return Response(status=204)


def extended(*messages: Message) -> Dict[str, Any]:
    """The annotation that carries messages beside other content."""
    return {"@Message.ExtendedInfo": [one.to_json() for one in messages]}
