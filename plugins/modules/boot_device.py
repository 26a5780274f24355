#!/usr/bin/python

# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: boot_device
short_description: Set what machines boot from, by their BMCs
version_added: 0.1.0
author:
  - the baremetal.lab authors (@baremetal-lab)
description:
  - Sets the boot override of hundreds of machines in one task, by real or virtual BMCs, and reads it back.
  - Nothing is restarted; M(baremetal.lab.power) does that.
extends_documentation_fragment:
  - baremetal.lab.attributes
  - baremetal.lab.attributes.converges
  - baremetal.lab.bmc_targets
options:
  device:
    description:
      - What to boot from. V(none) takes an override away.
    type: str
    choices: [none, pxe, disk, cdrom, setup, removable]
    required: true
  persistent:
    description:
      - Whether it holds for every boot, and not for the next one alone.
    type: bool
    default: false
  efi:
    description:
      - Whether to boot by UEFI (V(true)) or by BIOS (V(false)).
      - By default the mode stays as it is.
    type: bool
seealso:
  - module: baremetal.lab.power
  - module: baremetal.lab.bmc_info
"""

EXAMPLES = r"""
- name: Boot all nodes from the network once
  baremetal.lab.boot_device:
    targets: "{{ bmcs }}"
    username: admin
    password: "{{ bmc_password }}"
    device: pxe
  delegate_to: localhost
  run_once: true
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
    boot:
      description: The boot override at the end.
      returned: where it did not fail
      type: dict
      sample:
        device: pxe
        efi: false
        persistent: false
    before:
      description: The boot override that was read first.
      returned: where it did not fail
      type: dict
    after:
      description: The boot override at the end.
      returned: where it did not fail
      type: dict
    kind:
      description: A word for the failure, as of M(baremetal.lab.power).
      returned: where it failed
      type: str
    step:
      description: Where it failed, as of M(baremetal.lab.power).
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
"""

from typing import Any, Dict

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.baremetal.lab.plugins.module_utils._bmc_targets import ARGUMENTS, RULES, run
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.managers.setboot import BootRequest

ARGUMENT_SPEC: Dict[str, Dict[str, Any]] = {
    "device": {
        "type": "str",
        "choices": ["none", "pxe", "disk", "cdrom", "setup", "removable"],
        "required": True,
    },
    "persistent": {"type": "bool", "default": False},
    "efi": {"type": "bool"},
    **ARGUMENTS,
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True, **RULES)
    params = module.params
    request = BootRequest(params["device"], params["persistent"], params["efi"], check=module.check_mode)
    run(module, "setboot", "set_boot", request=request)


if __name__ == "__main__":
    main()
