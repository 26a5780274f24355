# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading what a Redfish service answers: links, errors, objects within objects (DSP0266)."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence

from ..errors import BadAnswer, HwctlError
from .http import Answer, refused

Document = Dict[str, Any]

LONGEST_PAUSE = 120.0
"""Seconds for which a service is left alone, whatever it says. bmcweb says 30 at most."""
LONGEST_WORDS = 500
"""Characters of a service's own words that a message takes."""


def document(answer: Answer, uri: str) -> Document:
    if not answer.ok:
        raise refusal(answer, uri)
    return answer.json()


def refusal(answer: Answer, uri: str) -> HwctlError:
    """What an error's status means, with the service's own words (DSP0266, 8.6)."""
    error = refused(answer, uri, words(answer))
    error.retry_after = retry_after(answer)
    return error


def retry_after(answer: Answer) -> float:
    """Seconds until the service wants to be asked again (RFC 9110, 10.2.3), within reason; 0 where it does not say."""
    given = answer.headers.get("retry-after", "")
    return min(float(given), LONGEST_PAUSE) if given.isascii() and given.isdigit() else 0.0


def message_ids(answer: Answer) -> List[str]:
    """The last part of each MessageId: what comes before it names a registry and its version, which change."""
    try:
        extended = at(answer.json(), "error").get("@Message.ExtendedInfo")
    except BadAnswer:
        return []
    found = [one.get("MessageId") for one in extended if isinstance(one, dict)] if isinstance(extended, list) else []
    return [str(one).rpartition(".")[2] for one in found]


def words(answer: Answer) -> str:
    try:
        error = at(answer.json(), "error")
    except BadAnswer:
        return ""
    extended = error.get("@Message.ExtendedInfo")
    found = [one for one in extended if isinstance(one, dict)] if isinstance(extended, list) else []
    return (sentences(found) or str(error.get("message", "")))[:LONGEST_WORDS]


def sentences(messages: Sequence[Document]) -> str:
    """What they say, and what to do about it, which often has the reason (DSP0266, 8.6, Resolution); nothing twice."""
    found = ""
    for text in (str(one.get(key) or "") for one in messages for key in ("Message", "Resolution")):
        if text.rstrip(".") not in ("", "None") and text not in found:
            found = f"{found} {text}".lstrip()
    return found


def at(document: Mapping[str, Any], *keys: str) -> Document:
    """An object within an object, empty where it is not there."""
    found: Any = document
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def link(reference: Any) -> str:
    """The address in an @odata.id. Raises BadAnswer."""
    uri = reference.get("@odata.id") if isinstance(reference, dict) else None
    if not isinstance(uri, str) or not uri.startswith("/"):
        raise BadAnswer("the BMC's answer lacks a link that Redfish requires (@odata.id): is it a Redfish service?")
    return uri


def path(location: str) -> Optional[str]:
    """A Location may be a path or a whole address (RFC 9110, 10.2.2)."""
    if "://" in location:
        location = "/" + location.split("://", 1)[1].partition("/")[2]
    return location or None


def text(document: Mapping[str, Any], key: str) -> str:
    found = document.get(key)
    return found if isinstance(found, str) else ""
