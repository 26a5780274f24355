# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logins under way and failed ones: who makes room for whom, and who has to wait."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vbmcd.rmcp.logins import (
    FORGET_SECONDS,
    LOGIN_TIMEOUT,
    MAX_FAILED_HOSTS,
    MAX_FAILURES,
    MAX_LOGINS,
    MAX_LOGINS_PER_HOST,
    MAX_LOGINS_PER_PORT,
    Failures,
    Login,
    Logins,
)
from vbmcd.rmcp.suites import SUITE_17

NUMBERS = count(1)
HERE = ("192.0.2.1", 50000)
EVIL = "198.51.100.7"


def login(source: tuple[str, int] = HERE, started: float = 0.0) -> Login:
    return Login(next(NUMBERS), 1, source, started, 4, SUITE_17)


@pytest.fixture
def logins() -> Logins:
    return Logins()


def test_one_port_pushes_out_its_own_oldest(logins: Logins) -> None:
    mine, beside = login(), login((HERE[0], 50001))
    logins.add(mine)
    logins.add(beside)
    others = [login() for _turn in range(MAX_LOGINS_PER_PORT)]
    removed = [one for one in map(logins.add, others) if one]
    assert removed == [mine]
    assert beside.session_id in logins, "a client at the same address, but from another port"


def test_one_host_pushes_out_its_own_oldest(logins: Logins) -> None:
    client = login()
    logins.add(client)
    first = [login((EVIL, 1)), login((EVIL, 2))]
    for one in first:
        logins.add(one)
    for port in range(3, 5 * MAX_LOGINS_PER_HOST):
        logins.add(login((EVIL, port)))
    assert len(logins) == MAX_LOGINS_PER_HOST + 1
    assert client.session_id in logins and not any(one.session_id in logins for one in first)


def test_of_many_hosts_the_oldest_makes_room_and_who_named_a_user_comes_last(logins: Logins) -> None:
    oldest, named = login(), login()
    logins.add(oldest)
    logins.add(named)
    logins.renew(named)
    for number in range(MAX_LOGINS - 1):
        logins.add(login((f"10.0.{number >> 8}.{number & 255}", 1)))
    assert oldest.session_id not in logins and named.session_id in logins
    assert len(logins) == MAX_LOGINS


def test_what_takes_too_long_is_given_back_and_nothing_else(logins: Logins) -> None:
    late, fresh = login(started=0.0), login(started=10.0)
    logins.add(late)
    logins.add(fresh)
    assert logins.expire(LOGIN_TIMEOUT + 1) == [late]
    assert late.session_id not in logins and fresh.session_id in logins


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40), st.booleans()), max_size=200))
def test_nothing_is_left_of_logins_that_ended(steps: list[tuple[int, int, bool]]) -> None:
    logins, known = Logins(), []
    for host, port, end in steps:
        one = login((f"10.0.0.{host}", port))
        logins.add(one)
        known.append(one)
        if end:
            assert logins.pop(one.session_id) == one
            assert logins.pop(one.session_id) is None
    for one in known:
        logins.pop(one.session_id)
    assert not len(logins) and not logins._of


def test_a_host_with_too_many_failures_waits_and_no_other_does() -> None:
    failures = Failures()
    for number in range(MAX_FAILURES):
        assert not failures.too_many(EVIL, number * 0.01)
        failures.note(EVIL, number * 0.01)
    assert failures.too_many(EVIL, 0.5)
    assert not failures.too_many(HERE[0], 0.5)


def test_failures_are_forgotten_one_after_the_other() -> None:
    failures = Failures()
    for _turn in range(10 * MAX_FAILURES):
        failures.note(EVIL, 0.0)
    assert failures.too_many(EVIL, FORGET_SECONDS / 2)
    assert not failures.too_many(EVIL, 2 * FORGET_SECONDS), "however many they were, one may try soon"
    failures.expire((MAX_FAILURES + 2) * FORGET_SECONDS)
    assert not len(failures)


def test_failures_of_many_hosts_take_a_bounded_amount_of_memory() -> None:
    failures = Failures()
    for number in range(3 * MAX_FAILED_HOSTS):
        failures.note(f"host-{number}", 0.0)
    assert len(failures) == MAX_FAILED_HOSTS
