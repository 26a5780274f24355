# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Getting an image onto a BMC and into its flash: once, whatever the BMC answers."""

from __future__ import annotations

from typing import Generator, Optional

from ..clients.firmware import COMPLETED, FAILED, GONE, IMMEDIATE, UNUSABLE, UPDATING, WRITTEN, Accepted, Stored
from ..deadline import Deadline
from ..errors import ActivationFailed, AlreadyThere, HwctlError, InDoubt, Refused, TimedOut, Unreachable, Unsupported
from .pools import UPLOAD_SLOT, Wish
from .request import NEVER
from .states import ACCEPTED, ACTIVATE, ACTIVE, ATTACH, FLASHED, NOOP, SWITCH, UPLOAD, Decision, Want, decide
from .subject import Subject

UPLOADS = 3
"""How often an image is sent at most. Each time but the first, the BMC was found not to have it."""

Waiting = Generator[Wish, None, None]


class Flash:
    """One image on one BMC. When `done` has run, it is in flash (or present, as wanted)."""

    def __init__(self, subject: Subject, want: Want) -> None:
        self._subject = subject
        self._want = want
        self._timings = subject.timings
        self.changed = False
        """Whether anything was done for it."""
        self.uploads = 0
        self.stored: Optional[Stored] = None
        """The image on the BMC that is to be switched to, where that takes a request."""
        self.running = False
        self.reboots_itself = False
        """Whether the BMC reboots for it without being asked."""

    def done(self) -> Waiting:
        """Raises HwctlError."""
        subject, settled = self._subject, None
        while True:
            # Where an upload's end is not known, the BMC has some time to show the image before it is sent again.
            doubtful = settled is not None or self._left_in_doubt()
            decision = yield from self._decided(self._timings.doubt if doubtful else 0.0)
            self.stored = decision.stored
            if decision.step == NOOP:
                self.running = True
                return
            if decision.step == SWITCH:
                return
            if decision.step == ATTACH:
                subject.at(ATTACH, image=_id(decision))
                self.changed = True
                yield from self._attached()
            elif decision.step == ACTIVATE and decision.stored is not None:
                yield from self._activated(decision.stored)
            else:
                settled = yield from self._uploaded(settled)
                if settled is None:
                    return

    def _left_in_doubt(self) -> bool:
        """Whether the run before this one may have sent the image and did not live to hear of it."""
        return self.uploads == 0 and self._subject.left_in in (UPLOAD, ACCEPTED)

    def _decided(self, patience: float) -> Generator[Wish, None, Decision]:
        until = Deadline(patience)
        while True:
            found = yield from self._subject.inventory()
            decision = decide(self._want, found)
            if decision.step != UPLOAD or until.passed:
                return decision
            yield from self._subject.pause(min(self._timings.poll, until.left))

    def _attached(self) -> Waiting:
        """Wait until the BMC works on no image, whoever gave it one. What that came to is decided anew."""
        patience = self._subject.deadline.at_most(self._timings.activation)
        while not patience.passed:
            yield from self._subject.pause()
            found = yield from self._subject.session.glance()
            if found is not None and not any(one.state == UPDATING for one in found.images):
                return
        raise TimedOut(f"the BMC still works on an image after {self._timings.activation:g} s")

    def _activated(self, stored: Stored) -> Waiting:
        """For BMCs that write an image only when they are told to. Raises ActivationFailed."""
        subject = self._subject
        subject.run.go_on()
        subject.at(ACTIVATE, image=stored.id)
        self.changed = True
        subject.session.calls().activate(stored)
        patience = subject.deadline.at_most(self._timings.activation)
        while not patience.passed:
            yield from subject.pause()
            found = yield from subject.inventory()
            now = next((one for one in found.images if one.id == stored.id), None)
            if now is None or now.state == UNUSABLE:
                raise ActivationFailed(f"the BMC could not activate the image {stored.version}")
            if now.state == WRITTEN:
                subject.at(FLASHED, image=stored.id)
                return
        raise TimedOut(f"the image was not written in {self._timings.activation:g} s")

    def _uploaded(self, before: Optional[HwctlError]) -> Generator[Wish, None, Optional[HwctlError]]:
        """Send the image, and see it into flash. What makes it doubtful that it got there; None: it did.

        `before` is what made the upload before this one doubtful. Raises it where it was one too many.
        """
        subject, image = self._subject, self._want.image
        if image is None:
            raise Refused(f"the BMC has no image {self._want.version}: give its file")
        if before is not None and self.uploads >= UPLOADS:
            raise before
        applied = yield from subject.session.reading(
            lambda: subject.session.calls().fits(image, subject.request.apply_time), subject.step
        )
        if applied == IMMEDIATE and (subject.request.state != ACTIVE or subject.request.reboot == NEVER):
            raise Unsupported("this BMC reboots with every upload: ask for the image to be active, with reboot auto")
        if before is not None:
            yield from subject.pause(max(before.retry_after, self._timings.poll))
        yield UPLOAD_SLOT
        subject.run.go_on()
        self.uploads += 1
        subject.at(UPLOAD, attempt=self.uploads, apply_time=applied)
        self.changed = True
        try:
            accepted = subject.session.calls().upload(image, applied, subject.run.sent)
        except AlreadyThere as error:
            if self._want.old:
                raise Refused(f"{error} Remove that image first; if it runs, have another version run") from None
            return error
        except Unreachable as error:  # InDoubt among them
            subject.note(doubt=str(error))
            subject.session.leave()
            yield from subject.pause(min(error.retry_after, self._timings.doubt))
            return error
        subject.at(ACCEPTED, monitor=accepted.monitor or None)
        self.reboots_itself = applied == IMMEDIATE
        yield from subject.pause(accepted.retry_after)
        if not accepted.monitor:
            return InDoubt("the BMC took the image and then did not have it")
        doubt = yield from self._followed(accepted)
        return doubt

    def _followed(self, accepted: Accepted) -> Generator[Wish, None, Optional[HwctlError]]:
        """The BMC's task, to its end. Raises ActivationFailed."""
        subject = self._subject
        patience = subject.deadline.at_most(self._timings.activation)
        percent: Optional[int] = None
        while not patience.passed:
            try:
                yield from subject.session.reached()
                progress = subject.session.calls().progress(accepted)
            except HwctlError as error:
                # Away: rebooting by itself, or for a moment. If its tasks go with it, it is GONE afterwards.
                if not error.safe_to_retry:
                    raise
                subject.session.leave()
                if self.reboots_itself:
                    return None
                yield from subject.pause()
                continue
            if progress.state == FAILED:
                raise ActivationFailed(f"the BMC refused the image: {progress.message or 'it does not say why'}")
            if progress.state == GONE:
                return None if self.reboots_itself else InDoubt("the BMC forgot the image's task")
            if progress.percent is not None and progress.percent != percent:
                percent = progress.percent
                subject.note(percent=percent)
            if progress.state == COMPLETED:
                subject.at(FLASHED)
                return None
            yield from subject.pause(progress.retry_after or None)
        raise TimedOut(f"the image was not written in {self._timings.activation:g} s")


def _id(decision: Decision) -> Optional[str]:
    return decision.stored.id if decision.stored else None
