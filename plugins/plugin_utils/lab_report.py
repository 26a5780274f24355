# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the hypervisors of a lab told of it, set against what its inventory says: the rows of the status table and page.

Called by the filter ``lab_report``, which tasks/status.yml of the role ``lab`` uses. Pure: it knows no Ansible, only
mappings. It takes names, addresses and states, and hands out no password.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence

from ansible_collections.baremetal.lab.plugins.plugin_utils.bmc_reach import RedfishService, reached_at, with_port

POWER_STATES = ("on", "off")
UNKNOWN = "unknown"

Document = Mapping[str, Any]


@dataclass(frozen=True)
class Hypervisor:
    """A row of the hypervisors' table. What is not known is None."""

    name: str
    address: str
    state: str
    """ok, attention (something there does not answer) or unreachable."""
    problems: List[str] = field(default_factory=list)
    libvirt: Optional[str] = None
    """Versions of libvirt and of what runs the machines."""
    memory_mb: Optional[int] = None
    memory_free_mb: Optional[int] = None
    memory_defined_mb: Optional[int] = None
    cpus: Optional[int] = None
    vcpus_defined: Optional[int] = None
    domains: Optional[int] = None
    domains_active: Optional[int] = None
    daemon: Optional[str] = None
    """Its version; None where none answers."""
    workers: Optional[int] = None
    bmcs: Optional[int] = None
    nodes: int = 0


@dataclass(frozen=True)
class Node:
    """A row of the nodes' table."""

    name: str
    hypervisor: str
    """Where the inventory has it; empty where that is not settled."""
    domain: str
    found_on: List[str] = field(default_factory=list)
    """The hypervisors that have its domain."""
    domain_state: str = UNKNOWN
    """libvirt's word, `missing`, or `unknown` where libvirt could not be asked."""
    memory_mb: Optional[int] = None
    vcpus: Optional[int] = None
    bmc: str = UNKNOWN
    """Address and port, `none`, or `unknown` where the daemon could not be asked."""
    redfish: Optional[str] = None
    """The URL of its Redfish service, if it has one."""
    power: str = UNKNOWN
    """on, off, or why it can't be told."""
    power_kind: str = UNKNOWN
    """on, off or unknown."""
    problems: List[str] = field(default_factory=list)


class Told:
    """What one hypervisor told: the fact ``lab_told`` of tasks/status.yml, any part of which may be missing."""

    def __init__(self, name: str, document: Document) -> None:
        self.name = name
        self.address = str(document.get("address") or name)
        self.unreachable = " ".join(str(document.get("unreachable") or "").replace("Task failed: ", "", 1).split())
        bmcs, host = document.get("bmcs") or {}, document.get("host") or {}
        self.daemon: Document = bmcs.get("daemon") or {"reason": bmcs.get("msg")}
        self.libvirt: Document = host.get("libvirt") or {"reason": host.get("msg")}
        self.host: Document = host.get("host") or {}
        self.defined: Document = host.get("defined") or {}
        self.active: Document = host.get("active") or {}
        self.power: Document = document.get("power") or {}
        self.instances: Dict[str, Document] = {one["name"]: one for one in bmcs.get("instances") or ()}
        found = (document.get("domains") or {}).get("domains") or ()
        self.domains: Dict[str, Document] = {one["name"]: one for one in found}


def report(lab: str, nodes: Sequence[Document], told: Mapping[str, Document], complete: bool = True) -> Dict[str, Any]:
    """The document that the templates show.

    `nodes`, `complete`: of lab_plan.Plan.document(), those that are not placed with their problem. `told`: by
    hypervisor, its ``lab_told``.
    """
    hosts = {name: Told(name, document) for name, document in told.items()}
    rows = [_node(node, hosts) for node in nodes]
    hypervisors = [_hypervisor(one, nodes) for one in hosts.values()]
    powers = [row.power_kind for row in rows]
    return {
        "lab": lab,
        "hypervisors": [asdict(one) for one in hypervisors],
        "nodes": [asdict(row) for row in rows],
        "left_over": list(_left_over(lab, nodes, hosts)) if complete else [],
        "summary": {
            "hypervisors": len(hypervisors),
            "reachable": sum(one.state != "unreachable" for one in hypervisors),
            "nodes": len(rows),
            **{kind: powers.count(kind) for kind in (*POWER_STATES, UNKNOWN)},
            "attention": sum(bool(one.problems) for one in hypervisors) + sum(bool(row.problems) for row in rows),
        },
    }


def _hypervisor(told: Told, nodes: Sequence[Document]) -> Hypervisor:
    mine = sum(node["hypervisor"] == told.name for node in nodes)
    if told.unreachable:
        why = f"it can't be reached, and nothing is known of its nodes: {told.unreachable}"
        return Hypervisor(told.name, told.address, "unreachable", [why], nodes=mine)
    problems = [
        f"{what} does not answer: {found.get('reason') or 'it was not asked'}"
        for what, found in (("libvirt", told.libvirt), ("vbmcd", told.daemon))
        if not found.get("running")
    ]
    serves = bool(told.daemon.get("running"))
    return Hypervisor(
        told.name,
        told.address,
        "attention" if problems else "ok",
        problems,
        libvirt="{version}, {driver} {driver_version}".format(**told.libvirt) if told.libvirt.get("running") else None,
        memory_mb=told.host.get("memory_mb"),
        memory_free_mb=told.host.get("memory_free_mb"),
        memory_defined_mb=told.defined.get("memory_mb"),
        cpus=told.host.get("cpus"),
        vcpus_defined=told.defined.get("vcpus"),
        domains=told.defined.get("domains"),
        domains_active=told.active.get("domains"),
        daemon=str(told.daemon.get("version")) if serves else None,
        workers=len(told.daemon.get("workers") or ()) if serves else None,
        bmcs=len(told.instances) if serves else None,
        nodes=mine,
    )


def _node(node: Document, hosts: Mapping[str, Told]) -> Node:
    wanted = node["domain"]
    here = hosts.get(node["hypervisor"])
    owners = {
        name: one.domains[wanted["name"]]["owner"] for name, one in hosts.items() if wanted["name"] in one.domains
    }
    found_on = [name for name, owner in owners.items() if owner == wanted["owner"]]
    at = here.name if here and (here.name in owners or not found_on) else next(iter(found_on), None)
    found = hosts[at].domains.get(wanted["name"]) if at else None
    missing = "missing" if here and here.libvirt.get("running") else UNKNOWN
    read = here.power.get(node["name"]) or {} if here else {}
    power = str(read.get("power", UNKNOWN))
    return Node(
        name=node["name"],
        hypervisor=node["hypervisor"] or "",
        domain=wanted["name"],
        found_on=found_on,
        domain_state=str(found["state"]) if found else missing,
        memory_mb=(found or wanted).get("memory_mb"),
        vcpus=(found or wanted).get("vcpus"),
        bmc=_endpoint(node["name"], here) if here and here.daemon.get("running") else UNKNOWN,
        redfish=_redfish(node["name"], here) if here else None,
        power=power,
        power_kind=power if power in POWER_STATES else UNKNOWN,
        problems=_problems(node, here, found, found_on, read),
    )


def _problems(
    node: Document, here: Optional[Told], found: Optional[Document], found_on: List[str], read: Document
) -> List[str]:
    if not node.get("problem"):
        return [*_domain_problems(node, here, found, found_on), *_bmc_problems(node, here, read)]
    explained = here is not None and (here.unreachable or not here.libvirt.get("running"))
    return [] if explained else [node["problem"]]


def _domain_problems(
    node: Document, here: Optional[Told], found: Optional[Document], found_on: List[str]
) -> Iterator[str]:
    """What is wrong with its domain and what to do, but nothing that its hypervisor's own problem explains."""
    home, name = node["hypervisor"], node["domain"]["name"]
    elsewhere = [host for host in found_on if host != home]
    if elsewhere:
        also = "also " if home in found_on else ""
        yield f"its domain is {also}on {', '.join(elsewhere)}, and {home or 'no hypervisor'} is where it is meant to be"
    elif not here or not here.libvirt.get("running") or node["domain"].get("state") == "absent":
        return
    elif found is None:
        yield "it has no domain: bring_up makes it"
    elif not found_on:
        yield f"the domain {name} is of {_lab(found)}: give the node another lab_domain"
    elif found.get("state") == "crashed":
        yield f"its domain has crashed: power it off and on (ipmitool chassis power cycle, or virsh destroy {name})"


def _bmc_problems(node: Document, here: Optional[Told], read: Document) -> Iterator[str]:
    name = node["name"]
    if not here or not here.daemon.get("running") or node["bmc"].get("state") == "absent":
        return
    instance = here.instances.get(name)
    if instance is None:
        yield "it has no BMC: bring_up makes it"
    elif instance.get("owner") != node["bmc"].get("owner"):
        yield f"the BMC {name} is of {_lab(instance)}: give the node another name"
    elif instance.get("status") == "error":
        yield f"its BMC does not run: {instance.get('reason') or 'see the log of vbmcd'}"
    elif instance.get("status") == "down":
        yield f"its BMC is stopped: bring_up starts it, as 'vbmc start {name}' does"
    elif read.get("power") not in POWER_STATES:
        yield f"its BMC does not tell the power state: {read.get('power', 'it was not asked')}"
    elif read.get("redfish"):
        yield f"its BMC does not answer over Redfish: {read['redfish']}; see the log of vbmcd"


def _lab(owned: Document) -> str:
    return f"the lab '{owned['owner']}'" if owned.get("owner") else "no lab"


def _left_over(lab: str, nodes: Sequence[Document], hosts: Mapping[str, Told]) -> Iterator[Dict[str, str]]:
    """What carries the lab's label and is no node's, in the order of the hypervisors."""
    names = {node["name"] for node in nodes}
    domains = {node["domain"]["name"] for node in nodes}
    for told in hosts.values():
        for kind, found, known in (("BMC", told.instances, names), ("domain", told.domains, domains)):
            for name, one in found.items():
                if one.get("owner") == lab and name not in known:
                    yield {"hypervisor": told.name, "kind": kind, "name": name}


def _endpoint(name: str, here: Told) -> str:
    """A BMC that answers on every address is shown at the one by which its hypervisor is known."""
    instance = here.instances.get(name)
    if instance is None or instance.get("port") is None:
        return "none"
    return with_port(reached_at(str(instance.get("address", "")), here.address), instance["port"])


def _redfish(name: str, here: Told) -> Optional[str]:
    service = RedfishService.of(here.instances.get(name) or {}, here.address)
    return service.url if service else None
