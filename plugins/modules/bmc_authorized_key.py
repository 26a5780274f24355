#!/usr/bin/python

# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: bmc_authorized_key
short_description: Let an OpenSSH key log in to BMCs
version_added: 0.1.0
author:
  - the baremetal.lab authors (@baremetal-lab)
description:
  - Puts a public key into C(~/.ssh/authorized_keys) of the user, on hundreds of BMCs in one task.
  - A BMC needs a shell, as OpenBMC's have, and no Python.
  - Other keys there are left as they are. A key that is there already keeps its options and its comment.
  - The password is on no command line, in no environment and in no file.
extends_documentation_fragment:
  - baremetal.lab.attributes
  - baremetal.lab.attributes.converges
  - baremetal.lab.bmc_targets
options:
  key:
    description:
      - The public key, the line of a C(.pub) file.
    type: str
    required: true
  state:
    description:
      - Whether the key may log in.
    type: str
    choices: [present, absent]
    default: present
  host_key_checking:
    description:
      - V(strict), a BMC's host key has to be in O(known_hosts).
      - V(accept-new), a key of a BMC that is not in there is added; another one than is in there is refused.
      - V(off), whoever answers is given the password.
    type: str
    choices: [strict, accept-new, "off"]
    default: strict
  known_hosts:
    description:
      - The file of host keys, instead of the user's own.
    type: path
  private_key_file:
    description:
      - A private key to log in with, where the BMC knows one already. One that has a passphrase has to be in an agent.
    type: path
  protocol:
    description:
      - What a BMC speaks.
    type: str
    choices: [ssh]
    default: ssh
  port:
    description:
      - A BMC's port.
    type: int
    default: 22
requirements:
  - OpenSSH's client, 8.4 or later, on the host that runs the module
notes:
  - The options for IPMI and TLS mean nothing here.
"""

EXAMPLES = r"""
- name: Let the admins' key in
  baremetal.lab.bmc_authorized_key:
    targets: "{{ bmcs }}"
    username: root
    password: "{{ bmc_password }}"
    key: "{{ lookup('ansible.builtin.file', 'admins.pub') }}"
    known_hosts: /etc/ssh/bmc_known_hosts
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
    key_count:
      description: How many keys the file has.
      returned: where it did not fail
      type: int
    before:
      description: Whether the key was there.
      returned: where it did not fail
      type: dict
      sample:
        authorized: false
    after:
      description: Whether it is there now.
      returned: where it did not fail
      type: dict
      sample:
        authorized: true
    kind:
      description:
        - A word for the failure, as of M(baremetal.lab.power).
        - V(host-key), the BMC's host key is not one to trust.
      returned: where it failed
      type: str
    step:
      description: Where it failed, V(read), V(change) or V(verify).
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
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.clients.ssh import SshOptions
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.managers.sshkey import KeyRequest

ARGUMENT_SPEC: Dict[str, Dict[str, Any]] = {
    **ARGUMENTS,
    "key": {"type": "str", "required": True, "no_log": False},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "host_key_checking": {"type": "str", "choices": ["strict", "accept-new", "off"], "default": "strict"},
    "known_hosts": {"type": "path"},
    "private_key_file": {"type": "path"},
    "protocol": {"type": "str", "choices": ["ssh"], "default": "ssh"},
    "port": {"type": "int", "default": 22},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True, **RULES)
    params = module.params
    if params["private_key_file"] and params["password"] is None:
        params["password"] = ""
    options = SshOptions(params["host_key_checking"], params["known_hosts"], params["private_key_file"])
    request = KeyRequest(params["key"], params["state"], module.check_mode, options)
    run(module, "sshkey", "set_key", request=request)


if __name__ == "__main__":
    main()
