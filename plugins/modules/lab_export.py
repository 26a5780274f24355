#!/usr/bin/python
# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation of the action baremetal.lab.lab_export, which does the work on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lab_export
short_description: Write a lab's nodes as other tools take them
version_added: 0.1.0
author:
  - the baremetal.lab authors (@baremetal-lab)
description:
  - Joins the nodes of an inventory with what their hypervisors have, and writes on the controller a file for each of
    the tools that are to use their BMCs.
  - The files hold the BMCs' passwords. They have mode 0600 from the first byte on and are replaced as a whole; results
    and diffs mask passwords.
  - The playbook C(export) calls it.
extends_documentation_fragment:
  - baremetal.lab.attributes
  - baremetal.lab.attributes.converges
options:
  plan:
    description:
      - What the filter P(baremetal.lab.lab_plan#filter) returns. Nodes that are to be absent are left out.
    type: dict
    required: true
  found:
    description:
      - For each hypervisor as C(address) how others reach it, and of this lab as C(instances) and C(domains) what
        M(baremetal.lab.vbmc_info) and M(baremetal.lab.domain_info) return.
    type: dict
    required: true
  groups:
    description:
      - The inventory's groups, which is C(groups); for the format V(ansible).
    type: dict
    default: {}
  formats:
    description:
      - What to write.
      - V(ironic) is C(ironic.json) for C(baremetal create) of python-ironicclient.
      - V(bifrost) is C(bifrost.json) for C(bifrost-cli enroll).
      - V(metal3) is C(metal3.yml) with a Secret and a BareMetalHost for each node.
      - V(maas) is C(maas.json), a list of what C(machines create) of MAAS takes.
      - V(ansible) is C(inventory.yml) with the nodes and their BMCs as variables.
    type: list
    elements: str
    choices: [ironic, bifrost, metal3, maas, ansible]
    default: [ironic, bifrost, metal3, maas, ansible]
  path:
    description:
      - The folder of the files, made with mode 0700 where there is none.
      - A relative path starts where C(ansible-playbook) was started.
    type: path
    required: true
seealso:
  - module: baremetal.lab.vbmc_info
  - module: baremetal.lab.domain_info
"""

EXAMPLES = r"""
- name: Write the lab for Ironic alone
  baremetal.lab.lab_export:
    plan: "{{ lab_plan }}"
    found:
      hv1:
        address: 192.0.2.1
        instances: "{{ bmcs.instances }}"
        domains: "{{ machines.domains }}"
    formats: [ironic]
    path: ~/lab
"""

RETURN = r"""
files:
  description: The files, in the order of O(formats).
  returned: success
  type: list
  elements: dict
  contains:
    format:
      description: The format.
      type: str
      sample: ironic
    path:
      description: Where it is.
      type: str
      sample: /home/lab/exports/rack-7/ironic.json
    changed:
      description: Whether it was written, or in check mode would be.
      type: bool
nodes:
  description: How many nodes are in each of them.
  returned: success
  type: int
  sample: 21
"""
