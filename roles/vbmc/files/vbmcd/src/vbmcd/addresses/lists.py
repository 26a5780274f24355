# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lists of addresses on disk: one file an owner, for the next start of the host, and what was added since the last.

Both are root's alone to write, unlike the daemon's state folder: what they name becomes an address of the host.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Dict, Iterator, Set

from vbmcd.addresses.plan import Pair, Wish
from vbmcd.errors import StateError
from vbmcd.paths import escape, unescape

FOLDER = Path("/etc/vbmcd/addresses.d")
ADDED = Path("/run/vbmcd-addresses.json")

_SUFFIX = ".json"


class Lists:
    """The files. Raises StateError where one can't be read or written."""

    def __init__(self, folder: Path = FOLDER, added: Path = ADDED) -> None:
        self._folder = folder
        self._added = added

    @contextmanager
    def lock(self) -> Iterator[None]:
        """One program at a time, so that none undoes what another is doing."""
        try:
            descriptor = os.open(self._added.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StateError(f"{self._added.parent} can't be written: {error.strerror}: be root") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def wishes(self) -> Dict[str, Wish]:
        """Owner to wish."""
        try:
            paths = sorted(path for path in self._folder.iterdir() if path.suffix == _SUFFIX)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise StateError(f"{self._folder} can't be read: {error.strerror}: be root") from error
        return {unescape(path.name[: -len(_SUFFIX)]) or path.name: _wish(path) for path in paths}

    def save(self, owner: str, wish: Wish) -> None:
        """Keep `wish`; one without addresses is forgotten."""
        path = self._folder / f"{escape(owner)}{_SUFFIX}"
        if not wish.addresses:
            path.unlink(missing_ok=True)
            with suppress(OSError):  # other owners' lists are there, or nothing is
                self._folder.rmdir()
            return
        self._folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        document = {"owner": owner, "interface": wish.interface, "own": wish.own, "addresses": list(wish.addresses)}
        _write(path, document)

    def added(self) -> Set[Pair]:
        """What was added since the host started."""
        try:
            document = json.loads(self._added.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return set()
        except (OSError, ValueError) as error:
            raise StateError(f"{self._added} can't be read ({error}): remove it; addresses then stay") from error
        return {(str(name), str(address)) for name, address in document}

    def save_added(self, pairs: Set[Pair]) -> None:
        if pairs:
            _write(self._added, sorted(pairs))
        else:
            self._added.unlink(missing_ok=True)


def _wish(path: Path) -> Wish:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return Wish(str(document["interface"]), bool(document["own"]), tuple(map(str, document["addresses"])))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StateError(f"{path} is no list of addresses ({error}): remove it, and run bring_up again") from error


def _write(path: Path, document: Any) -> None:
    """Whole or not at all."""
    new = path.with_name(f".{path.name}.new")
    try:
        with open(new, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path)
    except OSError as error:
        raise StateError(f"{path} can't be written: {error.strerror}: be root") from error
