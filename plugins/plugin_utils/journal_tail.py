# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Following the journals of firmware runs that begin after one has begun to look. Knows nothing of Ansible."""

from __future__ import annotations

import glob
import json
import os
from contextlib import suppress
from typing import Any, Iterator

from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.firmware.journal import SUFFIX


class JournalTail:
    """`more` gives the records that came since it was last called, of all runs that began since."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._places = {path: _size(path) for path in self._journals()}
        self._begun: set[str] = set()
        """Journals of runs that began since. Others may grow meanwhile, of a run in the background."""

    def more(self) -> Iterator[dict[str, Any]]:
        for path in self._journals():
            if _size(path) > self._places.get(path, 0):
                with suppress(OSError):
                    yield from self._more(path)

    def _more(self, path: str) -> Iterator[dict[str, Any]]:
        with open(path, "rb") as file:
            file.seek(self._places.setdefault(path, 0))
            for line in file:
                if not line.endswith(b"\n"):
                    break  # it is being written
                self._places[path] += len(line)
                try:
                    record = json.loads(line)
                except ValueError:
                    continue
                if not isinstance(record, dict):
                    continue
                if "begin" in record:
                    self._begun.add(path)
                if path in self._begun:
                    yield record

    def _journals(self) -> list[str]:
        return sorted(glob.glob(os.path.join(glob.escape(self._folder), "*" + SUFFIX)))


def _size(path: str) -> int:
    with suppress(OSError):
        return os.stat(path).st_size
    return 0
