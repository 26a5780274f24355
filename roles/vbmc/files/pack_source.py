# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A checksum of the daemon's source, and the source as an archive: pack_source.py FOLDER CONSTRAINTS [ARCHIVE].

Run by the role's tasks on the controller. The checksum, which is printed, is of what the files hold and of the pinned
versions that go with them; an archive's own would tell of times and owners, which do not matter.
"""

from __future__ import annotations

import hashlib
import sys
import tarfile
from pathlib import Path

LEFT_OUT = ("__pycache__", "build")


def sources(folder: Path) -> list[Path]:
    """The files that belong to the package, in an order that is always the same."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not any(part in LEFT_OUT or part.endswith(".egg-info") for part in path.relative_to(folder).parts)
    ]


def checksum(folder: Path, constraints: Path) -> str:
    digest = hashlib.sha256(constraints.read_bytes())
    for path in sources(folder):
        digest.update(f"\0{path.relative_to(folder).as_posix()}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def pack(folder: Path, archive: Path) -> None:
    with tarfile.open(archive, "w:gz") as tar:
        for path in sources(folder):
            tar.add(path, arcname=Path(folder.name, path.relative_to(folder)))


def main(folder: Path, constraints: Path, *archive: Path) -> None:
    for path in archive:
        pack(folder, path)
    print(checksum(folder, constraints))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
