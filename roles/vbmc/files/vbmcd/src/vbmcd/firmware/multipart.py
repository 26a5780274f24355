# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""multipart/form-data as bmcweb reads it (include/multipart_parser.hpp there): as it comes, and no more than it takes.

A preamble, a quoted boundary or a line that ends otherwise than in CR LF are errors: real BMCs close the connection on
them, which clients had better find out about here.
"""

from __future__ import annotations

import re
from typing import Callable, Dict, List, Optional, Tuple

PREFIX = "multipart/form-data; boundary="
MAX_HEADERS = 8 << 10
"""Bytes of one part's headers."""
MAX_PARTS = 8
_NAME = re.compile(r'(?:^|;)\s*name="?([^";]*)"?')
_FIELD = re.compile(rb"[A-Za-z-]+")

Sink = Callable[[bytes], None]


class ParseError(Exception):
    """bmcweb closes the connection on this, without an answer."""


def boundary_of(content_type: str) -> bytes:
    """Raises ParseError unless the header is what bmcweb takes: nothing between, nothing quoted."""
    if not content_type.startswith(PREFIX):
        raise ParseError(f"the Content-Type does not begin with {PREFIX!r}")
    boundary = content_type[len(PREFIX) :]
    if not 0 < len(boundary) <= 70:
        raise ParseError("the boundary has not 1 to 70 characters")
    return boundary.encode("latin-1", "replace")


class FormReader:
    """Takes a form in pieces of any size. `open_part` gets a part's name and headers, and says where its data goes."""

    def __init__(self, boundary: bytes, open_part: Callable[[str, Dict[str, str]], Sink]) -> None:
        self._delimiter = b"\r\n--" + boundary
        self._open_part = open_part
        self._sink: Optional[Sink] = None
        self._buffer = bytearray(b"\r\n")
        """What is not understood yet. The first delimiter lacks the CR LF, and nothing may be before it."""
        self._parts = 0
        self._ended = False

    def feed(self, data: bytes) -> None:
        """Raises ParseError."""
        if self._ended:
            return  # an epilogue (RFC 2046, 5.1.1)
        self._buffer += data
        while self._step():
            pass

    def close(self) -> None:
        """All came. Raises ParseError if that is not the whole form."""
        if not self._ended:
            raise ParseError("the form ends before its last boundary")

    def _step(self) -> bool:
        """Whether it got any further."""
        if self._ended:
            return False
        if self._sink is None and self._parts:
            return self._headers()
        return self._data()

    def _data(self) -> bool:
        """Hand on what belongs to the part, up to the next delimiter."""
        buffer, delimiter = self._buffer, self._delimiter
        found = buffer.find(delimiter)
        if not self._parts and found != 0 and len(buffer) >= len(delimiter):
            raise ParseError("something stands before the first boundary")
        end = found if found >= 0 else len(buffer) - len(delimiter) - 1
        if end > 0 and self._sink is not None:
            self._sink(bytes(buffer[:end]))
            del buffer[:end]
        if found < 0 or len(buffer) < len(delimiter) + 2:
            return False
        after = bytes(buffer[len(delimiter) : len(delimiter) + 2])
        if after == b"--" and self._parts:
            self._ended = True
        elif after == b"\r\n":
            self._begin()
        elif self._sink is None:
            raise ParseError("the first boundary does not end its line")
        else:
            # The same bytes inside the data; not even real ones make more of it.
            self._sink(bytes(buffer[:1]))
            del buffer[:1]
            return True
        del buffer[: len(delimiter) + 2]
        return True

    def _begin(self) -> None:
        self._parts += 1
        self._sink = None
        if self._parts > MAX_PARTS:
            raise ParseError(f"the form has more than {MAX_PARTS} parts")

    def _headers(self) -> bool:
        # A part without any headers begins with the empty line that ends them.
        if self._buffer.startswith(b"\r\n"):
            lines: List[bytes] = []
            length = 2
        else:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0 or end > MAX_HEADERS:
                if len(self._buffer) > MAX_HEADERS:
                    raise ParseError(f"a part has more than {MAX_HEADERS} bytes of headers")
                return False
            lines = bytes(self._buffer[:end]).split(b"\r\n")
            length = end + 4
        del self._buffer[:length]
        headers = dict(_header(line) for line in lines)
        name = _NAME.search(headers.get("content-disposition", ""))
        self._sink = self._open_part(name.group(1) if name else "", headers)
        return True


def _header(line: bytes) -> Tuple[str, str]:
    name, colon, value = line.partition(b":")
    if not colon or not _FIELD.fullmatch(name) or b"\r" in value or b"\n" in value:
        raise ParseError("a part has a header that is none")
    return name.decode("ascii").lower(), value.decode("utf-8", "replace").strip()
