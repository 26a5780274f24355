#!/usr/bin/python
# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module baremetal.lab.domain_info; what it reads in a definition is module_utils/_domain_facts.py's."""

from __future__ import annotations

DOCUMENTATION = r"""
module: domain_info
short_description: Read libvirt domains
version_added: 0.1.0
author:
  - the baremetal.lab authors (@baremetal-lab)
description:
  - Returns definition and state of a host's libvirt domains, all of them or those asked for.
  - The definition is the stored one, which the next start uses, also of a domain that runs.
extends_documentation_fragment:
  - baremetal.lab.attributes
  - baremetal.lab.attributes.info
  - baremetal.lab.libvirt
options:
  names:
    description:
      - The domains to read. One that doesn't exist is an error. All domains where this is left out.
    type: list
    elements: str
  owner:
    description:
      - Read domains with this owner label only, as O(baremetal.lab.domain#module:owner) sets it.
    type: str
  xml:
    description:
      - Whether to return the definitions as libvirt XML too, without secrets.
    type: bool
    default: false
seealso:
  - module: baremetal.lab.domain
  - module: baremetal.lab.domain_dependency
"""

EXAMPLES = r"""
- name: Read all domains
  baremetal.lab.domain_info:
  register: found

- name: Show the MAC addresses of a lab's nodes
  baremetal.lab.domain_info:
    owner: lab-a
  register: lab

- name: Show them
  ansible.builtin.debug:
    msg: "{{ item.name }}: {{ item.interfaces | map(attribute='mac') | join(', ') }}"
  loop: "{{ lab.domains }}"
  loop_control:
    label: "{{ item.name }}"
"""

RETURN = r"""
domains:
  description: The domains, by name.
  returned: success
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
    state:
      description: V(running), V(paused), V(shutoff), V(crashed) or V(pmsuspended).
      type: str
      sample: running
    state_reason:
      description: Why it is in that state, in libvirt's words.
      type: str
      sample: booted
    autostart:
      description: Whether it starts with its host.
      type: bool
    persistent:
      description: Whether it stays defined when it is off.
      type: bool
    owner:
      description: The owner label; empty where there is none.
      type: str
      sample: lab-a
    memory_mb:
      description: Memory in MiB.
      type: int
      sample: 2048
    vcpus:
      description: Number of virtual CPUs.
      type: int
      sample: 2
    type:
      description: How it runs.
      type: str
      sample: kvm
    arch:
      description: Architecture.
      type: str
      sample: x86_64
    machine:
      description: QEMU machine type.
      type: str
      sample: pc-q35-7.2
    firmware:
      description: V(bios) or V(efi).
      type: str
      sample: bios
    boot:
      description: What to boot from, the first choice first; kinds of devices, or MAC addresses and targets of disks.
      type: list
      elements: str
      sample: [network, hd]
    interfaces:
      description: Network interfaces, in their order.
      type: list
      elements: dict
      contains:
        mac:
          description: MAC address.
          type: str
        type:
          description: V(network), V(bridge), V(user) or another of libvirt's words.
          type: str
        source:
          description: The network or bridge.
          type: str
        model:
          description: What the guest sees.
          type: str
        target:
          description: Name of the interface on the host, where the domain runs and has one.
          type: str
    disks:
      description: Disks and drives.
      type: list
      elements: dict
      contains:
        target:
          description: Name, such as V(vda).
          type: str
        bus:
          description: Bus.
          type: str
        device:
          description: V(disk), V(cdrom) or another of libvirt's words.
          type: str
        type:
          description: V(file), V(block), V(volume) or another of libvirt's words.
          type: str
        source:
          description: Path, or pool and volume; empty for an empty drive.
          type: str
        format:
          description: Format.
          type: str
        readonly:
          description: Whether the guest may only read it.
          type: bool
    dependencies:
      description: The domains that this one depends on, as M(baremetal.lab.domain_dependency) declares them.
      type: list
      elements: dict
      contains:
        name:
          description: The domain's name.
          type: str
        uuid:
          description: Its UUID; null where it is made from a file that has none, and is not there.
          type: str
        file:
          description: The domain XML that it is made from; null where it is defined.
          type: str
        state:
          description: Its state; V(absent) where it is not there.
          type: str
        signals:
          description: What is propagated to it.
          type: list
          elements: str
        order:
          description: Whether it starts before or after this domain.
          type: str
        on_failure:
          description: What becomes of the start of this domain when it does not start.
          type: str
        on_crash:
          description: What becomes of it when this domain crashes.
          type: str
        shared:
          description: Whether another master keeps it up.
          type: str
    dependents:
      description: The domains that depend on this one.
      type: list
      elements: dict
      contains:
        name:
          description: The domain's name.
          type: str
        uuid:
          description: Its UUID.
          type: str
        state:
          description: Its state.
          type: str
    xml:
      description: The stored definition.
      type: str
      returned: O(xml=true)
"""

import xml.etree.ElementTree as ET
from typing import Any, Dict, List

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.baremetal.lab.plugins.module_utils import _domain_facts as facts
from ansible_collections.baremetal.lab.plugins.module_utils._dependency.hypervisor import scan
from ansible_collections.baremetal.lab.plugins.module_utils._domain_dependencies import Relations
from ansible_collections.baremetal.lab.plugins.module_utils._domain_state import STATE_NAMES, state_reason
from ansible_collections.baremetal.lab.plugins.module_utils._errors import LabError
from ansible_collections.baremetal.lab.plugins.module_utils._libvirt import (
    CONNECTION_ARGUMENTS,
    connection,
    is_error,
    libvirt,
    require_libvirt,
)

ARGUMENT_SPEC: Dict[str, Dict[str, Any]] = {
    **CONNECTION_ARGUMENTS,
    "names": {"type": "list", "elements": "str"},
    "owner": {"type": "str"},
    "xml": {"type": "bool", "default": False},
}


class Reader:
    """Reads the domains of a connection that the module's parameters ask for."""

    def __init__(self, opened: Any, params: Dict[str, Any]) -> None:
        self._connection = opened
        self._params = params
        self._relations = Relations({})

    def read(self) -> List[Dict[str, Any]]:
        """Raises LabError naming the domains that don't exist."""
        known = {domain.name(): domain for domain in self._connection.listAllDomains()}
        names = self._params["names"]
        missing = [] if names is None else [name for name in names if name not in known]
        if missing:
            raise LabError(
                "no domain %s on %s: correct 'names', or leave them out for all domains"
                % (", ".join("'%s'" % name for name in missing), self._connection.getURI())
            )
        self._relations = Relations(scan(self._connection))
        wanted = sorted(known if names is None else set(names))
        found = [self._describe(known[name]) for name in wanted]
        owner = self._params["owner"]
        return [domain for domain in found if domain and (owner is None or domain["owner"] == owner)]

    def _describe(self, domain: Any) -> Dict[str, Any]:
        """The result's item; empty where the domain went away meanwhile."""
        try:
            text = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
            live = domain.XMLDesc(0)
            state, reason = domain.state()[:2]
            persistent = bool(domain.isPersistent())
            autostart = bool(domain.autostart()) if persistent else False
        except libvirt.libvirtError as error:
            if is_error(error, "NO_DOMAIN"):
                return {}
            raise
        definition = ET.fromstring(text)
        result = {
            "name": domain.name(),
            "uuid": domain.UUIDString(),
            "state": STATE_NAMES.get(state, "running"),
            "state_reason": state_reason(state, reason),
            "autostart": autostart,
            "persistent": persistent,
            "owner": facts.owner(definition),
            "memory_mb": facts.memory_mb(definition),
            "vcpus": facts.vcpus(definition),
            **facts.machine(definition),
            "firmware": facts.firmware(definition),
            "boot": facts.boot_order(definition),
            "interfaces": facts.interfaces(definition, ET.fromstring(live)),
            "disks": facts.disks(definition),
            **self._relations.of(domain.UUIDString()),
        }
        if self._params["xml"]:
            result["xml"] = text
        return result


def main() -> None:
    module = AnsibleModule(
        argument_spec=ARGUMENT_SPEC, supports_check_mode=True, required_by={"sasl_password": "sasl_username"}
    )
    require_libvirt(module)
    params = module.params
    try:
        with connection(params["uri"], params["sasl_username"], params["sasl_password"]) as opened:
            domains = Reader(opened, params).read()
    except LabError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, domains=domains)


if __name__ == "__main__":
    main()
