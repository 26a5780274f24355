# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from ansible_collections.baremetal.lab.plugins.plugin_utils.lab_page import page

DOCUMENTATION = r"""
name: lab_page
short_description: A lab's report as one HTML page
version_added: 0.1.0
author:
  - the baremetal.lab authors (@baremetal-lab)
description:
  - Renders a report with every value escaped, which Ansible's own templates leave to their author.
positional: _input, templates, now
options:
  _input:
    description:
      - What P(baremetal.lab.lab_report#filter) returns.
    type: dict
    required: true
  templates:
    description:
      - A folder with the template C(page.html.j2).
    type: path
    required: true
  now:
    description:
      - The time to show, such as C(now(utc=true)) gives.
    type: raw
    required: true
"""

EXAMPLES = r"""
- name: Write the page
  ansible.builtin.copy:
    content: "{{ report | baremetal.lab.lab_page(role_path ~ '/templates/status', now(utc=true)) }}"
    dest: lab.html
    mode: "0600"
"""

RETURN = r"""
_value:
  description: The page.
  type: str
"""


def lab_page(report: Mapping[str, Any], templates: str, now: datetime) -> str:
    return page(report, templates, now)


class FilterModule:
    """What Ansible asks for filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"lab_page": lab_page}
