#!/usr/bin/python

# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vbmc
short_description: Virtual BMCs for libvirt domains
version_added: 0.1.0
author:
  - the baremetal.lab authors (@baremetal-lab)
description:
  - Makes, changes, starts, stops and removes the instances of the daemon C(vbmcd), each of which answers IPMI as the
    BMC of one libvirt domain.
  - The daemon compares and converges itself, under its own lock. Drift of port, address, users, passwords or libvirt
    URI is mended in place, and only the endpoint that it concerns is restarted. What is not named is left as it is.
  - A request is checked as a whole before anything of it is done, so that two instances on one address and port, for
    example, change nothing.
  - One task with O(instances) converges hundreds of instances in the time of one.
  - The role P(baremetal.lab.vbmc#role) installs the daemon. This module never starts one.
extends_documentation_fragment:
  - baremetal.lab.attributes
  - baremetal.lab.vbmc
attributes:
  check_mode:
    support: full
    details:
      - The daemon answers what it would do. Where there is none yet, all that is wanted reads changed, with a warning.
  diff_mode:
    support: full
    details:
      - Passwords are masked, and marked where they differ.
  idempotent:
    support: full
options:
  name:
    description:
      - The instance's name. Give this or O(instances).
    type: str
  instances:
    description:
      - Any number of instances. Each takes what it leaves out from the options of the same name beside O(instances).
    type: list
    elements: dict
    suboptions:
      name:
        description:
          - The instance's name, unique in the list.
        type: str
        required: true
      state:
        description:
          - As O(state), of this instance.
        type: str
        choices: [present, absent, started, stopped]
      domain:
        description:
          - As O(domain), of this instance.
        type: str
      username:
        description:
          - As O(username), of this instance.
        type: str
      password:
        description:
          - As O(password), of this instance.
        type: str
      privilege:
        description:
          - As O(privilege), of this instance.
        type: str
        choices: [administrator, operator, user, callback]
      users:
        description:
          - As O(users), of this instance.
        type: list
        elements: dict
        suboptions:
          name:
            description:
              - As O(users[].name).
            type: str
            required: true
          password:
            description:
              - As O(users[].password).
            type: str
            required: true
          privilege:
            description:
              - As O(users[].privilege).
            type: str
            choices: [administrator, operator, user, callback]
            default: administrator
      address:
        description:
          - As O(address), of this instance.
        type: str
      port:
        description:
          - As O(port), of this instance.
        type: int
      libvirt_uri:
        description:
          - As O(libvirt_uri), of this instance.
        type: str
      libvirt_sasl_username:
        description:
          - As O(libvirt_sasl_username), of this instance.
        type: str
      libvirt_sasl_password:
        description:
          - As O(libvirt_sasl_password), of this instance.
        type: str
      kg:
        description:
          - As O(kg), of this instance.
        type: str
      cipher_suites:
        description:
          - As O(cipher_suites), of this instance.
        type: list
        elements: int
      redfish:
        description:
          - As O(redfish), of this instance.
        type: dict
        suboptions:
          enabled:
            description:
              - As O(redfish.enabled).
            type: bool
          port:
            description:
              - As O(redfish.port).
            type: int
          address:
            description:
              - As O(redfish.address).
            type: str
          tls:
            description:
              - As O(redfish.tls).
            type: bool
          certificate:
            description:
              - As O(redfish.certificate).
            type: path
          key:
            description:
              - As O(redfish.key).
            type: path
      firmware:
        description:
          - As O(firmware), of this instance.
        type: dict
        suboptions:
          version:
            description:
              - As O(firmware.version).
            type: str
          machine:
            description:
              - As O(firmware.machine).
            type: str
          host_version:
            description:
              - As O(firmware.host_version).
            type: str
          dialect:
            description:
              - As O(firmware.dialect).
            type: str
            choices: [openbmc-2023, openbmc-2025, openbmc-legacy]
          slots:
            description:
              - As O(firmware.slots).
            type: int
          activation_seconds:
            description:
              - As O(firmware.activation_seconds).
            type: float
          reboot_seconds:
            description:
              - As O(firmware.reboot_seconds).
            type: float
          upload_rate:
            description:
              - As O(firmware.upload_rate).
            type: int
          max_image_bytes:
            description:
              - As O(firmware.max_image_bytes).
            type: int
          simple_update:
            description:
              - As O(firmware.simple_update).
            type: bool
          faults:
            description:
              - As O(firmware.faults).
            type: list
            elements: dict
            suboptions:
              kind:
                description:
                  - As O(firmware.faults[].kind).
                type: str
                required: true
                choices: [busy, stall, cut, exception, wrong-machine, slow, old-version]
              count:
                description:
                  - As O(firmware.faults[].count).
                type: int
                default: 1
              seconds:
                description:
                  - As O(firmware.faults[].seconds).
                type: float
      media:
        description:
          - As O(media), of this instance.
        type: dict
        suboptions:
          schemes:
            description:
              - As O(media.schemes).
            type: list
            elements: str
            choices: [http, https]
          folders:
            description:
              - As O(media.folders).
            type: list
            elements: str
          pool:
            description:
              - As O(media.pool).
            type: str
          verify:
            description:
              - As O(media.verify).
            type: bool
          max_bytes:
            description:
              - As O(media.max_bytes).
            type: int
      owner:
        description:
          - As O(owner), of this instance.
        type: str
  state:
    description:
      - V(present), the instance exists; whether it answers is left as it is, and a new one is stopped.
      - V(started), it exists and answers, now and whenever the daemon starts.
      - V(stopped), it exists and does not answer.
      - V(absent), there is no such instance. The domain is not touched.
    type: str
    choices: [present, absent, started, stopped]
    default: present
  domain:
    description:
      - The libvirt domain behind the BMC. It need not exist yet.
      - A new instance takes its own name for it.
    type: str
  username:
    description:
      - The first user's name, at most 16 bytes.
      - A new instance takes V(admin).
    type: str
  password:
    description:
      - The first user's password, at most 20 bytes.
      - A new instance takes V(password), as VirtualBMC's do. Choose another where others can reach the BMC.
    type: str
  privilege:
    description:
      - How far the first user may go. A V(user) reads, an V(operator) powers, an V(administrator) does all.
      - A new instance takes V(administrator).
    type: str
    choices: [administrator, operator, user, callback]
  users:
    description:
      - The further users, all of them. An empty list removes those that there are.
    type: list
    elements: dict
    suboptions:
      name:
        description:
          - The user's name, at most 16 bytes.
        type: str
        required: true
      password:
        description:
          - The user's password, at most 20 bytes.
        type: str
        required: true
      privilege:
        description:
          - How far the user may go.
        type: str
        choices: [administrator, operator, user, callback]
        default: administrator
  address:
    description:
      - The IP address to answer on, one of the managed host's, or V(::) for all of them.
      - A new instance takes V(::).
    type: str
  port:
    description:
      - The UDP port to answer on.
      - Left out, an instance keeps the one that it has, and a new one is given a free one.
    type: int
  libvirt_uri:
    description:
      - The libvirt daemon that has the domain, as seen from the managed host.
      - A new instance takes V(qemu:///system).
    type: str
  libvirt_sasl_username:
    description:
      - The user to log in to libvirt as, where libvirt asks for SASL credentials.
    type: str
  libvirt_sasl_password:
    description:
      - The password of O(libvirt_sasl_username).
    type: str
  kg:
    description:
      - The BMC key K_g, of at most 20 bytes, that clients have to give besides a user's password.
      - Text, or V(0x) and two hexadecimal digits for each byte. An empty one removes it.
      - A new instance has none.
    type: str
  cipher_suites:
    description:
      - The cipher suites that clients may use, by their numbers in the IPMI specification, all of them.
      - There are V(1), V(2), V(3), V(6), V(7), V(8), V(11), V(12), V(15), V(16) and V(17).
      - All but V(3), V(8), V(12) and V(17) send everything in the clear, but for the password of a login. With V(1),
        V(6) and V(15) packets are not authentic either, so that whoever sees them can send commands.
      - A new instance takes V([3, 17]).
    type: list
    elements: int
  redfish:
    description:
      - The Redfish service of the BMC, beside IPMI and with the same users; see docs/redfish.md.
      - What is left out stays as it is. A new instance has none unless this is given, if only as V({}).
    type: dict
    suboptions:
      enabled:
        description:
          - Whether there is Redfish. Default V(true) where O(redfish) is given at all.
        type: bool
      port:
        description:
          - The TCP port to answer on.
          - Left out, an instance keeps the one that it has. A new one is given V(443) beside the UDP port V(623), else
            the number of that port, or a free one.
        type: int
      address:
        description:
          - The IP address to answer on. Empty for the instance's O(address), which is what a new one takes.
        type: str
      tls:
        description:
          - Whether it is HTTPS, of TLS 1.2 or 1.3. V(false) for HTTP, which sends passwords in the clear.
          - A new one takes V(true).
        type: bool
      certificate:
        description:
          - A file on the managed host, PEM, with the certificate and those that lead from it to one that clients know.
          - The daemon's user has to be able to read it. A file that was renewed is read anew.
          - Empty for one that the daemon makes and signs itself, which is what a new one takes.
        type: path
      key:
        description:
          - The file with the certificate's key, without a password. Empty where it is in O(redfish.certificate), too.
        type: path
  firmware:
    description:
      - The firmware that the BMC has for others to update over Redfish, and what goes wrong by plan when they do.
      - >-
        What is left out stays as it is. See docs/redfish.md, 'Rehearse a firmware roll-out', for what each of it does,
        and for what a new instance takes.
    type: dict
    suboptions:
      version:
        description:
          - The version that runs at first. What is activated later stays until this option names another one.
        type: str
      machine:
        description:
          - The C(MachineName) that an image has to be for.
        type: str
      host_version:
        description:
          - The version of the host's firmware (BIOS) at first. Empty for a host without any that can be updated.
        type: str
      dialect:
        description:
          - Whose ways of updating are spoken, OpenBMC's of 2023, of 2025, or its REST service of before.
        type: str
        choices: [openbmc-2023, openbmc-2025, openbmc-legacy]
      slots:
        description:
          - How many images are kept over a reset of the BMC, the running one included.
        type: int
      activation_seconds:
        description:
          - How long it takes to activate an image.
        type: float
      reboot_seconds:
        description:
          - How long a reset of the BMC takes. For the most part of it the BMC answers neither protocol.
        type: float
      upload_rate:
        description:
          - How many bytes a second of an upload are read. V(0) for as many as come.
        type: int
      max_image_bytes:
        description:
          - The largest upload that is taken, in bytes; the whole request counts.
        type: int
      simple_update:
        description:
          - Whether there is C(UpdateService.SimpleUpdate). By default it is up to the dialect.
        type: bool
      faults:
        description:
          - The plan of faults, all of it. An empty list ends it.
        type: list
        elements: dict
        suboptions:
          kind:
            description:
              - What goes wrong.
            type: str
            required: true
            choices: [busy, stall, cut, exception, wrong-machine, slow, old-version]
          count:
            description:
              - How often it does, from the first occasion on. V(0) for always.
            type: int
            default: 1
          seconds:
            description:
              - How long a V(stall) lasts, or how much longer a V(slow) activation takes.
            type: float
  media:
    description:
      - >-
        From where the BMC may fetch what a Redfish client names, firmware images (SimpleUpdate) and virtual media.
        The daemon fetches with its own rights and from its own place in the network.
      - What is left out stays as it is. See docs/redfish.md, 'From where a BMC fetches', for what a new instance takes.
    type: dict
    suboptions:
      schemes:
        description:
          - The schemes of URLs that may be downloaded. An empty list for none.
        type: list
        elements: str
        choices: [http, https]
      folders:
        description:
          - Folders of the managed host with files that may be used. There are none by default.
        type: list
        elements: str
      pool:
        description:
          - libvirt's storage pool that downloaded media are put in.
        type: str
      verify:
        description:
          - Whether the certificates of servers are verified.
        type: bool
      max_bytes:
        description:
          - The largest medium that is taken, in bytes.
        type: int
  owner:
    description:
      - A label that says whose the instance is, such as the name of a lab; see O(purge).
      - >-
        An instance with another label is refused, with O(state=absent) too. To change it, clear the label first with an
        empty O(owner); to remove it, leave the owner out.
    type: str
  purge:
    description:
      - Also remove the instances that carry the label O(owner) and are not named here. Others are never touched.
    type: bool
    default: false
seealso:
  - module: baremetal.lab.vbmc_info
  - module: baremetal.lab.domain
"""

EXAMPLES = r"""
- name: Let node-01 have a BMC that answers on port 6230
  baremetal.lab.vbmc:
    name: node-01
    port: 6230
    username: operator
    password: "{{ bmc_password }}"
    state: started

- name: Give every node of the rack a BMC on a port that is free, and remove those of nodes that are gone
  baremetal.lab.vbmc:
    instances: "{{ rack_7_nodes }}" # a list with at least a name each
    password: "{{ bmc_password }}"
    address: 192.0.2.1
    owner: rack-7
    purge: true
    state: started

- name: A user that may read power states and no more
  baremetal.lab.vbmc:
    name: node-01
    users:
      - name: monitor
        password: "{{ monitor_password }}"
        privilege: user

- name: A BMC with Redfish beside IPMI
  baremetal.lab.vbmc:
    name: node-01
    address: 192.0.2.7
    port: 623
    redfish:
      port: 443
    state: started

- name: A BMC whose first firmware update is refused and lands all the same, and whose second activation fails
  baremetal.lab.vbmc:
    name: node-01
    firmware:
      dialect: openbmc-2023
      version: 2.14.0
      machine: romulus
      faults:
        - kind: busy
        - kind: exception
    state: started

- name: Two BMCs in one task, of which one is to go
  baremetal.lab.vbmc:
    instances:
      - name: node-01
        port: 6230
        state: started
      - name: node-02
        state: absent
"""

RETURN = r"""
instances:
  description: What became of each instance, in the order of the task, and after these what was purged.
  returned: success, and where the daemon could do a part only
  type: list
  elements: dict
  contains:
    name:
      description: The instance's name.
      type: str
      sample: node-01
    state:
      description: V(started), V(stopped) or V(absent). In check mode without a daemon the state that is wanted.
      type: str
      sample: started
    changed:
      description: Whether anything was done, or in check mode would be.
      type: bool
    actions:
      description: What was done, of V(create), V(update), V(start), V(stop) and V(delete).
      type: list
      elements: str
      sample: [create, start]
    address:
      description: The address that it answers on.
      type: str
      sample: "::"
    port:
      description: The UDP port that it answers on, given or allocated.
      type: int
      sample: 6230
    error:
      description: Why this instance could not be brought to its state.
      returned: where it could not
      type: str
code:
  description:
    - A word for the kind of failure, V(invalid), V(conflict), V(not-found), V(state), V(unavailable) or V(error).
  returned: failure
  type: str
  sample: conflict
errors:
  description: What is wrong, for each instance that something is wrong with.
  returned: failure
  type: list
  elements: dict
  contains:
    instance:
      description: The instance's name, where it is about one.
      type: str
    message:
      description: What is wrong, and the remedy.
      type: str
"""

from typing import Any, Dict, List, Mapping

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.baremetal.lab.plugins.module_utils._vbmc import (
    COMMAND_ARGUMENTS,
    Report,
    VbmcClient,
    VbmcError,
    VbmcUnavailable,
    all_changed,
)
from ansible_collections.baremetal.lab.plugins.module_utils._vbmc_options import INSTANCE_ARGUMENTS, STATES

ARGUMENT_SPEC: Dict[str, Dict[str, Any]] = {
    "name": {"type": "str"},
    "instances": {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": STATES},
            **INSTANCE_ARGUMENTS,
        },
    },
    "state": {"type": "str", "choices": STATES, "default": "present"},
    "purge": {"type": "bool", "default": False},
    **INSTANCE_ARGUMENTS,
    **COMMAND_ARGUMENTS,
}


def wanted(params: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """The daemon's SPECs for the module's parameters. What is None is left out, so that the daemon keeps it."""
    defaults = {key: params[key] for key in ("state", *INSTANCE_ARGUMENTS) if params[key] is not None}
    items = [{"name": params["name"]}] if params["instances"] is None else params["instances"]
    return [{**defaults, **{key: value for key, value in item.items() if value is not None}} for item in items]


def converge(module: AnsibleModule, client: VbmcClient, specs: List[Dict[str, Any]]) -> Report:
    """Raises VbmcError."""
    try:
        return client.apply(
            specs, check=module.check_mode, purge=module.params["purge"], owner=module.params["owner"] or ""
        )
    except VbmcUnavailable as error:
        if not module.check_mode:
            raise
        module.warn(f"{error}. All that is wanted is taken for changed, and nothing was checked.")
        return all_changed(specs)


def main() -> None:
    module = AnsibleModule(
        argument_spec=ARGUMENT_SPEC,
        mutually_exclusive=[("name", "instances")],
        required_one_of=[("name", "instances")],
        required_if=[("purge", True, ("owner",))],
        supports_check_mode=True,
    )
    command = VbmcClient.find(module.params["vbmc_path"], module.get_bin_path)
    client = VbmcClient(module.run_command, command, module.params["socket"])
    try:
        report = converge(module, client, wanted(module.params))
    except VbmcError as error:
        module.fail_json(msg=str(error), **error.details())
    result = report.result()
    if module._diff:
        result["diff"] = report.diff()
    failures = report.failures()
    if failures:
        messages = "; ".join(str(failure["message"]) for failure in failures)
        module.fail_json(msg=f"{len(failures)} of {len(report.outcomes)}: {messages}", errors=failures, **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
