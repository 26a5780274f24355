# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the state that a domain is in to the one that is wanted: a table, and the libvirt calls behind its words.

The table is pure; Power is the one place that starts, stops and pauses domains.
"""

from __future__ import annotations

import time
from typing import Any, Callable, Dict, Sequence, Tuple

from ansible_collections.baremetal.lab.plugins.module_utils._errors import LabError
from ansible_collections.baremetal.lab.plugins.module_utils._libvirt import is_error, libvirt, reason

ABSENT = "absent"
SHUT_OFF = "shutoff"

STATE_NAMES: Dict[int, str] = {
    0: "running",  # no state: Xen's word for a domain between two time slices
    1: "running",
    2: "running",  # blocked on a resource, as Xen says
    3: "paused",
    4: "running",  # being shut down: it has power still
    5: SHUT_OFF,
    6: "crashed",
    7: "pmsuspended",
}
"""virDomainState -> the word in results. Crashed and pmsuspended domains are active: they have a QEMU."""

_REASONS: Dict[int, Tuple[str, str]] = {
    1: ("RUNNING", "running"),
    3: ("PAUSED", "paused"),
    4: ("SHUTDOWN", "being shut down"),
    5: ("SHUTOFF", "shut off"),
    6: ("CRASHED", "crashed"),
    7: ("PMSUSPENDED", "suspended"),
}
"""virDomainState -> the middle of its reasons' names in libvirt, and what to say where the reason is unknown."""

STEPS: Dict[str, Dict[str, Tuple[str, ...]]] = {
    "running": {
        "running": (),
        "paused": ("resume",),
        SHUT_OFF: ("start",),
        "crashed": ("destroy", "start"),
        "pmsuspended": ("wakeup",),
    },
    "paused": {
        "running": ("suspend",),
        "paused": (),
        SHUT_OFF: ("start-paused",),
        "crashed": ("destroy", "start-paused"),
        "pmsuspended": ("wakeup", "suspend"),
    },
    "shutdown": {
        "running": ("shutdown",),
        "paused": ("resume", "shutdown"),  # a paused guest hears no power button
        SHUT_OFF: (),
        "crashed": ("destroy",),
        "pmsuspended": ("wakeup", "shutdown"),
    },
    "destroyed": {
        "running": ("destroy",),
        "paused": ("destroy",),
        SHUT_OFF: (),
        "crashed": ("destroy",),
        "pmsuspended": ("destroy",),
    },
}
"""Wanted state -> state found -> what to do. 'present' wants no state, and 'absent' wants 'destroyed' first."""

RESULTS: Dict[str, str] = {"running": "running", "paused": "paused", "shutdown": SHUT_OFF, "destroyed": SHUT_OFF}
"""Wanted state -> the word for it in results."""

_PRESS_AGAIN = 10.0
"""Seconds after which the power button is pressed again: a guest that still boots hears nothing of the first."""
_POLL = 0.2


def steps(wanted: str, found: str) -> Tuple[str, ...]:
    """What leads from the state found to the wanted one."""
    return STEPS.get(wanted, {}).get(found, ())


def state_of(domain: Any) -> str:
    """The domain's state now; 'absent' for a transient domain that has ended meanwhile."""
    try:
        return STATE_NAMES.get(domain.state()[0], "running")
    except libvirt.libvirtError as error:
        if is_error(error, "NO_DOMAIN"):
            return ABSENT
        raise


def state_reason(state: int, reason_code: int) -> str:
    """Why a domain is in its state, in libvirt's words: 'booted', 'user', 'from snapshot'."""
    middle, fallback = _REASONS.get(state, ("NOSTATE", "unknown"))
    prefix = "VIR_DOMAIN_%s_" % middle
    for name in dir(libvirt):
        if name.startswith(prefix) and getattr(libvirt, name) == reason_code:
            return name[len(prefix) :].lower().replace("_", " ")
    return fallback


class Power:
    """Takes the steps. Each one is right whoever else acts on the domain meanwhile: the state is what counts."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep):
        self._clock = clock
        self._sleep = sleep

    def take(self, step: str, domain: Any) -> None:
        """One step; a shutdown is begun only. Raises LabError naming domain and remedy."""
        calls: Dict[str, Tuple[Callable[[], Any], Tuple[str, ...]]] = {
            "start": (domain.create, ("running",)),
            "start-paused": (lambda: domain.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED), ("paused",)),
            "resume": (domain.resume, ("running",)),
            "suspend": (domain.suspend, ("paused",)),
            "wakeup": (lambda: domain.pMWakeup(0), ("running",)),
            "shutdown": (domain.shutdown, (SHUT_OFF, ABSENT)),
            "destroy": (domain.destroy, (SHUT_OFF, ABSENT)),
        }
        call, results = calls[step]
        try:
            call()
        except libvirt.libvirtError as error:
            if state_of(domain) in results:
                return  # somebody else was faster
            raise LabError(
                "libvirt could not %s domain '%s': %s: correct that, or choose another state"
                % (step.replace("-", " "), domain.name(), reason(error))
            ) from error

    def await_off(self, domains: Sequence[Any], timeout: float) -> Dict[str, LabError]:
        """Wait, at most `timeout` seconds for all, until the guests are off; the errors of those that are not."""
        begin = pressed = self._clock()
        errors: Dict[str, LabError] = {}
        waiting = list(domains)
        while True:
            waiting = [domain for domain in waiting if state_of(domain) not in (SHUT_OFF, ABSENT)]
            now = self._clock()
            if not waiting or now - begin >= timeout:
                break
            if now - pressed >= _PRESS_AGAIN:
                pressed = now
                waiting = [domain for domain in waiting if self._pressed(domain, errors)]
            self._sleep(_POLL)
        for domain in waiting:
            errors[domain.name()] = LabError(
                "domain '%s' did not shut down within %g s, its guest may not heed the power button: "
                "give it a longer 'wait_timeout', or use state 'destroyed' to switch it off" % (domain.name(), timeout)
            )
        return errors

    def _pressed(self, domain: Any, errors: Dict[str, LabError]) -> bool:
        try:
            self.take("shutdown", domain)
        except LabError as error:
            errors[domain.name()] = error
        return domain.name() not in errors
