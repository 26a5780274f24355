# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Power of many machines: on, off, soft, cycle, reset, nmi. What is there already is left alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Dict, Optional

from ..clients import connect
from ..clients.base import CYCLE, NMI, OFF, ON, RESET, SOFT, Client
from ..errors import BadRequest, HwctlError, NotReached, Refused
from ..executor import ParallelNodes
from ..node import Node
from ..outcome import CHANGED, OK, Outcome, settled

WANTED = (ON, OFF, SOFT, CYCLE, RESET, NMI)
FIRST_POLL = 0.25
"""Seconds after a request until the state is read; doubled each time."""
SLOWEST_POLL = 2.0


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
        node.at("connect")
        with connect(node.target, node.deadline) as client:
            node.at("read")
            return Outcome(node.name, OK, data={"power": node.reading(client.power)})

    def validate_set_state(self, request: PowerRequest) -> None:
        if request.wanted not in WANTED:
            raise BadRequest(f"there is no power state {request.wanted!r}: give one of {', '.join(WANTED)}")
        if request.soft_timeout <= 0:
            raise BadRequest(f"the soft time-out is {request.soft_timeout:g} s: give one above 0")

    def set_state(self, node: Node, request: PowerRequest) -> Outcome:
        node.at("connect")
        with connect(node.target, node.deadline) as client:
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
            self._await(state, None)
        return self._settled(state)

    def _shut_down(self) -> Outcome:
        """Ask the operating system; switch off what does not listen."""
        if self._before == OFF or self._request.check:
            return self._settled(OFF)
        self._act(SOFT, OFF)
        if not self._request.wait:
            return self._settled(OFF)
        try:
            self._await(OFF, self._request.soft_timeout)
        except NotReached:
            if not self._request.escalate:
                raise
        else:
            return self._settled(OFF)
        self._act(OFF, OFF)
        self._await(OFF, None)
        return self._settled(OFF, escalated=True)

    def _cycled(self) -> Outcome:
        """Off and on again; a machine that is off is switched on, since no BMC cycles one."""
        if not self._request.check:
            self._act(CYCLE if self._before == ON else ON, None if self._before == ON else ON)
            self._await(ON, None)
        return Outcome(self._node.name, CHANGED, _state(self._before), _state(ON), {"power": ON})

    def _signalled(self, action: str) -> Outcome:
        """Reset or NMI: the power stays on, and nothing can be read of it afterwards."""
        if self._before != ON:
            raise Refused(f"the machine is off, so there is nothing to {action}: switch it on first")
        if not self._request.check:
            self._act(action, None)
        return Outcome(self._node.name, CHANGED, _state(ON), _state(ON), {"power": ON})

    def _act(self, action: str, state: Optional[str]) -> None:
        """Send an action once. Without an answer, or refused: when the wanted state is there, all is well.

        It was carried out then, or somebody else was faster.
        """
        self._node.at("change")
        try:
            self._client.set_power(action)
        except HwctlError:
            if state is None or self._node.reading(self._client.power) != state:
                raise

    def _await(self, state: str, seconds: Optional[float]) -> None:
        """Read until the state is there. Raises NotReached after `seconds`, or when the node's time is nearly over."""
        if not self._request.wait:
            return
        self._node.at("wait")
        deadline = self._node.deadline.at_most(seconds)
        pause = FIRST_POLL
        while True:
            try:
                found = self._client.power()
            except HwctlError as error:
                if not error.safe_to_retry:
                    raise
                found = f"unknown ({error})"
            if found == state:
                return
            if deadline.left <= pause:
                raise NotReached(f"the machine took the request and is still {found}, not {state}")
            self._node.pause(pause)
            pause = min(2 * pause, SLOWEST_POLL)

    def _settled(self, state: str, **data: bool) -> Outcome:
        return settled(self._node.name, _state(self._before), _state(state), power=state, **data)


def _state(power: str) -> Dict[str, str]:
    return {"power": power}
