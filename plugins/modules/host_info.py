#!/usr/bin/python
# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module baremetal.lab.host_info: the one look by which the roles tell what is left to be done on a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_info
short_description: Read what a host has, in one step
version_added: 0.1.0
author:
  - the baremetal.lab authors (@baremetal-lab)
description:
  - Reads what the roles P(baremetal.lab.hypervisor#role) and P(baremetal.lab.vbmc#role) go by, packages, units, files,
    accounts, storage pool and daemon, in one step in place of one for each.
  - Whatever there is not is told as such, and is no error.
extends_documentation_fragment:
  - baremetal.lab.attributes
  - baremetal.lab.attributes.info
  - baremetal.lab.vbmc
options:
  packages:
    description:
      - Debian packages that should be there.
    type: list
    elements: str
    default: []
  units:
    description:
      - Units of systemd to look at.
    type: list
    elements: str
    default: []
  files:
    description:
      - Paths to look at. Of a link it is the link that is told of.
    type: list
    elements: str
    default: []
  user:
    description:
      - An account to look at.
    type: str
  groups:
    description:
      - Groups to look for.
    type: list
    elements: str
    default: []
  pool:
    description:
      - A storage pool of libvirt's to look at.
    type: str
  uri:
    description:
      - The libvirt daemon that has the pool.
    type: str
    default: qemu:///system
  daemon:
    description:
      - Whether to ask the BMC daemon what it is.
    type: bool
    default: false
seealso:
  - module: baremetal.lab.hypervisor_info
  - module: baremetal.lab.vbmc_info
"""

EXAMPLES = r"""
- name: Look at a host
  baremetal.lab.host_info:
    packages: [qemu-system-x86, ovmf]
    units: [libvirtd.service]
    files: [/dev/kvm]
  register: found

- name: Install what is missing
  ansible.builtin.apt:
    name: "{{ found.missing_packages }}"
  when: found.missing_packages | length > 0
"""

RETURN = r"""
system:
  description: What runs on the host.
  returned: success
  type: dict
  contains:
    name:
      description: Its name for people.
      type: str
      sample: Debian GNU/Linux 12 (bookworm)
    id:
      description: Its name for programs.
      type: str
      sample: debian
    version:
      description: Its version; empty where it has none.
      type: str
      sample: "12"
    debian:
      description: Whether it is Debian or made from it.
      type: bool
    systemd:
      description: Whether systemd runs the host, and is not just installed.
      type: bool
missing_packages:
  description: Those of O(packages) that are not installed.
  returned: success
  type: list
  elements: str
units:
  description: Each of O(units), by its name.
  returned: success
  type: dict
  sample: {libvirtd.service: {active: active, enabled: enabled, stale: false}}
files:
  description: >-
    Each of O(files), by its path; C(kind) is V(file), V(directory), V(link), V(socket), V(device), V(pipe), V(other) or
    V(absent), and what does not apply is null.
  returned: success
  type: dict
  sample: {/dev/kvm: {kind: device, mode: "0660", owner: root, group: kvm, target: null, sha256: null}}
user:
  description: O(user) with all its groups; null where there is none.
  returned: success
  type: dict
  sample: {groups: [libvirt, vbmc], comment: Virtual BMCs, home: /var/lib/vbmcd, shell: /usr/sbin/nologin}
groups:
  description: Those of O(groups) that there are.
  returned: success
  type: list
  elements: str
pool:
  description: Whether libvirt answers, has O(pool), runs it, and starts it with the host.
  returned: with O(pool)
  type: dict
  sample: {libvirt: true, defined: true, active: true, autostart: true}
daemon:
  description: What the BMC daemon says of itself, as the module M(baremetal.lab.vbmc_info) has it.
  returned: with O(daemon)
  type: dict
  contains:
    running:
      description: Whether one answers.
      type: bool
    reason:
      description: Why none answers.
      type: str
      returned: where none does
    release:
      description: What it was started as; changes with whatever makes a difference to it.
      type: str
      returned: where it runs
"""

from typing import Any, Dict

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.baremetal.lab.plugins.module_utils import _host
from ansible_collections.baremetal.lab.plugins.module_utils._errors import LabError
from ansible_collections.baremetal.lab.plugins.module_utils._libvirt import connection, is_error, libvirt
from ansible_collections.baremetal.lab.plugins.module_utils._vbmc import (
    COMMAND_ARGUMENTS,
    VbmcClient,
    VbmcError,
)

NAMES: Dict[str, Any] = {"type": "list", "elements": "str", "default": []}
ARGUMENT_SPEC: Dict[str, Dict[str, Any]] = {
    "packages": NAMES,
    "units": NAMES,
    "files": NAMES,
    "user": {"type": "str"},
    "groups": NAMES,
    "pool": {"type": "str"},
    "uri": {"type": "str", "default": "qemu:///system"},
    "daemon": {"type": "bool", "default": False},
    **COMMAND_ARGUMENTS,
}


def pool(name: str, uri: str) -> Dict[str, bool]:
    """What libvirt has of a storage pool."""
    nothing = {"libvirt": False, "defined": False, "active": False, "autostart": False}
    if libvirt is None:
        return nothing
    try:
        with connection(uri) as opened:
            try:
                found = opened.storagePoolLookupByName(name)
            except libvirt.libvirtError as error:
                if is_error(error, "NO_STORAGE_POOL"):
                    return {**nothing, "libvirt": True}
                raise
            active, autostart = bool(found.isActive()), bool(found.autostart())
            return {"libvirt": True, "defined": True, "active": active, "autostart": autostart}
    except LabError:
        return nothing


def daemon(client: VbmcClient) -> Dict[str, Any]:
    """What the BMC daemon says of itself."""
    try:
        return {"running": True, **client.status()}
    except VbmcError as error:
        return {"running": False, "reason": str(error)}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    params = module.params
    result: Dict[str, Any] = {
        "system": _host.system(),
        "missing_packages": _host.missing_packages(module.run_command, params["packages"]),
        "units": _host.units(module.run_command, params["units"]),
        "files": {path: _host.file(path) for path in params["files"]},
        "user": _host.user(params["user"]) if params["user"] else None,
        "groups": _host.groups(params["groups"]),
    }
    if params["pool"]:
        result["pool"] = pool(params["pool"], params["uri"])
    if params["daemon"]:
        command = VbmcClient.find(params["vbmc_path"], module.get_bin_path)
        result["daemon"] = daemon(VbmcClient(module.run_command, command, params["socket"]))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
