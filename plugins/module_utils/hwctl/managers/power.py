# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Power of many machines: on, off, soft, cycle, reset, nmi. What is there already is left alone."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Callable, Dict, Optional

from ..clients.base import CYCLE, NMI, OFF, ON, RESET, SOFT, Client
from ..deadline import Deadline
from ..errors import BadRequest, HwctlError, NotReached, Refused, Unsupported
from ..executor import ParallelNodes
from ..node import Node
from ..outcome import CHANGED, OK, Outcome, settled

WANTED = (ON, OFF, SOFT, CYCLE, RESET, NMI)
FIRST_POLL = 0.25
"""Seconds after a request until the state is read; doubled each time."""
SLOWEST_POLL = 2.0
CYCLE_OFF = 3.0
"""Seconds in which a machine that is cycled is seen to be off; real ones are for one at least (28.3)."""
LOST_ANSWER = 5.0
"""Seconds in which a change shows whose answer did not come."""


@dataclass(frozen=True)
class PowerRequest:
    """What to do, and how long to wait for it; times are in seconds."""

    wanted: str
    wait: bool = True
    soft_timeout: float = 60.0
    """How long an operating system has to shut down."""
    escalate: bool = True
    """Whether one that does not is switched off."""
    check: bool = False
    """Only say what would be done."""


class PowerManager(ParallelNodes):
    """Operations: `get_state`, `set_state`."""

    def get_state(self, node: Node) -> Outcome:
        with node.session() as client:
            node.at("read")
            return Outcome(node.name, OK, data={"power": node.reading(client.power)})

    def validate_set_state(self, request: PowerRequest) -> None:
        if request.wanted not in WANTED:
            raise BadRequest(f"there is no power state {request.wanted!r}: give one of {', '.join(WANTED)}")
        if request.soft_timeout <= 0:
            raise BadRequest(f"the soft time-out is {request.soft_timeout:g} s: give one above 0")
        given = self._limits.node_timeout
        if request.wanted == SOFT and request.wait and given is not None and request.soft_timeout >= given:
            raise BadRequest(
                f"the soft time-out of {request.soft_timeout:g} s leaves nothing of a node's {given:g} s: "
                "give a longer timeout"
            )

    def set_state(self, node: Node, request: PowerRequest) -> Outcome:
        with node.session() as client:
            node.at("read")
            return _Change(node, client, request, node.reading(client.power)).made()


class _Change:
    """One node on its way from the state that was read to the one that is wanted."""

    def __init__(self, node: Node, client: Client, request: PowerRequest, before: str) -> None:
        self._node = node
        self._client = client
        self._request = request
        self._before = before

    def made(self) -> Outcome:
        ways: Dict[str, Callable[[], Outcome]] = {
            ON: lambda: self._switched(ON, ON),
            OFF: lambda: self._switched(OFF, OFF),
            SOFT: self._shut_down,
            CYCLE: self._cycled,
            RESET: lambda: self._signalled(RESET),
            NMI: lambda: self._signalled(NMI),
        }
        return ways[self._request.wanted]()

    def _switched(self, action: str, state: str) -> Outcome:
        if self._before != state and not self._request.check:
            self._act(action, state)
            self._await(state)
        return self._settled(state)

    def _shut_down(self) -> Outcome:
        """Ask the operating system; switch off what does not listen."""
        if self._before == OFF or self._request.check:
            return self._settled(OFF)
        self._act(SOFT, OFF)
        if not self._request.wait:
            return self._settled(OFF)
        soft = Deadline(self._request.soft_timeout)
        try:
            self._await(OFF, soft)
        except NotReached:
            # The node's own time may have been over first: no leave to switch anything off.
            if not self._request.escalate or not soft.passed:
                raise
        else:
            return self._settled(OFF)
        self._act(OFF, OFF)
        self._await(OFF)
        return self._settled(OFF, escalated=True)

    def _cycled(self) -> Outcome:
        """Off and on again; a machine that is off is switched on, since no BMC cycles one."""
        if self._request.check:
            pass
        elif self._before == OFF:
            self._act(ON, ON)
            self._await(ON)
        else:
            try:
                self._act(CYCLE, None)
                self._see_off()
            except Unsupported:
                self._act(OFF, OFF)
                self._await(OFF, Deadline(None))
                self._act(ON, ON)
            self._await(ON)
        return Outcome(self._node.name, CHANGED, _state(self._before), _state(ON), {"power": ON})

    def _see_off(self) -> None:
        """Right after a cycle was accepted the machine is still on; but the moment that it is off may be missed."""
        with contextlib.suppress(NotReached):
            self._await(OFF, Deadline(CYCLE_OFF))

    def _signalled(self, action: str) -> Outcome:
        """Reset or NMI: the power stays on, and nothing can be read of it afterwards."""
        if self._before != ON:
            raise Refused(f"the machine is off, so there is nothing to {action}: switch it on first")
        if not self._request.check:
            self._act(action, None)
        return Outcome(self._node.name, CHANGED, _state(ON), _state(ON), {"power": ON})

    def _act(self, action: str, state: Optional[str]) -> None:
        """Have the BMC do it; `state` is what it leads to, None where that can't be read.

        A failure is none where the state is there: it was carried out then, or somebody else was faster. What leads to
        no state is sent once.
        """
        if state is None:
            self._node.at("change")
            self._client.set_power(action)
        else:
            self._node.changing(lambda: self._client.set_power(action), lambda error: self._seen(state, error))

    def _seen(self, state: str, error: HwctlError) -> bool:
        """Whether the state is there, or comes in the time that a change takes whose answer was lost."""
        if not error.safe_to_retry:
            return self._node.reading(self._client.power) == state
        try:
            self._await(state, Deadline(LOST_ANSWER))
        except NotReached:
            return False
        return True

    def _await(self, state: str, patience: Optional[Deadline] = None) -> None:
        """Read until the state is there. Raises NotReached when `patience` or the node's time is over."""
        if not self._request.wait and patience is None:
            return
        self._node.at("wait")
        pause = FIRST_POLL
        while True:
            over = patience is not None and patience.passed
            try:
                found = self._client.power()
            except HwctlError as error:
                if not error.safe_to_retry:
                    raise
                found = f"unknown ({error})"
            if found == state:
                return
            if over or self._node.deadline.left <= pause:
                raise NotReached(f"the machine took the request and is still {found}, not {state}")
            self._node.pause(pause if patience is None else min(pause, patience.left))
            pause = min(2 * pause, SLOWEST_POLL)

    def _settled(self, state: str, **data: bool) -> Outcome:
        return settled(self._node.name, _state(self._before), _state(state), power=state, **data)


def _state(power: str) -> Dict[str, str]:
    return {"power": power}
