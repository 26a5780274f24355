# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes ``ansible_collections.baremetal.lab`` importable from this checkout, wherever it lies.

Python finds a collection by the folders it is in; here it is by what it is. Under ansible-test, which lays the
folders and brings a loader of its own, nothing is done.

Property tests have the same examples in each run, so that a failure is the change's. HYPOTHESIS_PROFILE=explore looks
for new ones.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

COLLECTION = "ansible_collections.baremetal.lab"


def _importable(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ImportError:
        return False


def _make_importable(checkout: Path) -> None:
    parent = ""
    for part in COLLECTION.split("."):
        name = f"{parent}.{part}" if parent else part
        package = ModuleType(name)
        package.__path__ = []
        sys.modules[name] = package
        if parent:
            setattr(sys.modules[parent], part, package)
        parent = name
    sys.modules[COLLECTION].__path__ = [str(checkout)]


if not _importable(COLLECTION):
    _make_importable(Path(__file__).resolve().parent.parent)

if _importable("hypothesis"):
    from hypothesis import settings

    settings.register_profile("same", derandomize=True, deadline=None, database=None)
    settings.register_profile("explore", deadline=None, print_blob=True)
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput") and os.geteuid() == 0:
        from rig.apart import have_own_network

        have_own_network()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not hasattr(config, "workerinput"):
        return
    for item in items:
        if item.get_closest_marker("outside"):
            item.add_marker(pytest.mark.skip("needs the machine's own network: run it without --numprocesses"))
