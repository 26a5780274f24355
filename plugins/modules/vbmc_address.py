#!/usr/bin/python
# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module baremetal.lab.vbmc_address; the work is that of the command vbmcd-addresses (roles/vbmc/files/vbmcd)."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vbmc_address
short_description: Keep IP addresses that virtual BMCs have to themselves
version_added: 0.1.0
author:
  - the baremetal.lab authors (@baremetal-lab)
description:
  - Puts addresses on an interface of the host, so that each BMC answers on one of its own, on port 623 as real ones do.
  - They are kept in a list for each O(owner) below C(/etc/vbmcd/addresses.d), and added again when the host starts; the
    role P(baremetal.lab.vbmc#role) sees to that.
  - What others have put on an interface is left alone, and is no error where it is one of O(addresses).
extends_documentation_fragment:
  - baremetal.lab.attributes
  - baremetal.lab.attributes.converges
options:
  owner:
    description:
      - Whose addresses they are, such as the name of a lab. Those of another owner are never removed.
    type: str
    required: true
  addresses:
    description:
      - IPv4 and IPv6 addresses, without a prefix length. Each is added alone, without its network.
    type: list
    elements: str
    default: []
  purge:
    description:
      - Whether to remove the owner's other addresses.
    type: bool
    default: false
  interface:
    description:
      - The interface that they are on. Where there is none of this name, a dummy is made, and goes with the last of
        them.
    type: str
    default: vbmc0
  command_path:
    description:
      - The command C(vbmcd-addresses) on the managed host.
    type: path
    default: /opt/vbmcd/bin/vbmcd-addresses
requirements:
  - the command C(vbmcd-addresses) of this collection's daemon, and C(ip) of iproute2, on the managed host
  - the rights of root
seealso:
  - module: baremetal.lab.vbmc
"""

EXAMPLES = r"""
- name: Addresses for two BMCs
  baremetal.lab.vbmc_address:
    owner: rack-7
    addresses:
      - 192.0.2.11
      - 2001:db8::11

- name: BMCs that use them
  baremetal.lab.vbmc:
    instances:
      - name: node-1
        address: 192.0.2.11
        port: 623
      - name: node-2
        address: 2001:db8::11
        port: 623

- name: Remove all of them
  baremetal.lab.vbmc_address:
    owner: rack-7
    purge: true
"""

RETURN = r"""
addresses:
  description: The owner's addresses; in check mode, as they would be.
  returned: success
  type: list
  elements: str
  sample: [192.0.2.11]
interface:
  description: The interface that they are on.
  returned: success
  type: str
  sample: vbmc0
host_addresses:
  description: Addresses of the host that are none of this module's.
  returned: success
  type: list
  elements: str
  sample: [127.0.0.1, 192.0.2.1]
actions:
  description: What was done, in its order; in check mode, what would be.
  returned: success
  type: list
  elements: str
  sample: [add 192.0.2.11 to vbmc0]
"""

import json
from typing import Any, Dict

from ansible.module_utils.basic import AnsibleModule

ARGUMENT_SPEC: Dict[str, Dict[str, Any]] = {
    "owner": {"type": "str", "required": True},
    "addresses": {"type": "list", "elements": "str", "default": []},
    "purge": {"type": "bool", "default": False},
    "interface": {"type": "str", "default": "vbmc0"},
    "command_path": {"type": "path", "default": "/opt/vbmcd/bin/vbmcd-addresses"},
}


def ask(module: AnsibleModule) -> Dict[str, Any]:
    """What the command answers; ends the module where that is an error."""
    params = module.params
    command = [params["command_path"], "apply", "--owner", params["owner"], "--interface", params["interface"]]
    command += ["--purge"] * params["purge"] + ["--check"] * module.check_mode
    code, stdout, stderr = module.run_command([*command, "--", *params["addresses"]], handle_exceptions=False)
    try:
        answer: Dict[str, Any] = json.loads(stdout)
    except ValueError:
        module.fail_json(msg="%s ended with %d and without JSON: %s" % (command[0], code, stderr.strip()))
    if "error" in answer:
        module.fail_json(msg=answer["error"])
    return answer


def result(module: AnsibleModule, answer: Dict[str, Any]) -> Dict[str, Any]:
    found = {
        "changed": answer["changed"],
        "addresses": answer["after"],
        "interface": answer["interface"],
        "host_addresses": answer["host"],
        "actions": answer["actions"],
    }
    if module._diff:
        header = "addresses of %s on %s" % (module.params["owner"], answer["interface"])
        found["diff"] = {
            "before_header": header,
            "after_header": header,
            "before": "".join("%s\n" % address for address in answer["before"]),
            "after": "".join("%s\n" % address for address in answer["after"]),
            "prepared": "".join("%s\n" % action for action in answer["actions"]),
        }
    return found


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    try:
        answer = ask(module)
    except OSError as error:
        module.fail_json(
            msg="%s can't be run: %s: install the daemon with the role baremetal.lab.vbmc, or name the command with "
            "command_path" % (module.params["command_path"], error.strerror)
        )
    module.exit_json(**result(module, answer))


if __name__ == "__main__":
    main()
