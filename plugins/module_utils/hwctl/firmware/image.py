# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A firmware image: copied once for all targets, mapped and not read, with what its MANIFEST says.

The copy is a file without a name, gone with the process. Were the file itself mapped, to cut it short would end the
process (SIGBUS), and to write to it would give each BMC something else.

OpenBMC's images are tar files with a MANIFEST of lines ``key=value``: purpose, version, MachineName, ExtendedVersion,
CompatibleName.
"""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import os
import stat
import tarfile
import tempfile
from dataclasses import dataclass, field
from typing import BinaryIO, Dict, Optional

from ..errors import BadRequest

BMC = "bmc"
HOST = "host"
OTHER = "other"
"""What an image is for."""

MANIFEST_LIMIT = 64 * 1024
"""Bytes of a MANIFEST that are read; real ones have some hundred."""
PIECE = 1 << 20


@dataclass(frozen=True)
class Image:
    """`Image.open` makes one; `close` lets go of the file."""

    path: str
    version: str
    purpose: str
    size: int
    sha256: str
    manifest: Dict[str, str] = field(default_factory=dict)
    content: memoryview = field(default=memoryview(b""), repr=False)
    """The whole file. It is mapped, so that any number of uploads at once cost no memory."""

    @classmethod
    def open(cls, path: str, version: Optional[str] = None, purpose: Optional[str] = None) -> Image:
        """`version` and `purpose` go before the MANIFEST's. Raises BadRequest."""
        with _temporary() as copy:
            sha256 = _copied(path, copy)
            manifest = _manifest(copy)
            content = memoryview(mmap.mmap(copy.fileno(), 0, access=mmap.ACCESS_READ))
        version = version or manifest.get("version")
        if not version:
            raise BadRequest(
                f"the image {path} has no MANIFEST that says its version: give the version that is to run (version)"
            )
        return cls(path, version, purpose or _purpose(manifest), len(content), sha256, manifest, content)

    @property
    def name(self) -> str:
        return os.path.basename(self.path)

    def close(self) -> None:
        mapped = self.content.obj
        self.content.release()
        if isinstance(mapped, mmap.mmap):
            # Who was called off may still hold a piece; the mapping ends with the last one.
            with contextlib.suppress(BufferError):
                mapped.close()


def _temporary() -> BinaryIO:
    """Raises BadRequest."""
    try:
        return tempfile.TemporaryFile()
    except OSError as error:
        raise BadRequest(f"there is no place for a copy of the image: {error.strerror}") from None


def _copied(path: str, copy: BinaryIO) -> str:
    """The SHA-256 of what was copied. Raises BadRequest, also where somebody writes to the file meanwhile."""
    try:
        # Without O_NONBLOCK, to open a named pipe takes until somebody writes to it.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            before = os.fstat(file.fileno())
            if not stat.S_ISREG(before.st_mode):
                raise BadRequest(f"the image {path} can't be read: it is no regular file")
            digest = hashlib.sha256()
            for piece in iter(lambda: file.read(PIECE), b""):
                digest.update(piece)
                _written(copy, piece)
            after = os.fstat(file.fileno())
    except OSError as error:
        raise BadRequest(f"the image {path} can't be read: {error.strerror}") from None
    if not copy.tell():
        raise BadRequest(f"the image {path} is empty")
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise BadRequest(f"the image {path} is being written: try again when it is whole")
    copy.flush()
    return digest.hexdigest()


def _written(copy: BinaryIO, piece: bytes) -> None:
    try:
        copy.write(piece)
    except OSError as error:
        folder = tempfile.gettempdir()
        raise BadRequest(f"the image can't be copied to {folder}: {error.strerror}; TMPDIR names another one") from None


def _manifest(copy: BinaryIO) -> Dict[str, str]:
    """Empty where the file is no tar file, or has no MANIFEST."""
    copy.seek(0)
    try:
        with tarfile.open(fileobj=copy, mode="r:*") as archive:
            for member in archive:
                if os.path.basename(member.name) == "MANIFEST" and member.isfile():
                    file = archive.extractfile(member)
                    return _parsed(file.read(MANIFEST_LIMIT) if file else b"")
    except (tarfile.TarError, EOFError, OSError, ValueError):
        pass
    return {}


def _parsed(text: bytes) -> Dict[str, str]:
    lines = text.decode(errors="replace").splitlines()
    return {key.strip(): value.strip() for key, equals, value in (line.partition("=") for line in lines) if equals}


def _purpose(manifest: Dict[str, str]) -> str:
    """From ``xyz.openbmc_project.Software.Version.VersionPurpose.BMC``; an image that does not say is the BMC's."""
    last = manifest.get("purpose", "BMC").rpartition(".")[2].lower()
    return {"bmc": BMC, "system": BMC, "host": HOST}.get(last, OTHER)
