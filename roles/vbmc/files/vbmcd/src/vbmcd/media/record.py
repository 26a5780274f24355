# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a BMC's drive remembers: what was inserted, and which volumes are still to be removed. Pure."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import List, Optional, Sequence, Tuple

RECORD = "media"
"""Its name in the store."""

Volume = Tuple[str, str]
"""Pool and name of one that was made here."""


@dataclass(frozen=True)
class Inserted:
    """What was inserted."""

    uri: str
    path: str
    """Where it is, on the machine's host."""
    pool: str = ""
    volume: str = ""
    """The volume that goes with the medium; empty for a file that was there."""


def to_bytes(inserted: Optional[Inserted], left: Sequence[Volume]) -> bytes:
    return json.dumps({**(asdict(inserted) if inserted is not None else {}), "left": list(left)}).encode()


def from_bytes(data: bytes) -> Tuple[Optional[Inserted], List[Volume]]:
    """Nothing of what can't be read."""
    try:
        known = json.loads(data) or {}
        left = [(str(pool), str(volume)) for pool, volume in known.get("left", ())]
        if "uri" not in known:
            return None, left
        return Inserted(str(known["uri"]), str(known["path"]), str(known["pool"]), str(known["volume"])), left
    except (ValueError, KeyError, TypeError, AttributeError):
        return None, []
