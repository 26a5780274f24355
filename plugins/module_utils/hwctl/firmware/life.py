# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One target from INSPECT to DONE: the order of the steps. What each of them does is in flash.py and reboot.py."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any, Dict, Generator, List, Optional, Tuple

from ..clients.firmware import Inventory, Stored
from ..errors import CalledOff, Cancelled, HwctlError, Locked, NotReached, Refused, TimedOut
from ..executor import failed
from ..outcome import CHANGED, OK, Outcome
from ..outcome import SKIPPED as OUTCOME_SKIPPED
from .flash import Flash
from .history import hints
from .image import HOST
from .locks import TargetLocks
from .pools import Life, Pause, Steps, Wish
from .reboot import Reboot
from .request import ALWAYS, CYCLE, NEVER
from .states import (
    ABSENT,
    ACTIVE,
    DELETE,
    DONE,
    FAILED,
    INSPECT,
    NOOP,
    PRESENT,
    RESET,
    SKIPPED,
    SWITCH,
    VERIFY,
    WAIT,
    Decision,
    Want,
    decide,
    fitting_images,
)
from .subject import Subject

REBOOTING = (SWITCH, RESET, WAIT, VERIFY)
LOCK_POLL = 2.0
"""Seconds between two looks at a lock, at most."""

Way = Generator[Wish, None, Outcome]


class Update(Life):
    """Of one target. Its outcome is told once, whatever happens."""

    def __init__(self, subject: Subject, locks: Optional[TargetLocks]) -> None:
        self._subject = subject
        self._request = subject.request
        self._locks = locks
        self._reboot = Reboot(subject)
        self._began = time.monotonic()
        self.deadline = subject.deadline

    def steps(self) -> Steps:
        subject, locked = self._subject, False
        try:
            if self._locks is not None:
                yield from self._locked(self._locks)
                locked = True
            outcome = yield from self._way()
        except CalledOff as reason:
            outcome = Outcome(subject.target.name, OUTCOME_SKIPPED, data={"msg": str(reason)})
        except HwctlError as error:
            outcome = failed(subject.target, subject.step, error)
        except Exception as error:  # whatever a client lets through is this target's outcome, and no other's
            outcome = failed(subject.target, subject.step, HwctlError(f"{type(error).__name__}: {error}"))
        subject.session.leave()
        outcome = self._told(outcome)
        subject.run.ended(outcome)
        if locked and self._locks is not None:
            self._locks.free(subject.key)
        return outcome

    def _locked(self, locks: TargetLocks) -> Generator[Wish, None, None]:
        """Hold the BMC's lock: a run whose controller was killed may well live on and end. Raises Locked."""
        subject = self._subject
        patience, waited = subject.deadline.at_most(self._request.lock_timeout), False
        while True:
            try:
                locks.take(subject.key)
                break
            except Locked:
                if patience.passed:
                    raise
            if not waited:
                waited = True
                subject.note(waits=True)
            yield from subject.pause(min(subject.timings.poll, LOCK_POLL))
        if waited:
            subject.learn(hints(locks.folder, [subject.key]).get(subject.key, []))

    def abandoned(self) -> Outcome:
        error: HwctlError = TimedOut(f"no end of: {self._subject.step}")
        if self._subject.run.cancelled.is_set():
            error = Cancelled(f"called off in {self._subject.step}")
        outcome = failed(self._subject.target, self._subject.step, error)
        self._subject.run.ended(outcome)
        return outcome

    def _told(self, outcome: Outcome) -> Outcome:
        """The outcome, once it is in the journal."""
        failure = outcome.failure
        end = FAILED if failure is not None else SKIPPED if outcome.status == OUTCOME_SKIPPED else DONE
        details: Dict[str, Any] = {"status": outcome.status}
        if failure is not None:
            details.update(failed_in=failure.step, kind=failure.kind, msg=failure.message)
        if failure is not None and failure.kind == Locked.kind:
            details["key"] = None  # the run that has the target tells the next one of it
        try:
            self._subject.at(end, **details)
        except HwctlError as error:
            return failed(self._subject.target, self._subject.step, error)
        return outcome

    def broken(self, error: Exception) -> Outcome:
        return failed(self._subject.target, self._subject.step, HwctlError(f"{type(error).__name__}: {error}"))

    def _way(self) -> Way:
        subject, request = self._subject, self._request
        subject.at(INSPECT)
        found = yield from self._first_look()
        if request.state == ABSENT:
            return (yield from self._removed(found))
        wants = [self._forced(want, found) for want in request.wants]
        self._reboot.reset_time = found.reset_time
        decisions = [decide(want, found) for want in wants]
        there = all(decision.step == NOOP for decision in decisions)
        if there and subject.left_in not in REBOOTING:
            yield from self._reboot.machine_on()
            return self._settled(found, found, changed=False)
        if request.check:
            return self._foreseen(found, decisions)
        subject.run.go_on()
        subject.at(
            INSPECT,
            wanted=request.labels,
            running=dict(found.running),
            reset_time=found.reset_time,
            old=sorted(id for want in wants for id in want.old) if request.force else None,
        )
        if there:  # the run before this one had it reboot, and did not live to see it through
            return (yield from self._seen_through(found, wants))
        return (yield from self._brought(found, wants))

    def _first_look(self) -> Generator[Wish, None, Inventory]:
        """Of a BMC that the run before this one had reboot, more patiently."""
        subject = self._subject
        if subject.left_in in REBOOTING and not self._request.check:
            patience = subject.deadline.at_most(subject.timings.reboot)
            while not patience.passed:
                found = yield from subject.session.glance()
                if found is not None and found.booted:
                    return found
                yield from subject.pause()
        return (yield from subject.inventory())

    def _forced(self, want: Want, found: Inventory) -> Want:
        """With `force`, images of the version that are there already do not count; nor do they after a crash."""
        if not self._request.force:
            return want
        known = self._subject.hint("old")
        old = [one.id for one in fitting_images(want, found)] if known is None else known
        return replace(want, old=frozenset(old), forced=True)

    def _brought(self, before: Inventory, wants: List[Want]) -> Way:
        """The images into flash, and where they are to run, a reboot and a look at what does."""
        request, reboot = self._request, self._reboot
        if request.host_power == CYCLE and any(want.purpose == HOST for want in wants):
            yield from reboot.machine_off()
        flashes = [Flash(self._subject, want) for want in wants]
        try:
            for flash in flashes:
                yield from flash.done()
            if request.state == ACTIVE and request.reboot != NEVER:
                found, pending = yield from self._started(flashes, wants)
            else:
                found = yield from self._there(wants) if request.state == PRESENT else self._subject.inventory()
                pending = request.state == ACTIVE and not all(flash.running for flash in flashes)
                yield from self._chosen(flashes)
        finally:
            if not self._subject.run.cancelled.is_set():
                yield from reboot.machine_on()
        changed = any(flash.changed for flash in flashes) or (request.state == ACTIVE and not pending)
        sent = sum(flash.uploads for flash in flashes)
        return self._settled(before, found, changed, pending=pending, uploads=sent)

    def _there(self, wants: List[Want]) -> Generator[Wish, None, Inventory]:
        """The images seen in flash, which may take a moment. Raises NotReached."""
        subject = self._subject
        patience = subject.deadline.at_most(subject.timings.doubt)
        while True:
            found = yield from subject.inventory()
            missing = [want.label for want in wants if decide(want, found).step not in (NOOP, SWITCH)]
            if not missing:
                return found
            if patience.passed:
                raise NotReached(f"the BMC took the image and does not have it: {', '.join(missing)}")
            yield from subject.pause()

    def _started(self, flashes: List[Flash], wants: List[Want]) -> Generator[Wish, None, Tuple[Inventory, bool]]:
        """Have what is in flash run, and read it back. Whether the host's image still waits for its machine's start."""
        request, reboot = self._request, self._reboot
        if all(flash.running for flash in flashes) and request.reboot != ALWAYS:
            return (yield from reboot.verified(wants)), False
        by_itself = any(flash.reboots_itself for flash in flashes) and request.reboot != ALWAYS
        if not by_itself:
            self._subject.run.go_on()
        if request.host_power == CYCLE:
            yield from reboot.machine_off()
        if not by_itself:
            switches = [flash.stored for flash in flashes if flash.stored is not None and not flash.running]
            yield from reboot.asked(switches)
        yield from reboot.back(wants)
        if request.host_power == CYCLE:
            yield from reboot.machine_on()
            return (yield from reboot.verified(wants)), False
        found = yield from reboot.verified([want for want in wants if want.purpose != HOST])
        return found, any(found.version(want.purpose) != want.version for want in wants)

    def _chosen(self, flashes: List[Flash]) -> Generator[Wish, None, None]:
        """Without a reboot: have it boot next where choosing does not reboot."""
        for flash in flashes:
            if self._request.state == ACTIVE and flash.stored is not None and not flash.running:
                calls = self._subject.session.calls()
                if not calls.switching_reboots and not flash.stored.chosen:
                    calls.switch(flash.stored)
                    flash.changed = True
        yield Pause(0)

    def _seen_through(self, before: Inventory, wants: List[Want]) -> Way:
        found = yield from self._reboot.verified(wants)
        yield from self._reboot.machine_on()
        return self._settled(before, found, changed=True)

    def _removed(self, found: Inventory) -> Way:
        """Images of the version deleted, and seen to be gone. The running one is refused."""
        subject = self._subject
        there = self._unwanted(found)
        running = next((one for one in there if one.running), None)
        if running is not None:
            raise Refused(f"{running.label} runs: have another version run before it is removed")
        if not there or self._request.check:
            return self._listed(found, [one for one in found.images if one not in there])
        subject.run.go_on()
        subject.at(DELETE, images=[one.id for one in there])
        for one in there:
            subject.session.calls().delete(one)
        patience = subject.deadline.at_most(subject.timings.doubt)
        while True:
            now = yield from subject.inventory()
            left = self._unwanted(now)
            if not left:
                return self._listed(found, now.images)
            if patience.passed:
                raise NotReached(f"the BMC took the request and still has {left[0].label}")
            yield from subject.pause()

    def _unwanted(self, found: Inventory) -> List[Stored]:
        return [one for want in self._request.wants for one in fitting_images(want, found)]

    # --- Outcomes ----------------------------------------------------------------------------------------------------

    def _settled(
        self, before: Inventory, after: Inventory, changed: bool, pending: bool = False, uploads: int = 0
    ) -> Outcome:
        was, now = self._said(before), self._said(after)
        data = {
            "versions": self._subject.versions(after),
            "pending": pending,
            "uploads": uploads,
            "seconds": round(time.monotonic() - self._began, 1),
        }
        return Outcome(self._subject.target.name, CHANGED if changed else OK, was, now, data)

    def _foreseen(self, found: Inventory, decisions: List[Decision]) -> Outcome:
        """Check mode: what is read now, and what would be read."""
        before = self._said(found)
        after = dict(before)
        for want in self._request.wants:
            if self._request.state == ACTIVE:
                after["running"] = {**after["running"], want.purpose: want.version}
            else:
                after["images"] = sorted({*after["images"], want.label})
        data = {"versions": self._subject.versions(found), "steps": [decision.step for decision in decisions]}
        return Outcome(self._subject.target.name, CHANGED, before, after, data)

    def _listed(self, found: Inventory, left: Any) -> Outcome:
        before, after = self._said(found), {"images": sorted(one.label for one in left if one.version)}
        status = OK if before == after else CHANGED
        return Outcome(self._subject.target.name, status, before, after, {"versions": dict(found.running)})

    def _said(self, found: Inventory) -> Dict[str, Any]:
        """What the diff compares: what runs, or what is there."""
        if self._request.state == ACTIVE:
            return {"running": self._subject.versions(found)}
        return {"images": sorted(one.label for one in found.images if one.version)}
