# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What clients set over Redfish and IPMI has no word for: kept as a record of the BMC, a few short texts."""

from __future__ import annotations

import json
from typing import Any, Dict

from vbmcd.commands.bmc import Bmc

RECORD = "redfish"


class Settings:
    """A part of the Bmc."""

    def __init__(self, bmc: Bmc) -> None:
        self._bmc = bmc
        self._values: Dict[str, Any] = _from_bytes(bmc.kept.get(RECORD, b""))

    def text(self, name: str, default: str = "") -> str:
        value = self._values.get(name)
        return value if isinstance(value, str) else default

    def number(self, name: str, default: int) -> int:
        value = self._values.get(name)
        return value if isinstance(value, int) else default

    async def set(self, **values: Any) -> None:
        """Store for good. Raises machine.base.Busy, and then all is as before."""
        changed = {**self._values, **values}
        await self._bmc.remember(RECORD, json.dumps(changed).encode())
        self._values = changed


def _from_bytes(record: bytes) -> Dict[str, Any]:
    """Nothing where the record is damaged."""
    try:
        content = json.loads(record or b"{}")
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
