# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The `media` of a SPEC, a reply and an instance's file: options from JSON and to it. ``documents`` calls it."""

from __future__ import annotations

import os.path
from dataclasses import replace
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

from vbmcd import fields
from vbmcd.errors import VbmcError
from vbmcd.media.options import SCHEMES, MediaOptions

MAX_FOLDERS = 20

Changes = Mapping[str, Any]
"""Options that are given, by name; the others stay as they are."""


def _schemes(value: object) -> Tuple[str, ...]:
    if not isinstance(value, list) or not all(one in SCHEMES for one in value):
        raise ValueError(
            f"{fields.shown(value)} is not a list of URL schemes: give some of {', '.join(SCHEMES)}, or none"
        )
    return tuple(one for one in SCHEMES if one in value)


def _folders(value: object) -> Tuple[str, ...]:
    if not isinstance(value, list) or len(value) > MAX_FOLDERS:
        raise ValueError(f"{fields.shown(value)} is not a list of at most {MAX_FOLDERS} folders: give one, or none")
    found = [os.path.normpath(fields.path(one)) for one in value if one]
    if "/" in found or "//" in found:
        raise ValueError("has / in it, which would be every file of the host: name the folder with the media")
    return tuple(dict.fromkeys(found))


def _size(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{fields.shown(value)} is not a number of bytes: give one")
    return value


_CHECKS: Dict[str, Callable[[object], Any]] = {
    "schemes": _schemes,
    "folders": _folders,
    "pool": fields.name,
    "verify": fields.boolean,
    "max_bytes": _size,
}
KEYS = tuple(_CHECKS)


def parse(value: object, instance: str, errors: List[VbmcError]) -> Optional[Changes]:
    """What a SPEC gives; what is wrong goes to `errors`."""
    reader = fields.part(value, "media", '{"schemes": ["https"]}', instance, errors, KEYS)
    if reader is None:
        return None
    changes: Dict[str, Any] = {}
    for key, check in _CHECKS.items():
        found: Any = reader.get(key, check)
        if found is not None:
            changes[key] = found
    return changes


def applied(changes: Optional[Changes], before: MediaOptions) -> MediaOptions:
    """The options that `changes` make of those before."""
    return replace(before, **changes) if changes else before


def to_document(options: MediaOptions) -> Dict[str, object]:
    """`options` in the shape of a SPEC."""
    return {
        "schemes": list(options.schemes),
        "folders": list(options.folders),
        "pool": options.pool,
        "verify": options.verify,
        "max_bytes": options.max_bytes,
    }
