# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From an image in flash to one that is seen to run: reboot, wait, read back. And the machine's power meanwhile."""

from __future__ import annotations

from typing import Callable, Generator, List, Optional, Sequence

from ..clients.base import OFF, ON
from ..clients.firmware import Inventory, Stored
from ..deadline import Deadline
from ..errors import Busy, HwctlError, NotReached, Unreachable, Unsupported
from .pools import Wish
from .states import RESET, SWITCH, VERIFY, WAIT, Want, runs_old
from .subject import Subject

Waiting = Generator[Wish, None, None]


class Reboot:
    """Of one BMC."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._timings = subject.timings
        self.reset_time: Optional[str] = None
        """Of the boot before this one, in the BMC's words."""

    def asked(self, switches: Sequence[Stored]) -> Waiting:
        """Have the BMC reboot, into the images of `switches` where there are such."""
        found = yield from self._subject.inventory()
        self.reset_time = found.reset_time
        if switches and (yield from self._switched(switches)):
            return
        yield from self._reset()

    def _switched(self, switches: Sequence[Stored]) -> Generator[Wish, None, bool]:
        """Whether the BMC reboots for it. One that lets nobody choose boots what it wrote last."""
        subject, reboots = self._subject, False
        for stored in switches:
            subject.at(SWITCH, image=stored.id, reset_time=self.reset_time)
            try:
                reboots |= subject.session.calls().switch(stored)
            except Unsupported:
                continue
            except Unreachable:
                return True  # it may have been faster than its answer; if not, `back` finds that out
            except Busy as error:
                yield from subject.pause(max(error.retry_after, self._timings.poll))
        return reboots

    def _reset(self) -> Waiting:
        """A BMC that is busy is asked again; one that breaks off is taken to do it."""
        subject = self._subject
        subject.at(RESET, reset_time=self.reset_time)
        patience = subject.deadline.at_most(self._timings.activation)
        while True:
            try:
                return subject.session.calls().reset()
            except Unreachable:
                return
            except Busy as error:
                if patience.passed:
                    raise
                wait = max(error.retry_after, self._timings.poll)
            yield from subject.pause(wait)

    def back(self, wants: Sequence[Want], patience_idle: Optional[float] = None) -> Waiting:
        """Wait until the BMC has rebooted. Raises NotReached.

        A BMC that says when it booted last has to say another time. Of one that does not, it counts to have been away.
        """
        subject = self._subject
        subject.at(WAIT, reset_time=self.reset_time)
        subject.session.leave()
        patience = subject.deadline.at_most(self._timings.reboot)
        idle = Deadline(patience_idle or self._timings.idle)
        away, asked_again = False, False
        while not patience.passed:
            yield from subject.pause()
            found = yield from subject.session.glance()
            if found is None:
                away = True
                continue
            if found.booted and self._rebooted(found, away, wants):
                return
            if idle.passed and not away and not asked_again:
                asked_again = True
                yield from self._reset()
                subject.at(WAIT)
                subject.session.leave()
        what = "did not come back" if away else "did not reboot"
        raise NotReached(f"the BMC {what} within {self._timings.reboot:g} s of its being asked to")

    def _rebooted(self, found: Inventory, away: bool, wants: Sequence[Want]) -> bool:
        if found.reset_time is not None:  # some say it from their first reboot on only
            return found.reset_time != self.reset_time
        return away or all(found.version(want.purpose) == want.version for want in wants)

    def verified(self, wants: Sequence[Want]) -> Generator[Wish, None, Inventory]:
        """The wanted versions, read back several times without another boot in between. Raises NotReached."""
        subject, timings = self._subject, self._timings
        subject.at(VERIFY)
        patience = subject.deadline.at_most(timings.verify_reads * timings.verify_pause + timings.reboot / 4)
        good, boot = 0, None  # type: int, Optional[str]
        while True:
            found = yield from subject.session.glance()
            if found is not None and found.booted and not _wrong(wants, found) and boot in (None, found.reset_time):
                good, boot = good + 1, found.reset_time
                if good >= timings.verify_reads:
                    return found
            else:
                good, boot = 0, None
            if patience.passed and not good:
                raise NotReached(_complaint(wants, found))
            yield from subject.pause(timings.verify_pause)

    # --- The machine -------------------------------------------------------------------------------------------------

    def machine_off(self) -> Waiting:
        """Switch the machine off, and remember that it was on: on disk, since a crash must not leave it off."""
        subject = self._subject
        power = yield from subject.session.reading(lambda: subject.session.client().power(), subject.step)
        if subject.host_was_on is None:
            subject.host_was_on = power == ON
        if power == ON:
            subject.at(subject.step, host_was_on=subject.host_was_on)
            yield from self._power(OFF)

    def machine_on(self) -> Waiting:
        """Switch the machine on again, if it was."""
        if self._subject.host_was_on:
            yield from self._power(ON)
            self._subject.at(self._subject.step, host_was_on=False)

    def _power(self, wanted: str) -> Waiting:
        subject = self._subject
        patience = subject.deadline.at_most(self._timings.reboot)
        while not patience.passed:
            if _tried(lambda: subject.session.client().power()) == wanted:
                return
            _tried(lambda: subject.session.client().set_power(wanted))
            yield from subject.pause(min(self._timings.poll, 2.0))
        raise NotReached(f"the machine could not be switched {wanted}")


def _tried(ask: Callable[[], Optional[str]]) -> Optional[str]:
    """The state decides, and not the answer to a request."""
    try:
        return ask()
    except HwctlError:
        return None


def _wrong(wants: Sequence[Want], found: Inventory) -> List[Want]:
    return [want for want in wants if found.version(want.purpose) != want.version or runs_old(want, found)]


def _complaint(wants: Sequence[Want], found: Optional[Inventory]) -> str:
    if found is None:
        return "the BMC rebooted and did not stay up"
    said = [
        f"the {want.purpose} image of before runs, which has the same version"
        if runs_old(want, found)
        else f"{want.purpose} {found.version(want.purpose)} runs, and not {want.version}"
        for want in _wrong(wants, found)
    ]
    return f"after the reboot {', '.join(said)}" if said else "the BMC boots again and again"
