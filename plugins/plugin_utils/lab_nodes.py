# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an inventory says of a lab's nodes: read, given their defaults, and checked before anything is changed.

Called by the filter ``lab_nodes``, which the role ``lab`` uses. Pure: it knows no Ansible, only mappings. Variables and
their meaning are those of docs/inventory.md.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.baremetal.lab.plugins.plugin_utils.bmc_addresses import VARIABLE, range_problems
from ansible_collections.baremetal.lab.plugins.plugin_utils.bmc_reach import with_port

HYPERVISORS = "hypervisors"
NODES = "nodes"

MAX_USERNAME = 16
MAX_PASSWORD = 20
"""Bytes (IPMI 2.0, 22.28 and 22.30)."""

DEFAULTS: Dict[str, Any] = {
    "lab_name": "lab",
    "lab_memory_mb": 1024,
    "lab_vcpus": 1,
    "lab_disks": [{"size_gb": 10}],
    "lab_nics": [{"network": "default"}],
    "lab_state": "present",
    "bmc_username": "admin",
    "hypervisor_pool_name": "lab",
}
"""What holds where the inventory is silent. The last is the default of the role hypervisor."""

DOMAIN_OPTIONS = (
    "memory_mb",
    "vcpus",
    "disks",
    "nics",
    "state",
    "type",
    "arch",
    "machine",
    "firmware",
    "boot",
    "graphics",
    "autostart",
)
"""Options of the module domain; a node has each as ``lab_<option>``. Without a default above it is the module's."""

CHOICES: Dict[str, Tuple[str, ...]] = {
    "state": ("present", "absent", "running", "paused", "shutdown", "destroyed"),
    "type": ("auto", "kvm", "qemu"),
    "firmware": ("bios", "efi"),
    "boot": ("network", "hd", "cdrom"),
    "graphics": ("none", "vnc", "spice"),
}
"""The module's choices, so that a wrong word is told before anything is changed, and with the node's name."""


@dataclass(frozen=True)
class Node:
    """One node: its machine, and the BMC in front of it."""

    name: str
    hypervisor: str
    domain: Dict[str, Any]
    """An item of the module domain."""
    bmc: Dict[str, Any] = field(repr=False)
    """An item of the module vbmc; holds the password."""

    def document(self) -> Dict[str, Any]:
        return {"name": self.name, "hypervisor": self.hypervisor, "domain": self.domain, "bmc": self.bmc}


@dataclass(frozen=True)
class Lab:
    """The nodes that can be brought up, and what has to be mended in the inventory first."""

    nodes: List[Node]
    problems: List[str]
    complete: bool = True
    """Whether these are all of their hypervisors' nodes, so that what is there besides is left over."""

    def document(self) -> Dict[str, Any]:
        nodes = [node.document() for node in self.nodes]
        return {"nodes": nodes, "problems": self.problems, "complete": self.complete}


def read_lab(
    groups: Mapping[str, Sequence[str]],
    variables: Mapping[str, Mapping[str, Any]],
    play_hosts: Optional[Sequence[str]] = None,
) -> Lab:
    """The lab of an inventory; `variables` are each host's.

    `play_hosts`: the hosts that ``--limit`` left. Where nodes are among them, only those are read; with their
    hypervisors alone, all of theirs.
    """
    problems = [
        f"the inventory has no host in the group '{group}': {remedy}"
        for group, remedy in (
            (HYPERVISORS, "put the hosts that are to run the machines there"),
            (NODES, "put one host there for each machine of the lab"),
        )
        if not groups.get(group)
    ]
    hypervisors = list(groups.get(HYPERVISORS) or ())
    problems += range_problems({name: variables[name].get(VARIABLE) for name in hypervisors})
    nodes = []
    for name in groups.get(NODES) or ():
        own = variables[name]
        host = variables[own["lab_hypervisor"]] if own.get("lab_hypervisor") in hypervisors else {}
        found = list(_node_problems(name, own, host, hypervisors))
        problems += found
        if not found:
            nodes.append(_node(name, own, host))
    problems += _collisions(nodes)
    if play_hosts is None:
        return Lab(nodes, problems)
    named = [node for node in nodes if node.name in play_hosts]
    complete = not named or len(named) == len(nodes)
    selected = named or [node for node in nodes if node.hypervisor in play_hosts]
    problems += _left_out(selected, play_hosts)
    return Lab(selected, problems, complete)


def _value(own: Mapping[str, Any], key: str) -> Any:
    value = own.get(key)
    return DEFAULTS.get(key) if value is None else value


def _node(name: str, own: Mapping[str, Any], host: Mapping[str, Any]) -> Node:
    """A node without problems; `host` are its hypervisor's variables."""
    domain_name = own.get("lab_domain") or name
    owner = _value(own, "lab_name")
    domain = {"name": domain_name, "owner": owner}
    for option in DOMAIN_OPTIONS:
        value = _value(own, f"lab_{option}")
        if value is not None:
            domain[option] = value
    pool = _value(host, "hypervisor_pool_name")
    domain["disks"] = [_disk(disk, pool) for disk in domain["disks"]]
    state = "absent" if domain["state"] == "absent" else "started"
    bmc = {"name": name, "domain": domain_name, "owner": owner, "state": state}
    if host.get("hypervisor_uri"):
        bmc["libvirt_uri"] = host["hypervisor_uri"]
    for key in ("address", "port", "username", "password"):
        value = _value(own, f"bmc_{key}")
        if value is not None:
            bmc[key] = int(value) if key == "port" else str(value)
    return Node(name, own["lab_hypervisor"], domain, bmc)


def _disk(disk: Mapping[str, Any], pool: str) -> Dict[str, Any]:
    """A disk in the hypervisor's pool, unless it says where it is or is a CD drive."""
    made = "path" not in disk and disk.get("device", "disk") == "disk"
    return {"pool": pool, **disk} if made else dict(disk)


def _node_problems(
    name: str, own: Mapping[str, Any], host: Mapping[str, Any], hypervisors: Sequence[str]
) -> Iterator[str]:
    """What is wrong with one node by itself."""
    known = ", ".join(hypervisors) or "none yet"
    hypervisor = own.get("lab_hypervisor")
    if not hypervisor:
        yield f"node '{name}' names no hypervisor: give it lab_hypervisor, one of the group '{HYPERVISORS}' ({known})"
    elif hypervisor not in hypervisors:
        yield (
            f"node '{name}' is to run on '{hypervisor}', which is not in the group '{HYPERVISORS}': "
            f"change its lab_hypervisor to one of that group ({known}), or put '{hypervisor}' there"
        )
    elif _value(own, "lab_name") != _value(host, "lab_name"):
        yield (
            f"node '{name}' is of the lab '{_value(own, 'lab_name')}' and its hypervisor '{hypervisor}' of "
            f"'{_value(host, 'lab_name')}': set lab_name once, for the group all"
        )
    for variable in ("lab_memory_mb", "lab_vcpus"):
        if not _is_number(_value(own, variable), 1, 1 << 30):
            yield f"node '{name}' has {variable} {_value(own, variable)!r}: give it a whole number above 0"
    for option, choices in CHOICES.items():
        value = _value(own, f"lab_{option}")
        if option == "boot" and isinstance(value, str):
            value = value.split(",")  # as the module reads a list that is text, in an inventory in INI format
        for word in value if _is_list(value) else [] if value is None else [value]:
            if word not in choices:
                yield f"node '{name}' has lab_{option} {word!r}: give it one of {', '.join(choices)}"
    for variable, example in (("lab_disks", "size_gb: 20"), ("lab_nics", "network: default")):
        items = _value(own, variable)
        if not _is_list(items) or not all(isinstance(item, Mapping) for item in items):
            yield f"node '{name}' has {variable} {items!r}: give it a list, of which an item is such as '{example}'"
    yield from _bmc_problems(name, own)


def _bmc_problems(name: str, own: Mapping[str, Any]) -> Iterator[str]:
    port = own.get("bmc_port")
    if port is not None and not _is_number(port, 1, 65535):
        yield f"node '{name}' has bmc_port {port!r}: give it one from 1 to 65535, or none and one is allocated"
    address = own.get("bmc_address")
    if address is not None and _address(address) is None:
        yield f"node '{name}' has bmc_address '{address}', which is no IP address: give it one of its hypervisor's"
    password = own.get("bmc_password")
    if not password:
        yield f"node '{name}' has no bmc_password: set it for the node, or for the group '{NODES}' (Ansible Vault)"
    elif len(str(password).encode()) > MAX_PASSWORD:
        yield f"node '{name}' has a bmc_password of more than {MAX_PASSWORD} bytes, which IPMI can't take: shorten it"
    username = str(_value(own, "bmc_username"))
    if not 1 <= len(username.encode()) <= MAX_USERNAME:
        yield f"node '{name}' has bmc_username '{username}': IPMI takes 1 to {MAX_USERNAME} bytes"


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _is_number(value: Any, low: int, high: int) -> bool:
    """Whether `value` is a whole number in that range; inventories in INI format hold numbers as text."""
    if isinstance(value, (bool, float)):
        return False
    try:
        return low <= int(value) <= high
    except (TypeError, ValueError):
        return False


def _address(text: Any) -> Any:
    try:
        return ipaddress.ip_address(str(text))
    except ValueError:
        return None


def _collisions(nodes: Sequence[Node]) -> Iterator[str]:
    """Two nodes of a hypervisor that want one BMC address and port, or one domain."""
    domains: Dict[Tuple[str, str], str] = {}
    ports: Dict[Tuple[str, int], List[Node]] = {}
    for node in nodes:
        other = domains.setdefault((node.hypervisor, node.domain["name"]), node.name)
        if other != node.name:
            yield (
                f"nodes '{other}' and '{node.name}' both are the domain '{node.domain['name']}' on "
                f"'{node.hypervisor}': give one of them another lab_domain or lab_hypervisor"
            )
        if "port" not in node.bmc:
            continue
        neighbours = ports.setdefault((node.hypervisor, node.bmc["port"]), [])
        for neighbour in neighbours:
            if _overlap(neighbour.bmc.get("address"), node.bmc.get("address")):
                yield (
                    f"nodes '{neighbour.name}' and '{node.name}' both want their BMC on {_endpoint(node)} of "
                    f"'{node.hypervisor}': give one of them another bmc_port or bmc_address, or no bmc_port and one is "
                    "allocated"
                )
        neighbours.append(node)


def _overlap(one: Optional[str], other: Optional[str]) -> bool:
    """Whether one port can't be bound on both; none is every address, as the daemon's default is."""
    first, second = _address(one or "::"), _address(other or "::")
    return bool(first == second or first.is_unspecified or second.is_unspecified)


def _endpoint(node: Node) -> str:
    return with_port(node.bmc.get("address", "::"), node.bmc["port"])


def _left_out(selected: Sequence[Node], play_hosts: Sequence[str]) -> Iterator[str]:
    """Nodes that --limit names without their hypervisor, where the work is done."""
    for node in selected:
        if node.hypervisor not in play_hosts:
            yield (
                f"--limit names node '{node.name}' and not its hypervisor '{node.hypervisor}', where it is brought up: "
                f"name both (--limit {node.name},{node.hypervisor})"
            )
