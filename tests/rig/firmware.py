# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Firmware images to update BMCs with: tar files with a MANIFEST, of any size, with random content."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path
from typing import Any

PURPOSE = "xyz.openbmc_project.Software.Version.VersionPurpose."


def manifest(version: str = "2.0.0", *, purpose: str = "BMC", machine: str = "vbmcd", **more: str) -> bytes:
    """The MANIFEST's text; `more` are further lines of it, and an empty value leaves a line out."""
    values = {"purpose": PURPOSE + purpose, "version": version, "MachineName": machine, **more}
    return "".join(f"{key}={value}\n" for key, value in values.items() if value).encode()


def image(version: str = "2.0.0", *, size: int = 4096, text: bytes | None = None, **more: str) -> bytes:
    """An image as OpenBMC's build makes it; `size` is that of its flash content, `text` a MANIFEST of one's own."""
    members = {"image-bmc": os.urandom(size), "MANIFEST": manifest(version, **more) if text is None else text}
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return target.getvalue()


def image_file(path: Path, version: str = "2.0.0", **options: Any) -> Path:
    path.write_bytes(image(version, **options))
    return path


def form(parts: list[tuple[str, bytes]], boundary: str = "b0undary") -> bytes:
    """multipart/form-data of named parts; one named UpdateFile is a file."""
    body = b""
    for name, data in parts:
        file = '; filename="image.tar"' if name == "UpdateFile" else ""
        body += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode() + data + b"\r\n"
    return body + f"--{boundary}--\r\n".encode()
