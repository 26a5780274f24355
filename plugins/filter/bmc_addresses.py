# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.baremetal.lab.plugins.plugin_utils.bmc_addresses import allot

DOCUMENTATION = r"""
name: bmc_addresses
short_description: Give BMCs addresses of their own
version_added: 0.1.0
author:
  - the baremetal.lab authors (@baremetal-lab)
description:
  - Gives each BMC of a hypervisor that names no address one of the hypervisor's ranges, and port 623.
  - Who has an address of the ranges keeps it, so that the result is the same in every run.
  - The role P(baremetal.lab.lab#role) goes by what it returns.
positional: _input, ranges, instances, host_addresses
options:
  _input:
    description:
      - The BMCs, items of M(baremetal.lab.vbmc).
    type: list
    elements: dict
    required: true
  ranges:
    description:
      - What to take addresses from, each a prefix, two addresses with a dash, or an address. Without any, the BMCs are
        returned as they are.
    type: list
    elements: str
    required: true
  instances:
    description:
      - The BMCs that the hypervisor has, as M(baremetal.lab.vbmc_info) returns them.
    type: list
    elements: dict
  host_addresses:
    description:
      - Addresses that the hypervisor has for itself.
    type: list
    elements: str
"""

EXAMPLES = r"""
- name: Show who gets which address
  ansible.builtin.debug:
    msg: "{{ [{'name': 'node-1'}, {'name': 'node-2'}] | baremetal.lab.bmc_addresses(['192.0.2.64/26']) }}"
"""

RETURN = r"""
_value:
  description: The BMCs, and what is wrong.
  type: dict
  contains:
    bmcs:
      description: The BMCs with their addresses and ports.
      type: list
      elements: dict
    addresses:
      description: Their addresses that are of the ranges.
      type: list
      elements: str
    problems:
      description: What has to be mended first, each with the remedy.
      type: list
      elements: str
"""


def bmc_addresses(
    bmcs: Sequence[Mapping[str, Any]],
    ranges: Sequence[str],
    instances: Sequence[Mapping[str, Any]] = (),
    host_addresses: Sequence[str] = (),
) -> dict[str, Any]:
    return allot(bmcs, ranges, instances, host_addresses).document()


class FilterModule:
    """What Ansible asks for filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"bmc_addresses": bmc_addresses}
