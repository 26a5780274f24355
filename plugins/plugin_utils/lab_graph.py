# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What depends on what in a lab, as a graph in Graphviz's language DOT. Pure. Called by the filter lab_graph."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Mapping

COLOURS: Dict[str, str] = {
    "running": "palegreen",
    "paused": "khaki",
    "shutoff": "white",
    "crashed": "salmon",
    "absent": "lightgrey",
}
_DEFAULTS = {"order": "before", "on_failure": "rollback", "on_crash": "ignore", "shared": "running"}
_SIGNALS = 4


def dot(lab: str, told: Mapping[str, Mapping[str, Any]]) -> str:
    """The graph; `told` is the fact lab_told of each hypervisor, by its name, with what domain_info said of it."""
    lines = [f"digraph {_quoted(lab)} {{", "  rankdir=LR;", '  node [shape=box, style=filled, fontname="sans-serif"];']
    lines.append('  edge [fontname="sans-serif", fontsize=10];')
    for number, (hypervisor, facts) in enumerate(sorted(told.items())):
        domains = (facts.get("relations") or {}).get("domains") or []
        lines.append(f"  subgraph cluster_{number} {{")
        lines.append(f"    label={_quoted(hypervisor)};")
        lines += [f"    {line}" for line in _domains(hypervisor, domains)]
        lines.append("  }")
    return "\n".join([*lines, "}"]) + "\n"


def _domains(hypervisor: str, domains: List[Mapping[str, Any]]) -> Iterator[str]:
    states: Dict[str, str] = {}
    edges: List[str] = []
    for domain in sorted(domains, key=lambda one: str(one["name"])):
        name = domain["name"]
        dependencies = domain.get("dependencies") or []
        if dependencies or domain.get("dependents"):
            states[name] = domain["state"]
        for one in dependencies:
            states.setdefault(one["name"], one["state"])
            label = _label(one)
            attributes = f" [label={_quoted(label)}]" if label else ""
            edges.append(f"{_node(hypervisor, name)} -> {_node(hypervisor, one['name'])}{attributes};")
    for name, state in sorted(states.items()):
        label, colour = _quoted(f"{name}\n{state}"), COLOURS.get(state, "white")
        yield f"{_node(hypervisor, name)} [label={label}, fillcolor={colour}];"
    yield from edges


def _label(dependency: Mapping[str, Any]) -> str:
    """What is not as it is by default."""
    words = [
        f"{option.replace('_', ' ')} {dependency[option]}"
        for option, default in _DEFAULTS.items()
        if dependency.get(option, default) != default
    ]
    signals = dependency.get("signals") or []
    if len(signals) != _SIGNALS:
        words.append("only " + ", ".join(signals))
    return "\n".join(words)


def _node(hypervisor: str, name: str) -> str:
    return _quoted(f"{hypervisor}/{name}")


def _quoted(text: str) -> str:
    """A DOT string: a line break is written as \\n."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
