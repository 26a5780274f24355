# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carries decided actions out in their order, and takes a start back that failed. Knows nothing of libvirt.

Used by commands alone: what the watcher follows has happened already, and is never taken back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Callable, List, Optional, Sequence

from .decide import Action, Stage

STARTS = ("start", "start-paused")


class ActionFailed(Exception):
    """One action on one domain failed; the message says why."""


@dataclass(frozen=True)
class Failure:
    """An action that failed, and why."""

    action: Action
    reason: str

    def __str__(self) -> str:
        return "could not %s domain '%s': %s" % (self.action.verb.replace("-", " "), self.action.name, self.reason)


@dataclass
class Report:
    """What became of the actions, each in the order in which it was done."""

    done: List[Action] = field(default_factory=list)
    undone: List[Action] = field(default_factory=list)
    """Those of `done` that were taken back."""
    failures: List[Failure] = field(default_factory=list)
    ignored: List[Failure] = field(default_factory=list)
    """Failures of dependencies with on_failure=ignore."""
    current: Optional[Action] = None
    """What was being done when another exception than ActionFailed came."""

    def error(self, master: str) -> str:
        """What to tell of the failures; empty where there are none. The reason of the master's own names it itself."""
        if not self.failures:
            return ""
        text = "; ".join(
            failure.reason if failure.action.dependency is None else str(failure) for failure in self.failures
        )
        names = ["'%s'" % action.name for action in self.undone if action.name != master]
        if any(failure.action.dependency is not None for failure in self.failures):
            text = "domain '%s' depends on others: %s" % (master, text)
        if names:
            text += "; stopped again: %s" % ", ".join(names)
        return text


def carry_out(
    stages: Sequence[Stage], act: Callable[[Action], bool], undo: Callable[[Action], None], report: Report
) -> None:
    """Have `act` do each action; it says whether it had to, or raises ActionFailed.

    When a start fails that matters, nothing more is done, and `undo` stops what was started here, last things first,
    but for what is to be kept. When anything else fails, the rest is done all the same; but where the master itself
    fails, what was to follow it does not.
    """
    for stage in stages:
        for action in stage:
            report.current = action
            try:
                if act(action):
                    report.done.append(action)
            except ActionFailed as error:
                failure = Failure(action, str(error))
                if action.on_failure == "ignore":
                    report.ignored.append(failure)
                    continue
                report.failures.append(failure)
                if action.verb in STARTS and action.on_failure == "rollback":
                    _take_back(undo, report)
                    return
                if action.dependency is None:
                    return


def _take_back(undo: Callable[[Action], None], report: Report) -> None:
    for action in reversed(report.done):
        if action.verb not in STARTS or action.on_failure == "keep":
            continue
        try:
            undo(action)
            report.undone.append(action)
        except ActionFailed as error:
            report.failures.append(Failure(action, "it could not be stopped again: %s" % error))
