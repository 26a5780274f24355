#!/usr/bin/python

# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: power
short_description: Switch machines on and off by their BMCs
version_added: 0.1.0
author:
  - the baremetal.lab authors (@baremetal-lab)
description:
  - Switches hundreds of machines in one task, by real or virtual BMCs, and waits until they are there.
  - A machine that is in the wanted state already is left alone and reads unchanged.
  - Where no answer comes to a request, or the BMC is busy, the state is read. V(on), V(off) and V(soft) are sent again
    if it is not there; V(cycle), V(reset) and V(nmi) never are.
extends_documentation_fragment:
  - baremetal.lab.attributes
  - baremetal.lab.bmc_targets
attributes:
  check_mode:
    support: full
    details:
      - The state is read from the BMC.
  diff_mode:
    support: full
  idempotent:
    support: partial
    details:
      - V(on), V(off) and V(soft) are; V(cycle), V(reset) and V(nmi) act in every run.
options:
  state:
    description:
      - V(on) and V(off) switch the power.
      - V(soft) asks the operating system to shut down, and switches off a machine that does not; see O(escalate).
      - V(cycle) switches off and on again. A machine that is off is switched on.
      - V(reset) resets a machine that is on, V(nmi) interrupts it. One that is off fails.
    type: str
    choices: ["on", "off", soft, cycle, reset, nmi]
    required: true
  wait:
    description:
      - Whether to wait until the state is reached. Without, the task ends when the BMC has accepted the request, and
        O(escalate) has no effect.
    type: bool
    default: true
  soft_timeout:
    description:
      - Seconds that an operating system has to shut down, for O(state=soft).
      - O(timeout) has to be longer. A machine is not switched off for want of the latter.
    type: float
    default: 60
  escalate:
    description:
      - Whether a machine that did not shut down in O(soft_timeout) is switched off. Without, it fails.
    type: bool
    default: true
seealso:
  - module: baremetal.lab.boot_device
  - module: baremetal.lab.bmc_info
"""

EXAMPLES = r"""
- name: Switch on all nodes of the lab
  baremetal.lab.power:
    targets: "{{ bmcs }}"
    username: admin
    password: "{{ bmc_password }}"
    state: "on"
  delegate_to: localhost
  run_once: true

- name: Shut down one node, within five minutes
  baremetal.lab.power:
    address: 192.0.2.10
    protocol: redfish
    fingerprint: 5f:2c:…
    username: admin
    password: "{{ bmc_password }}"
    state: soft
    soft_timeout: 240
    timeout: 300
  delegate_to: localhost
"""

RETURN = r"""
results:
  description: What became of each BMC, in the order in which they were given.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: The BMC's name.
      type: str
      sample: node-01
    status:
      description: V(ok), V(changed) or V(failed).
      type: str
      sample: changed
    changed:
      description: Whether something was changed, or in check mode would be.
      type: bool
    power:
      description: The power state at the end.
      returned: where it did not fail
      type: str
      sample: "on"
    escalated:
      description: That the machine did not shut down in time and was switched off.
      returned: where it was
      type: bool
    before:
      description: The power state that was read first.
      returned: where it did not fail
      type: dict
    after:
      description: The power state at the end.
      returned: where it did not fail
      type: dict
    kind:
      description:
        - A word for the failure, V(unreachable), V(auth), V(tls), V(busy), V(refused), V(unsupported), V(not-reached),
          V(timeout), V(cancelled), V(bad-answer), V(invalid), V(missing-library) or V(error).
      returned: where it failed
      type: str
    step:
      description: Where it failed, V(start), V(connect), V(read), V(change), V(wait) or V(verify).
      returned: where it failed
      type: str
    msg:
      description: Why it failed.
      returned: where it failed
      type: str
summary:
  description: How many BMCs have which status.
  returned: always
  type: dict
  sample:
    changed: 197
    failed: 1
    ok: 2
"""

from typing import Any, Dict

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.baremetal.lab.plugins.module_utils._bmc_targets import ARGUMENTS, RULES, run
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.managers.power import PowerRequest

ARGUMENT_SPEC: Dict[str, Dict[str, Any]] = {
    "state": {"type": "str", "choices": ["on", "off", "soft", "cycle", "reset", "nmi"], "required": True},
    "wait": {"type": "bool", "default": True},
    "soft_timeout": {"type": "float", "default": 60},
    "escalate": {"type": "bool", "default": True},
    **ARGUMENTS,
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True, **RULES)
    params = module.params
    request = PowerRequest(
        params["state"], params["wait"], params["soft_timeout"], params["escalate"], check=module.check_mode
    )
    run(module, "power", "set_state", request=request)


if __name__ == "__main__":
    main()
