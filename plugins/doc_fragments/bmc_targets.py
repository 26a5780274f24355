# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which BMCs a module controls, and how far it goes; the options of ARGUMENTS in module_utils/_bmc_targets.py."""

from __future__ import annotations


class ModuleDocFragment:
    """C(baremetal.lab.bmc_targets)."""

    DOCUMENTATION = r"""
options:
  targets:
    description:
      - The BMCs, worked on in parallel. What an item leaves out is taken from the module's option of the same name.
      - Without it, the module's own options are the one BMC.
    type: list
    elements: dict
    suboptions:
      name:
        description:
          - What the BMC is called in results and errors.
          - By default its address.
        type: str
      address:
        description:
          - See O(address).
        type: str
      protocol:
        description:
          - See O(protocol).
        type: str
        choices: [ipmi, openbmc, redfish]
      port:
        description:
          - See O(port).
        type: int
      username:
        description:
          - See O(username).
        type: str
      password:
        description:
          - See O(password).
        type: str
      kg:
        description:
          - See O(kg).
        type: str
      privilege:
        description:
          - See O(privilege).
        type: str
        choices: [user, operator, administrator]
      system:
        description:
          - See O(system).
        type: str
      validate_certs:
        description:
          - See O(validate_certs).
        type: bool
      ca_path:
        description:
          - See O(ca_path).
        type: path
      fingerprint:
        description:
          - See O(fingerprint).
        type: str
      plain_http:
        description:
          - See O(plain_http).
        type: bool
  name:
    description:
      - What the one BMC is called in results and errors.
      - By default its address.
    type: str
  address:
    description:
      - A BMC's address or host name, as the host that runs the module reaches it.
    type: str
  protocol:
    description:
      - What a BMC speaks. V(openbmc) is the REST service that OpenBMC had before Redfish; it has no boot override.
    type: str
    choices: [ipmi, openbmc, redfish]
    default: ipmi
  port:
    description:
      - A BMC's port.
      - By default 623 for V(ipmi) and 443 for V(redfish) and V(openbmc).
    type: int
  username:
    description:
      - The user to log in as.
    type: str
  password:
    description:
      - That user's password.
    type: str
  kg:
    description:
      - IPMI's BMC key K_g, where a BMC wants one.
    type: str
  privilege:
    description:
      - The privilege level of the IPMI session.
    type: str
    choices: [user, operator, administrator]
    default: administrator
  system:
    description:
      - Which system of a Redfish service that has several, by id, name or UUID.
    type: str
  validate_certs:
    description:
      - Whether a Redfish service's certificate has to be one to trust.
    type: bool
    default: true
  ca_path:
    description:
      - Authorities in PEM that sign the certificates of Redfish services, instead of the system's.
    type: path
  fingerprint:
    description:
      - The SHA-256 fingerprint of a Redfish service's certificate, which is trusted then whoever signed it.
    type: str
  plain_http:
    description:
      - Whether a Redfish service speaks HTTP without TLS. The password travels readable then.
    type: bool
    default: false
  fan_out:
    description:
      - How many BMCs are worked on at one time.
    type: int
    default: 100
  timeout:
    description:
      - Seconds for one BMC, from its turn on, all that the task does with it included.
    type: float
    default: 120
  overall_timeout:
    description:
      - Seconds for the whole task. BMCs that it leaves no time for fail.
      - By default there is none. With C(async), give less than its seconds; Ansible kills a task that is over them.
    type: float
requirements:
  - pyghmi for O(protocol=ipmi), on the host that runs the module
notes:
  - Run it where the BMCs can be reached, with C(delegate_to) or C(connection=local) say. One task with
    O(targets) is far cheaper than a loop, or a host for each BMC.
  - A BMC that can't be reached or refuses fails in RV(results), and the task fails; the others are done all the same.
"""
