#!/usr/bin/python
# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module baremetal.lab.network; the work is module_utils/_network_converge.py's."""

from __future__ import annotations

DOCUMENTATION = r"""
module: network
short_description: Define, change, start, stop and remove libvirt networks
version_added: 0.1.0
author:
  - the baremetal.lab authors (@baremetal-lab)
description:
  - Brings one libvirt network, or a list of them, to the wanted definition and state - a NAT network with DHCP, an
    isolated provisioning network that machines boot from, or a bridge of the host's under a name.
  - An option that is left out takes its default for a new network, and stays as it is for an existing one. An empty
    text means none. What an existing definition holds beside the options stays.
  - >-
    A network without running guests is started anew where a change needs that. Under running guests the DHCP range is
    changed at once; all else waits, is told in RV(networks[].restart_required) and a warning, and cuts off nobody.
  - >-
    Where a libvirtd that was killed left the network's bridge behind, so that it does not start, the bridge and its
    DHCP server are removed if the bridge's MAC address proves that they are this network's, and nobody is on it.
extends_documentation_fragment:
  - baremetal.lab.attributes
  - baremetal.lab.attributes.converges
  - baremetal.lab.libvirt
options:
  name: &name
    description:
      - The network's name.
    type: str
  networks:
    description:
      - Networks to converge together, each described by the options that one network has at the top level.
      - An option beside O(networks) holds for every item that doesn't have it itself.
      - A network that can't be brought to what is wanted is reported with its error, and holds up no other.
    type: list
    elements: dict
    suboptions:
      name:
        description:
          - The network's name.
        type: str
        required: true
      state:
        description:
          - As O(state), which is the default.
        type: str
        choices: [active, inactive, absent]
      uuid: &uuid
        description:
          - The UUID of a new network. An existing network with another is somebody else's, see O(adopt).
        type: str
      adopt: &adopt
        description:
          - >-
            Whether a network that has another UUID than O(uuid) is changed, or removed, all the same. Otherwise it is
            only started, and a warning tells what is not as wanted; to remove it is an error.
        type: bool
      autostart: &autostart
        description:
          - Whether it starts with the host; V(true) for a new network.
        type: bool
      forward: &forward
        description:
          - >-
            Where guests get to. V(nat) is everywhere that the host does, behind its address, and the default for a new
            network; V(route) and V(open) as libvirt has them; V(isolated) is each other and the host; V(bridge) is
            O(bridge), a bridge of the host's, with all that is on it.
        type: str
        choices: [nat, route, open, isolated, bridge]
      bridge: &bridge
        description:
          - The name of its bridge interface. libvirt chooses one where it is left out.
        type: str
      domain: &domain
        description:
          - The DNS domain that its DHCP server hands out.
        type: str
      address: &address
        description:
          - The host's IPv4 address in it, such as V(172.22.0.1), or with its prefix length V(172.22.0.1/24).
        type: str
      netmask: &netmask
        description:
          - The mask of O(address); V(255.255.255.0) where neither has it.
        type: str
      dhcp_start: &dhcp_start
        description:
          - The first address that its DHCP server hands out.
        type: str
      dhcp_end: &dhcp_end
        description:
          - The last one.
        type: str
      ipv6_address: &ipv6_address
        description:
          - The host's IPv6 address in it with its prefix length, such as V(fd00:22::1/64).
        type: str
      ipv6_dhcp_start: &ipv6_dhcp_start
        description:
          - The first IPv6 address that its DHCP server hands out.
        type: str
      ipv6_dhcp_end: &ipv6_dhcp_end
        description:
          - The last one.
        type: str
      tftp_root: &tftp_root
        description:
          - A folder of the host's that its TFTP server serves; every directory above has to be open to everybody.
        type: str
      boot_file: &boot_file
        description:
          - >-
            What machines load that boot from this network, a path in O(tftp_root) or on O(boot_server), or a URL.
            QEMU's network cards have iPXE, which runs a file that begins with C(#!ipxe) as a script.
        type: str
      boot_server: &boot_server
        description:
          - The address of another TFTP server that has O(boot_file).
        type: str
  state:
    description:
      - V(active) is defined and started, V(inactive) defined and stopped, V(absent) stopped and undefined.
      - A network with running guests is not stopped.
    type: str
    choices: [active, inactive, absent]
    default: active
  uuid: *uuid
  adopt: *adopt
  autostart: *autostart
  forward: *forward
  bridge: *bridge
  domain: *domain
  address: *address
  netmask: *netmask
  dhcp_start: *dhcp_start
  dhcp_end: *dhcp_end
  ipv6_address: *ipv6_address
  ipv6_dhcp_start: *ipv6_dhcp_start
  ipv6_dhcp_end: *ipv6_dhcp_end
  tftp_root: *tftp_root
  boot_file: *boot_file
  boot_server: *boot_server
seealso:
  - module: baremetal.lab.domain
  - name: Network XML format
    description: What libvirt knows of networks.
    link: https://libvirt.org/formatnetwork.html
"""

EXAMPLES = r"""
- name: A provisioning network, from which machines boot an iPXE script
  baremetal.lab.network:
    name: provisioning
    forward: isolated
    bridge: virbr-prov
    address: 172.22.0.1/24
    dhcp_start: 172.22.0.10
    dhcp_end: 172.22.0.250
    tftp_root: /srv/tftp
    boot_file: boot.ipxe

- name: Several networks in one task
  baremetal.lab.network:
    networks:
      - name: outside
        forward: bridge
        bridge: br0
      - name: lab
        address: 192.168.150.1
        dhcp_start: 192.168.150.10
        dhcp_end: 192.168.150.99
        ipv6_address: fd00:150::1/64

- name: Remove a network
  baremetal.lab.network:
    name: lab
    state: absent
"""

RETURN = r"""
networks:
  description: The networks of the task, in their order. In check mode, as they would be.
  returned: always, unless the request was refused before anything was changed
  type: list
  elements: dict
  contains:
    name:
      description: The network's name.
      type: str
      sample: provisioning
    uuid:
      description: Its UUID; null where there is none.
      type: str
      sample: 64fa7fb3-39b3-48e3-a0eb-3301bbe4029c
    state:
      description: V(active), V(inactive) or V(absent).
      type: str
      sample: active
    bridge:
      description: Its bridge interface.
      type: str
      sample: virbr-prov
    changed:
      description: Whether anything was done.
      type: bool
    actions:
      description: What was done, in its order; in check mode, what would be.
      type: list
      elements: str
      sample: [define, restart]
    differences:
      description: The options that were not as wanted.
      type: list
      elements: dict
      sample: [{path: boot_file, before: old.ipxe, after: boot.ipxe}]
      contains:
        path:
          description: The option.
          type: str
        before:
          description: What it was; null for none.
          type: str
        after:
          description: What it is instead; null for none.
          type: str
    restart_required:
      description: The options that hold only when the network is next started.
      type: list
      elements: str
      sample: [boot_file]
    users:
      description: The running guests that keep it from that.
      type: list
      elements: str
      sample: [node-1]
    error:
      description: Why the network could not be brought to what is wanted, and what to do; null where it was.
      type: str
"""

from typing import Any, Dict, List

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.baremetal.lab.plugins.module_utils._errors import LabError
from ansible_collections.baremetal.lab.plugins.module_utils._libvirt import (
    CONNECTION_ARGUMENTS,
    connection,
    require_libvirt,
)
from ansible_collections.baremetal.lab.plugins.module_utils._network_converge import Converger
from ansible_collections.baremetal.lab.plugins.module_utils._outcomes import end

STATES = ["active", "inactive", "absent"]

NETWORK_ARGUMENTS: Dict[str, Dict[str, Any]] = {
    "name": {"type": "str"},
    "uuid": {"type": "str"},
    "adopt": {"type": "bool"},
    "autostart": {"type": "bool"},
    "forward": {"type": "str", "choices": ["nat", "route", "open", "isolated", "bridge"]},
    **{
        option: {"type": "str"}
        for option in (
            "bridge",
            "domain",
            "address",
            "netmask",
            "dhcp_start",
            "dhcp_end",
            "ipv6_address",
            "ipv6_dhcp_start",
            "ipv6_dhcp_end",
            "tftp_root",
            "boot_file",
            "boot_server",
        )
    },
}

ARGUMENT_SPEC: Dict[str, Dict[str, Any]] = {
    **CONNECTION_ARGUMENTS,
    **NETWORK_ARGUMENTS,
    "state": {"type": "str", "choices": STATES, "default": "active"},
    "networks": {
        "type": "list",
        "elements": "dict",
        "options": {
            **NETWORK_ARGUMENTS,
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": STATES},
        },
    },
}


def requests(params: Dict[str, Any]) -> List[Dict[str, Any]]:
    """The wanted networks, each with what it does not say itself. Raises LabError where a name comes twice."""
    shared = {key: params[key] for key in [*NETWORK_ARGUMENTS, "state"]}
    if params["networks"] is None:
        return [shared]
    items = [
        {**shared, **{key: value for key, value in item.items() if value is not None}} for item in params["networks"]
    ]
    names = [item["name"] for item in items]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise LabError("network '%s' is there twice in networks: name each once" % twice[0])
    return items


def main() -> None:
    module = AnsibleModule(
        argument_spec=ARGUMENT_SPEC,
        supports_check_mode=True,
        required_one_of=[("name", "networks")],
        mutually_exclusive=[("networks", "name"), ("networks", "uuid")],
        required_by={"sasl_password": "sasl_username"},
    )
    require_libvirt(module)
    params = module.params
    try:
        wanted = requests(params)
        with connection(params["uri"], params["sasl_username"], params["sasl_password"]) as opened:
            outcomes = Converger(opened, module.check_mode, module.run_command).converge(wanted)
    except LabError as error:
        module.fail_json(msg=str(error))
    end(module, "networks", outcomes)


if __name__ == "__main__":
    main()
