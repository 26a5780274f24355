# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory plugin baremetal.lab.vbmc: hypervisors in, hosts and groups out."""

from __future__ import annotations

DOCUMENTATION = r"""
name: vbmc
short_description: The virtual BMCs of hypervisors, as their daemons have them
version_added: 0.1.0
author:
  - the baremetal.lab authors (@baremetal-lab)
description:
  - Asks the daemon C(vbmcd) of each hypervisor for its BMCs, and makes each of them a host.
  - Hypervisors are reached by Ansible's connection plugins, with the variables that tasks go by, such as
    C(ansible_host), C(ansible_user) and C(ansible_become_password). All are asked at once.
  - Every BMC is in the group C(vbmc), in C(hypervisor_NAME), in C(lab_OWNER) where it has an owner, and in C(power_on),
    C(power_off) or C(power_unknown). More groups and variables are made with O(keyed_groups), O(groups) and O(compose).
  - A host has the variables C(bmc_address) and C(bmc_port), C(bmc_username), C(bmc_hypervisor), C(bmc_domain),
    C(bmc_libvirt_uri), C(bmc_owner), C(bmc_status) (V(running), V(down) or V(error)), C(bmc_power) (V(on), V(off) or
    V(unknown)) and C(bmc_listen_address). A daemon tells no password, so take that from where you keep it.
  - C(bmc_ipmi_target), and of a BMC with Redfish C(bmc_redfish_target), are items for the option O(ignore:targets) of
    M(baremetal.lab.power), M(baremetal.lab.boot_device), M(baremetal.lab.bmc_info), M(baremetal.lab.firmware) and
    M(baremetal.lab.firmware_info), with address, port, user and the certificate's fingerprint where the BMC made it
    itself and somebody has connected before.
  - The file's name has to end in C(vbmc.yml) or C(vbmc.yaml).
extends_documentation_fragment:
  - ansible.builtin.constructed
  - ansible.builtin.inventory_cache
options:
  plugin:
    description:
      - Says that the file is this plugin's.
    type: str
    required: true
    choices: [baremetal.lab.vbmc]
  hypervisors:
    description:
      - The hypervisors, each with the variables to reach it by, if any.
      - Where an inventory that comes before this one has a host of that name, its variables hold as well.
      - By default the hosts of O(hypervisor_group).
    type: dict
    default: {}
  hypervisor_group:
    description:
      - The group of hypervisors in the inventories that come before this one.
    type: str
    default: hypervisors
  owner:
    description:
      - Only the BMCs of this lab, which is its C(lab_name). All by default.
    type: str
  hostname:
    description:
      - What a host is called, the BMC's V(name), or V(qualified) with a dot and its hypervisor's behind it.
    type: str
    choices: [name, qualified]
    default: name
  become:
    description:
      - Whether to become root, or who C(ansible_become_user) says, to talk to the daemon.
      - A hypervisor's C(ansible_become) goes before this.
    type: bool
    default: true
  ignore_unreachable:
    description:
      - Whether to go on, with a warning, without a hypervisor that can't be reached or whose daemon does not answer.
      - What is read then is not cached.
    type: bool
    default: false
  vbmc_path:
    description:
      - The C(vbmc) command on the hypervisors. By default where the role P(baremetal.lab.vbmc#role) puts it, with the
        hypervisor's C(vbmc_venv) if it has that variable.
    type: str
  socket:
    description:
      - The control socket of the daemon. By default the hypervisor's variable C(vbmc_socket), or the one that C(vbmc)
        finds by itself.
    type: str
notes:
  - The power state is libvirt's, read with C(virsh) on the hypervisor; V(unknown) where that fails.
  - C(bmc_address) is the one that the BMC answers on. Where that is every address, it is the hypervisor's
    C(lab_export_address), C(ansible_host), or name.
  - What a daemon says is never taken for a template, which C(ansible-inventory --list) shows as C(__ansible_unsafe).
"""

EXAMPLES = r"""
# lab.vbmc.yml beside the inventory of a lab, which has the group 'hypervisors':
# ansible-inventory -i inventory.yml -i lab.vbmc.yml --graph
plugin: baremetal.lab.vbmc
owner: rack-7
---
# By itself, with two hypervisors, one of which may be away, and the machines by state of their BMC
plugin: baremetal.lab.vbmc
hypervisors:
  hv1:
    ansible_host: hv1.example.org
    ansible_user: root
  hv2:
    ansible_host: hv2.example.org
ignore_unreachable: true
keyed_groups:
  - prefix: status
    key: bmc_status
groups:
  compute: inventory_hostname.startswith('compute-')
compose:
  ipmi_url: "'ipmi://' ~ bmc_address ~ ':' ~ bmc_port"
cache: true
cache_plugin: ansible.builtin.jsonfile
cache_connection: ~/.cache/ansible-vbmc
---
# A playbook for all BMCs of that lab that have Redfish
- hosts: localhost
  gather_facts: false
  tasks:
    - name: Read their firmware
      baremetal.lab.firmware_info:
        targets: >-
          {{ groups.vbmc | map('extract', hostvars) | selectattr('bmc_redfish_target', 'defined')
             | map(attribute='bmc_redfish_target') }}
        password: "{{ bmc_password }}"
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Tuple, Union

from ansible.errors import AnsibleError, AnsibleParserError
from ansible.inventory.helpers import get_group_vars
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable
from ansible.utils.vars import combine_vars
from ansible.vars.plugins import get_vars_from_inventory_sources

from ansible_collections.baremetal.lab.plugins.module_utils._vbmc import ROLE_COMMAND, VbmcClient, VbmcError
from ansible_collections.baremetal.lab.plugins.plugin_utils.remote_host import RemoteHost
from ansible_collections.baremetal.lab.plugins.plugin_utils.vbmc_inventory import Bmc, read_bmcs, unique_names

PARALLEL = 32
Answer = Tuple[List[Bmc], Optional[str]]
"""A hypervisor's BMCs, and why it could not be read."""


@dataclass(frozen=True)
class Source:
    """A hypervisor that can be asked."""

    remote: RemoteHost
    client: VbmcClient
    known_as: str
    """Where others reach its BMCs that answer on every address."""


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):
    """See DOCUMENTATION."""

    NAME = "baremetal.lab.vbmc"

    def verify_file(self, path: str) -> bool:
        return bool(super().verify_file(path)) and path.endswith(("vbmc.yml", "vbmc.yaml"))

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        key = self.get_cache_key(path)
        bmcs = self._cached(key) if cache and self.get_option("cache") else None
        if bmcs is None:
            bmcs, complete = self._read()
            if complete and self.get_option("cache"):
                self._cache[key] = [bmc.document() for bmc in bmcs]
        try:
            named = unique_names(bmcs, self.get_option("hostname") == "qualified")
        except ValueError as error:
            raise AnsibleParserError(str(error)) from error
        for name, bmc in named.items():
            self._add(name, bmc)

    def _cached(self, key: str) -> Optional[List[Bmc]]:
        try:
            return [Bmc(**document) for document in self._cache[key]]
        except (KeyError, TypeError):  # nothing, or of another version
            return None

    # --- Reading ------------------------------------------------------------------------------------------------------

    def _read(self) -> Tuple[List[Bmc], bool]:
        """The BMCs of all hypervisors, and whether none is missing. Raises AnsibleParserError."""
        hypervisors = self._hypervisors()
        sources = [self._source(name, variables) for name, variables in hypervisors.items()]
        with ThreadPoolExecutor(min(PARALLEL, len(sources))) as pool:
            answers = list(pool.map(self._ask, sources))
        failures = [reason for _bmcs, reason in answers if reason]
        for failure in failures if self.get_option("ignore_unreachable") else ():
            self.display.warning(f"{failure}; its BMCs are left out")
        if failures and not self.get_option("ignore_unreachable"):
            raise AnsibleParserError(
                "; ".join(failures) + ". To go on without what can't be read, set ignore_unreachable"
            )
        return [bmc for bmcs, _reason in answers for bmc in bmcs], not failures

    def _hypervisors(self) -> Dict[str, Mapping[str, Any]]:
        """Name to variables. Raises AnsibleParserError where there are none."""
        given: Mapping[str, Any] = self.get_option("hypervisors")
        group = self.get_option("hypervisor_group")
        known = self.inventory.groups.get(group)
        names = list(given) if given else [host.name for host in known.get_hosts()] if known else []
        if not names:
            raise AnsibleParserError(
                f"there are no hypervisors: name them with 'hypervisors', or put an inventory with the group '{group}' "
                "before this one"
            )
        return {name: combine_vars(self._variables(name), given.get(name) or {}) for name in names}

    def _variables(self, name: str) -> Mapping[str, Any]:
        """What the inventories before this one say of a host, with their group_vars and host_vars."""
        host = self.inventory.hosts.get(name)
        if host is None:
            return {}
        sources = self.inventory.processed_sources
        variables = get_group_vars(host.get_groups())
        for found in (
            get_vars_from_inventory_sources(self.loader, sources, host.get_groups(), "all"),
            host.get_vars(),
            get_vars_from_inventory_sources(self.loader, sources, [host], "all"),
        ):
            variables = combine_vars(variables, found)
        result: Mapping[str, Any] = variables
        return result

    def _template(self, value: Any, variables: Mapping[str, Any]) -> Any:
        self.templar.available_variables = variables
        return self.templar.template(value)

    def _source(self, name: str, variables: Mapping[str, Any]) -> Union[Source, str]:
        """The way to a hypervisor's daemon, or why there is none."""
        try:
            remote = RemoteHost(name, variables, self._template, self.get_option("become"))
            told = remote.values(("ansible_host", "lab_export_address", "vbmc_venv", "vbmc_socket"))
        except AnsibleError as error:
            return f"hypervisor '{name}': {error}"
        command = f"{told['vbmc_venv']}/bin/vbmc" if "vbmc_venv" in told else ROLE_COMMAND
        socket = self.get_option("socket") or told.get("vbmc_socket")
        client = VbmcClient(remote.run, self.get_option("vbmc_path") or command, socket)
        here = "127.0.0.1" if remote.transport == "local" else name
        return Source(remote, client, str(told.get("lab_export_address") or told.get("ansible_host") or here))

    def _ask(self, source: Union[Source, str]) -> Answer:
        """Runs in a thread, and so goes by what _source() prepared."""
        if isinstance(source, str):
            return [], source
        remote = source.remote
        try:
            return read_bmcs(remote.name, source.known_as, remote.run, source.client, self.get_option("owner")), None
        except (AnsibleError, VbmcError) as error:
            return [], f"hypervisor '{remote.name}' can't be read: {error}"
        finally:
            remote.close()

    # --- Telling ------------------------------------------------------------------------------------------------------

    def _add(self, name: str, bmc: Bmc) -> None:
        self.inventory.add_host(name)
        for variable, value in bmc.variables().items():
            self.inventory.set_variable(name, variable, value)
        for raw in bmc.groups():
            self.inventory.add_child(self.inventory.add_group(self._sanitize_group_name(raw)), name)
        variables = self.inventory.get_host(name).get_vars()
        strict = self.get_option("strict")
        self._set_composite_vars(self.get_option("compose"), variables, name, strict)
        self._add_host_to_composed_groups(self.get_option("groups"), variables, name, strict)
        self._add_host_to_keyed_groups(self.get_option("keyed_groups"), variables, name, strict)
