# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nodes of a lab as other tools have to know them: what the inventory says joined with what the hypervisors have.

Called by the action ``lab_export`` and the filter ``lab_targets``. Pure. Ports, MAC addresses and hardware are the
hypervisors' word, since ports are allocated there and a domain may have been changed by hand; credentials are the
inventory's, since a daemon tells none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, Union

from ansible_collections.baremetal.lab.plugins.plugin_utils.bmc_reach import (
    RedfishService,
    ipmi_target,
    reached_at,
    with_port,
)
from ansible_collections.baremetal.lab.plugins.plugin_utils.lab_nodes import NODES

Document = Mapping[str, Any]

NOT_TOLD = ("all", "ungrouped", NODES)
"""Groups that say nothing of a node."""


class NotThere(Exception):
    """A node can't be exported; the message says what is missing and the remedy."""


@dataclass(frozen=True)
class Endpoint:
    """One node, and the way to its BMC."""

    name: str
    hypervisor: str
    domain: str
    address: str
    port: int
    username: str
    password: str = field(repr=False)
    macs: Tuple[str, ...]
    """In the machine's order."""
    boot_macs: Tuple[str, ...]
    """Those that it may boot from the network by, the first choice first."""
    arch: str
    efi: bool
    memory_mb: int
    vcpus: int
    disks: Tuple[str, ...] = ()
    """Device files, as a Linux guest names them."""
    disk_gb: Optional[int] = None
    """Size of the first disk, where the inventory gives it and it is 1 GiB at least."""
    groups: Tuple[str, ...] = ()
    redfish: Optional[RedfishService] = None
    by_redfish: bool = False
    """Whether tools that know both protocols are given this one."""
    verify: Union[bool, str] = True
    """Whether such a tool checks the certificate: by the authorities that it knows, or by a file on its host."""
    has_cdrom: bool = False

    def targets(self) -> Dict[str, Dict[str, Any]]:
        """By protocol, items of the option targets of the modules for BMCs."""
        found = {"ipmi": ipmi_target(self.name, self.address, self.port, self.username)}
        if self.redfish:
            found["redfish"] = self.redfish.target(self.name, self.username)
        return {protocol: {**target, "password": self.password} for protocol, target in found.items()}


@dataclass(frozen=True)
class Endpoints:
    """What can be exported, and what has to be mended before."""

    nodes: List[Endpoint]
    problems: List[str]


def read_endpoints(
    nodes: Sequence[Document], found: Mapping[str, Document], groups: Mapping[str, Sequence[str]]
) -> Endpoints:
    """Join `nodes`, which are those of lab_plan.Plan.document(), with what was found of their lab.

    `found`: hypervisor to its "address", and of this lab its "instances" (as the module vbmc_info returns them) and
    "domains" (domain_info). `groups`: the inventory's.
    """
    endpoints: List[Endpoint] = []
    problems: List[str] = []
    for node in nodes:
        if node["domain"]["state"] == "absent":
            continue
        try:
            endpoints.append(_endpoint(node, found, groups))
        except NotThere as problem:
            problems.append(str(problem))
    return Endpoints(endpoints, [*problems, *_collisions(endpoints)])


@dataclass(frozen=True)
class Targets:
    """The nodes' BMCs as the modules for BMCs take them."""

    targets: List[Dict[str, Any]]
    left_out: List[str]
    """Why nobody knows just now where the BMCs of some nodes are. The others are none the worse."""
    problems: List[str]
    """What has to be mended before anything is done."""


def read_targets(nodes: Sequence[Document], found: Mapping[str, Document], protocol: str = "") -> Targets:
    """`nodes`, `found`: as above. `protocol`: ipmi or redfish; without, redfish of nodes that have it, or else ipmi."""
    wanted = [(node, _unknown(node, found)) for node in nodes if node["domain"]["state"] != "absent"]
    read = read_endpoints([node for node, why in wanted if not why], found, {})
    ways = {node.name: node.targets() for node in read.nodes}
    problems = [
        f"node '{name}' is to be reached by {protocol}, which its BMC does not have: give it bmc_redfish: true and run "
        "bring_up, or leave it out with --limit"
        for name, targets in ways.items()
        if protocol and protocol not in targets
    ]
    found_ways = [targets.get(protocol) or targets.get("redfish") or targets["ipmi"] for targets in ways.values()]
    return Targets(found_ways, [why for _node, why in wanted if why], [*read.problems, *problems])


def _unknown(node: Document, found: Mapping[str, Document]) -> str:
    """Why nobody can tell where the node's BMC is; empty where its hypervisor was asked."""
    name, hypervisor = node["name"], node["hypervisor"]
    if node.get("problem"):
        return str(node["problem"])
    if not hypervisor:
        return f"node '{name}' is on no hypervisor yet: run bring_up first, or leave it out with --limit"
    if hypervisor not in found:
        return f"node '{name}' is on '{hypervisor}', which could not be read: mend that, or leave it out with --limit"
    return ""


def _endpoint(node: Document, found: Mapping[str, Document], groups: Mapping[str, Sequence[str]]) -> Endpoint:
    """Raises NotThere."""
    name, hypervisor = node["name"], node["hypervisor"]
    unknown = _unknown(node, found)
    if unknown:
        raise NotThere(unknown)
    here = found[hypervisor]
    bmc = _named("BMC", name, here["instances"], node)
    machine = _named("domain", node["domain"]["name"], here["domains"], node)
    macs = tuple(nic["mac"] for nic in machine["interfaces"] if nic["mac"])
    redfish, wanted = RedfishService.of(bmc, here["address"]), node.get("export") or {}
    by_redfish = wanted.get("protocol") == "redfish"
    if by_redfish and redfish is None:
        raise NotThere(
            f"node '{name}' has lab_export_protocol redfish, and its BMC has no Redfish: give it bmc_redfish: true and "
            "run bring_up, or export it with ipmi"
        )
    return Endpoint(
        name=name,
        hypervisor=hypervisor,
        domain=machine["name"],
        address=reached_at(bmc["address"], here["address"]),
        port=int(bmc["port"]),
        username=node["bmc"]["username"],
        password=node["bmc"]["password"],
        macs=macs,
        # Where the order is by device, it names NICs by address; a mere 'network' means the first NIC.
        boot_macs=tuple(word for word in machine["boot"] if word in macs) or macs[:1],
        arch=machine["arch"] or "x86_64",
        efi=machine["firmware"] == "efi",
        memory_mb=machine["memory_mb"],
        vcpus=machine["vcpus"],
        disks=tuple(_device(disk["target"]) for disk in machine["disks"] if disk["device"] == "disk"),
        disk_gb=_disk_gb(node["domain"]["disks"]),
        groups=tuple(group for group, hosts in groups.items() if name in hosts and group not in NOT_TOLD),
        redfish=redfish,
        by_redfish=by_redfish,
        verify=wanted.get("verify_ca", redfish is None or not redfish.own_certificate),
        has_cdrom=any(disk["device"] == "cdrom" for disk in machine["disks"]),
    )


def _named(kind: str, name: str, documents: Sequence[Document], node: Document) -> Document:
    for document in documents:
        if document["name"] == name:
            return document
    raise NotThere(
        f"node '{node['name']}' has no {kind} '{name}' of its lab on '{node['hypervisor']}': run bring_up first"
    )


def _device(target: str) -> str:
    """The device file of a disk with that target: of virtio disks vda and on, of all others sda and on."""
    return f"/dev/{target}" if target.startswith("vd") else f"/dev/sd{target[2:]}"


def _disk_gb(disks: Sequence[Document]) -> Optional[int]:
    size = disks[0].get("size_gb") if disks else None
    return None if size is None or float(size) < 1 else int(float(size))


def _collisions(endpoints: Sequence[Endpoint]) -> Iterator[str]:
    """Two BMCs at one place, as others see it: hypervisors that are known by one address."""
    places: Dict[str, Endpoint] = {}
    found = [(one, with_port(one.address, one.port)) for one in endpoints]
    found += [(one, one.redfish.url) for one in endpoints if one.redfish]
    for one, place in found:
        other = places.setdefault(place, one)
        if other is not one:
            yield (
                f"the BMCs of '{other.name}' on '{other.hypervisor}' and of '{one.name}' on '{one.hypervisor}' would "
                f"both be at {place}: give them a bmc_address, or their hypervisors an ansible_host or "
                "lab_export_address, by which others reach them"
            )
