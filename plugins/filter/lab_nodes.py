# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.baremetal.lab.plugins.plugin_utils.lab_nodes import read_lab

DOCUMENTATION = r"""
name: lab_nodes
short_description: The nodes of a lab, as an inventory describes them
version_added: 0.1.0
author:
  - the baremetal.lab authors (@baremetal-lab)
description:
  - Reads the groups C(hypervisors) and C(nodes) of the inventory, gives each node its defaults, and checks what can be
    checked before anything is changed.
  - The role P(baremetal.lab.lab#role), and so the playbooks of this collection, go by what it returns.
positional: _input, groups
options:
  _input:
    description:
      - The variables of all hosts, which is C(hostvars).
    type: dict
    required: true
  groups:
    description:
      - The inventory's groups, which is C(groups).
    type: dict
    required: true
seealso:
  - plugin: baremetal.lab.lab_plan
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Say what is wrong with the inventory
  ansible.builtin.assert:
    that: lab.problems == []
    fail_msg: "{{ lab.problems }}"
  vars:
    lab: "{{ hostvars | baremetal.lab.lab_nodes(groups) }}"
"""

RETURN = r"""
_value:
  description: The nodes, and what is wrong.
  type: dict
  contains:
    nodes:
      description:
        - For each node its C(name) and C(hypervisor) (null where it is to be placed), and as C(domain) and C(bmc) what
          the modules M(baremetal.lab.domain) and M(baremetal.lab.vbmc) take.
      type: list
      elements: dict
    problems:
      description: What has to be mended first, each with the remedy.
      type: list
      elements: str
"""


def lab_nodes(hostvars: Mapping[str, Mapping[str, Any]], groups: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    return read_lab(groups, hostvars).document()


class FilterModule:
    """What Ansible asks for filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"lab_nodes": lab_nodes}
