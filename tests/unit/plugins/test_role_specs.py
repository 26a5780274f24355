# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `ansible-doc -t role` tells of the roles' variables is what the roles go by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

ROLES = Path(__file__).resolve().parents[3] / "roles"


def read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(path.read_text())
    return document


@pytest.mark.parametrize("role", ["hypervisor", "lab", "vbmc"])
def test_every_variable_of_a_role_is_described_with_its_default(role: str) -> None:
    described = read(ROLES / role / "meta/argument_specs.yml")["argument_specs"]
    defaults = read(ROLES / role / "defaults/main.yml")
    for entry_point in described.values():
        assert entry_point["description"]
        assert {name: option.get("default") for name, option in entry_point["options"].items()} == defaults
