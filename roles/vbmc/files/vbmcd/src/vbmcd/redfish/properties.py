# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a client wants to set: the body of a PATCH or POST against what can be set (DSP0266, 'PATCH (update)').

What is right is set though a part is wrong; what is wrong is told beside the answer. Only when nothing is right, the
request is refused.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from typing import Any, Callable, Collection, Dict, List, Mapping, Tuple, Type, TypeVar, Union

from vbmcd.redfish.exchange import Response, extended
from vbmcd.redfish.messages import Failure, Message, failure, message

Check = Callable[[str, Any], Any]
"""Takes pointer and value, and returns the value typed. Raises Failure."""
Settable = Mapping[str, Union[Check, "Settable"]]
"""By property; of an object, what can be set in it."""

T = TypeVar("T")

MAX_PROBLEMS = 32
"""Of which a client is told. A body has room for thousands, and each takes many times its own size to tell."""


@dataclass
class Changes:
    """What is to be set, by the properties' paths (``Boot/BootSourceOverrideTarget``), and what is wrong."""

    values: Dict[str, Any] = field(default_factory=dict)
    problems: List[Tuple[str, Message]] = field(default_factory=list)

    def __contains__(self, path: str) -> bool:
        return path in self.values

    def get(self, path: str, default: T) -> T:
        value: T = self.values.get(path, default)
        return value

    def refuse(self, path: str, refused: Failure) -> None:
        """This can't be set."""
        self.values.pop(path, None)
        if len(self.problems) < MAX_PROBLEMS:
            self.problems += [(path, one) for one in refused.messages]

    def require(self) -> None:
        """Raises Failure where nothing is left to be set."""
        if not self.values:
            raise Failure(400, [problem for _path, problem in self.problems] or [message("NoOperation")])

    def response(self, document: Dict[str, Any]) -> Response:
        """The resource as it is now, with what was wrong."""
        if self.problems:
            document.update(extended(*(problem for _path, problem in self.problems)))
        return Response(document)


def read_changes(body: Mapping[str, Any], document: Mapping[str, Any], settable: Settable) -> Changes:
    """`document` is the resource as it is: what it has and can't be set is told from what it has not."""
    changes = Changes()
    if not body:
        raise failure(400, "EmptyJSON")
    _read(body, document, settable, "", changes)
    changes.require()
    return changes


def _read(
    body: Mapping[str, Any], document: Mapping[str, Any], settable: Settable, prefix: str, changes: Changes
) -> None:
    for name, value in body.items():
        path = f"{prefix}{name}"
        if name.startswith("@odata."):
            continue  # of what a client has read and sends back
        rule = settable.get(name)
        if rule is None:
            id = "PropertyNotWritable" if name in document else "PropertyUnknown"
            changes.refuse(path, failure(400, id, name, related=f"#/{path}"))
        elif callable(rule):
            try:
                changes.values[path] = rule(path, value)
            except Failure as refused:
                changes.refuse(path, refused)
        elif isinstance(value, dict):
            inner = document.get(name)
            _read(value, inner if isinstance(inner, dict) else {}, rule, f"{path}/", changes)
        else:
            changes.refuse(path, Failure(400, [_wrong_type(path, value)]))


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _wrong_type(path: str, value: Any) -> Message:
    return message("PropertyValueTypeError", value, _name(path), related=f"#/{path}")


def boolean(path: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise Failure(400, [_wrong_type(path, value)])
    return value


def text(most: int) -> Check:
    """A string of printable characters, at most so many."""

    def check(path: str, value: Any) -> str:
        if not isinstance(value, str):
            raise Failure(400, [_wrong_type(path, value)])
        if len(value) > most or not (value.isprintable() or not value):
            raise failure(400, "PropertyValueFormatError", value, _name(path), related=f"#/{path}")
        return value

    return check


def integer(least: int, most: int) -> Check:
    def check(path: str, value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise Failure(400, [_wrong_type(path, value)])
        if not least <= value <= most:
            raise failure(400, "PropertyValueOutOfRange", value, _name(path), related=f"#/{path}")
        return value

    return check


def moment(path: str, value: Any) -> int:
    """A time with its offset, as seconds since 1970; as late as IPMI can say."""
    if not isinstance(value, str):
        raise Failure(400, [_wrong_type(path, value)])
    try:
        found = datetime.datetime.fromisoformat(value.upper().replace("Z", "+00:00"))
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise failure(400, "PropertyValueFormatError", value, _name(path), related=f"#/{path}")
    seconds = int(found.timestamp())
    integer(0, 0xFFFFFFFE)(path, seconds)
    return seconds


def one_of(words: Collection[str]) -> Check:
    def check(path: str, value: Any) -> str:
        if not isinstance(value, str):
            raise Failure(400, [_wrong_type(path, value)])
        if value not in words:
            raise failure(400, "PropertyValueNotInList", value, _name(path), related=f"#/{path}")
        return value

    return check


def order_of(words: Collection[str]) -> Check:
    """All of `words`, each once."""

    def check(path: str, value: Any) -> List[str]:
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise Failure(400, [_wrong_type(path, value)])
        if sorted(value) != sorted(words):
            remedy = f"Give all of {', '.join(sorted(words)) or 'none'}, each once."
            raise failure(400, "PropertyValueError", _name(path), related=f"#/{path}", resolution=remedy)
        return value

    return check


def required(body: Mapping[str, Any], name: str, kind: Type[T]) -> T:
    """A property that a POST has to have. Raises Failure; shows no value, which may be a password."""
    if name not in body:
        raise failure(400, "PropertyMissing", name, related=f"#/{name}")
    value = body[name]
    if not isinstance(value, kind):
        raise failure(400, "PropertyValueTypeError", "given", name, related=f"#/{name}")
    return value


def only(body: Mapping[str, Any], known: Collection[str]) -> None:
    """Raises Failure for properties that the resource to be made has not."""
    unknown = [message("PropertyUnknown", name, related=f"#/{name}") for name in body if name not in known]
    if unknown:
        raise Failure(400, unknown[:MAX_PROBLEMS])


def action_parameter(
    body: Mapping[str, Any], action: str, name: str, values: Collection[str], default: str = ""
) -> str:
    """The one parameter of an action, of `values`. Raises Failure."""
    for key in body:
        if key != name:
            raise failure(400, "ActionParameterUnknown", action, key)
    if name not in body:
        if default:
            return default
        raise failure(400, "ActionParameterMissing", action, name)
    value = body[name]
    if not isinstance(value, str):
        raise failure(400, "ActionParameterValueTypeError", value, name, action)
    if value not in values:
        raise failure(400, "ActionParameterValueNotInList", value, name, action)
    return value
