# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How instances are spread over workers: the ``--workers`` option."""

from __future__ import annotations

import os
from typing import Union

MAX_AUTO = 4

Placement = Union[int, str]
"""A number of workers, or ``instance`` for one each."""

PER_INSTANCE = "instance"


def parse_placement(text: str) -> Placement:
    """``auto`` (one a core, at most 4), a number, or ``instance``. Raises ValueError."""
    if text == "auto":
        return min(MAX_AUTO, os.cpu_count() or 1)
    if text == PER_INSTANCE:
        return text
    number = int(text)
    if not 1 <= number <= 64:
        raise ValueError(f"{number} workers")
    return number
