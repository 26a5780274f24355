# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Query parameters of a GET (DSP0266, 'Query parameters'): ``only``, $expand, $filter, $select, $skip and $top.

Applied to the document that a handler made, so no handler knows of them. ``root`` tells clients what there is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Awaitable, Callable, Dict, List, Optional, Tuple

from vbmcd.redfish.exchange import Request
from vbmcd.redfish.filters import Filter, parse_filter
from vbmcd.redfish.messages import failure

Document = Dict[str, Any]
Read = Callable[[str], Awaitable[Optional[Document]]]

MAX_LEVELS = 3
MAX_EXPANDED = 512
"""Resources in one answer; the rest stay links."""

_KNOWN = ("only", "$expand", "$filter", "$select", "$skip", "$top")
_EXPAND = re.compile(r"([.*~])(?:\(\$levels=(\d{1,6})\))?")


@dataclass(frozen=True)
class Query:
    """What was asked of the answer's form."""

    only: bool = False
    expand: str = ""
    levels: int = 1
    filter: Optional[Filter] = None
    select: Tuple[str, ...] = ()
    skip: int = 0
    top: Optional[int] = None

    @property
    def is_for_collection(self) -> bool:
        return self.only or self.filter is not None or self.skip > 0 or self.top is not None

    @property
    def is_selection(self) -> bool:
        """Whether the answer is a part of one resource, and of no other."""
        return bool(self.select) and not self.expand and not self.is_for_collection


NONE = Query()


def checked(request: Request) -> Query:
    """Raises Failure for what is malformed or not supported; names without a $ mean nothing to a service."""
    if not request.query:
        return NONE
    try:
        given = request.parameters()
    except ValueError:
        raise failure(400, "QueryNotSupported") from None
    if request.method not in ("GET", "HEAD"):
        if any(name.startswith("$") or name == "only" for name in given):
            raise failure(400, "QueryNotSupportedOnOperation")
        return NONE
    unknown = [name for name in given if name.startswith("$") and name not in _KNOWN]
    if unknown:
        raise failure(501, "QueryNotSupported", resolution=f"Leave {unknown[0]} out.")
    if "excerpt" in given:
        raise failure(400, "QueryNotSupportedOnResource", resolution="Leave excerpt out.")
    if given.get("only"):
        raise failure(400, "QueryParameterValueFormatError", given["only"], "only")
    if "only" in given and len([name for name in given if name in _KNOWN]) > 1:
        raise failure(400, "QueryCombinationInvalid")
    expand, levels = _expand(given.get("$expand"))
    return Query(
        only="only" in given,
        expand=expand,
        levels=levels,
        filter=parse_filter(given["$filter"]) if "$filter" in given else None,
        select=tuple(name for name in given.get("$select", "").split(",") if name),
        skip=_number(given, "$skip") or 0,
        top=_number(given, "$top"),
    )


def _expand(value: Optional[str]) -> Tuple[str, int]:
    if value is None:
        return "", 1
    match = _EXPAND.fullmatch(value.strip())
    if match is None:
        raise failure(400, "QueryParameterValueFormatError", value, "$expand")
    levels = int(match[2] or 1)
    if not 1 <= levels <= MAX_LEVELS:
        raise failure(400, "QueryParameterOutOfRange", levels, "$expand", f"1-{MAX_LEVELS}")
    return match[1], levels


def _number(given: Dict[str, str], name: str) -> Optional[int]:
    value = given.get(name)
    if value is None:
        return None
    if not re.fullmatch(r"-?[0-9]{1,9}", value):
        raise failure(400, "QueryParameterValueTypeError", value, name)
    if int(value) < 0:
        raise failure(400, "QueryParameterOutOfRange", value, name, "0-999999999")
    return int(value)


async def applied(query: Query, document: Document, read: Read) -> Document:
    """`document` as it was asked for; `read` gives what a link leads to."""
    if query is NONE:
        return document
    members = document.get("Members")
    if query.is_for_collection and not isinstance(members, list):
        raise failure(400, "QueryNotSupportedOnResource")
    if query.only:
        return await _only(document, read)
    budget = _Budget(MAX_EXPANDED)
    if isinstance(members, list):
        document = await _page(query, document, members, read, budget)
    if query.expand:
        document = await _expanded(document, query.expand, query.levels, read, budget)
    return _selected(query, document) if query.select else document


class _Budget:
    """How many resources may still be read for one answer."""

    def __init__(self, left: int) -> None:
        self.left = left


async def _only(document: Document, read: Read) -> Document:
    members = document["Members"]
    if len(members) != 1 or not isinstance(members[0], dict):
        return document
    return await read(members[0].get("@odata.id", "")) or document


async def _page(query: Query, document: Document, members: List[Any], read: Read, budget: _Budget) -> Document:
    count = document.get("Members@odata.count", len(members))
    if query.filter is not None:
        kept = []
        for member in members:
            content = await _content(member, read, budget)
            if query.filter(content):
                kept.append(member)
        members, count = kept, len(kept)
    end = None if query.top is None else query.skip + query.top
    return {**document, "Members@odata.count": count, "Members": members[query.skip : end]}


async def _content(member: Any, read: Read, budget: _Budget) -> Document:
    if not _is_link(member):
        return member if isinstance(member, dict) else {}
    if budget.left <= 0:
        return {}
    budget.left -= 1
    return await read(member["@odata.id"]) or {}


def _is_link(value: Any) -> bool:
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("@odata.id"), str)


async def _expanded(document: Document, kind: str, levels: int, read: Read, budget: _Budget) -> Document:
    """`document` with what its links lead to: its own (.), those in Links (~), or all (*)."""

    async def walk(value: Any, inside_links: bool) -> Any:
        wanted = kind == "*" or inside_links is (kind == "~")
        if _is_link(value):
            return await follow(value) if wanted else value
        if isinstance(value, dict):
            return {key: await walk(part, inside_links or key == "Links") for key, part in value.items()}
        if isinstance(value, list):
            return [await walk(part, inside_links) for part in value]
        return value

    async def follow(link: Document) -> Document:
        # A pointer into a resource leads to no resource of its own.
        if budget.left <= 0 or "#" in link["@odata.id"]:
            return link
        budget.left -= 1
        found = await read(link["@odata.id"])
        if found is None:
            return link
        return await _expanded(found, kind, levels - 1, read, budget) if levels > 1 else found

    expanded: Document = await walk(document, False)
    return expanded


def _selected(query: Query, document: Document) -> Document:
    members = document.get("Members")
    if isinstance(members, list) and query.expand:
        kept = [select(one, query.select) if isinstance(one, dict) else one for one in members]
        return {**document, "Members": kept}
    return select(document, query.select)


def select(document: Document, paths: Tuple[str, ...]) -> Document:
    """What of `document` is at `paths`, beside what it always says of itself."""
    if "*" in paths:
        return document
    kept = {key: value for key, value in document.items() if key.startswith("@odata.")}
    for path in paths:
        head, _slash, rest = path.partition("/")
        if head not in document:
            continue
        value = document[head]
        if rest and isinstance(value, dict):
            value = {**kept.get(head, {}), **select(value, (rest,))}
        kept[head] = value
        kept.update({key: part for key, part in document.items() if key.startswith(f"{head}@")})
    return kept
