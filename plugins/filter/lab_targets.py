# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from ansible_collections.baremetal.lab.plugins.plugin_utils.lab_endpoints import read_targets

DOCUMENTATION = r"""
name: lab_targets
short_description: The BMCs of a lab's nodes, as the modules for BMCs take them
version_added: 0.1.0
author:
  - the baremetal.lab authors (@baremetal-lab)
description:
  - Joins the nodes of an inventory, which has the passwords, with what their hypervisors have, who know where BMCs are.
  - The playbooks C(power) and C(firmware_update) go by what it returns.
positional: _input, found, protocol
options:
  _input:
    description:
      - What P(baremetal.lab.lab_plan#filter) returns.
    type: dict
    required: true
  found:
    description:
      - For each hypervisor as C(address) how others reach it, and of this lab as C(instances) and C(domains) what
        M(baremetal.lab.vbmc_info) and M(baremetal.lab.domain_info) return.
    type: dict
    required: true
  protocol:
    description:
      - The protocol, V(ipmi) or V(redfish). Without, Redfish of nodes that have it, and IPMI of the others.
    type: str
    default: ""
seealso:
  - plugin: baremetal.lab.lab_plan
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Read what all nodes boot from
  baremetal.lab.bmc_info:
    targets: "{{ (lab_plan | baremetal.lab.lab_targets(found)).targets }}"
"""

RETURN = r"""
_value:
  description: The BMCs, and what is wrong.
  type: dict
  contains:
    targets:
      description: Items for the option O(ignore:targets), with passwords.
      type: list
      elements: dict
    left_out:
      description: Nodes of which nobody knows just now where they are, as their hypervisor is away, and why.
      type: list
      elements: str
    problems:
      description: Nodes that can't be reached so, each with the remedy.
      type: list
      elements: str
"""


def lab_targets(
    plan: Mapping[str, Any], found: Mapping[str, Mapping[str, Any]], protocol: str = ""
) -> dict[str, list[Any]]:
    return asdict(read_targets([*plan["nodes"], *plan.get("unplaced", ())], found, protocol))


class FilterModule:
    """What Ansible asks for filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"lab_targets": lab_targets}
