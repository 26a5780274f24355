# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""While a BMC is flooded, who is logged in goes on, new logins succeed, and its neighbours notice nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rig.console import DEVICE_ID, Console, Refused
from rig.daemon import NO_MACHINE, Vbmcd
from rig.flood import Flood
from rig.ipmi import Target, ipmitool
from rig.waiting import eventually

# Who else has a core decides what gets through a flood.
pytestmark = pytest.mark.alone

RATE = 50_000
"""Packets a second: several times what could be answered, and a core of a test machine can send it."""
ELSEWHERE = "127.0.0.9"


@pytest.fixture(scope="module")
def vbmcd() -> Iterator[Vbmcd]:
    # One worker, so that the flooded BMC and its neighbour share one.
    with Vbmcd(workers="1") as daemon:
        daemon.serve("flooded", **NO_MACHINE)
        daemon.serve("neighbour", **NO_MACHINE)
        yield daemon


@pytest.mark.parametrize(("kind", "address"), [
    ("one socket", ELSEWHERE),
    ("one socket", "127.0.0.1"),
    ("one address", ELSEWHERE),
    ("one address", "127.0.0.1"),
    ("many addresses", ELSEWHERE),
    ("rakp 1", ELSEWHERE),
    ("strangers", ELSEWHERE),
    ("wrong codes", ELSEWHERE),
])  # fmt: skip
def test_a_flood_keeps_nobody_else_out(vbmcd: Vbmcd, kind: str, address: str) -> None:
    port, beside = vbmcd.status("flooded")["port"], vbmcd.status("neighbour")["port"]
    workers = vbmcd.workers()
    with Console(port) as old, Console(beside) as neighbour:
        old.login()
        neighbour.login()
        with Flood(kind, port, address, RATE):
            for _turn in range(20):
                assert old.request(*DEVICE_ID)[0] == 0
                assert neighbour.request(*DEVICE_ID)[0] == 0
            # In the crowd of forged addresses a client is heard when it asks again, after a second.
            new = ipmitool(Target(port), "mc", "guid")
            assert new.code == 0, new.output
            with Console(beside) as another:
                another.login()
            assert old.request(*DEVICE_ID)[0] == 0
    assert vbmcd.workers() == workers
    assert "Traceback" not in vbmcd.log


def test_who_guesses_passwords_is_refused_for_some_seconds(vbmcd: Vbmcd) -> None:
    port = vbmcd.serve("guessed", **NO_MACHINE)

    def refused() -> bool:
        with Console(port, password="wrong") as guesser, pytest.raises(Refused) as refusal:
            guesser.login()
        return "status 01h" in str(refusal.value)

    with Flood("wrong codes", port):
        eventually(refused, what="Open Session is refused")

    def accepted() -> bool:
        return ipmitool(Target(port), "mc", "guid").code == 0

    eventually(accepted, what="the host is heard again", interval=0.5)
