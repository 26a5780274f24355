# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Firmware of many BMCs: what they have, and bringing them to an image that is seen to run."""

from __future__ import annotations

import contextlib
import resource
from typing import Any, Dict, Iterable, List, Optional, Sequence

from ..deadline import Deadline
from ..errors import BadRequest, HwctlError
from ..executor import ParallelNodes
from ..firmware.history import hints, prune
from ..firmware.journal import Journal, default_folder, new_run_id
from ..firmware.life import Update
from ..firmware.locks import TargetLocks
from ..firmware.pools import Pools
from ..firmware.request import FirmwareRequest
from ..firmware.subject import Run, Subject
from ..limits import Limits
from ..node import Node
from ..outcome import FAILED, OK, SKIPPED, Outcome
from ..target import Target

DESCRIPTORS = 4
"""Files that a target may have open at most, and some to spare."""


class FirmwareManager(ParallelNodes):
    """Operations: `get_images`, as any other manager's, and `update`.

    An update takes long and mostly waits. So its targets are all under way at once and share two pools of threads: the
    limits' fan-out is that of uploads, and the request's `polls` that of everything else.
    """

    def __init__(self, targets: Sequence[Target], limits: Limits) -> None:
        super().__init__(targets, limits)
        self._pools: Optional[Pools] = None
        self._run: Optional[Run] = None

    def get_images(self, node: Node) -> Outcome:
        with node.session() as client:
            node.at("read")
            found = node.reading(client.firmware().inventory)
        images = [
            {"id": one.id, "version": one.version, "purpose": one.purpose, "state": one.state, "running": one.running}
            for one in found.images
        ]
        data = {"versions": dict(found.running), "images": images, "reset_time": found.reset_time}
        return Outcome(node.name, OK, data=data)

    def run(self, operation: str, **arguments: Any) -> List[Outcome]:
        if operation != "update":
            return super().run(operation, **arguments)
        return self.update(**arguments)

    def cancel(self) -> None:
        super().cancel()
        if self._run is not None:
            self._run.cancelled.set()
        if self._pools is not None:
            self._pools.cancel()

    def update(self, request: FirmwareRequest) -> List[Outcome]:
        """One outcome for each target, in their order. Raises BadRequest."""
        request.validate()
        self._one_run_a_bmc()
        _allow_descriptors(len(self._targets) * DESCRIPTORS)
        if request.check:
            return self._updated(request, None, None, {})
        folder = request.folder or default_folder()
        run_id = request.run_id or new_run_id()
        # Before the journal is begun: the one of that name may be the one that broke off.
        known = hints(folder, [_key(target) for target in self._targets])
        if request.journal_days:
            prune(folder, request.journal_days)
        with contextlib.closing(TargetLocks(folder)) as locks:
            try:
                journal = Journal(folder, run_id)
            except HwctlError as error:
                raise BadRequest(str(error)) from None
            self.told = {"run_id": run_id, "journal": journal.path}
            with contextlib.closing(journal):
                journal.write(
                    begin=len(self._targets),
                    targets=[target.name for target in self._targets],
                    state=request.state,
                    wanted=request.labels,
                    bytes=sum(want.image.size for want in request.wants if want.image),
                    sha256=[want.image.sha256 for want in request.wants if want.image],
                )
                outcomes = self._updated(request, journal, locks, known)
                with contextlib.suppress(HwctlError):  # a disk that is full now takes nobody's outcome
                    journal.write(end=_counts(outcomes))
        return outcomes

    def _one_run_a_bmc(self) -> None:
        names: Dict[str, str] = {}
        for target in self._targets:
            other = names.setdefault(_key(target), target.name)
            if other != target.name:
                raise BadRequest(f"targets {other!r} and {target.name!r} are one BMC, {_key(target)}: give it once")

    def _updated(
        self,
        request: FirmwareRequest,
        journal: Optional[Journal],
        locks: Optional[TargetLocks],
        known: Dict[str, List[Dict[str, Any]]],
    ) -> List[Outcome]:
        """The canaries first, and then the others, where the canaries live."""
        run = self._run = Run(request, journal, len(self._targets))
        if self._cancelled.is_set():
            run.cancelled.set()
        overall = Deadline(self._limits.overall_timeout)
        first = self._targets[: request.canary] if not request.check else []
        outcomes: Dict[str, Outcome] = {}
        for batch in (first, self._targets[len(first) :]):
            if batch is not first and any(one.status == FAILED for one in outcomes.values()):
                reason = f"a canary failed: {next(one.name for one in outcomes.values() if one.status == FAILED)}"
                outcomes.update({one.name: Outcome(one.name, SKIPPED, data={"msg": reason}) for one in batch})
                break
            self._pools = Pools(self._limits.fan_out, request.polls)
            if run.cancelled.is_set():
                self._pools.cancel()

            def ended(outcome: Outcome) -> None:
                outcomes[outcome.name] = outcome

            self._pools.run(self._lives(batch, run, locks, overall, known), ended)
        return [outcomes[target.name] for target in self._targets]

    def _lives(
        self,
        targets: Sequence[Target],
        run: Run,
        locks: Optional[TargetLocks],
        overall: Deadline,
        known: Dict[str, List[Dict[str, Any]]],
    ) -> Iterable[Update]:
        for target in targets:
            deadline = overall.at_most(self._limits.node_timeout)
            yield Update(Subject(target, run, deadline, list(known.get(_key(target), []))), locks)


def _key(target: Target) -> str:
    return f"{target.address}:{target.port}"


def _counts(outcomes: Iterable[Outcome]) -> Dict[str, int]:
    counts: Dict[str, int] = {}
    for outcome in outcomes:
        counts[outcome.status] = counts.get(outcome.status, 0) + 1
    return counts


def _allow_descriptors(count: int) -> None:
    """As far as the system lets this process: a thousand uploads are a thousand connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + 256
    if soft != resource.RLIM_INFINITY and soft < wanted:
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
