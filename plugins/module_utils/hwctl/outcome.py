# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What became of one node. Every node of a run gets exactly one, whatever happened to it or to the others."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, Mapping, Optional

OK = "ok"
CHANGED = "changed"
SKIPPED = "skipped"
FAILED = "failed"


@dataclass(frozen=True)
class Failure:
    """Why, in a word for programs and a sentence for people, and in which step."""

    kind: str
    step: str
    message: str


@dataclass(frozen=True)
class Outcome:
    """Plain data throughout, so that it can be sent elsewhere as JSON."""

    name: str
    status: str
    before: Optional[Mapping[str, Any]] = None
    """What was read of the node first, as far as the operation would change it."""
    after: Optional[Mapping[str, Any]] = None
    """The same afterwards, or as it would be in check mode."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """What else is known of the node."""
    failure: Optional[Failure] = None

    @property
    def changed(self) -> bool:
        return self.status == CHANGED

    @property
    def failed(self) -> bool:
        return self.status == FAILED

    def result(self) -> Dict[str, Any]:
        """As a module reports it."""
        found: Dict[str, Any] = {"name": self.name, "status": self.status, "changed": self.changed, **self.data}
        if self.before is not None:
            found["before"] = dict(self.before)
        if self.after is not None:
            found["after"] = dict(self.after)
        if self.failure is not None:
            found.update(kind=self.failure.kind, step=self.failure.step, msg=self.failure.message)
        return found


def settled(name: str, before: Mapping[str, Any], after: Mapping[str, Any], **data: Any) -> Outcome:
    """The outcome of a node that is as it is wanted now: changed where before and after differ."""
    return Outcome(name, OK if before == after else CHANGED, before, after, data)
