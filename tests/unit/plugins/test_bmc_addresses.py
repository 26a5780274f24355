# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which BMC gets which address."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.baremetal.lab.plugins.plugin_utils.bmc_addresses import allot, range_problems


def given(*bmcs: dict[str, Any] | str, ranges: list[str], **more: Any) -> dict[str, tuple[str | None, int | None]]:
    items = [bmc if isinstance(bmc, dict) else {"name": bmc} for bmc in bmcs]
    done = allot(items, ranges, **more)
    assert done.problems == []
    return {bmc["name"]: (bmc.get("address"), bmc.get("port")) for bmc in done.bmcs}


def test_each_gets_the_next_address_and_the_standard_port() -> None:
    found = given("a", "b", ranges=["192.0.2.64/29", "2001:db8::/64"])
    assert found == {"a": ("192.0.2.65", 623), "b": ("192.0.2.66", 623)}


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("192.0.2.64/30", "192.0.2.65", "192.0.2.66"),
        ("192.0.2.64/31", "192.0.2.64", "192.0.2.65"),
        ("192.0.2.64/32", "192.0.2.64", "192.0.2.64"),
        ("192.0.2.65/30", "192.0.2.65", "192.0.2.66"),
        ("192.0.2.7 - 192.0.2.8", "192.0.2.7", "192.0.2.8"),
        ("192.0.2.7", "192.0.2.7", "192.0.2.7"),
        ("2001:db8::/126", "2001:db8::1", "2001:db8::3"),
    ],
)
def test_a_range_is_a_prefix_two_addresses_or_one(text: str, first: str, last: str) -> None:
    names = [f"n{number}" for number in range(9)]
    done = allot([{"name": name} for name in names], [text])
    assert (done.addresses[0], done.addresses[-1]) == (first, last)
    assert len(done.problems) == len(names) - len(done.addresses)
    assert "no address is left" in done.problems[0] and text in done.problems[0]


def test_a_bmc_keeps_its_address_whoever_comes_and_goes() -> None:
    there = [{"name": "c", "address": "192.0.2.66"}, {"name": "gone", "address": "192.0.2.65"}]
    assert given("a", "b", "c", ranges=["192.0.2.64/28"], instances=there) == {
        "a": ("192.0.2.67", 623),
        "b": ("192.0.2.68", 623),
        "c": ("192.0.2.66", 623),
    }


def test_one_outside_of_the_ranges_moves_into_them() -> None:
    there = [{"name": "a", "address": "::"}, {"name": "b", "address": "198.51.100.7"}]
    assert given("a", "b", ranges=["192.0.2.64/28"], instances=there) == {
        "a": ("192.0.2.65", 623),
        "b": ("192.0.2.66", 623),
    }


def test_a_named_address_is_nobody_elses() -> None:
    there = [{"name": "a", "address": "192.0.2.65"}]
    assert given("a", {"name": "b", "address": "192.0.2.65"}, ranges=["192.0.2.64/28"], instances=there) == {
        "a": ("192.0.2.66", 623),
        "b": ("192.0.2.65", 623),
    }


def test_addresses_of_the_host_and_of_other_labs_are_left_out() -> None:
    there = [{"name": "other", "address": "192.0.2.66"}]
    found = given("a", ranges=["192.0.2.64/28"], instances=there, host_addresses=["192.0.2.65"])
    assert found == {"a": ("192.0.2.67", 623)}


def test_only_addresses_of_the_ranges_are_the_hypervisors_to_make() -> None:
    bmcs = [
        {"name": "a", "address": "192.0.2.70", "port": 6230},
        {"name": "b", "address": "127.0.0.1"},
        {"name": "c", "state": "absent"},
        {"name": "d", "address": "2001:db8::d"},
    ]
    done = allot(bmcs, ["192.0.2.64/28", "2001:db8::/64"])
    assert done.addresses == ["192.0.2.70", "2001:db8::d"]
    assert [bmc.get("port") for bmc in done.bmcs] == [6230, None, None, 623]


def test_without_ranges_nothing_is_given() -> None:
    assert given("a", {"name": "b", "address": "127.0.0.1"}, ranges=[]) == {
        "a": (None, None),
        "b": ("127.0.0.1", None),
    }


def test_two_that_name_one_address_and_port_are_told() -> None:
    bmcs = [{"name": "a", "address": "192.0.2.70"}, {"name": "b", "address": "192.0.2.70"}]
    (problem,) = allot(bmcs, ["192.0.2.64/28"]).problems
    assert "'a' and 'b'" in problem and "192.0.2.70, port 623" in problem
    apart = [{"name": "a", "address": "192.0.2.70"}, {"name": "b", "address": "192.0.2.70", "port": 624}]
    assert allot(apart, ["192.0.2.64/28"]).problems == []


@pytest.mark.parametrize(
    ("ranges", "said"),
    [
        ({"hv1": "192.0.2.0/24"}, "give it a list"),
        ({"hv1": ["192.0.2.300"]}, "'192.0.2.300' in lab_bmc_addresses"),
        ({"hv1": ["192.0.2.9-192.0.2.1"]}, "its end comes before its beginning"),
        ({"hv1": ["192.0.2.0/24"], "hv2": ["192.0.2.9-192.0.2.10"]}, "of 'hv1' and 'hv2' overlap"),
        ({"hv1": ["192.0.2.0/24", "192.0.2.9"]}, "of 'hv1' and 'hv1' overlap"),
    ],
)
def test_ranges_that_can_not_be_used_are_told(ranges: dict[str, Any], said: str) -> None:
    (problem,) = range_problems(ranges)
    assert said in problem


def test_ranges_apart_are_right() -> None:
    assert (
        list(range_problems({"hv1": ["192.0.2.0/25", "2001:db8::/64"], "hv2": ["192.0.2.128/25"], "hv3": None})) == []
    )
