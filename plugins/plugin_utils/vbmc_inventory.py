# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The BMCs of a hypervisor, as an inventory has them. Used by the inventory plugin ``vbmc``."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Set, Tuple

from ansible_collections.baremetal.lab.plugins.module_utils._vbmc import VbmcClient
from ansible_collections.baremetal.lab.plugins.plugin_utils.bmc_reach import RedfishService, ipmi_target, reached_at

Run = Callable[[Sequence[str]], Tuple[int, str, str]]


@dataclass(frozen=True)
class Bmc:
    """What is told of a BMC. Holds no password, and so may be cached and printed."""

    name: str
    hypervisor: str
    domain: str
    owner: str
    status: str
    address: str
    """Where others reach it."""
    listen_address: str
    port: int
    username: str
    libvirt_uri: str
    power: str
    """on, off or unknown."""
    ipmi_target: Dict[str, Any] = field(default_factory=dict)
    """An item of the option targets of the modules for BMCs, but for the password."""
    redfish_target: Dict[str, Any] = field(default_factory=dict)
    """The same for Redfish; empty without."""

    def document(self) -> Dict[str, Any]:
        return asdict(self)

    def variables(self) -> Dict[str, Any]:
        """Its host variables."""
        told = {f"bmc_{key}": value for key, value in asdict(self).items() if key != "name"}
        return told if self.redfish_target else {key: told[key] for key in told if key != "bmc_redfish_target"}

    def groups(self) -> List[str]:
        """The groups that it is in, whose names are not made safe yet."""
        lab = [f"lab_{self.owner}"] if self.owner else []
        return ["vbmc", f"hypervisor_{self.hypervisor}", *lab, f"power_{self.power}"]


def read_bmcs(hypervisor: str, known_as: str, run: Run, client: VbmcClient, owner: Optional[str]) -> List[Bmc]:
    """All BMCs of a hypervisor, or those of `owner`. Raises VbmcError, and what `run` raises.

    `known_as`: where others reach BMCs that answer on every address.
    """
    instances = client.instances(owner=owner)
    active = {uri: _active(uri, run) for uri in {one["libvirt_uri"] for one in instances}}
    return [_bmc(one, hypervisor, known_as, _power(one["domain"], active[one["libvirt_uri"]])) for one in instances]


def _bmc(one: Mapping[str, Any], hypervisor: str, known_as: str, power: str) -> Bmc:
    address, port = reached_at(one["address"], known_as), int(one["port"])
    redfish = RedfishService.of(one, known_as)
    return Bmc(
        name=one["name"],
        hypervisor=hypervisor,
        domain=one["domain"],
        owner=one["owner"] or "",
        status=one["status"],
        address=address,
        listen_address=one["address"],
        port=port,
        username=one["username"],
        libvirt_uri=one["libvirt_uri"],
        power=power,
        ipmi_target=ipmi_target(one["name"], address, port, one["username"]),
        redfish_target=redfish.target(one["name"], one["username"]) if redfish else {},
    )


def _active(uri: str, run: Run) -> Optional[Set[str]]:
    """The domains that are not off; None where libvirt does not tell."""
    code, names, _errors = run(["virsh", "--quiet", "--readonly", "--connect", uri, "list", "--name"])
    return {line for line in names.splitlines() if line} if code == 0 else None


def _power(domain: str, active: Optional[Set[str]]) -> str:
    if active is None:
        return "unknown"
    return "on" if domain in active else "off"


def unique_names(bmcs: Iterable[Bmc], qualified: bool) -> Mapping[str, Bmc]:
    """By inventory name: their own, or with their hypervisor's behind it. Raises ValueError naming two of one name."""
    named: Dict[str, Bmc] = {}
    for bmc in bmcs:
        name = f"{bmc.name}.{bmc.hypervisor}" if qualified else bmc.name
        other = named.setdefault(name, bmc)
        if other is not bmc:
            raise ValueError(
                f"there is a BMC '{name}' on '{other.hypervisor}' and one on '{bmc.hypervisor}': read one lab alone "
                "with 'owner', or tell them apart with 'hostname: qualified'"
            )
    return named
