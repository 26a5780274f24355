# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.baremetal.lab.plugins.plugin_utils.lab_nodes import HYPERVISORS, Node
from ansible_collections.baremetal.lab.plugins.plugin_utils.lab_plan import make_plan

DOCUMENTATION = r"""
name: lab_plan
short_description: Which node of a lab is brought up on which hypervisor
version_added: 0.1.0
author:
  - the baremetal.lab authors (@baremetal-lab)
description:
  - Places the nodes that name no hypervisor, leaves those that are on one where they are, and says what a run is about.
  - The role P(baremetal.lab.lab#role), and so the playbooks of this collection, go by what it returns. What a user may
    expect of it is in docs/inventory.md.
  - >-
    A hypervisor answers if its variable C(lab_survey), or an item of O(others), is a result of
    M(baremetal.lab.hypervisor_info) with C(domains). One that does not answer may have any node that is nowhere else.
positional: _input, hostvars, groups, play_hosts
options:
  _input:
    description:
      - What P(baremetal.lab.lab_nodes#filter) returned, without problems.
    type: dict
    required: true
  hostvars:
    description:
      - The variables of all hosts, which is C(hostvars).
    type: dict
    required: true
  groups:
    description:
      - The inventory's groups, which is C(groups).
    type: dict
    required: true
  play_hosts:
    description:
      - The hosts that C(--limit) left. Where nodes are among them, the run is about those; where only hypervisors are,
        about all of theirs.
    type: list
    elements: str
  others:
    description:
      - Results for hypervisors that are not in the play, each with the hypervisor as C(item).
    type: list
    elements: dict
    default: []
  anew:
    description:
      - Whether to place nodes that are nowhere.
    type: bool
    default: true
  foresee:
    description:
      - Whether a hypervisor without libvirt counts as one without domains, as in check mode.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Look at the hypervisors
  baremetal.lab.hypervisor_info:
    domains: true
  register: lab_survey

- name: Show where the nodes are to be
  ansible.builtin.debug:
    msg: "{{ (lab | baremetal.lab.lab_plan(hostvars, groups)).placement }}"
  vars:
    lab: "{{ hostvars | baremetal.lab.lab_nodes(groups) }}"
  run_once: true
"""

RETURN = r"""
_value:
  description: The plan.
  type: dict
  contains:
    nodes:
      description:
        - The nodes that the run is about, as P(baremetal.lab.lab_nodes#filter) returns them, on their hypervisors.
      type: list
      elements: dict
    placement:
      description: Each node of the inventory, and its hypervisor; null where that is not known.
      type: dict
    complete:
      description: Whether these are all nodes of the hypervisors, and not some that C(--limit) named.
      type: bool
    hosts:
      description: The hosts of the play that work on hypervisors, themselves or by delegation.
      type: list
      elements: str
    moves:
      description: For each C(hypervisor) that has old copies what removes them, C(bmcs) and C(domains).
      type: list
      elements: dict
    kept:
      description: Nodes that the run is not about, and that keep their BMCs.
      type: list
      elements: str
    left:
      description: For each hypervisor the lab's domains that no node of the inventory means.
      type: dict
    unplaced:
      description: Nodes for which nothing can be done, each with its C(problem).
      type: list
      elements: dict
    failed:
      description: For each host of the play the problems that it is to tell.
      type: dict
    problems:
      description: What has to be mended first, each with the remedy.
      type: list
      elements: str
    record:
      description: What is to be written down of where nodes may be, before anything is done.
      type: dict
    record_on:
      description: The hypervisors to write it down on.
      type: list
      elements: str
    record_after:
      description: The same once old copies are gone; null where there are none.
      type: dict
    noted_on:
      description: The hypervisors that have the record then.
      type: list
      elements: str
"""


def lab_plan(
    lab: Mapping[str, Any],
    hostvars: Mapping[str, Mapping[str, Any]],
    groups: Mapping[str, Sequence[str]],
    play_hosts: Sequence[str] | None = None,
    others: Sequence[Mapping[str, Any]] = (),
    anew: bool = True,
    foresee: bool = False,
) -> dict[str, Any]:
    hypervisors = {name: hostvars[name] for name in groups.get(HYPERVISORS) or ()}
    surveys = {name: own.get("lab_survey") or {} for name, own in hypervisors.items()}
    surveys.update({result["item"]: result for result in others})
    nodes = [Node(**node) for node in lab["nodes"]]
    return make_plan(nodes, hypervisors, surveys, play_hosts, anew, foresee).document()


class FilterModule:
    """What Ansible asks for filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"lab_plan": lab_plan}
