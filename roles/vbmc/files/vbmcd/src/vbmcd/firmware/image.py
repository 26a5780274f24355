# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A firmware image as OpenBMC builds it: a tar file with a MANIFEST, maybe in gzip; read as it comes and never held.

Of the other members only the length is looked at: a BMC that is none has no use for them.
"""

from __future__ import annotations

import enum
import tarfile
import zlib
from dataclasses import dataclass
from typing import Any, Dict, Optional

BLOCK = tarfile.BLOCKSIZE
MAX_MANIFEST = 64 << 10
MANIFEST = "MANIFEST"
GZIP = b"\x1f\x8b"
MAX_UNPACKED = 256 << 20
"""Bytes that an image in gzip may become: no flash has more, and somebody waits for it."""
_PIECE = 64 << 10
_MAX_TEXT = 200
_WITHOUT_DATA = (tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE)
"""Whatever their size says. Extended headers, of pax and of GNU, have some."""


class BadImage(Exception):
    """Not an image for a BMC; the message says why."""


class Purpose(enum.Enum):
    """VersionPurpose of a MANIFEST: whose software it is. The value is the last word of it."""

    BMC = "BMC"
    HOST = "Host"

    @property
    def dbus(self) -> str:
        return f"xyz.openbmc_project.Software.Version.VersionPurpose.{self.value}"


@dataclass(frozen=True)
class Manifest:
    """What a MANIFEST says of its image."""

    purpose: Purpose
    version: str
    machine: str = ""
    extended_version: str = ""
    compatible_name: str = ""

    @classmethod
    def parse(cls, text: bytes) -> Manifest:
        """Raises BadImage. Keys that are not known are left alone, as OpenBMC does."""
        try:
            lines = text.decode("utf-8").splitlines()
        except UnicodeDecodeError:
            raise BadImage("the MANIFEST is no text") from None
        values: Dict[str, str] = {}
        for line in lines:
            key, equals, value = line.partition("=")
            if equals:
                values.setdefault(key.strip(), value.strip())
        version, purpose = values.get("version", ""), values.get("purpose", "")
        if not version:
            raise BadImage("the MANIFEST names no version")
        known = {one.dbus: one for one in Purpose}
        if purpose not in known:
            raise BadImage(f"the MANIFEST names purpose {purpose[:_MAX_TEXT]!r}, which this BMC has nothing for")
        texts = [values.get(key, "") for key in ("MachineName", "ExtendedVersion", "CompatibleName")]
        for value in (version, *texts):
            if len(value) > _MAX_TEXT or not value.isprintable():
                raise BadImage(f"the MANIFEST has a value that is no short text: {value[:40]!r}")
        return cls(known[purpose], version, *texts)


class ImageReader:
    """Takes an image in pieces of any size; close() tells what it is. Holds one block and the MANIFEST at most."""

    def __init__(self) -> None:
        self.size = 0
        """Bytes that came."""
        self._first = b""
        """Of those the first, until they tell whether there is gzip to be undone."""
        self._gzip: Any = None
        self._unpacked = 0
        self._header = bytearray()
        self._skip = 0
        """Bytes that belong to the present member, and its padding."""
        self._wanted = 0
        """Of those, the ones that are the MANIFEST's."""
        self._manifest: Optional[bytearray] = None
        self._ended = False
        self._error: Optional[BadImage] = None

    def feed(self, data: bytes) -> None:
        """Never raises: a BMC looks at an image once it has all of it."""
        self.size += len(data)
        if self._ended or self._error is not None:
            return
        try:
            self._begin_or_go_on(data)
        except BadImage as error:
            self._error = error

    def close(self) -> Manifest:
        """What the image is, once all of it came. Raises BadImage."""
        if self._error is not None:
            raise self._error
        if self._gzip is not None and not (self._gzip.eof or self._ended):
            raise BadImage("the gzip file ends in its middle")
        if self._skip or self._header:
            raise BadImage("the tar file ends in the middle of a member")
        if self._manifest is None:
            raise BadImage("the tar file has no MANIFEST" if self.size else "there is no image")
        return Manifest.parse(bytes(self._manifest))

    def _begin_or_go_on(self, data: bytes) -> None:
        if self.size == len(data) or self._first:
            data = self._first + data
            self._first = data if len(data) < len(GZIP) else b""
            if self._first:
                return
            if data.startswith(GZIP):
                self._gzip = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        if self._gzip is None:
            self._read(memoryview(data))
        else:
            self._unpack(data)

    def _unpack(self, data: bytes) -> None:
        while not (self._gzip.eof or self._ended):
            try:
                piece = self._gzip.decompress(data, _PIECE)
            except zlib.error:
                raise BadImage("the gzip file is damaged") from None
            data = self._gzip.unconsumed_tail
            self._unpacked += len(piece)
            if self._unpacked > MAX_UNPACKED:
                raise BadImage(f"the gzip file has more than {MAX_UNPACKED} bytes in it")
            self._read(memoryview(piece))
            if not data and len(piece) < _PIECE:
                return

    def _read(self, data: memoryview) -> None:
        while data and not self._ended:
            if self._skip:
                taken = min(self._skip, len(data))
                self._take(data[:taken])
            else:
                taken = min(BLOCK - len(self._header), len(data))
                self._header += data[:taken]
                if len(self._header) == BLOCK:
                    self._member(bytes(self._header))
                    self._header.clear()
            data = data[taken:]

    def _take(self, data: memoryview) -> None:
        self._skip -= len(data)
        if self._wanted and self._manifest is not None:
            part = data[: self._wanted]
            self._manifest += part
            self._wanted -= len(part)

    def _member(self, header: bytes) -> None:
        if not any(header):
            self._ended = True
            return
        try:
            member = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
        except tarfile.HeaderError:
            raise BadImage("that is no tar file") from None
        if member.size < 0:
            raise BadImage("that is no tar file")
        size = 0 if member.type in _WITHOUT_DATA else member.size
        self._skip = -(-size // BLOCK) * BLOCK
        if member.isreg() and member.name in (MANIFEST, f"./{MANIFEST}"):
            if size > MAX_MANIFEST:
                raise BadImage(f"the MANIFEST has {size} bytes, and {MAX_MANIFEST} are the most")
            self._manifest, self._wanted = bytearray(), size
