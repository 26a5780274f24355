# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The `firmware` of a SPEC, a reply and an instance's file: options from JSON and to it. ``documents`` calls it."""

from __future__ import annotations

from dataclasses import fields as fields_of
from dataclasses import replace
from typing import Any, Callable, Dict, List, Mapping, Optional

from vbmcd import fields
from vbmcd.errors import InvalidRequest, VbmcError
from vbmcd.fields import Reader
from vbmcd.firmware.options import Dialect, Fault, FaultKind, FirmwareOptions

MAX_FAULTS = 50
_MAX_SECONDS = 86400
_FAULT_KEYS = ("kind", "count", "seconds")

Changes = Mapping[str, Any]
"""Options that are given, by name; the others stay as they are."""


def _text(value: object) -> str:
    text = fields.name(value)
    if not text.isprintable():
        raise ValueError(f"{fields.shown(text)} has an unprintable character in it: leave it out")
    return text


def _word(value: object) -> str:
    return "" if value == "" else _text(value)


def _number(least: int, most: int) -> Callable[[object], int]:
    def check(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError(f"{fields.shown(value)} is not a whole number from {least} to {most}: give one")
        return value

    return check


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= _MAX_SECONDS:
        raise ValueError(f"{fields.shown(value)} is not a number of seconds from 0 to {_MAX_SECONDS}: give one")
    return float(value)


def _dialect(value: object) -> Dialect:
    words = [one.value for one in Dialect]
    if value not in words:
        raise ValueError(f"{fields.shown(value)} is not a dialect: give {fields.one_of(words)}")
    return Dialect(value)


def _kind(value: object) -> FaultKind:
    words = [one.value for one in FaultKind]
    if value not in words:
        raise ValueError(f"{fields.shown(value)} is not a fault: give {fields.one_of(words)}")
    return FaultKind(value)


_CHECKS: Dict[str, Callable[[object], Any]] = {
    "version": _text,
    "machine": _text,
    "host_version": _word,
    "dialect": _dialect,
    "slots": _number(1, 16),
    "activation_seconds": _seconds,
    "reboot_seconds": _seconds,
    "upload_rate": _number(0, 1 << 40),
    "max_image_bytes": _number(1 << 10, 1 << 40),
    "simple_update": fields.boolean,
}
KEYS = (*_CHECKS, "faults")


def parse(value: object, instance: str, errors: List[VbmcError]) -> Optional[Changes]:
    """What a SPEC gives; what is wrong goes to `errors`."""
    reader = fields.part(value, "firmware", '{"version": "1.0.0"}', instance, errors, KEYS)
    if reader is None:
        return None
    changes = {key: reader.get(key, check) for key, check in _CHECKS.items()}
    faults = reader.get("faults", lambda found: found)
    if faults is not None:
        changes["faults"] = _faults(faults, reader, instance, errors)
    return {key: change for key, change in changes.items() if change is not None}


def _faults(value: object, reader: Reader, instance: str, errors: List[VbmcError]) -> Any:
    if not isinstance(value, list) or len(value) > MAX_FAULTS:
        reader.refuse(f"faults is not a list of at most {MAX_FAULTS}: give a list of objects, each with a kind")
        return None
    found = []
    for index, item in enumerate(value):
        place = f"instance {instance!r}: firmware.faults[{index}]"
        if not isinstance(item, dict):
            errors.append(InvalidRequest(f"{place} is no object: give one with a kind", instance=instance))
            continue
        one = Reader(item, place, errors, instance)
        one.only(_FAULT_KEYS)
        kind = one.require("kind", _kind)
        count, seconds = one.get("count", _number(0, 1 << 20)), one.get("seconds", _seconds)
        if kind is not None:
            found.append(Fault(kind, 1 if count is None else count, seconds))
    return tuple(found)


def applied(changes: Optional[Changes], before: FirmwareOptions) -> FirmwareOptions:
    """The options that `changes` make of those before."""
    return replace(before, **changes) if changes else before


def to_document(options: FirmwareOptions) -> Dict[str, object]:
    """`options` in the shape of a SPEC."""
    document: Dict[str, object] = {one.name: getattr(options, one.name) for one in fields_of(options)}
    document["dialect"] = options.dialect.value
    document["faults"] = [
        {"kind": one.kind.value, "count": one.count, **({} if one.seconds is None else {"seconds": one.seconds})}
        for one in options.faults
    ]
    return document
