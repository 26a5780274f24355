#!/usr/bin/python
# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module baremetal.lab.hypervisor_info: what a host has to run machines with, and how much of it is given away."""

from __future__ import annotations

DOCUMENTATION = r"""
module: hypervisor_info
short_description: Read what a hypervisor has, and what its domains are given of it
version_added: 0.1.0
author:
  - the baremetal.lab authors (@baremetal-lab)
description:
  - Reads memory, CPUs and versions of a libvirt host, and the sums of what its domains are defined with.
  - A host without libvirt, or without a running one, is no error; RV(libvirt.running) and RV(libvirt.reason) tell.
extends_documentation_fragment:
  - baremetal.lab.attributes
  - baremetal.lab.attributes.info
  - baremetal.lab.libvirt
options:
  domains:
    description:
      - Whether to list the domains, with what they are given.
    type: bool
    default: false
  record:
    description:
      - A JSON file of the host to read as well, such as the one in which the role P(baremetal.lab.lab#role) keeps which
        node is where.
    type: path
seealso:
  - module: baremetal.lab.domain_info
"""

EXAMPLES = r"""
- name: Read the hypervisor
  baremetal.lab.hypervisor_info:
  register: found

- name: Say how much memory no domain is defined with
  ansible.builtin.debug:
    msg: "{{ found.host.memory_mb - found.defined.memory_mb }} MiB"
  when: found.libvirt.running
"""

RETURN = r"""
libvirt:
  description: What libvirt says of itself.
  returned: success
  type: dict
  contains:
    running:
      description: Whether it answers.
      type: bool
    reason:
      description: Why it does not.
      type: str
      returned: where it does not
    uri:
      description: Its own name for the connection.
      type: str
      returned: where it runs
      sample: qemu:///system
    version:
      description: Its version.
      type: str
      returned: where it runs
      sample: 9.0.0
    driver:
      description: What runs the domains.
      type: str
      returned: where it runs
      sample: QEMU
    driver_version:
      description: The version of that.
      type: str
      returned: where it runs
      sample: 7.2.22
host:
  description: The host's hardware.
  returned: where libvirt runs
  type: dict
  contains:
    hostname:
      description: The host's own name.
      type: str
      sample: hv1.example.org
    arch:
      description: Architecture.
      type: str
      sample: x86_64
    memory_mb:
      description: Memory in MiB.
      type: int
      sample: 64289
    memory_free_mb:
      description: Memory in MiB that nobody uses, caches not counted as used; null where libvirt can't tell.
      type: int
      sample: 51202
    cpus:
      description: Logical CPUs.
      type: int
      sample: 16
defined:
  description: What all persistent domains are defined with, running or not, whosever they are.
  returned: where libvirt runs
  type: dict
  contains: &sums
    domains:
      description: How many.
      type: int
      sample: 20
    memory_mb:
      description: Sum of their memory in MiB.
      type: int
      sample: 40960
    vcpus:
      description: Sum of their virtual CPUs.
      type: int
      sample: 40
active:
  description: The same of those that are not shut off.
  returned: where libvirt runs
  type: dict
  contains: *sums
domains:
  description: The domains by name, whosever they are.
  returned: where libvirt runs, with O(domains=true)
  type: list
  elements: dict
  contains:
    name:
      description: The domain's name.
      type: str
      sample: node-1
    uuid:
      description: Its UUID.
      type: str
      sample: 64fa7fb3-39b3-48e3-a0eb-3301bbe4029c
    owner:
      description: The owner label; empty where there is none.
      type: str
      sample: lab-a
    memory_mb:
      description: The memory in MiB that it is defined with.
      type: int
      sample: 2048
    vcpus:
      description: The number of virtual CPUs that it is defined with.
      type: int
      sample: 2
    state:
      description: V(running), V(paused), V(shutoff), V(crashed) or V(pmsuspended).
      type: str
      sample: shutoff
record:
  description: What the file O(record) holds; null where there is no such file, or no JSON in it.
  returned: with O(record)
  type: raw
"""

import json
import sys
import xml.etree.ElementTree as ET
from typing import Any, Dict, List, Optional

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.baremetal.lab.plugins.module_utils import _domain_facts as facts
from ansible_collections.baremetal.lab.plugins.module_utils._domain_state import STATE_NAMES
from ansible_collections.baremetal.lab.plugins.module_utils._errors import LabError
from ansible_collections.baremetal.lab.plugins.module_utils._libvirt import (
    CONNECTION_ARGUMENTS,
    connection,
    libvirt,
)

ARGUMENT_SPEC: Dict[str, Dict[str, Any]] = {
    **CONNECTION_ARGUMENTS,
    "domains": {"type": "bool", "default": False},
    "record": {"type": "path"},
}


def read(opened: Any) -> Dict[str, Any]:
    """The module's result, of an open connection."""
    arch, memory_mb, cpus = opened.getInfo()[:3]
    domains = opened.listAllDomains()
    return {
        "libvirt": {
            "running": True,
            "uri": opened.getURI(),
            "version": version(opened.getLibVersion()),
            "driver": opened.getType(),
            "driver_version": version(opened.getVersion()),
        },
        "host": {
            "hostname": opened.getHostname(),
            "arch": arch,
            "memory_mb": memory_mb,
            "memory_free_mb": free_memory_mb(opened),
            "cpus": cpus,
        },
        "defined": sums([domain for domain in domains if domain.isPersistent()]),
        "active": sums([domain for domain in domains if domain.isActive()]),
    }


def sums(domains: List[Any]) -> Dict[str, int]:
    """Domains that go away meanwhile count as none."""
    memory_kib = vcpus = count = 0
    for domain in domains:
        try:
            _state, maximum, _used, cpus = domain.info()[:4]
        except libvirt.libvirtError:
            continue
        count, memory_kib, vcpus = count + 1, memory_kib + maximum, vcpus + cpus
    return {"domains": count, "memory_mb": memory_kib // 1024, "vcpus": vcpus}


def listed(domains: List[Any]) -> List[Dict[str, Any]]:
    """The domains by name. Those that go away meanwhile are left out."""
    found = []
    for domain in domains:
        try:
            definition = ET.fromstring(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
            state = domain.state()[0]
        except libvirt.libvirtError:
            continue
        found.append(
            {
                "name": domain.name(),
                "uuid": domain.UUIDString(),
                "owner": facts.owner(definition),
                "memory_mb": facts.memory_mb(definition),
                "vcpus": facts.vcpus(definition),
                "state": STATE_NAMES.get(state, "running"),
            }
        )
    return sorted(found, key=lambda one: str(one["name"]))


def recorded(path: str) -> Any:
    """The JSON in a file, or None."""
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


def free_memory_mb(opened: Any) -> Optional[int]:
    """What could be given to a machine without taking it from another; None where the driver can't tell."""
    try:
        stats = opened.getMemoryStats(libvirt.VIR_NODE_MEMORY_STATS_ALL_CELLS)
    except libvirt.libvirtError:
        return None
    return int(sum(stats.get(kind, 0) for kind in ("free", "buffers", "cached")) // 1024)


def version(number: int) -> str:
    """libvirt's number for a version: major * 1,000,000 + minor * 1,000 + release."""
    return "%d.%d.%d" % (number // 1000000, number // 1000 % 1000, number % 1000)


def absent(why: str) -> Dict[str, Any]:
    return {"libvirt": {"running": False, "reason": why}}


def main() -> None:
    module = AnsibleModule(
        argument_spec=ARGUMENT_SPEC, supports_check_mode=True, required_by={"sasl_password": "sasl_username"}
    )
    params = module.params
    record = {} if params["record"] is None else {"record": recorded(params["record"])}
    if libvirt is None:
        reason = "no libvirt binding for %s: install python3-libvirt" % (sys.executable or "its Python")
        module.exit_json(**absent(reason), **record)
    try:
        with connection(params["uri"], params["sasl_username"], params["sasl_password"]) as opened:
            result = read(opened)
            if params["domains"]:
                result["domains"] = listed(opened.listAllDomains())
    except LabError as error:
        result = absent(str(error))
    module.exit_json(**result, **record)


if __name__ == "__main__":
    main()
