# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plugin of pytest's: a test that fails while a libvirtd of the rig dies of a signal is run once more, which is told.

libvirt 9.0's libvirtd crashes now and then, which is nobody's fault here. A signal that a test sends by the rig, as
kill() does, does not count.
"""

from __future__ import annotations

import pytest
from _pytest.runner import runtestprotocol

from rig.libvirtd import crashes


def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool:
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    before = len(crashes())
    reports = runtestprotocol(item, log=False, nextitem=nextitem)
    died = crashes()[before:]
    failed = [report for report in reports if report.failed]
    if died and failed:
        item.warn(pytest.PytestWarning(f"run again, for {', '.join(died)} during it: {failed[0].longreprtext[-2000:]}"))
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True
