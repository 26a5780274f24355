# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From where a BMC may fetch what its clients name: the `media` options of an instance. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple

SCHEMES = ("http", "https")
"""Of URLs that the daemon can download."""
DEFAULT_POOL = "default"


@dataclass(frozen=True)
class MediaOptions:
    """The daemon fetches with its own rights and from its own place in the network: these are the limits."""

    schemes: Tuple[str, ...] = SCHEMES
    """Of the URLs that may be downloaded."""
    folders: Tuple[str, ...] = ()
    """Folders of the daemon's host with files that may be used (file:///...); no others."""
    pool: str = DEFAULT_POOL
    """libvirt's storage pool that downloaded media are put in."""
    verify: bool = True
    """Whether the certificates of servers are verified."""
    max_bytes: int = 16 << 30
