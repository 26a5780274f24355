# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The watchdog timer: the state machine under any sequence of commands, and what it does to the machine."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rig.board import Board, until
from vbmcd.commands.codes import CommandError
from vbmcd.commands.watchdog import Watchdog
from vbmcd.commands.watchdog_timer import ACTIONS, WatchdogSettings, WatchdogTimer
from vbmcd.machine.base import Action, BootDevice, BootOverride, Busy

APP, CHASSIS = 0x06, 0x00

settings = st.builds(
    WatchdogSettings,
    use=st.integers(1, 5),
    log=st.booleans(),
    keep_running=st.booleans(),
    action=st.sampled_from(sorted(ACTIONS)),
    interrupt=st.just(0),
    clear=st.integers(0, 0xFF),
    count=st.integers(0, 0xFFFF),
)
steps = st.lists(
    st.tuples(st.floats(0, 8000), st.one_of(settings, st.sampled_from(["reset", "stop", "look"]))), max_size=30
)


@given(steps)
def test_the_timer_keeps_its_word_whatever_is_asked_of_it(steps: list[tuple[float, object]]) -> None:
    """It expires once for each start, not before its time, and reads as a timer of its present settings."""
    timer, now, ends = WatchdogTimer(), 0.0, None
    for pause, step in steps:
        now += pause
        due = timer.due(now)
        assert (due is not None) is (ends is not None and now >= ends)
        if due is not None:
            assert due.final and timer.settings is not None and due.action is ACTIONS[timer.settings.action]
            assert timer.flags >> due.use & 1
            ends = None
        assert timer.due(now) is None, "each thing is told once"
        if isinstance(step, WatchdogSettings):
            timer.set(step, now)
            assert not timer.flags & step.clear
            ends = now + step.count / 10 if ends is not None and step.keep_running else None
        elif step == "reset" and timer.settings is not None:
            timer.reset(now)
            ends = now + timer.settings.count / 10
        elif step == "reset":
            with pytest.raises(CommandError):
                timer.reset(now)
        elif step == "stop":
            timer.stop(now)
            ends = None
        assert timer.next == ends
        answer = timer.get(now)
        assert len(answer) == 8 and bool(answer[0] & 0x40) is (ends is not None)
        assert int.from_bytes(answer[6:], "little") <= int.from_bytes(answer[4:6], "little")


@given(st.integers(0, 255), st.integers(0, 0xFFFF))
def test_a_pre_timeout_comes_once_and_before_the_end(seconds: int, count: int) -> None:
    try:
        wanted = WatchdogSettings.parse(bytes((0x04, 0x21, seconds, 0)) + count.to_bytes(2, "little"))
    except CommandError:
        assert seconds * 10 > count
        return
    timer = WatchdogTimer()
    timer.set(wanted, 0.0)
    timer.reset(0.0)
    told = []
    for now in (count / 10 - seconds, count / 10, count / 10 + 1):
        while (due := timer.due(now)) is not None:
            told.append((due.action, due.final))
    assert told == [(Action.DIAGNOSTIC, False), (Action.RESET, True)]


@pytest.mark.parametrize(("request_", "answer"), [
    ("000100000a00", "cc"), ("060100000a00", "cc"), ("040400000a00", "cc"), ("041100000a00", "cc"),
    ("043100000a00", "cc"), ("0401000000", "c7"), ("040100000a00", "00"), ("840200000a00", "00"),
])  # fmt: skip
async def test_what_a_timer_can_not_be_set_to_is_refused(request_: str, answer: str) -> None:
    assert await Board().ask(APP, 0x24, request_) == answer


async def test_what_is_read_of_a_timer_that_was_never_set_can_be_written() -> None:
    """ipmitool's `mc watchdog set` changes what it was told to in what it has read."""
    board = Board()
    read = bytes.fromhex(await board.ask(APP, 0x25))
    assert await board.ask(APP, 0x24, read[1:7].hex()) == "00"


async def test_a_timer_is_started_by_a_reset_and_not_before_it_was_set() -> None:
    board = Board()
    assert await board.ask(APP, 0x22) == "80"
    assert await board.ask(APP, 0x24, "0401000e6400") == "00"
    assert await board.ask(APP, 0x25) == "00 04 01 00 00 64 00 64 00"
    assert await board.ask(APP, 0x22) == "00"
    assert (await board.ask(APP, 0x25))[:20] == "00 44 01 00 00 64 00"
    board.bmc.stop()


@pytest.mark.parametrize(("code", "call"), [("01", "reset"), ("02", "off"), ("03", "cycle")])
async def test_an_expired_timer_does_what_it_was_set_to(code: str, call: str) -> None:
    board = Board()
    board.machine.on = True
    await board.ask(APP, 0x24, f"04{code}000e0100")
    await board.ask(APP, 0x22)
    await until(lambda: (call, None) in board.machine.calls)
    assert (await board.ask(APP, 0x25))[3:14] == f"04 {code} 00 10", "stopped, with the flag of its use"
    cause = "04" if call != "off" else "00"
    assert await board.ask(CHASSIS, 0x07) == f"00 {cause} 00"


async def test_an_expiry_that_was_not_to_be_logged_leaves_the_next_one_logged() -> None:
    """'Don't log' is for one expiration (27.3)."""
    board = Board()
    await board.ask(APP, 0x24, "8400000e0100")
    await board.ask(APP, 0x22)
    await until(lambda: not board.bmc.part(Watchdog).timer.next)
    assert (await board.ask(APP, 0x25))[3:5] == "04"
    assert not len(board.bmc.journal.sel)
    await board.ask(APP, 0x22)
    await until(lambda: len(board.bmc.journal.sel) == 1)


async def test_the_log_tells_which_interrupt_came_before_the_end() -> None:
    """Event data 2: the interrupt type, and the timer's use (table 42-3)."""
    board = Board()
    await board.ask(APP, 0x24, "0320000e0100")
    await board.ask(APP, 0x22)
    sel = board.bmc.journal.sel
    await until(lambda: len(sel) == 2)
    assert [(sel.get(number) or b"")[13:15].hex() for number in (1, 2)] == ["c823", "c023"]


async def test_what_the_machine_was_too_busy_for_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vbmcd.commands.watchdog.TRY_AGAIN_SECONDS", 0.01)
    board = Board()
    board.machine.fails = Busy("libvirt is away")
    await board.ask(APP, 0x24, "0402000e0000")
    await board.ask(APP, 0x22)
    await until(lambda: len(board.machine.calls) > 1)
    board.machine.fails = None
    tried = len(board.machine.calls)
    await until(lambda: len(board.machine.calls) > tried)


@pytest.mark.parametrize(("keep", "boot"), [("00", None), ("04", BootOverride(BootDevice.NETWORK))])
async def test_a_restart_by_the_watchdog_drops_a_boot_device_for_once(keep: str, boot: BootOverride | None) -> None:
    """Unless parameter 3 says otherwise (28.13)."""
    board = Board()
    await board.ask(CHASSIS, 0x08, f"03{keep}")
    await board.ask(CHASSIS, 0x08, "058004000000")
    await board.ask(APP, 0x24, "0403000e0000")
    await board.ask(APP, 0x22)
    await until(lambda: ("cycle", boot) in board.machine.calls)


@pytest.mark.parametrize("control", ["00", "02", "03"])
async def test_a_machine_that_is_restarted_is_not_watched_any_more(control: str) -> None:
    board = Board()
    await board.ask(APP, 0x24, "0401000e6400")
    await board.ask(APP, 0x22)
    await board.ask(CHASSIS, 0x02, control)
    assert (await board.ask(APP, 0x25))[3:5] == "04"


async def test_a_cold_reset_stops_the_timer() -> None:
    board = Board()
    await board.ask(APP, 0x24, "0401000e6400")
    await board.ask(APP, 0x22)
    assert await board.ask(APP, 0x02) == "00"
    assert await board.ask(APP, 0x25) == "00 04 00 00 00 00 00 00 00"
