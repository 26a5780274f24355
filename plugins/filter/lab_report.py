# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.baremetal.lab.plugins.plugin_utils.lab_report import report

DOCUMENTATION = r"""
name: lab_report
short_description: What there is of a lab, set against its inventory
version_added: 0.1.0
author:
  - the baremetal.lab authors (@baremetal-lab)
description:
  - Joins what the hypervisors told of themselves, their domains and BMCs with the nodes of the inventory, and says what
    needs a look and what to do about it.
  - The role P(baremetal.lab.lab#role) makes the table and the page of the playbook C(status) from it.
  - It holds no password.
positional: _input, lab, told
options:
  _input:
    description:
      - What P(baremetal.lab.lab_plan#filter) returns.
    type: dict
    required: true
  lab:
    description:
      - The lab's name.
    type: str
    required: true
  told:
    description:
      - For each hypervisor, what C(tasks/status.yml) of the role keeps as the fact C(lab_told).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Stop where something needs a look
  ansible.builtin.assert:
    that: report.summary.attention == 0
  vars:
    told: "{{ dict(groups.hypervisors | zip(groups.hypervisors | map('extract', hostvars, 'lab_told'))) }}"
    report: "{{ lab_plan | baremetal.lab.lab_report(lab_name, told) }}"
"""

RETURN = r"""
_value:
  description: The lab as it is.
  type: dict
  contains:
    lab:
      description: The lab's name.
      type: str
    hypervisors:
      description: For each hypervisor its C(name), C(state), C(problems) and figures.
      type: list
      elements: dict
    nodes:
      description: For each node its C(name), where it is, its domain, BMC and power, and C(problems).
      type: list
      elements: dict
    left_over:
      description: Domains and BMCs that carry the lab's label and are no node's.
      type: list
      elements: dict
    summary:
      description: Counts.
      type: dict
"""


def lab_report(plan: Mapping[str, Any], lab: str, told: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    order = list(plan["placement"])
    nodes = sorted([*plan["nodes"], *plan["unplaced"]], key=lambda node: order.index(node["name"]))
    return report(lab, nodes, told, plan["complete"])


class FilterModule:
    """What Ansible asks for filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"lab_report": lab_report}
