# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The graph of a lab's dependencies."""

from __future__ import annotations

import shutil
import subprocess
from typing import Any

from ansible_collections.baremetal.lab.plugins.plugin_utils.lab_graph import dot


def domain(name: str, state: str = "running", *dependencies: dict[str, Any], dependents: int = 0) -> dict[str, Any]:
    return {"name": name, "state": state, "dependencies": list(dependencies), "dependents": [{}] * dependents}


def dependency(name: str, state: str = "running", **options: Any) -> dict[str, Any]:
    signals = ["start", "destroy", "suspend", "resume"]
    return {"name": name, "state": state, "signals": signals, "order": "before", **options}


def test_the_graph_has_each_group_with_its_states_and_what_is_special() -> None:
    domains = [
        domain("a", "paused", dependency("b"), dependency("c", "absent", order="after", signals=["start"])),
        domain("b", dependents=1),
        domain("alone"),
    ]
    text = dot("lab", {"hv1": {"relations": {"domains": domains}}, "hv2": {"unreachable": "no route"}})
    assert '"hv1/a" [label="a\\npaused", fillcolor=khaki];' in text
    assert '"hv1/a" -> "hv1/b";' in text
    assert '"hv1/a" -> "hv1/c" [label="order after\\nonly start"];' in text
    assert "alone" not in text


def test_names_can_not_break_the_graph() -> None:
    text = dot("l", {"hv1": {"relations": {"domains": [domain('a"b\\', "running", dependency("c"))]}}})
    assert '"hv1/a\\"b\\\\" -> "hv1/c";' in text
    if shutil.which("dot"):
        subprocess.run(["dot", "-Tsvg"], input=text, text=True, capture_output=True, check=True)
