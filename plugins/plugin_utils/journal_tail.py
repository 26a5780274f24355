# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Following the journal of a firmware run that begins after one has begun to look. Knows nothing of Ansible."""

from __future__ import annotations

import glob
import json
import os
from typing import Any, Iterator, Optional

from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.firmware.journal import SUFFIX


class JournalTail:
    """`more` gives the records that came since it was last called; of the first journal that grows."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._sizes = {path: os.stat(path).st_size for path in self._journals()}
        self._path: Optional[str] = None
        self._place = 0

    def more(self) -> Iterator[dict[str, Any]]:
        if self._path is None:
            self._find()
        if self._path is None:
            return
        with open(self._path, "rb") as file:
            file.seek(self._place)
            for line in file:
                if not line.endswith(b"\n"):
                    break  # it is being written
                self._place += len(line)
                try:
                    record = json.loads(line)
                except ValueError:
                    continue
                if isinstance(record, dict):
                    yield record

    def _find(self) -> None:
        for path in self._journals():
            before = self._sizes.get(path, 0)
            if os.stat(path).st_size > before:
                self._path, self._place = path, before
                return

    def _journals(self) -> list[str]:
        return sorted(glob.glob(os.path.join(glob.escape(self._folder), "*" + SUFFIX)))
