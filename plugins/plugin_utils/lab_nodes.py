# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an inventory says of a lab's nodes: read, given their defaults, and checked before anything is changed.

Called by the filter ``lab_nodes``, which the role ``lab`` uses; what is made of it on which hypervisor is
``lab_plan``'s. Pure: it knows only mappings, and of Ansible its check of options. Variables and their meaning are those
of docs/inventory.md.
"""

from __future__ import annotations

import ipaddress
import math
from dataclasses import dataclass, field, replace
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.baremetal.lab.plugins.module_utils._vbmc_options import INSTANCE_ARGUMENTS
from ansible_collections.baremetal.lab.plugins.plugin_utils.bmc_addresses import VARIABLE, range_problems
from ansible_collections.baremetal.lab.plugins.plugin_utils.bmc_reach import with_port
from ansible_collections.baremetal.lab.plugins.plugin_utils.lab_dependencies import (
    dependency_problems,
    depends_on,
    item_problems,
    machines,
)

HYPERVISORS = "hypervisors"
NODES = "nodes"

MAX_USERNAME = 16
MAX_PASSWORD = 20
"""Bytes (IPMI 2.0, 22.28 and 22.30)."""

BMC_OPTIONS = ("firmware", "media")
"""Options of the module vbmc that have options themselves, and a node's variable bmc_ of that name."""

EXPORT_PROTOCOLS = ("ipmi", "redfish")
"""What lab_export_protocol may be."""

DEFAULTS: Dict[str, Any] = {
    "lab_name": "lab",
    "lab_memory_mb": 1024,
    "lab_vcpus": 1,
    "lab_disks": [{"size_gb": 10}],
    "lab_nics": [{"network": "default"}],
    "lab_state": "present",
    "bmc_username": "admin",
}
"""What holds where the inventory is silent."""

RATIOS = {"hypervisor_memory_ratio": 1.0, "hypervisor_cpu_ratio": 16.0}
"""Variables of a hypervisor: how many times its memory and CPUs the nodes may have that are placed there."""

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

_TRUTHS = {"true": True, "yes": True, "false": False, "no": False}

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
    hypervisor: Optional[str]
    """None: it is to be placed."""
    domain: Dict[str, Any]
    """An item of the module domain, but for what its hypervisor adds."""
    bmc: Dict[str, Any] = field(repr=False)
    """An item of the module vbmc; holds the password."""
    depends_on: Optional[List[Dict[str, Any]]] = None
    """What the inventory says that it depends on, by nodes' names; None where it says nothing."""

    group: Optional[Dict[str, Any]] = None
    """The same as an item of the module domain_dependency, with the names of domains."""
    export: Optional[Dict[str, Any]] = None
    """How it is exported, as far as the inventory says: its `protocol`, and `verify_ca`."""
    machine: str = ""
    """What nodes have in common that depend on each other, and so are on one hypervisor; empty for the others."""

    def document(self) -> Dict[str, Any]:
        found = {"name": self.name, "hypervisor": self.hypervisor, "domain": self.domain, "bmc": self.bmc}
        more = {"group": self.group, "export": self.export, "machine": self.machine or None}
        return {**found, **{key: value for key, value in more.items() if value is not None}}


@dataclass(frozen=True)
class Lab:
    """The nodes that can be brought up, and what has to be mended in the inventory first."""

    nodes: List[Node]
    problems: List[str]

    def document(self) -> Dict[str, Any]:
        return {"nodes": [node.document() for node in self.nodes], "problems": self.problems}


def read_lab(groups: Mapping[str, Sequence[str]], variables: Mapping[str, Mapping[str, Any]]) -> Lab:
    """The lab of an inventory; `variables` are each host's."""
    problems = [
        f"the inventory has no host in the group '{group}': {remedy}"
        for group, remedy in (
            (HYPERVISORS, "put the hosts that are to run the machines there"),
            (NODES, "put one host there for each machine of the lab"),
        )
        if not groups.get(group)
    ]
    hypervisors = {name: variables[name] for name in groups.get(HYPERVISORS) or ()}
    for name, own in hypervisors.items():
        problems += _hypervisor_problems(name, own)
    labs = list(dict.fromkeys(_value(own, "lab_name") for own in hypervisors.values()))
    if len(labs) > 1:
        problems.append(f"the hypervisors are of the labs {', '.join(labs)}: set lab_name once, for the group all")
    problems += range_problems({name: own.get(VARIABLE) for name, own in hypervisors.items()})
    nodes = []
    for name in groups.get(NODES) or ():
        own = variables[name]
        found = list(_node_problems(name, own, hypervisors))
        problems += found
        if not found:
            nodes.append(_node(name, own, variables))
    problems += dependency_problems(nodes, groups.get(NODES) or ())
    parts = machines(nodes)
    nodes = [replace(node, machine=parts.get(node.name, "")) for node in nodes]
    return Lab(nodes, [*problems, *_doubles(nodes), *collisions(nodes)])


def _value(own: Mapping[str, Any], key: str) -> Any:
    value = own.get(key)
    return DEFAULTS.get(key) if value is None else value


def _node(name: str, own: Mapping[str, Any], variables: Mapping[str, Mapping[str, Any]]) -> Node:
    """A node without problems; `variables` are every host's."""
    domain_name = own.get("lab_domain") or name
    owner = _value(own, "lab_name")
    domain = {"name": domain_name, "owner": owner}
    for option in DOMAIN_OPTIONS:
        value = _value(own, f"lab_{option}")
        if value is not None:
            domain[option] = value
    state = "absent" if domain["state"] == "absent" else "started"
    bmc = {"name": name, "domain": domain_name, "owner": owner, "state": state}
    for key in ("address", "port", "username", "password"):
        value = _value(own, f"bmc_{key}")
        if value is not None:
            bmc[key] = int(value) if key == "port" else str(value)
    redfish = own.get("bmc_redfish")
    if redfish is not None:
        bmc["redfish"] = dict(redfish) if isinstance(redfish, Mapping) else {"enabled": redfish}
    for option in BMC_OPTIONS:
        given = own.get(f"bmc_{option}")
        if given is not None:
            bmc[option] = dict(given)
    others = depends_on(own)
    group: Optional[Dict[str, Any]] = None
    if others is not None:
        wanted = [{**one, "name": variables.get(one["name"], {}).get("lab_domain") or one["name"]} for one in others]
        group = {"name": domain_name, "dependencies": wanted, "exclusive": True}
    return Node(name, own.get("lab_hypervisor") or None, domain, bmc, others, group, _export(own))


def _export(own: Mapping[str, Any]) -> Optional[Dict[str, Any]]:
    found = {key: own.get(f"lab_export_{key}") for key in ("protocol", "verify_ca")}
    # From a command line and from inventories in INI format a truth comes as text.
    given = {key: _TRUTHS.get(str(value).lower(), value) for key, value in found.items() if value is not None}
    return given or None


def _hypervisor_problems(name: str, own: Mapping[str, Any]) -> Iterator[str]:
    for variable in RATIOS:
        if own.get(variable) is not None and ratio(own, variable) is None:
            yield (
                f"hypervisor '{name}' has {variable} {own[variable]!r}: give it a number from 0 (no node is placed "
                "there) on, such as 1.5"
            )


def ratio(own: Mapping[str, Any], variable: str) -> Optional[float]:
    """The hypervisor's value of one of RATIOS, or its default; None where that is no number from 0 on."""
    value = own.get(variable)
    try:
        number = float(RATIOS[variable] if value is None else value)
    except (TypeError, ValueError):
        return None
    return number if 0 <= number < math.inf and not isinstance(value, bool) else None


def _node_problems(name: str, own: Mapping[str, Any], hypervisors: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """What is wrong with one node by itself."""
    known = ", ".join(hypervisors) or "none yet"
    hypervisor = own.get("lab_hypervisor")
    if hypervisor and hypervisor not in hypervisors:
        yield (
            f"node '{name}' is to run on '{hypervisor}', which is not in the group '{HYPERVISORS}': change its "
            f"lab_hypervisor to one of that group ({known}), leave it out to have the node placed, or put "
            f"'{hypervisor}' there"
        )
    labs = [_value(hypervisors[host], "lab_name") for host in hypervisors]
    if labs and _value(own, "lab_name") not in labs:
        yield (
            f"node '{name}' is of the lab '{_value(own, 'lab_name')}' and the hypervisors of '{labs[0]}': set lab_name "
            "once, for the group all"
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
    yield from item_problems(name, own)
    yield from _bmc_problems(name, own)


def _bmc_problems(name: str, own: Mapping[str, Any]) -> Iterator[str]:
    port = own.get("bmc_port")
    if port is not None and not _is_number(port, 1, 65535):
        yield f"node '{name}' has bmc_port {port!r}: give it one from 1 to 65535, or none and one is allocated"
    address = own.get("bmc_address")
    if address is not None and _address(address) is None:
        yield f"node '{name}' has bmc_address '{address}', which is no IP address: give it one of its hypervisor's"
    redfish = own.get("bmc_redfish")
    if redfish is not None and not isinstance(redfish, (bool, Mapping)):
        yield f"node '{name}' has bmc_redfish {redfish!r}: give it true, false, or options of the module vbmc's redfish"
    protocol = own.get("lab_export_protocol")
    if protocol is not None and protocol not in EXPORT_PROTOCOLS:
        yield f"node '{name}' has lab_export_protocol {protocol!r}: give it one of {', '.join(EXPORT_PROTOCOLS)}"
    for option in BMC_OPTIONS:
        given = own.get(f"bmc_{option}")
        if given is not None and not isinstance(given, Mapping):
            yield f"node '{name}' has bmc_{option} {given!r}: give it options of the module vbmc's {option}"
    for option in ("redfish", *BMC_OPTIONS):
        given = own.get(f"bmc_{option}")
        if isinstance(given, Mapping):
            yield from _option_problems(name, option, given)
    password = own.get("bmc_password")
    if not password:
        yield f"node '{name}' has no bmc_password: set it for the node, or for the group '{NODES}' (Ansible Vault)"
    elif len(str(password).encode()) > MAX_PASSWORD:
        yield f"node '{name}' has a bmc_password of more than {MAX_PASSWORD} bytes, which IPMI can't take: shorten it"
    username = str(_value(own, "bmc_username"))
    if not 1 <= len(username.encode()) <= MAX_USERNAME:
        yield f"node '{name}' has bmc_username '{username}': IPMI takes 1 to {MAX_USERNAME} bytes"


def _option_problems(name: str, option: str, given: Mapping[str, Any]) -> Iterator[str]:
    """What the module would refuse of them, but for what the daemon alone knows."""
    checked = ArgumentSpecValidator({option: INSTANCE_ARGUMENTS[option]}).validate({option: _plain(given)})
    for message in checked.error_messages:
        yield f"node '{name}' has a bmc_{option} that does not do: {message} (ansible-doc baremetal.lab.vbmc)"
    for key in ("version", "host_version"):
        if isinstance(given.get(key), (int, float)):
            yield f"node '{name}' has bmc_{option} with the {key} {given[key]}, a number: quote it, or 2.10 is 2.1"


def _plain(value: Any) -> Any:
    """The validator changes what it is given, and wants dictionaries and lists."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if _is_list(value) else value


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


def _doubles(nodes: Sequence[Node]) -> Iterator[str]:
    """Two nodes of one domain name or MAC address: on any two hypervisors they would meet in a network."""
    domains: Dict[str, str] = {}
    addresses: Dict[str, str] = {}
    for node in nodes:
        other = domains.setdefault(node.domain["name"], node.name)
        if other != node.name:
            yield (
                f"nodes '{other}' and '{node.name}' both are the domain '{node.domain['name']}', from which their MAC "
                "addresses follow: give one of them another lab_domain"
            )
        if node.domain["state"] == "absent":
            continue
        for mac in [str(nic["mac"]).lower().replace("-", ":") for nic in node.domain["nics"] if nic.get("mac")]:
            other = addresses.setdefault(mac, node.name)
            if other != node.name:
                yield (
                    f"nodes '{other}' and '{node.name}' both have a NIC with the MAC address {mac}: give one of them "
                    "another, or none and one is derived from its name"
                )


def collisions(nodes: Sequence[Node]) -> Iterator[str]:
    """Nodes of one hypervisor that want one BMC address and port."""
    ports: Dict[Tuple[str, int], List[Node]] = {}
    for node in nodes:
        if "port" not in node.bmc or node.hypervisor is None or node.bmc["state"] == "absent":
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
