# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the integration tests: the real libvirtd, shared or one's own.

Without root or libvirt these tests are skipped, with the reason; with REQUIRE_LIBVIRT set, as `make test`
does, that is an error instead, so that a skip can't pass for a success.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from rig.crashes import pytest_runtest_protocol
from rig.libvirtd import Libvirtd, Unavailable, running

__all__ = ["pytest_runtest_protocol"]


@pytest.fixture(scope="session")
def libvirtd() -> Iterator[Libvirtd]:
    """The shared libvirtd. Name domains after the test, remove them after it, and never stop or freeze it."""
    with _rig() as shared:
        yield shared


@pytest.fixture(autouse=True)
def _shared_libvirtd_is_there() -> None:
    """libvirt 9.0's libvirtd crashes now and then, and on hosts systemd starts it again."""
    for one in running():
        one.start_if_gone()


@pytest.fixture
def own_libvirtd() -> Iterator[Libvirtd]:
    """A libvirtd of the test's own, to kill, freeze and start again."""
    with _rig() as own:
        yield own


@pytest.fixture(scope="session")
def sasl_libvirtd() -> Iterator[Libvirtd]:
    """A shared one that also listens on TCP, with SASL. The same manners, and set the password that you need."""
    with _rig(sasl=("lab", "unset")) as shared:
        yield shared


def _rig(sasl: tuple[str, str] | None = None) -> Libvirtd:
    try:
        return Libvirtd(sasl=sasl)
    except Unavailable as reason:
        if os.environ.get("REQUIRE_LIBVIRT"):
            raise
        pytest.skip(str(reason))
