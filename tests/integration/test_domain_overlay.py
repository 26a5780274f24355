# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The comparison of domain definitions held against what a real libvirt makes of them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings

from ansible_collections.baremetal.lab.plugins.module_utils._domain_definition import stored
from ansible_collections.baremetal.lab.plugins.module_utils._domain_xml import new_definition, overlay
from ansible_collections.baremetal.lab.plugins.module_utils._xml import parse, text_of
from rig.definitions import definitions
from rig.libvirtd import Libvirtd

libvirt = pytest.importorskip("libvirt", reason="the distribution's libvirt binding (python3-libvirt) is missing")


def _defined(connection: Any, text: str) -> Any:
    """The domain `a` made from scratch, or None where libvirt doesn't take the definition."""
    for old in connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_INACTIVE):
        if old.name() == "a":
            old.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_NVRAM)
    try:
        return connection.defineXML(text_of(new_definition(parse(text, "test"))))
    except libvirt.libvirtError:
        return None


def test_libvirt_takes_whatever_is_laid_over_whatever(libvirtd: Libvirtd) -> None:
    taken = 0
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    connection = libvirt.open(libvirtd.uri)

    @given(definitions(), definitions())
    @settings(max_examples=200, deadline=None, database=None)
    def check(before: str, after: str) -> None:
        nonlocal taken
        wanted = parse(after, "test")
        made = _defined(connection, after)
        if made is None:
            return
        assert overlay(stored(made), wanted).differences == ()
        existing = _defined(connection, before)
        if existing is None:
            return
        changed = connection.defineXML(text_of(overlay(stored(existing), wanted).merged))
        assert overlay(stored(changed), wanted).differences == ()
        taken += 1

    try:
        check()
    finally:
        _defined(connection, "<domain type='qemu'/>")
        connection.close()
    assert taken > 20
