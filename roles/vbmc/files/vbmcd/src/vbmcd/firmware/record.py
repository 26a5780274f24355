# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a BMC's firmware is kept as: one record of JSON in the state folder, beside the event log."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Dict, List, Optional, Tuple

from vbmcd.firmware.image import Manifest, Purpose

RECORD = "firmware"


@dataclass(frozen=True)
class KeptImage:
    """An image that has a slot."""

    id: str
    manifest: Manifest
    running: bool
    next: bool
    """Whether it runs after the next reset."""


@dataclass(frozen=True)
class Kept:
    """All that outlives a reset."""

    factory: Dict[str, str]
    """The versions that the options named, by purpose: with others all begins anew."""
    images: List[KeptImage]
    last_reset: Optional[float] = None
    faults: List[Tuple[str, int, int]] = field(default_factory=list)
    """As FaultPlan.kept()."""
    host_activated: float = 0.0
    """When the host's next firmware was activated."""
    reset_due: bool = False
    """Whether the BMC was about to reset, so that what was activated runs."""

    def to_bytes(self) -> bytes:
        images = [
            {
                "id": one.id,
                "purpose": one.manifest.purpose.value,
                "version": one.manifest.version,
                "machine": one.manifest.machine,
                "extended_version": one.manifest.extended_version,
                "compatible_name": one.manifest.compatible_name,
                "running": one.running,
                "next": one.next,
            }
            for one in self.images
        ]
        document = {
            "factory": self.factory,
            "images": images,
            "last_reset": self.last_reset,
            "faults": self.faults,
            "host_activated": self.host_activated,
            "reset_due": self.reset_due,
        }
        return json.dumps(document, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Optional[Kept]:
        """None where nothing was kept, or nothing that this version understands: then all begins anew."""
        try:
            document = json.loads(data)
            images = [
                KeptImage(
                    one["id"],
                    Manifest(
                        Purpose(one["purpose"]),
                        one["version"],
                        one["machine"],
                        one["extended_version"],
                        one["compatible_name"],
                    ),
                    bool(one["running"]),
                    bool(one["next"]),
                )
                for one in document["images"]
            ]
            faults = [(str(kind), int(count), int(times)) for kind, count, times in document["faults"]]
            return cls(
                dict(document["factory"]),
                images,
                document["last_reset"],
                faults,
                document["host_activated"],
                bool(document.get("reset_due")),
            )
        except (ValueError, KeyError, TypeError):
            return None
