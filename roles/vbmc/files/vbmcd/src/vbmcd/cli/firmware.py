# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of an instance that have options themselves, on the command line, and what a table shows of its firmware."""

from __future__ import annotations

import argparse
import json
from typing import Any, Mapping, Tuple

_TEXTS = ("version", "machine", "host_version", "dialect", "pool")
"""Options that are text as they stand: a version 2.10 is no number."""


def option(text: str) -> Tuple[str, Any]:
    """OPTION=VALUE. Raises ArgumentTypeError."""
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise argparse.ArgumentTypeError(f"{text!r} is no option with a value: give one such as version=2.1.0")
    if key in _TEXTS:
        return key, value
    import yaml  # which takes a while to load

    try:
        found = yaml.safe_load(value)
    except (yaml.YAMLError, RecursionError, ValueError):
        raise argparse.ArgumentTypeError(f"the value of {key!r} is no YAML: quote it") from None
    try:
        json.dumps(found, allow_nan=False)
    except (TypeError, ValueError):
        raise argparse.ArgumentTypeError(f"the value of {key!r} is neither text nor number, list or object") from None
    return key, found


def shown(firmware: Mapping[str, Any]) -> str:
    """``1.0.0 for vbmcd, openbmc-2025``, and the faults that are planned."""
    faults = ", ".join(_fault(one) for one in firmware["faults"])
    words = [f"{firmware['version']} for {firmware['machine']}", firmware["dialect"]]
    return ", ".join(words) + (f", faults: {faults}" if faults else "")


def _fault(fault: Mapping[str, Any]) -> str:
    return f"{fault['kind']} ({fault['count']} times)" if fault["count"] else f"{fault['kind']} (always)"
