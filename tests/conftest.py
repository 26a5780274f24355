# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes ``ansible_collections.baremetal.lab`` importable from this checkout, wherever it lies.

Python finds a collection by the folders it is in; here it is by what it is. Under ansible-test, which lays the
folders and brings a loader of its own, nothing is done.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

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
