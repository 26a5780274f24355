# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to be done for the wanted addresses, and what must never be."""

from __future__ import annotations

from vbmcd.addresses.plan import Link, Steps, Wish, plan


def wish(*addresses: str, interface: str = "vbmc0", own: bool = True) -> Wish:
    return Wish(interface, own, addresses)


def link(*addresses: str, name: str = "vbmc0", ours: bool = True, up: bool = True) -> Link:
    return Link(name, ours, up, frozenset(addresses))


def test_the_first_address_makes_the_interface() -> None:
    steps = plan([wish("192.0.2.7", "2001:db8::7")], {}, set())
    assert steps.links == ["vbmc0"]
    assert steps.add == [("vbmc0", "192.0.2.7"), ("vbmc0", "2001:db8::7")]
    assert steps.words() == [
        "make interface vbmc0",
        "add 192.0.2.7 to vbmc0",
        "add 2001:db8::7 to vbmc0",
    ]


def test_what_is_there_needs_nothing() -> None:
    assert plan([wish("192.0.2.7")], {"vbmc0": link("192.0.2.7")}, {("vbmc0", "192.0.2.7")}) == Steps()


def test_an_interface_of_our_own_that_was_set_down_is_set_up() -> None:
    steps = plan([wish("192.0.2.7")], {"vbmc0": link("192.0.2.7", up=False)}, {("vbmc0", "192.0.2.7")})
    assert steps.words() == ["set interface vbmc0 up"]


def test_an_interface_of_others_is_left_down() -> None:
    there = {"eth1": link(name="eth1", ours=False, up=False)}
    assert plan([wish("192.0.2.7", interface="eth1", own=False)], there, set()).words() == ["add 192.0.2.7 to eth1"]


def test_an_address_goes_when_its_last_owner_leaves_it() -> None:
    there = {"vbmc0": link("192.0.2.7", "192.0.2.8")}
    added = {("vbmc0", "192.0.2.7"), ("vbmc0", "192.0.2.8")}
    assert plan([wish("192.0.2.7"), wish("192.0.2.7", "192.0.2.8")], there, added) == Steps()
    assert plan([wish("192.0.2.7"), wish("192.0.2.7")], there, added).delete == [("vbmc0", "192.0.2.8")]


def test_the_interface_goes_with_the_last_address() -> None:
    steps = plan([wish()], {"vbmc0": link("192.0.2.7")}, {("vbmc0", "192.0.2.7")})
    assert steps.words() == ["remove interface vbmc0"]


def test_addresses_that_others_added_stay() -> None:
    there = {"eth1": link("192.0.2.1", "192.0.2.7", name="eth1", ours=False)}
    steps = plan([], there, {("eth1", "192.0.2.7")})
    assert steps.words() == ["remove 192.0.2.7 from eth1"]


def test_an_address_that_the_host_has_elsewhere_is_not_added_twice() -> None:
    there = {"lo": link("127.0.0.1", name="lo", ours=False), "vbmc0": link()}
    assert plan([wish("127.0.0.1")], there, set()) == Steps()


def test_addresses_move_to_another_interface_without_a_gap() -> None:
    there = {"vbmc0": link("192.0.2.7"), "eth1": link(name="eth1", ours=False)}
    steps = plan([wish("192.0.2.7", interface="eth1", own=False)], there, {("vbmc0", "192.0.2.7")})
    assert steps.words() == ["add 192.0.2.7 to eth1", "remove interface vbmc0"]


def test_an_address_that_somebody_removed_is_added_again_and_never_removed_twice() -> None:
    there = {"vbmc0": link()}
    assert plan([wish("192.0.2.7")], there, {("vbmc0", "192.0.2.7")}).add == [("vbmc0", "192.0.2.7")]
    assert plan([wish("192.0.2.8")], there, {("vbmc0", "192.0.2.7")}).delete == []
