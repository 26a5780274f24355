# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""For how long a machine was on, and what becomes of it when its hypervisor comes back."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from rig.board import Board, until
from vbmcd.commands import power_policy
from vbmcd.commands.power_history import Known
from vbmcd.machine.base import Power, WrongState

CHASSIS = 0x00
HOUR = 3600.0
ON, OFF = Power(True, 7, "a machine"), Power(False)


class Hours(Board):
    """A board whose machine is observed by a clock that a test turns."""

    def __init__(self, kept: Mapping[str, bytes] | None = None, now: float = 1e9) -> None:
        super().__init__(kept=kept)
        self.now = now
        self.history = self.bmc.history
        self.history._clock = lambda: self.now

    async def hours(self) -> float:
        answer = bytes.fromhex(await self.ask(CHASSIS, 0x0F))
        assert answer[:2] == b"\0\1"
        return int.from_bytes(answer[2:], "little") / 60

    async def stored(self) -> Hours:
        """The same BMC after a restart of the daemon in good order."""
        await self.history.drain()
        return Hours(self.records, self.now)

    async def status(self) -> str:
        return (await self.ask(CHASSIS, 0x01))[3:]


async def test_the_counter_counts_while_the_machine_is_on() -> None:
    board = Hours()
    board.history.found(OFF)
    board.now += 5 * HOUR
    assert await board.hours() == 0
    board.history.switched(ON)
    board.now += 2 * HOUR
    assert await board.hours() == 2
    board.history.switched(OFF)
    board.now += 9 * HOUR
    assert await board.hours() == 2
    board.history.switched(Power(True, 8, "a machine"))
    board.now += HOUR
    assert await board.hours() == 3
    assert await (await board.stored()).hours() == 3


async def test_a_run_goes_on_counting_over_a_restart_of_the_daemon_and_is_stored_once() -> None:
    board = Hours()
    board.history.found(ON)
    again = await board.stored()
    again.now += 100 * HOUR
    again.history.found(ON)
    assert await again.hours() == 100
    await again.history.drain()
    assert again.writes == 0


@pytest.mark.parametrize("found", [OFF, Power(True, 8, "a machine")])
async def test_what_ended_while_nobody_looked_counts_as_far_as_it_was_seen(found: Power) -> None:
    board = Hours()
    board.history.switched(ON)
    board.now += HOUR
    await board.history.save()
    board.now += HOUR
    again = Hours(board.records, board.now + HOUR)
    again.history.found(found)
    assert await again.hours() == 1


async def test_another_machine_under_the_same_name_begins_at_zero() -> None:
    board = Hours()
    board.history.switched(ON)
    board.now += 9 * HOUR
    board.history.switched(OFF)
    board.history.switched(Power(True, 8, "another machine"))
    board.now += HOUR
    assert await board.hours() == 1


async def test_a_machine_that_comes_and_goes_costs_the_disk_little_and_a_full_one_is_tried_again() -> None:
    board = Hours()
    for run in range(100):
        board.history.switched(Power(True, run, "a machine"))
        board.history.switched(OFF)
    board.full = True
    await board.history.drain()
    board.full = False
    await board.history.drain()
    assert board.records["power"]
    assert board.writes < 6, "of history and journal"


@pytest.mark.parametrize("record", [b"", b"[]", b"7", b"{}", b'{"seconds": "x"}', b'{"strange": 1}', b"\xff"])
def test_a_record_that_is_damaged_is_as_none(record: bytes) -> None:
    assert Known.from_bytes(record) == Known()


# --- The restore policy ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("policy", "status", "autostart"), [("00", "0", False), ("01", "2", False), ("02", "4", True)])
async def test_a_policy_is_kept_and_told_to_the_hypervisor(policy: str, status: str, autostart: bool) -> None:
    board = Hours()
    assert (await board.status())[0] == "6", "unknown until it is set"
    assert await board.ask(CHASSIS, 0x06, policy) == "00 07"
    assert board.machine.calls[-1] == ("set_autostart", autostart)
    assert (await (await board.stored()).status())[0] == status


async def previous(on: bool = True) -> Hours:
    """A board with the policy 'previous', and a machine in that state."""
    board = Hours()
    board.history.switched(ON if on else OFF)
    assert await board.ask(CHASSIS, 0x06, "01") == "00 07"
    return board


async def test_a_machine_that_was_on_is_switched_on_when_its_hypervisor_comes_back() -> None:
    board = await (await previous()).stored()
    board.machine.host = "another run"
    board.history.found(OFF)
    await until(lambda: ("on", None) in board.machine.calls)
    assert await board.ask(CHASSIS, 0x07) == "00 07 00", "restart cause: restored to the previous state"
    assert await board.status() == "21 01 40", "the last power event was an outage"
    assert Known.from_bytes(board.records["power"]).host_run == "a host's run", "should it end before it is on"
    board.history.switched(ON)
    await board.history.drain()
    assert Known.from_bytes(board.records["power"]).host_run == "another run"


@pytest.mark.parametrize("case", ["was off", "is on", "the daemon alone was restarted", "always off"])
async def test_otherwise_it_is_left_alone(case: str) -> None:
    board = await (await previous(on=case != "was off")).stored()
    if case == "always off":
        await board.ask(CHASSIS, 0x06, "00")
    if case != "the daemon alone was restarted":
        board.machine.host = "another run"
    board.history.found(Power(True, 1, "a machine") if case == "is on" else OFF)
    await board.history.drain()
    assert ("on", None) not in board.machine.calls
    assert Known.from_bytes((await board.stored()).records["power"]).on is (case == "is on")


async def test_it_is_tried_again_until_it_can_be_or_somebody_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(power_policy, "TRY_AGAIN_SECONDS", 0.01)
    board = await (await previous()).stored()
    board.machine.host = "another run"
    board.machine.fails = WrongState("there is no storage yet")
    board.history.found(OFF)
    await until(lambda: board.machine.calls.count(("on", None)) > 2)
    board.machine.fails = None
    assert await board.ask(CHASSIS, 0x02, "00") == "00"
    await until(lambda: Known.from_bytes(board.records["power"]).host_run == "another run")
    assert not board.machine.on and not Known.from_bytes(board.records["power"]).on


async def test_each_change_is_stored_at_once_where_the_policy_needs_it() -> None:
    board = await previous()
    board.history.switched(OFF)
    await until(lambda: not Known.from_bytes(board.records["power"]).on)


async def test_the_previous_state_is_not_offered_where_the_hosts_restarts_are_not_known() -> None:
    board = Hours()
    board.machine.host = ""
    assert await board.ask(CHASSIS, 0x06, "03") == "00 05"
    assert await board.ask(CHASSIS, 0x06, "01") == "cc"
