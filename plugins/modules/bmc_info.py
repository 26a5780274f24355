#!/usr/bin/python

# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: bmc_info
short_description: Read power, boot device and identity from BMCs
version_added: 0.1.0
author:
  - the baremetal.lab authors (@baremetal-lab)
description:
  - Reads hundreds of real or virtual BMCs in one task.
extends_documentation_fragment:
  - baremetal.lab.attributes
  - baremetal.lab.attributes.info
  - baremetal.lab.bmc_targets
seealso:
  - module: baremetal.lab.power
  - module: baremetal.lab.boot_device
"""

EXAMPLES = r"""
- name: Read all BMCs of the lab
  baremetal.lab.bmc_info:
    targets: "{{ bmcs }}"
    username: admin
    password: "{{ bmc_password }}"
  delegate_to: localhost
  run_once: true
  register: bmcs_read
  ignore_errors: true

- name: Tell which do not answer
  ansible.builtin.debug:
    msg: "{{ item.name }}: {{ item.msg }}"
  loop: "{{ bmcs_read.results | selectattr('status', 'equalto', 'failed') }}"
"""

RETURN = r"""
results:
  description: What each BMC says, in the order in which they were given.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: The BMC's name.
      type: str
      sample: node-01
    status:
      description: V(ok) or V(failed).
      type: str
      sample: ok
    changed:
      description: Always V(false).
      type: bool
    power:
      description: V(on) or V(off).
      returned: where it did not fail
      type: str
      sample: "on"
    boot:
      description: The boot override; null where the BMC knows of none.
      returned: where it did not fail
      type: dict
      sample:
        device: none
        efi: false
        persistent: false
    uuid:
      description: The system's UUID.
      returned: where the BMC has one
      type: str
    firmware_version:
      description: The version of the BMC's own firmware.
      returned: where the BMC says it
      type: str
    manufacturer_id:
      description: The manufacturer, by IANA's number.
      returned: by IPMI
      type: int
    product_id:
      description: The product, by the manufacturer's number.
      returned: by IPMI
      type: int
    ipmi_version:
      description: The IPMI version that the BMC speaks.
      returned: by IPMI
      type: str
    redfish_version:
      description: The Redfish version that the service speaks.
      returned: by Redfish
      type: str
    manufacturer:
      description: The system's manufacturer.
      returned: by Redfish
      type: str
    model:
      description: The system's model.
      returned: by Redfish
      type: str
    serial_number:
      description: The system's serial number.
      returned: by Redfish
      type: str
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

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.baremetal.lab.plugins.module_utils._bmc_targets import ARGUMENTS, RULES, run


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True, **RULES)
    run(module, "inventory", "get_info")


if __name__ == "__main__":
    main()
