# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading the file of ``vbmc apply``: JSON or YAML, a list of SPECs or an object that holds one.

What a SPEC may hold is the daemon's to judge. Errors show no content of the file: there are passwords in it.
"""

from __future__ import annotations

import json
import sys
from typing import Any, List

from vbmcd.errors import InvalidRequest
from vbmcd.fields import Reader


def read_specs(file: str) -> List[Any]:
    """The SPECs of `file` ('-': standard input). Raises InvalidRequest."""
    where = "standard input" if file == "-" else file
    document = _parse(_read(file, where), where)
    if isinstance(document, dict):
        errors: List[Any] = []
        Reader(document, where, errors).only(("instances",))
        if errors:
            raise errors[0]
        document = document.get("instances")
    if not isinstance(document, list):
        raise InvalidRequest(f"{where} holds no list of instances: write one, or an object with the key 'instances'")
    return document


def _read(file: str, where: str) -> str:
    try:
        if file == "-":
            return sys.stdin.buffer.read().decode("utf-8")
        with open(file, encoding="utf-8") as stream:
            return stream.read()
    except OSError as error:
        raise InvalidRequest(f"{where} can't be read: {error.strerror}: name another file") from error
    except UnicodeDecodeError:
        raise InvalidRequest(f"{where} is not UTF-8: save it as UTF-8") from None


def _parse(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        pass
    import yaml  # JSON is what programs send, and needs no YAML

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return yaml.load(text, Loader=loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
        raise InvalidRequest(f"{where}{place} is neither JSON nor YAML: {error.problem}") from None
    except (yaml.YAMLError, RecursionError, ValueError):
        raise InvalidRequest(f"{where} is neither JSON nor YAML: mend it") from None
