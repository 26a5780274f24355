# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which fault of the plan is due. What has happened is kept, so that a fault does not come again after a restart."""

from __future__ import annotations

from typing import Dict, List, Optional, Tuple

from vbmcd.firmware.options import Fault, FaultKind


class FaultPlan:
    """The faults of one BMC, each with the number of times that it has happened."""

    def __init__(self, faults: Tuple[Fault, ...], happened: Optional[List[Tuple[str, int, int]]] = None) -> None:
        """`happened`: what kept() gave. It counts for the faults that are still planned as they were."""
        self._faults = faults
        before: Dict[int, Tuple[str, int, int]] = dict(enumerate(happened or []))
        self._happened = [
            before[place][2] if before.get(place, ("", 0, 0))[:2] == (fault.kind.value, fault.count) else 0
            for place, fault in enumerate(faults)
        ]

    def kept(self) -> List[Tuple[str, int, int]]:
        return [(one.kind.value, one.count, times) for one, times in zip(self._faults, self._happened)]

    def take(self, kind: FaultKind) -> Optional[Fault]:
        """The fault of that kind that is due now, which has happened with this; None when there is none."""
        for place, fault in enumerate(self._faults):
            if fault.kind is kind and (not fault.count or self._happened[place] < fault.count):
                self._happened[place] += 1
                return fault
        return None
