# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the daemon's wheel and pack it with what goes with it: build_wheel.py SOURCE CONSTRAINTS ARCHIVE [WHEELS].

Run by the role's tasks, once on the controller for all hosts. ARCHIVE becomes a tar file of the wheel, of the pinned
versions, and of the wheels in the folder WHEELS if there is one. What is printed is a checksum of it all; of an ARCHIVE
"-" that is all.

The wheel (PEP 427) is written here and not by pip, which many an installation of Ansible comes without and which would
fetch setuptools from an index first. The daemon is plain Python, so a wheel is an archive of its files and four more.
The same source makes the same bytes; the version carries a checksum of them, so that pip tells one state from another.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

Files = dict[str, bytes]
WHEELS = "wheels"


def package(source: Path) -> Files:
    """The files of the package, by their names in the wheel."""
    folder = source / "src"
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(is_rubbish(part) for part in path.relative_to(folder).parts)
    }


def is_rubbish(name: str) -> bool:
    return name == "__pycache__" or name.endswith(".egg-info")


def version_of(files: Files, name: str) -> str:
    """The version that the package states, and a checksum of the package (PEP 440, local version)."""
    found = re.search(rb'^__version__ = "([^"]+)"$', files[f"{name}/__init__.py"], flags=re.MULTILINE)
    if found is None:
        raise SystemExit(f"{name}/__init__.py has no line __version__ = ...")
    digest = hashlib.sha256()
    for path, content in files.items():
        digest.update(f"\0{path}\0".encode() + content)
    return f"{found[1].decode()}+{digest.hexdigest()[:12]}"


def metadata(project: dict[str, Any], version: str, readme: str) -> str:
    """dist-info/METADATA (core metadata 2.1)."""
    fields = [
        ("Metadata-Version", "2.1"),
        ("Name", project["name"]),
        ("Version", version),
        ("Summary", project["description"]),
        ("License", project["license"]["text"]),
        ("Requires-Python", project["requires-python"]),
        *(("Requires-Dist", one) for one in project["dependencies"]),
        ("Description-Content-Type", "text/markdown"),
    ]
    return "".join(f"{key}: {value}\n" for key, value in fields) + f"\n{readme}"


def record(files: Files, own_name: str) -> str:
    """dist-info/RECORD: every file with its checksum, and itself without."""
    rows = [f"{path},sha256={_checksum(content)},{len(content)}\n" for path, content in files.items()]
    return "".join([*rows, f"{own_name},,\n"])


def _checksum(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def build(source: Path) -> tuple[str, bytes]:
    """The wheel: its name and what it holds."""
    project = tomllib.loads((source / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    files = package(source)
    version = version_of(files, project["name"])
    info = f"{project['name']}-{version}.dist-info"
    scripts = "".join(f"{command} = {function}\n" for command, function in project["scripts"].items())
    readme = (source / project["readme"]).read_text(encoding="utf-8")
    files[f"{info}/METADATA"] = metadata(project, version, readme).encode()
    files[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: baremetal.lab\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files[f"{info}/entry_points.txt"] = f"[console_scripts]\n{scripts}".encode()
    files[f"{info}/RECORD"] = record(files, f"{info}/RECORD").encode()
    wheel = io.BytesIO()
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in files.items():
            entry = zipfile.ZipInfo(path)  # with a time that is always the same
            entry.external_attr = 0o100644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return f"{project['name']}-{version}-py3-none-any.whl", wheel.getvalue()


def checksum(members: Files) -> str:
    digest = hashlib.sha256()
    for name, content in sorted(members.items()):
        digest.update(f"\0{name}\0".encode() + content)
    return digest.hexdigest()


def pack(members: Files, archive: Path) -> None:
    """Write the archive."""
    partial = archive.with_name(f"{archive.name}.part")
    with tarfile.open(partial, "w") as tar:
        for name, content in sorted(members.items()):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    partial.replace(archive)


def main(source: str, constraints: str, archive: str, *wheelhouse: str) -> None:
    name, wheel = build(Path(source))
    members = {name: wheel, "constraints.txt": Path(constraints).read_bytes()}
    for folder in wheelhouse:
        wheels = {f"{WHEELS}/{path.name}": path.read_bytes() for path in Path(folder).glob("*.whl")}
        if not wheels:
            raise SystemExit(f"{folder} is no folder with wheels in it: see docs/hosts.md of the collection")
        members.update(wheels)
    if archive != "-":
        pack(members, Path(archive))
    print(checksum(members))


if __name__ == "__main__":
    main(*sys.argv[1:])
