# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The order that a domain gets back once it was started in another one (a real reboot: test_virtual_media.py)."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence

import pytest

from vbmcd.machine.libvirt_monitor import MonitorError
from vbmcd.machine.libvirt_once import own_indexes, put_back


def domain(listed: Sequence[str] = (), orders: Sequence[str] = ()) -> ET.Element:
    """With a disk, a second one, a CD drive, a floppy drive and an interface."""

    def device(tag: str, kind: str, name: str) -> str:
        boot = f"<boot order='{orders.index(name) + 1}'/>" if name in orders else ""
        which = f"<mac address='{name}'/>" if tag == "interface" else f"<target dev='{name}'/>"
        return f"<{tag} device='{kind}'>{which}{boot}<alias name='a-{name}'/></{tag}>"

    devices = [device("disk", "disk", "vda"), device("disk", "disk", "vdb"), device("disk", "cdrom", "sda")]
    devices += [device("disk", "floppy", "fda"), device("interface", "", "52:54")]
    boots = "".join(f"<boot dev='{word}'/>" for word in listed)
    return ET.fromstring(f"<domain><os>{boots}</os><devices>{''.join(devices)}</devices></domain>")


@pytest.mark.parametrize(
    ("live", "stored", "wanted"),
    [
        (("network", "hd", "cdrom"), ("hd", "cdrom"), {"a-52:54": -1, "a-vda": 1, "a-sda": 2}),
        (("cdrom", "hd", "fd"), ("hd", "fd", "cdrom"), {"a-sda": 3, "a-vda": 1}),
        (("network",), (), {"a-52:54": -1}),
    ],
)
def test_a_list_of_kinds_is_the_first_device_of_each(
    live: Sequence[str], stored: Sequence[str], wanted: dict[str, int]
) -> None:
    assert own_indexes(domain(live), domain(stored)) == wanted


def test_an_order_of_devices_is_theirs() -> None:
    live, stored = domain(orders=["sda", "52:54", "vdb"]), domain(orders=["52:54", "vdb", "vda"])
    assert own_indexes(live, stored) == {"a-sda": -1, "a-52:54": 1, "a-vdb": 2, "a-vda": 3}


def test_a_machine_without_a_monitor_has_started_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    class Started:
        def XMLDesc(self, _flags: int) -> str:  # noqa: N802
            return ET.tostring(domain(["network"]), encoding="unicode")

    def refuse(*_words: object, **_arguments: object) -> None:
        raise MonitorError("not for you")

    monkeypatch.setattr("vbmcd.machine.libvirt_once.tell", refuse)
    put_back(Started(), ET.tostring(domain(["hd"]), encoding="unicode"))
