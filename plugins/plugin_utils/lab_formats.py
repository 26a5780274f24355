# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab's nodes in the formats of tools that provision machines. Pure: endpoints in, documents out.

Called by the action ``lab_export``. A format is a function here and a row of FORMATS. What each tool reads is in
docs/guides; what they do differently is why a field is here: Ironic takes a machine for UEFI, and Metal3 its disk for
/dev/sda, where nothing else is said.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional, Pattern, Sequence

from ansible_collections.baremetal.lab.plugins.plugin_utils.bmc_reach import IPMI_PORT, with_port
from ansible_collections.baremetal.lab.plugins.plugin_utils.lab_endpoints import Endpoint

Document = Dict[str, Any]

MAAS_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "ppc64le": "ppc64el", "i686": "i386"}
"""QEMU's words to MAAS's, which are Debian's."""

SYSTEM = "/redfish/v1/Systems/1"
"""The one system of a BMC of vbmcd."""


def ironic(nodes: Sequence[Endpoint]) -> Document:
    """A file for ``baremetal create`` of python-ironicclient."""
    return {"nodes": [_ironic_node(node) for node in nodes]}


def _ironic_node(node: Endpoint) -> Document:
    return {
        "name": node.name,
        **_driver(node),
        "resource_class": "baremetal",
        "properties": _properties(node),
        "ports": [{"address": mac, "pxe_enabled": mac in node.boot_macs} for mac in node.macs],
    }


def bifrost(nodes: Sequence[Endpoint]) -> Document:
    """A file for ``bifrost-cli enroll``: by name, with the words of the module openstack.cloud.baremetal_node."""
    return {
        node.name: {
            "name": node.name,
            **_driver(node),
            "nics": [{"mac": mac} for mac in _boot_first(node)],
            "properties": _properties(node),
        }
        for node in nodes
    }


def _driver(node: Endpoint) -> Document:
    if node.by_redfish and node.redfish:
        told: Document = {"address": node.redfish.url, "system_id": SYSTEM, "verify_ca": node.verify}
        protocol = "redfish"
    else:
        told = {"address": node.address, "port": node.port}
        protocol = "ipmi"
    told.update(username=node.username, password=node.password)
    return {"driver": protocol, "driver_info": {f"{protocol}_{key}": value for key, value in told.items()}}


def _properties(node: Endpoint) -> Document:
    """What Ironic has of a node's hardware until it inspects that, and what it can't inspect."""
    size = {} if node.disk_gb is None else {"local_gb": node.disk_gb}
    # Of several disks Ironic takes the smallest that is large enough, not the one that the machine boots from.
    hint = {"root_device": {"name": node.disks[0]}} if len(node.disks) > 1 else {}
    return {
        "cpu_arch": node.arch,
        "cpus": node.vcpus,
        "memory_mb": node.memory_mb,
        **size,
        "capabilities": f"boot_mode:{'uefi' if node.efi else 'bios'}",
        **hint,
    }


def metal3(nodes: Sequence[Endpoint]) -> List[Document]:
    """Manifests for ``kubectl apply``: a Secret and a BareMetalHost for each node, in the namespace applied to."""
    return [document for node in nodes for document in (_secret(node), _bare_metal_host(node))]


def _secret_name(node: Endpoint) -> str:
    return f"{node.name}-bmc"


def _secret(node: Endpoint) -> Document:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": _secret_name(node)},
        "type": "Opaque",
        "stringData": {"username": node.username, "password": node.password},
    }


def _bare_metal_host(node: Endpoint) -> Document:
    spec: Document = {
        "online": True,
        "architecture": node.arch,
        "bootMode": "UEFI" if node.efi else "legacy",
        "bmc": {"address": _metal3_address(node), "credentialsName": _secret_name(node)},
    }
    if node.by_redfish and node.redfish and node.redfish.tls and node.verify is False:
        spec["bmc"]["disableCertificateVerification"] = True
    if node.boot_macs:
        spec["bootMACAddress"] = node.boot_macs[0]
    if node.disks:
        spec["rootDeviceHints"] = {"deviceName": node.disks[0]}
    return {
        "apiVersion": "metal3.io/v1alpha1",
        "kind": "BareMetalHost",
        "metadata": {"name": node.name},
        "spec": spec,
    }


def _metal3_address(node: Endpoint) -> str:
    if not (node.by_redfish and node.redfish):
        return f"ipmi://{with_port(node.address, node.port)}"
    # With virtual media no network has to be booted from, and so it is taken where there is a drive for it.
    return f"{'redfish-virtualmedia' if node.has_cdrom else 'redfish'}+{node.redfish.url}{SYSTEM}"


def maas(nodes: Sequence[Endpoint]) -> List[Document]:
    """What ``maas PROFILE machines create`` takes for each machine, with the names of MAAS's API."""
    return [
        {
            "hostname": node.name,
            "architecture": f"{MAAS_ARCHITECTURES.get(node.arch, node.arch)}/generic",
            "mac_addresses": list(_boot_first(node)),
            **_maas_power(node),
        }
        for node in nodes
    ]


def _maas_power(node: Endpoint) -> Document:
    user = {"power_user": node.username, "power_pass": node.password}
    if node.by_redfish and node.redfish:
        told = {"power_address": node.redfish.url, **user, "node_id": SYSTEM.rpartition("/")[2]}
        return {"power_type": "redfish", "power_parameters": told}
    return {
        "power_type": "ipmi",
        "power_parameters": {
            "power_driver": "LAN_2_0",
            "power_boot_type": "efi" if node.efi else "legacy",
            "power_address": with_port(node.address, node.port, IPMI_PORT),
            **user,
            "cipher_suite_id": "17",
        },
    }


def _boot_first(node: Endpoint) -> List[str]:
    return [*node.boot_macs, *(mac for mac in node.macs if mac not in node.boot_macs)]


def ansible(nodes: Sequence[Endpoint]) -> Document:
    """An inventory of the nodes by themselves, with the groups that the lab's own has them in."""
    children: Document = {"nodes": {"hosts": {node.name: _variables(node) for node in nodes}}}
    for group in sorted({group for node in nodes for group in node.groups}):
        children[group] = {"hosts": {node.name: {} for node in nodes if group in node.groups}}
    return {"all": {"children": children}}


def _variables(node: Endpoint) -> Document:
    return {
        "bmc_address": node.address,
        "bmc_port": node.port,
        "bmc_username": node.username,
        "bmc_password": node.password,
        "lab_hypervisor": node.hypervisor,
        "lab_domain": node.domain,
        "mac_addresses": list(node.macs),
        "boot_mac_addresses": list(node.boot_macs),
        **{f"bmc_{protocol}_target": target for protocol, target in node.targets().items()},
    }


@dataclass(frozen=True)
class Format:
    """A file that the export writes."""

    file: str
    document: Callable[[Sequence[Endpoint]], Any]
    name: Optional[Pattern[str]] = None
    """What a node's name has to match, and what such a name is called."""
    name_is: str = ""
    needs_mac: bool = False

    def problems(self, word: str, nodes: Sequence[Endpoint]) -> List[str]:
        """Why some of the nodes can't be in this format, whose word is `word`."""
        leave = f"or leave '{word}' out of lab_export_formats"
        named = [node.name for node in nodes if self.name and not self.name.fullmatch(node.name)]
        bare = [node.name for node in nodes if self.needs_mac and not node.macs]
        problems = [f"'{name}' is no {self.name_is}, which '{word}' needs: rename the node, {leave}" for name in named]
        return problems + [f"node '{name}' has no NIC, which '{word}' needs: give it one, {leave}" for name in bare]


_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
FORMATS: Dict[str, Format] = {
    "ironic": Format("ironic.json", ironic, re.compile(r"[A-Za-z0-9._~-]{1,255}"), "name for an Ironic node"),
    "bifrost": Format("bifrost.json", bifrost, re.compile(r"[A-Za-z0-9._~-]{1,255}"), "name for an Ironic node"),
    # A DNS subdomain (RFC 1123), of which the Secret's suffix takes four characters.
    "metal3": Format(
        "metal3.yml", metal3, re.compile(r"(?=.{1,249}$)[a-z0-9]([a-z0-9.-]*[a-z0-9])?"), "name for a Kubernetes object"
    ),
    "maas": Format("maas.json", maas, re.compile(rf"{_LABEL}(\.{_LABEL})*"), "host name", needs_mac=True),
    "ansible": Format("inventory.yml", ansible),
}
"""By the word that the variable lab_export_formats has for it."""
