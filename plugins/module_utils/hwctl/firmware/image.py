# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A firmware image: opened once for all targets, mapped and not read, with what its MANIFEST says.

OpenBMC's images are tar files with a MANIFEST of lines ``key=value``: purpose, version, MachineName, ExtendedVersion,
CompatibleName.
"""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import os
import tarfile
from dataclasses import dataclass, field
from typing import Dict, Optional

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
        try:
            with open(path, "rb") as file:
                size = os.fstat(file.fileno()).st_size
                if not size:
                    raise BadRequest(f"the image {path} is empty")
                content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except (OSError, ValueError) as error:
            raise BadRequest(f"the image {path} can't be read: {getattr(error, 'strerror', None) or error}") from None
        manifest = _manifest(path)
        version = version or manifest.get("version")
        if not version:
            raise BadRequest(
                f"the image {path} has no MANIFEST that says its version: give the version that is to run (version)"
            )
        return cls(path, version, purpose or _purpose(manifest), size, _sha256(content), manifest, content)

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


def _manifest(path: str) -> Dict[str, str]:
    """Empty where the file is no tar file, or has no MANIFEST."""
    try:
        with tarfile.open(path, "r:*") as archive:
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


def _sha256(content: memoryview) -> str:
    digest = hashlib.sha256()
    for start in range(0, len(content), PIECE):
        digest.update(content[start : start + PIECE])
    return digest.hexdigest()
