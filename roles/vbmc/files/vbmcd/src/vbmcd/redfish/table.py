# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of resources: a row a method of a path, and how a path finds its rows.

A handler gets what ``dispatch`` has checked: method, login, privilege, body. See ``systems`` for what one looks like.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Awaitable, Callable, Dict, Iterable, List, NamedTuple, Optional, Tuple
from urllib.parse import unquote

from vbmcd.commands.bmc import Bmc
from vbmcd.redfish.exchange import Request, Response
from vbmcd.redfish.roles import LOGIN

Handler = Callable[[Request, Bmc], Awaitable[Response]]
Decorator = Callable[[Handler], Handler]

MAX_SEGMENTS = 16


@dataclass(frozen=True)
class Row:
    """One method of one resource."""

    handler: Handler
    privilege: Optional[str]
    """What the user has to have; None: anybody may, even without a login."""
    streams: bool = False
    """Whether the handler reads the body by itself; else it is a JSON object."""
    checks: bool = True
    """Whether this is Redfish, with its rules for headers, queries and ETags; else only path, login and privilege
    are looked at."""


@dataclass
class Resource:
    """What is at a path."""

    pattern: str
    rows: Dict[str, Row] = field(default_factory=dict)

    @property
    def allow(self) -> str:
        methods = list(self.rows)
        if "GET" in self.rows:
            methods.append("HEAD")
        return ", ".join(sorted(methods))


REST = "**"


class Chapter:
    """The resources of one file, registered by decorating their handlers."""

    def __init__(self) -> None:
        self.rows: List[Tuple[str, str, Row]] = []
        """Pattern, method, row. A segment of a pattern that is {so} stands for any; a last one that is REST for
        all that is below and not found."""

    def get(self, pattern: str, *, privilege: Optional[str] = LOGIN, checks: bool = True) -> Decorator:
        return self._add(pattern, "GET", privilege, checks=checks)

    def post(self, pattern: str, *, privilege: Optional[str], streams: bool = False, checks: bool = True) -> Decorator:
        return self._add(pattern, "POST", privilege, streams, checks)

    def put(self, pattern: str, *, privilege: Optional[str], streams: bool = False, checks: bool = True) -> Decorator:
        return self._add(pattern, "PUT", privilege, streams, checks)

    def patch(self, pattern: str, *, privilege: Optional[str]) -> Decorator:
        return self._add(pattern, "PATCH", privilege)

    def delete(self, pattern: str, *, privilege: Optional[str], checks: bool = True) -> Decorator:
        return self._add(pattern, "DELETE", privilege, checks=checks)

    def _add(
        self, pattern: str, method: str, privilege: Optional[str], streams: bool = False, checks: bool = True
    ) -> Decorator:
        def register(handler: Handler) -> Handler:
            self.rows.append((pattern, method, Row(handler, privilege, streams, checks)))
            return handler

        return register


@dataclass
class _Node:
    fixed: Dict[str, _Node] = field(default_factory=dict)
    any: Optional[_Node] = None
    name: str = ""
    """What the segment that leads here is called, where it may be any."""
    resource: Optional[Resource] = None


class Found(NamedTuple):
    """The resource at a path, and what stood for the names in its pattern."""

    resource: Resource
    ids: Dict[str, str]


class Router:
    """All resources of a service. One for all BMCs of a worker."""

    def __init__(self, chapters: Iterable[Chapter]) -> None:
        self._root = _Node()
        for chapter in chapters:
            for pattern, method, row in chapter.rows:
                node = self._node(pattern)
                if node.resource is None:
                    node.resource = Resource(pattern)
                assert method not in node.resource.rows, f"{method} {pattern} is there twice"
                node.resource.rows[method] = row

    def _node(self, pattern: str) -> _Node:
        node = self._root
        for segment in pattern.strip("/").split("/"):
            if segment.startswith("{"):
                node.any = node.any or _Node(name=segment[1:-1])
                node = node.any
                assert node.name == segment[1:-1], f"{pattern}: here {{{node.name}}} is what names it"
            else:
                node = node.fixed.setdefault(segment, _Node())
        return node

    def find(self, path: str) -> Optional[Found]:
        """What is at `path`, which is as a client sent it; one slash at its end does not count."""
        segments = (path[1:-1] if path.endswith("/") else path[1:]).split("/")
        if not path.startswith("/") or len(segments) > MAX_SEGMENTS:
            return None
        node, ids = self._root, {}
        rest: Optional[_Node] = None
        for raw in segments:
            rest = node.fixed.get(REST, rest)
            segment = unquote(raw) if "%" in raw else raw
            following = node.fixed.get(segment)
            if following is None and node.any is not None and _is_id(segment):
                following = node.any
                ids[following.name] = segment
            node = following or _Node()
        if node.resource is None:
            node = node.fixed.get(REST, rest) or node
        return Found(node.resource, ids) if node.resource is not None else None


def _is_id(segment: str) -> bool:
    """Whether it may name something. Never a way out of a folder, should anybody make a path of it."""
    return bool(segment) and segment.isprintable() and "/" not in segment and segment not in (".", "..")
