# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in a drive, by libvirt's XML."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from vbmcd.machine.libvirt_media import source_of


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
