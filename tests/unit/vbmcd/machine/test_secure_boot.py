# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secure Boot in domain XML."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from vbmcd.machine.libvirt_secure_boot import asked_for, is_secure, pending, with_secure_boot

FEATURE = "<firmware><feature enabled='{}' name='enrolled-keys'/></firmware>"
SECURE = "<loader readonly='yes' secure='yes' type='pflash'>/OVMF_CODE.ms.fd</loader>"
PLAIN = "<loader readonly='yes' type='pflash'>/OVMF_CODE.fd</loader>"


def domain(os: str, firmware: str = "") -> str:
    return f"<domain><os{firmware}><type>hvm</type>{os}</os></domain>"


@pytest.mark.parametrize(
    ("os", "asked", "secure"),
    [
        ("", None, False),
        (SECURE, True, True),
        (PLAIN, False, False),
        (FEATURE.format("yes") + SECURE, True, True),
        (FEATURE.format("no") + SECURE, False, False),
        (FEATURE.format("no") + PLAIN, False, False),
    ],
)
def test_what_a_definition_asks_for_and_what_runs(os: str, asked: bool | None, secure: bool) -> None:
    tree = ET.fromstring(domain(os))
    assert (asked_for(tree), is_secure(tree)) == (asked, secure)


@pytest.mark.parametrize(
    ("live", "stored", "expected"),
    [
        (SECURE, "", False),
        (SECURE, FEATURE.format("yes"), False),
        (SECURE, FEATURE.format("no"), True),
        (PLAIN, FEATURE.format("yes"), True),
        (PLAIN, FEATURE.format("no"), False),
    ],
)
def test_only_a_definition_that_asks_for_another_firmware_needs_a_start(live: str, stored: str, expected: bool) -> None:
    assert pending(domain(live), domain(stored, " firmware='efi'")) is expected


def test_each_kind_has_variables_of_its_own_and_the_old_ones_come_back() -> None:
    old = "/var/lib/nvram/a_VARS.fd"
    on = ET.fromstring(with_secure_boot(ET.fromstring(domain(PLAIN)), True, old))
    assert on.findtext("os/nvram") == "/var/lib/nvram/a_VARS.secureboot.fd"
    assert asked_for(on) is True and len(on.findall("os/loader")) == 1
    again = ET.fromstring(with_secure_boot(on, True, on.findtext("os/nvram")))
    assert again.findtext("os/nvram") == on.findtext("os/nvram")
    off = ET.fromstring(with_secure_boot(on, False, on.findtext("os/nvram")))
    assert off.findtext("os/nvram") == old and asked_for(off) is False and off.find("os/loader") is None
