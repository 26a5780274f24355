# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.firmware.history import records
from ansible_collections.baremetal.lab.plugins.plugin_utils.firmware_report import report

DOCUMENTATION = r"""
name: firmware_report
short_description: What a firmware run came to, from its journal
version_added: 0.1.0
author:
  - the baremetal.lab authors (@baremetal-lab)
description:
  - Reads a journal of M(baremetal.lab.firmware) on the controller.
  - The playbook C(firmware_update) makes its page of it.
positional: _input
options:
  _input:
    description:
      - The journal's file.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Name those that failed
  ansible.builtin.debug:
    msg: "{{ report.bmcs | selectattr('end', 'eq', 'failed') | map(attribute='name') }}"
  vars:
    report: "{{ update.journal | baremetal.lab.firmware_report }}"
"""

RETURN = r"""
_value:
  description: The run.
  type: dict
  contains:
    run:
      description: What it is called.
      type: str
    counts:
      description: How many BMCs were C(changed), C(done) without a change, C(failed), C(skipped) or are C(open).
      type: dict
    bmcs:
      description: For each BMC its C(name), C(end), C(step), C(msg), C(duration) and the C(pieces) of its time line.
      type: list
      elements: dict
"""


def firmware_report(journal: str) -> dict[str, Any]:
    return report(records(journal))


class FilterModule:
    """What Ansible asks for filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"firmware_report": firmware_report}
