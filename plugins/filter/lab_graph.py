# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.baremetal.lab.plugins.plugin_utils.lab_graph import dot

DOCUMENTATION = r"""
name: lab_graph
short_description: What depends on what in a lab, for Graphviz
version_added: 0.1.0
author:
  - the baremetal.lab authors (@baremetal-lab)
description:
  - Draws the domains that depend on each other, with their states, in Graphviz's language DOT.
  - The role P(baremetal.lab.lab#role) makes the picture of the playbook C(status) from it.
positional: _input, lab
options:
  _input:
    description:
      - For each hypervisor, what C(tasks/status.yml) of the role keeps as the fact C(lab_told).
    type: dict
    required: true
  lab:
    description:
      - The lab's name.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Write the graph
  ansible.builtin.copy:
    content: "{{ told | baremetal.lab.lab_graph('rack-7') }}"
    dest: lab.dot
    mode: "0644"
  vars:
    told: "{{ dict(groups.hypervisors | zip(groups.hypervisors | map('extract', hostvars, 'lab_told'))) }}"
"""

RETURN = r"""
_value:
  description: The graph.
  type: str
"""


class FilterModule:
    """What Ansible asks for filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"lab_graph": lambda told, lab: dot(lab, told)}
