#!/usr/bin/python

# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vbmc_info
short_description: Read virtual BMCs and the state of their daemon
version_added: 0.1.0
author:
  - the baremetal.lab authors (@baremetal-lab)
description:
  - Reads the instances of the daemon C(vbmcd), those with broken state files included, and what the daemon says of
    itself.
  - A host without the daemon, or without a running one, is no error; RV(daemon.running) and RV(daemon.reason) tell.
extends_documentation_fragment:
  - baremetal.lab.attributes
  - baremetal.lab.attributes.info
  - baremetal.lab.vbmc
options:
  names:
    description:
      - Only the instances of these names. Names that there are none of are left out of the result.
    type: list
    elements: str
  owner:
    description:
      - Only the instances that carry this label.
    type: str
seealso:
  - module: baremetal.lab.vbmc
"""

EXAMPLES = r"""
- name: Read all virtual BMCs of a host
  baremetal.lab.vbmc_info:
  register: bmcs

- name: Tell which of them do not answer, and why
  ansible.builtin.debug:
    msg: "{{ item.name }}: {{ item.reason }}"
  loop: "{{ bmcs.instances | selectattr('status', 'equalto', 'error') }}"

- name: Read two of them
  baremetal.lab.vbmc_info:
    names: [node-01, node-02]
"""

RETURN = r"""
instances:
  description: The instances, by name. Passwords are masked.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The instance's name.
      type: str
      sample: node-01
    domain:
      description: The libvirt domain behind it.
      type: str
      sample: node-01
    status:
      description: V(running), V(down) or V(error).
      type: str
      sample: running
    reason:
      description: Why the status is V(error), and otherwise empty.
      type: str
    state:
      description: What it is meant to be, V(started) or V(stopped).
      type: str
      sample: started
    address:
      description: The address that it answers on.
      type: str
      sample: "::"
    port:
      description: The UDP port that it answers on.
      type: int
      sample: 6230
    username:
      description: The first user's name.
      type: str
      sample: admin
    password:
      description: A mask.
      type: str
      sample: "********"
    privilege:
      description: How far the first user may go.
      type: str
      sample: administrator
    users:
      description: The further users.
      type: list
      elements: dict
      contains:
        name:
          description: The user's name.
          type: str
        privilege:
          description: How far the user may go.
          type: str
    libvirt_uri:
      description: The libvirt daemon that has the domain.
      type: str
      sample: qemu:///system
    libvirt_sasl_username:
      description: The user to log in to libvirt as.
      type: str
    libvirt_sasl_password:
      description: A mask, or empty where there is none.
      type: str
    kg:
      description: A mask, or empty where there is no BMC key K_g.
      type: str
    cipher_suites:
      description: The cipher suites that clients may use.
      type: list
      elements: int
      sample: [3, 17]
    redfish:
      description: Its Redfish service.
      type: dict
      contains:
        enabled:
          description: Whether it has one.
          type: bool
        tls:
          description: Whether it is HTTPS.
          type: bool
        port:
          description: The TCP port.
          type: int
          sample: 443
        address:
          description: The address, where it is another than the instance's.
          type: str
        certificate:
          description: The file of its certificate, where it was given one.
          type: str
        key:
          description: The file of the certificate's key, where it is another.
          type: str
        fingerprint:
          description:
            - The SHA-256 fingerprint of its certificate, for the option O(ignore:fingerprint) of the modules for BMCs.
            - Empty without TLS, and until somebody first connects where the BMC makes its certificate itself.
          type: str
    firmware:
      description: The firmware that it comes with and the planned faults, as the option of M(baremetal.lab.vbmc).
      type: dict
    media:
      description: From where it may fetch media and images, as the option of M(baremetal.lab.vbmc).
      type: dict
    owner:
      description: The label that says whose it is.
      type: str
    worker:
      description: The worker that answers for it; empty where none does.
      type: str
    pid:
      description: That worker's process id; null where none does.
      type: int
daemon:
  description: What the daemon says of itself.
  returned: success
  type: dict
  contains:
    running:
      description: Whether one answers.
      type: bool
    reason:
      description: Why none answers.
      type: str
      returned: where none does
    version:
      description: Its version.
      type: str
      returned: where it runs
      sample: 0.1.0
    release:
      description: What it was started as; changes with whatever makes a difference to it, and is empty by default.
      type: str
      returned: where it runs
    pid:
      description: Its process id.
      type: int
      returned: where it runs
    state_dir:
      description: The folder that holds its instances.
      type: str
      returned: where it runs
      sample: /var/lib/vbmcd
    socket:
      description: Its control socket.
      type: str
      returned: where it runs
      sample: /run/vbmcd/control.sock
    workers:
      description: The processes that answer IPMI.
      type: list
      elements: dict
      returned: where it runs
      contains:
        name:
          description: The worker's name.
          type: str
        status:
          description: Its process, how many instances it has, and when it was heard of last, in words.
          type: str
"""

from typing import Any, Dict, List, Optional

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.baremetal.lab.plugins.module_utils._vbmc import (
    COMMAND_ARGUMENTS,
    VbmcClient,
    VbmcError,
    VbmcUnavailable,
)

ARGUMENT_SPEC: Dict[str, Dict[str, Any]] = {
    "names": {"type": "list", "elements": "str"},
    "owner": {"type": "str"},
    **COMMAND_ARGUMENTS,
}


def read(client: VbmcClient, names: Optional[List[str]], owner: Optional[str]) -> Dict[str, Any]:
    """The module's result. Raises VbmcError."""
    try:
        daemon = client.status()
    except VbmcUnavailable as error:
        return {"instances": [], "daemon": {"running": False, "reason": str(error)}}
    return {"instances": client.instances(names, owner), "daemon": {"running": True, **daemon}}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    command = VbmcClient.find(module.params["vbmc_path"], module.get_bin_path)
    client = VbmcClient(module.run_command, command, module.params["socket"])
    try:
        result = read(client, module.params["names"], module.params["owner"])
    except VbmcError as error:
        module.fail_json(msg=str(error), **error.details())
    module.exit_json(**result)


if __name__ == "__main__":
    main()
