# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeping secrets out of messages, wherever those come from: a library's exception may quote what it was given."""

from __future__ import annotations

import json
from typing import Iterable
from urllib.parse import quote

MASK = "********"


SHORTEST = 4
"""Characters. To replace a shorter one would garble every message, and tell more than it hides."""


def masked(text: str, secrets: Iterable[str]) -> str:
    """`text` with every secret replaced; the longest first, since one may be part of another."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= SHORTEST:
            # As it is, and as a message shows it that quotes JSON, an address or Python's own words.
            for shown in (secret, json.dumps(secret)[1:-1], quote(secret, safe=""), repr(secret)[1:-1]):
                text = text.replace(shown, MASK)
    return text
