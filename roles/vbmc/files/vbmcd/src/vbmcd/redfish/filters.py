# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""$filter (DSP0266, '$filter query parameter'): comparisons of properties, joined by and, or, not and parentheses."""

from __future__ import annotations

import json
import operator
import re
from typing import Any, Callable, Dict, List, Optional

from vbmcd.redfish.messages import Failure, failure

Filter = Callable[[Dict[str, Any]], bool]

MAX_LENGTH = 2048
MAX_DEPTH = 32

_TOKEN = re.compile(r"\s*(?:(\(|\))|('(?:[^']|'')*')|([A-Za-z0-9_@.#/+-]+))")
_COMPARE: Dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}
_WORDS: Dict[str, Any] = {"true": True, "false": False, "null": None}


def parse_filter(text: str) -> Filter:
    """Raises Failure for what can't be understood."""
    if len(text) > MAX_LENGTH:
        raise _malformed(text)
    return _Parser(text).parse()


def _malformed(text: str) -> Failure:
    return failure(400, "QueryParameterValueFormatError", text, "$filter")


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = self._split(text)
        self._depth = 0

    def _split(self, text: str) -> List[str]:
        tokens, at = [], 0
        text = text.rstrip()
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                raise _malformed(text)
            tokens.append(match[match.lastindex or 0])
            at = match.end()
        return tokens[::-1]

    def _next(self) -> str:
        if not self._tokens:
            raise _malformed(self._text)
        return self._tokens.pop()

    def _peek(self) -> str:
        return self._tokens[-1] if self._tokens else ""

    def parse(self) -> Filter:
        found = self._either()
        if self._tokens:
            raise _malformed(self._text)
        return found

    def _either(self) -> Filter:
        parts = [self._both()]
        while self._peek() == "or":
            self._next()
            parts.append(self._both())
        return lambda document: any(part(document) for part in parts)

    def _both(self) -> Filter:
        parts = [self._one()]
        while self._peek() == "and":
            self._next()
            parts.append(self._one())
        return lambda document: all(part(document) for part in parts)

    def _one(self) -> Filter:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _malformed(self._text)
        try:
            if self._peek() == "not":
                self._next()
                inner = self._one()
                return lambda document: not inner(document)
            if self._peek() == "(":
                self._next()
                inner = self._either()
                if self._next() != ")":
                    raise _malformed(self._text)
                return inner
            return self._comparison()
        finally:
            self._depth -= 1

    def _comparison(self) -> Filter:
        name, word, literal = self._next(), self._next(), self._next()
        compare = _COMPARE.get(word)
        if compare is None or not re.match(r"[A-Za-z@]", name):
            raise _malformed(self._text)
        value = self._literal(literal)
        return lambda document: _compared(compare, _at(document, name), value)

    def _literal(self, token: str) -> Any:
        if token.startswith("'"):
            return token[1:-1].replace("''", "'")
        if token in _WORDS:
            return _WORDS[token]
        try:
            number = json.loads(token)
        except ValueError:
            number = None
        if not isinstance(number, (int, float)):
            raise _malformed(self._text)
        return number


def _at(document: Any, path: str) -> Any:
    for part in path.split("/"):
        document = document.get(part) if isinstance(document, dict) else None
    return document


def _compared(compare: Callable[[Any, Any], bool], found: Optional[Any], wanted: Any) -> bool:
    """What can't be compared is not so."""
    try:
        return bool(compare(found, wanted))
    except TypeError:
        return False
