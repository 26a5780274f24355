# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in a drive, by libvirt's XML."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import libvirt
import pytest

from vbmcd.machine import libvirt_media
from vbmcd.machine.libvirt_media import change_medium, source_of


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("", None),
        ("<source file='/a.iso' index='2'/>", "/a.iso"),
        ("<source dev='/dev/sr0'/>", "/dev/sr0"),
        ("<source protocol='http' name='x.iso'/>", "x.iso"),
        ("<source pool='default' volume='x.iso'/>", "x.iso"),
        ("<source index='4'/>", None),  # libvirt 9.0, captured after an eject
        ("<source startupPolicy='optional'/>", None),
    ],
)
def test_what_is_in_a_drive(source: str, expected: str | None) -> None:
    assert source_of(ET.fromstring(f"<disk type='file' device='cdrom'>{source}</disk>")) == expected


class RunningDomain:
    """Whose drive's door is closed so many times before a change goes through."""

    def __init__(self, closed: int, message: str = "Tray of device 'ide0-1-0' is not open") -> None:
        self.closed, self.message = closed, message
        self.changes = 0

    def lookupByName(self, _name: str) -> RunningDomain:  # noqa: N802
        return self

    def isActive(self) -> int:  # noqa: N802
        return 1

    def isPersistent(self) -> int:  # noqa: N802
        return 0

    def XMLDesc(self, _flags: int) -> str:  # noqa: N802
        return "<domain><devices><disk device='cdrom'><alias name='ide0-1-0'/></disk></devices></domain>"

    def updateDeviceFlags(self, _xml: str, _flags: int) -> None:  # noqa: N802
        self.closed -= 1
        if self.closed >= 0:
            raise libvirt.libvirtError(self.message)
        self.changes += 1


@pytest.fixture(autouse=True)
def monitor(monkeypatch: pytest.MonkeyPatch) -> None:
    """That opens no door."""
    monkeypatch.setattr("vbmcd.machine.libvirt_media.tell", lambda *_words, **_arguments: None)


def test_a_door_that_firmware_closes_again_and_again_is_opened_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libvirt_media, "_PATIENCE", 60.0)
    domain = RunningDomain(closed=5)
    change_medium(domain, "node", "/a.iso")
    assert domain.changes == 1


def test_a_door_that_libvirt_takes_for_open_is_opened_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libvirt_media, "_PATIENCE", 60.0)
    domain = RunningDomain(closed=1000)

    def tell(_domain: object, command: str, **arguments: object) -> None:
        assert (command, arguments) == ("blockdev-open-tray", {"id": "ide0-1-0", "force": True})
        domain.closed = 0

    monkeypatch.setattr("vbmcd.machine.libvirt_media.tell", tell)
    change_medium(domain, "node", "/a.iso")
    assert domain.changes == 1


@pytest.mark.parametrize("domain", [RunningDomain(closed=1000), RunningDomain(closed=1, message="no such device")])
def test_a_medium_that_can_not_be_changed_is_told(domain: RunningDomain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libvirt_media, "_PATIENCE", 0.2)
    with pytest.raises(libvirt.libvirtError):
        change_medium(domain, "node", "/a.iso")
