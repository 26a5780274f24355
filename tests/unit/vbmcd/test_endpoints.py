# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Endpoints: what collides with what, and which port is allocated."""

from __future__ import annotations

import pytest

from vbmcd.config import ALLOCATED_PORTS
from vbmcd.endpoints import Endpoints, show


@pytest.mark.parametrize(
    ("one", "other", "collide"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "192.0.2.1", False),
        ("::", "192.0.2.1", True),
        ("::", "2001:db8::1", True),
        ("::", "0.0.0.0", True),
        ("0.0.0.0", "192.0.2.1", True),
        ("0.0.0.0", "2001:db8::1", False),
    ],
)
def test_collisions_are_the_kernels_and_symmetric(one: str, other: str, collide: bool) -> None:
    for first, second in ((one, other), (other, one)):
        endpoints = Endpoints()
        endpoints.claim((first, 623), "first")
        assert (endpoints.holder((second, 623)) == "first") is collide
        assert endpoints.holder((second, 624)) is None


def test_a_port_is_allocated_beside_claims_and_reservations() -> None:
    reserved = Endpoints()
    reserved.claim(("0.0.0.0", 6231), "")
    endpoints = Endpoints(reserved)
    endpoints.claim(("::", 6230), "x")
    assert [endpoints.allocate("192.0.2.1", "a"), endpoints.allocate("192.0.2.1", "b")] == [6232, 6233]
    assert endpoints.allocate("192.0.2.2", "c") == 6232


def test_the_preferred_port_is_taken_once() -> None:
    endpoints = Endpoints()
    assert endpoints.allocate("::", "a", preferred=623) == 623
    assert endpoints.allocate("::", "b", preferred=623) == ALLOCATED_PORTS.start


def test_the_ports_of_an_address_run_out() -> None:
    endpoints = Endpoints()
    assert [endpoints.allocate("::1", "x") for _turn in ALLOCATED_PORTS] == list(ALLOCATED_PORTS)
    assert endpoints.allocate("::1", "x") is None
    assert endpoints.allocate("::2", "x") == ALLOCATED_PORTS.start


def test_ipv6_addresses_show_in_brackets() -> None:
    assert show(("::1", 623)) == "[::1]:623"
    assert show(("192.0.2.7", 623)) == "192.0.2.7:623"
