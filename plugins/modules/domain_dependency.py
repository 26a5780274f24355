#!/usr/bin/python
# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module baremetal.lab.domain_dependency; the work is module_utils/_domain_dependencies.py's."""

from __future__ import annotations

DOCUMENTATION = r"""
module: domain_dependency
short_description: Have libvirt domains start, pause, resume and stop with another
version_added: 0.1.0
author:
  - the baremetal.lab authors (@baremetal-lab)
description:
  - >-
    Declares which domains another one, their master, depends on. What happens to the master, that it is started,
    switched off, suspended or resumed, happens to them as well, so that they are one machine. What is done to one of
    them never touches the master.
  - >-
    The declaration stands in the master's metadata, in the stored definition and in the running machine, and stays
    when M(baremetal.lab.domain) changes the definition. M(baremetal.lab.domain) and the BMC of the master act on the
    group in order; what others do to the master, such as C(virsh), the daemon of the role P(baremetal.lab.vbmc#role)
    follows for each libvirt that it has BMCs on.
  - >-
    Dependencies have one level: what is depended on can't depend on others. All are domains of QEMU on one host.
extends_documentation_fragment:
  - baremetal.lab.attributes
  - baremetal.lab.attributes.converges
  - baremetal.lab.libvirt
options:
  name: &name
    description:
      - The master, a domain that exists.
    type: str
  domains:
    description:
      - Several masters in one pass, which keep the rules together.
    type: list
    elements: dict
    suboptions:
      name:
        description:
          - The master, a domain that exists.
        type: str
        required: true
      dependencies: &dependencies
        description:
          - >-
            What the master depends on. Left out with O(state=absent), all its dependencies are meant.
        type: list
        elements: dict
        suboptions:
          name:
            description:
              - The domain's name. It is found under this name once, and kept by its UUID.
            type: str
          uuid:
            description:
              - The domain's UUID, instead of its name or beside it.
            type: str
          file:
            description:
              - >-
                The absolute path, on the hypervisor, of a domain XML: the domain is made from it when the master
                starts, and is gone when it stops.
            type: path
          signals:
            description:
              - What is propagated; everything where this is left out.
            type: list
            elements: str
            choices: [start, destroy, suspend, resume]
          order:
            description:
              - >-
                Whether it is started and resumed before its master or after. Stopping and pausing go the other way
                round.
            type: str
            choices: [before, after]
            default: before
          on_failure:
            description:
              - >-
                What happens when it does not start. V(rollback) stops again what was started with it, the master too;
                V(keep) keeps that running and reports the failure; V(ignore) goes on as if nothing was.
            type: str
            choices: [rollback, keep, ignore]
            default: rollback
          on_crash:
            description:
              - Whether it is switched off when its master crashes.
            type: str
            choices: [ignore, stop]
            default: ignore
          shared:
            description:
              - >-
                With V(running), it stays up and running while another running master depends on it. With V(any), it
                does what this master does whatever others need.
            type: str
            choices: [running, any]
            default: running
      state:
        description:
          - As O(state), which is the default.
        type: str
        choices: [present, absent]
      exclusive:
        description:
          - As O(exclusive), which is the default.
        type: bool
  dependencies: *dependencies
  state:
    description:
      - Whether the dependencies are to be declared.
    type: str
    choices: [present, absent]
    default: present
  exclusive:
    description:
      - Whether O(state=present) takes off every other dependency that the master has.
    type: bool
    default: false
seealso:
  - module: baremetal.lab.domain
  - module: baremetal.lab.domain_info
"""

EXAMPLES = r"""
- name: A master with two co-processors, which boot before it
  baremetal.lab.domain_dependency:
    name: master
    dependencies:
      - name: dsp-1
      - name: dsp-2
        on_failure: ignore
    exclusive: true

- name: A storage node that two others need, and which stays up until both are off
  baremetal.lab.domain_dependency:
    domains:
      - name: node-1
        dependencies:
          - name: storage
      - name: node-2
        dependencies:
          - name: storage

- name: A slave that is made from a file when its master starts
  baremetal.lab.domain_dependency:
    name: master
    dependencies:
      - file: /srv/machines/slave.xml
        signals: [start, destroy]

- name: A machine on its own again
  baremetal.lab.domain_dependency:
    name: master
    state: absent
"""

RETURN = r"""
domains:
  description: The masters of the task, in their order. In check mode, as they would be.
  returned: always, unless the request was refused before anything was changed
  type: list
  elements: dict
  contains:
    name:
      description: The master's name.
      type: str
      sample: master
    uuid:
      description: Its UUID.
      type: str
    changed:
      description: Whether anything was done.
      type: bool
    actions:
      description: What was done; in check mode, what would be.
      type: list
      elements: str
      sample: [set-metadata, set-live-metadata]
    dependencies:
      description: All that it depends on now, as M(baremetal.lab.domain_info) returns them but for their states.
      type: list
      elements: dict
    error:
      description: Why the dependencies could not be declared, and what to do; null where they were.
      type: str
"""

from typing import Any, Dict

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.baremetal.lab.plugins.module_utils._dependency.model import CHOICES, DEFAULTS, Signal
from ansible_collections.baremetal.lab.plugins.module_utils._domain_dependencies import Declarer, request
from ansible_collections.baremetal.lab.plugins.module_utils._errors import LabError
from ansible_collections.baremetal.lab.plugins.module_utils._libvirt import (
    CONNECTION_ARGUMENTS,
    connection,
    require_libvirt,
)
from ansible_collections.baremetal.lab.plugins.module_utils._outcomes import end

DEPENDENCY_ARGUMENTS: Dict[str, Dict[str, Any]] = {
    "name": {"type": "str"},
    "uuid": {"type": "str"},
    "file": {"type": "path"},
    "signals": {"type": "list", "elements": "str", "choices": [signal.value for signal in Signal]},
    **{name: {"type": "str", "choices": list(CHOICES[name]), "default": DEFAULTS[name]} for name in DEFAULTS},
}
DEPENDENCIES: Dict[str, Any] = {"type": "list", "elements": "dict", "options": DEPENDENCY_ARGUMENTS}

ARGUMENT_SPEC: Dict[str, Dict[str, Any]] = {
    **CONNECTION_ARGUMENTS,
    "name": {"type": "str"},
    "domains": {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "dependencies": DEPENDENCIES,
            "state": {"type": "str", "choices": ["present", "absent"]},
            "exclusive": {"type": "bool"},
        },
    },
    "dependencies": DEPENDENCIES,
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "exclusive": {"type": "bool", "default": False},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec=ARGUMENT_SPEC,
        supports_check_mode=True,
        required_one_of=[("name", "domains")],
        mutually_exclusive=[("domains", "name"), ("domains", "dependencies")],
        required_by={"sasl_password": "sasl_username"},
    )
    require_libvirt(module)
    params = module.params
    try:
        wanted = request(params)
        with connection(params["uri"], params["sasl_username"], params["sasl_password"]) as opened:
            outcomes = Declarer(opened, module.check_mode).converge(wanted)
    except LabError as error:
        module.fail_json(msg=str(error))
    end(module, "domains", outcomes)


if __name__ == "__main__":
    main()
