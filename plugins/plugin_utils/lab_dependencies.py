# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an inventory says of nodes that depend on each other (lab_depends_on): read and checked. Pure.

Called by lab_nodes. An item is a node's name, or a mapping with that and options of the module domain_dependency.
"""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Mapping, Optional, Protocol, Sequence

VARIABLE = "lab_depends_on"

OPTIONS: Dict[str, Sequence[str]] = {
    "order": ("before", "after"),
    "on_failure": ("rollback", "keep", "ignore"),
    "on_crash": ("ignore", "stop"),
    "shared": ("running", "any"),
    "signals": ("start", "destroy", "suspend", "resume"),
}
"""The module's choices; `signals` is a list of them."""


class Depending(Protocol):
    """Of a node (lab_nodes.Node): what matters here."""

    @property
    def name(self) -> str:
        """The node's name."""

    @property
    def hypervisor(self) -> Optional[str]:
        """Where it runs; None where it is to be placed."""

    @property
    def domain(self) -> Dict[str, Any]:
        """An item of the module domain."""

    @property
    def depends_on(self) -> Optional[List[Dict[str, Any]]]:
        """What it depends on."""


def depends_on(own: Mapping[str, Any]) -> Optional[List[Dict[str, Any]]]:
    """A node's dependencies as mappings; None where its variables say nothing. They have no item_problems()."""
    items = own.get(VARIABLE)
    if items is None:
        return None
    return [dict(item) if isinstance(item, Mapping) else {"name": str(item)} for item in items]


def item_problems(name: str, own: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with one node's list by itself."""
    items = own.get(VARIABLE)
    if items is None:
        return
    if isinstance(items, (str, Mapping)) or not isinstance(items, Sequence):
        yield f"node '{name}' has {VARIABLE} {items!r}: give it a list of nodes' names"
        return
    for item in items:
        named = isinstance(item, str) or (isinstance(item, Mapping) and isinstance(item.get("name"), str))
        if not named:
            yield f"node '{name}' has {item!r} in {VARIABLE}: give a node's name, or a mapping with 'name'"
            continue
        for option, value in item.items() if isinstance(item, Mapping) else ():
            if option == "name":
                continue
            words = value if option == "signals" and isinstance(value, Sequence) else [value]
            if option not in OPTIONS:
                yield f"node '{name}' has '{option}' in {VARIABLE}: there are {', '.join(OPTIONS)}"
            elif not all(word in OPTIONS[option] for word in words):
                yield f"node '{name}' has {option} {value!r} in {VARIABLE}: give {', '.join(OPTIONS[option])}"


def dependency_problems(nodes: Sequence[Depending], known: Sequence[str]) -> Iterator[str]:
    """What is wrong between nodes; `known` are all names, those of nodes with other problems too."""
    by_name = {node.name: node for node in nodes}
    for node in nodes:
        for item in node.depends_on or ():
            other = by_name.get(item["name"])
            if other is None:
                if item["name"] not in known:
                    yield (
                        f"node '{node.name}' depends on '{item['name']}', which is no node: "
                        f"correct its {VARIABLE}, or put '{item['name']}' into the group 'nodes'"
                    )
            elif other is node:
                yield f"node '{node.name}' depends on itself: take it off its {VARIABLE}"
            elif other.depends_on:
                yield (
                    f"node '{node.name}' depends on '{other.name}', which itself depends on "
                    f"'{other.depends_on[0]['name']}': dependencies have one level: take one of the two away"
                )
            elif other.domain.get("state") == "absent" and node.domain.get("state") != "absent":
                yield (
                    f"node '{node.name}' depends on '{other.name}', which is to be absent: "
                    f"take it off {VARIABLE}, or give '{other.name}' another lab_state"
                )
    yield from _torn(nodes)


def machines(nodes: Sequence[Depending]) -> Dict[str, str]:
    """Node name to the name of the machine that it is a part of, for those that depend on others or are depended on.

    They have to be on one hypervisor, and so has whoever shares one of them. Who is to be absent is a part of none.
    """
    present = {node.name for node in nodes if node.domain.get("state") != "absent"}
    found: Dict[str, str] = {}
    for node in nodes:
        parts = {node.name, *(item["name"] for item in node.depends_on or ())} & present
        if node.name not in present or len(parts) < 2:
            continue
        joined = {found[name] for name in parts if name in found}
        parts |= {name for name, machine in found.items() if machine in joined}
        found.update(dict.fromkeys(parts, min(parts)))
    return found


def _torn(nodes: Sequence[Depending]) -> Iterator[str]:
    """Machines of which two nodes name different hypervisors."""
    parts: Dict[str, List[Depending]] = {}
    found = machines(nodes)
    for node in nodes:
        if node.name in found and node.hypervisor:
            parts.setdefault(found[node.name], []).append(node)
    for named in parts.values():
        other = next((node for node in named if node.hypervisor != named[0].hypervisor), None)
        if other:
            yield (
                f"nodes '{named[0].name}' on '{named[0].hypervisor}' and '{other.name}' on '{other.hypervisor}' are "
                f"one machine ({VARIABLE}), which has to be on one host: give both the same lab_hypervisor, or none"
            )
