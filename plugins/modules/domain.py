#!/usr/bin/python
# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module baremetal.lab.domain; the work is module_utils/_domain_converge.py's."""

from __future__ import annotations

DOCUMENTATION = r"""
module: domain
short_description: Define, change, start, stop and remove libvirt domains
version_added: 0.1.0
author:
  - the baremetal.lab authors (@baremetal-lab)
description:
  - Brings one domain, or a list of them in one pass over one connection, to the wanted definition and state.
  - A definition is given as O(xml), or by the options of the collection's template for lab nodes.
  - >-
    It is compared by what it means. What the given XML names must hold; what libvirt fills in is ignored; a device that
    the given XML lacks is removed (but not those that libvirt adds on its own, such as controllers). A domain keeps its
    UUID, its NVRAM, its boot order where none is given, and metadata in namespaces that the given XML doesn't name.
  - >-
    The template speaks of what its options name alone: an option that is left out takes its default for a new domain,
    and stays as it is for an existing one.
  - >-
    A domain that depends on others (M(baremetal.lab.domain_dependency)) is one machine with them. When it is started,
    paused, resumed or switched off here, so are they, each at its time; when one of them does not start, what was
    started here is stopped again, unless it is declared otherwise. O(state=running) for a domain that runs starts those
    that are off.
  - >-
    A C(<domaindependency>/absolute/path/of/a/domain.xml</domaindependency>) among the devices of O(xml) is understood
    as such a dependency, which libvirt itself knows nothing of. A dependency is taken off by
    M(baremetal.lab.domain_dependency) alone.
  - >-
    A running domain is changed in its stored definition, which the next start uses;
    RV(domains[].restart_required) says what still waits for one.
extends_documentation_fragment:
  - baremetal.lab.attributes
  - baremetal.lab.attributes.converges
  - baremetal.lab.libvirt
attributes:
  diff_mode:
    support: full
    details:
      - Shows the definition, and beside it state, disks, autostart and metadata of a running machine. No secrets.
options:
  name: &name
    description:
      - The domain's name. It can be left out where O(xml) has one.
    type: str
  domains:
    description:
      - Domains to converge together, each described by the options that one domain has at the top level.
      - An option beside O(domains) holds for every item that doesn't have it itself.
      - >-
        A mistake in the request is refused before anything is changed. A domain that libvirt then fails on is reported
        with its error, and holds up no other.
    type: list
    elements: dict
    suboptions:
      name: *name
      state:
        description:
          - As O(state), which is the default.
        type: str
        choices: [present, absent, running, paused, shutdown, destroyed]
      xml: &xml
        description:
          - The definition as libvirt domain XML. It excludes the options of the template.
          - >-
            It is never written to logs or shown as an argument, since it may hold passwords; differences and diffs are
            shown without them.
        type: str
      uuid: &uuid
        description:
          - The UUID of a new domain. One that an existing domain doesn't have is an error.
        type: str
      owner: &owner
        description:
          - >-
            A label kept in the domain's metadata, such as the name of the lab that it belongs to. A domain with another
            label is refused, and with O(state=absent) one without a label too.
        type: str
      autostart: &autostart
        description:
          - Whether the domain starts with its host.
        type: bool
      transient: &transient
        description:
          - >-
            Whether the domain is to be there only as long as it runs, as C(virsh create) makes it. It is started from
            what O(xml) or the options of the template say, and never defined. For O(state=running) and O(state=paused).
        type: bool
      remove_disks: &remove_disks
        description:
          - >-
            Whether O(state=absent) removes the domain's disks as well. CDs, read-only and shared disks, those that
            another domain uses and backing files of other volumes stay.
        type: bool
      memory_mb: &memory_mb
        description:
          - Memory in MiB. A new domain needs it, or O(xml).
        type: int
      vcpus: &vcpus
        description:
          - Number of virtual CPUs; 1 for a new domain.
        type: int
      type: &type
        description:
          - How the domain runs. V(auto) takes KVM for a new domain where the host has it.
        type: str
        choices: [auto, kvm, qemu]
      arch: &arch
        description:
          - Architecture, such as V(x86_64) or V(aarch64); the host's for a new domain.
        type: str
      machine: &machine
        description:
          - >-
            QEMU machine type, such as V(q35), V(pc) or V(virt); V(q35) for a new x86_64 domain. A type without a
            version is satisfied by any version of it.
        type: str
      firmware: &firmware
        description:
          - >-
            V(bios), or V(efi) without Secure Boot. V(bios) is the default for a new x86_64 domain and writes to the
            serial console; other architectures have V(efi).
        type: str
        choices: [bios, efi]
      boot: &boot
        description:
          - >-
            What to boot from, the first choice first; V(network) and V(hd) for a new domain. For an existing domain the
            order is left alone unless it is given here, since its BMC may have set it.
        type: list
        elements: str
        choices: [network, hd, cdrom]
      graphics: &graphics
        description:
          - A screen, on an automatic port of 127.0.0.1; V(none) for a new domain, which always has a serial console.
        type: str
        choices: [none, vnc, spice]
      disks: &disks
        description:
          - >-
            Disks and CD drives, in their order. An empty list means none. The volume of a disk that is taken off the
            list is kept.
        type: list
        elements: dict
        suboptions:
          name:
            description:
              - The volume's name; by default the domain's name and the place in the list, as in V(node-1-0.qcow2).
            type: str
          pool:
            description:
              - The storage pool that the volume is in.
            type: str
            default: default
          size_gb:
            description:
              - >-
                Size in GiB. An existing volume that is smaller grows, a larger one is an error. It may be left out
                where the volume exists, or has a backing file.
            type: float
          format:
            description:
              - Format; V(qcow2) for disks and V(raw) for CD drives.
            type: str
            choices: [qcow2, raw]
          backing_file:
            description:
              - The absolute path of an image that a new volume is an overlay of.
            type: path
          backing_format:
            description:
              - The format of the backing file.
            type: str
            choices: [qcow2, raw]
            default: qcow2
          path:
            description:
              - >-
                An existing file or block device (below C(/dev)) to use, instead of a volume; the image in a CD drive,
                which is empty without.
            type: path
          device:
            description:
              - What the guest sees.
            type: str
            choices: [disk, cdrom]
            default: disk
          bus:
            description:
              - Bus; V(virtio) for disks, and for CD drives V(sata) on x86_64 and V(scsi) elsewhere.
            type: str
            choices: [virtio, sata, scsi, usb, ide]
          cache:
            description:
              - QEMU's cache mode; libvirt's choice where it is left out.
            type: str
            choices: [none, writeback, writethrough, directsync, unsafe]
      nics: &nics
        description:
          - Network interfaces, in their order, each with one of C(network), C(bridge) and C(user). An empty list means
            none.
        type: list
        elements: dict
        suboptions:
          network:
            description:
              - The libvirt network to be on.
            type: str
          bridge:
            description:
              - The host's bridge to be on.
            type: str
          user:
            description:
              - Whether to use QEMU's user networking.
            type: bool
          mac:
            description:
              - >-
                MAC address. By default one that follows from the domain's name, its O(owner) and the place in the list,
                so that it is the same whenever and wherever the domain is made.
            type: str
          model:
            description:
              - What the guest sees.
            type: str
            default: virtio
          pxe:
            description:
              - >-
                Whether the machine may boot from this interface. Without this option on any of them, the first one is
                the one to boot from.
            type: bool
  state:
    description:
      - V(present) is defined, whether it runs or not.
      - V(absent) is undefined, with its NVRAM, managed save image and snapshot metadata; a running one is switched off.
      - V(running) is defined and runs; a paused domain is resumed.
      - V(paused) is defined and paused; one that is shut off is started paused.
      - V(shutdown) is defined and off; a running guest is asked to shut down, for O(wait_timeout) seconds.
      - V(destroyed) is defined and off; a running one is switched off at once.
    type: str
    choices: [present, absent, running, paused, shutdown, destroyed]
    default: present
  wait_timeout:
    description:
      - How long O(state=shutdown) waits for guests to shut down, for all domains of the task together, in seconds.
    type: int
    default: 60
  xml: *xml
  uuid: *uuid
  owner: *owner
  autostart: *autostart
  transient: *transient
  remove_disks: *remove_disks
  memory_mb: *memory_mb
  vcpus: *vcpus
  type: *type
  arch: *arch
  machine: *machine
  firmware: *firmware
  boot: *boot
  graphics: *graphics
  disks: *disks
  nics: *nics
seealso:
  - module: baremetal.lab.domain_info
  - module: baremetal.lab.domain_dependency
  - module: baremetal.lab.vbmc
  - name: Domain XML format
    description: What libvirt takes as a definition.
    link: https://libvirt.org/formatdomain.html
"""

EXAMPLES = r"""
- name: A node that boots from the provisioning network first, and then from its disk
  baremetal.lab.domain:
    name: node-1
    state: running
    memory_mb: 2048
    vcpus: 2
    boot: [network, hd]
    disks:
      - size_gb: 20
    nics:
      - network: provisioning

- name: Nodes that have most in common, in one task
  baremetal.lab.domain:
    state: present
    memory_mb: 4096
    owner: lab-a
    nics:
      - bridge: br-provision
      - network: default
        pxe: false
    disks:
      - size_gb: 40
        backing_file: /var/lib/libvirt/images/base.qcow2
    domains:
      - name: node-1
      - name: node-2
      - name: controller
        memory_mb: 8192

- name: A domain from XML
  baremetal.lab.domain:
    xml: "{{ lookup('ansible.builtin.template', 'node.xml.j2') }}"
    state: running

- name: A machine of two domains from files, which is gone when it is switched off
  baremetal.lab.domain:
    xml: |
      <domain type="kvm">
        <name>master</name>
        <memory unit="MiB">512</memory>
        <os><type arch="x86_64" machine="q35">hvm</type></os>
        <devices>
          <domaindependency>/srv/machines/slave.xml</domaindependency>
        </devices>
      </domain>
    state: running
    transient: true

- name: Ask guests to shut down, for two minutes at most
  baremetal.lab.domain:
    domains:
      - name: node-1
      - name: node-2
    state: shutdown
    wait_timeout: 120

- name: Remove a domain and its disks
  baremetal.lab.domain:
    name: node-1
    state: absent
    remove_disks: true
"""

RETURN = r"""
domains:
  description: The domains of the task, in their order. In check mode, as they would be.
  returned: always, unless the request was refused before anything was changed
  type: list
  elements: dict
  contains:
    name:
      description: The domain's name.
      type: str
      returned: always
      sample: node-1
    uuid:
      description: Its UUID, where there is a domain.
      type: str
      returned: always
      sample: 64fa7fb3-39b3-48e3-a0eb-3301bbe4029c
    state:
      description: V(running), V(paused), V(shutoff), V(crashed), V(pmsuspended) or V(absent).
      type: str
      returned: always
      sample: running
    changed:
      description: Whether anything was done.
      type: bool
      returned: always
    actions:
      description: What was done, in its order; in check mode, what would be.
      type: list
      elements: str
      returned: always
      sample: [create-disk node-1-0.qcow2, define, start]
    differences:
      description: What was not as wanted.
      type: list
      elements: dict
      returned: always
      sample: [{path: memory, before: '1048576', after: '2097152'}]
      contains:
        path:
          description: Where in the definition.
          type: str
        before:
          description: What was there; null where it was missing.
          type: str
        after:
          description: What is there instead; null where it was removed.
          type: str
    restart_required:
      description: The paths at which the machine that runs is not as wanted until it is switched off and on.
      type: list
      elements: str
      returned: always
      sample: [memory]
    macs:
      description: MAC addresses of the network interfaces, in their order.
      type: list
      elements: str
      returned: always
      sample: ['52:1f:0a:77:c3:9e']
    disks:
      description: The disks and drives, as M(baremetal.lab.domain_info) returns them.
      type: list
      elements: dict
      returned: always
    dependencies:
      description: What was done to domains that this one depends on; in check mode, what would be.
      type: list
      elements: dict
      returned: always
      sample: [{name: slave-1, actions: [start], error: null}]
      contains:
        name:
          description: The domain's name.
          type: str
        actions:
          description: What was done; V(destroy) after V(start) where the start of the whole was taken back.
          type: list
          elements: str
        error:
          description: Why something failed; null where nothing did.
          type: str
    error:
      description: Why the domain could not be brought to what is wanted, and what to do; null where it was.
      type: str
      returned: always
"""

from typing import Any, Dict

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.baremetal.lab.plugins.module_utils._domain_converge import Converger
from ansible_collections.baremetal.lab.plugins.module_utils._domain_request import requests
from ansible_collections.baremetal.lab.plugins.module_utils._errors import LabError
from ansible_collections.baremetal.lab.plugins.module_utils._libvirt import (
    CONNECTION_ARGUMENTS,
    connection,
    require_libvirt,
)
from ansible_collections.baremetal.lab.plugins.module_utils._outcomes import end

STATES = ["present", "absent", "running", "paused", "shutdown", "destroyed"]

DISK_ARGUMENTS: Dict[str, Dict[str, Any]] = {
    "name": {"type": "str"},
    "pool": {"type": "str", "default": "default"},
    "size_gb": {"type": "float"},
    "format": {"type": "str", "choices": ["qcow2", "raw"]},
    "backing_file": {"type": "path"},
    "backing_format": {"type": "str", "choices": ["qcow2", "raw"], "default": "qcow2"},
    "path": {"type": "path"},
    "device": {"type": "str", "choices": ["disk", "cdrom"], "default": "disk"},
    "bus": {"type": "str", "choices": ["virtio", "sata", "scsi", "usb", "ide"]},
    "cache": {"type": "str", "choices": ["none", "writeback", "writethrough", "directsync", "unsafe"]},
}

NIC_ARGUMENTS: Dict[str, Dict[str, Any]] = {
    "network": {"type": "str"},
    "bridge": {"type": "str"},
    "user": {"type": "bool"},
    "mac": {"type": "str"},
    "model": {"type": "str", "default": "virtio"},
    "pxe": {"type": "bool"},
}

DOMAIN_ARGUMENTS: Dict[str, Dict[str, Any]] = {
    "name": {"type": "str"},
    "state": {"type": "str", "choices": STATES},
    "xml": {"type": "str", "no_log": True},
    "uuid": {"type": "str"},
    "owner": {"type": "str"},
    "autostart": {"type": "bool"},
    "transient": {"type": "bool"},
    "remove_disks": {"type": "bool"},
    "memory_mb": {"type": "int"},
    "vcpus": {"type": "int"},
    "type": {"type": "str", "choices": ["auto", "kvm", "qemu"]},
    "arch": {"type": "str"},
    "machine": {"type": "str"},
    "firmware": {"type": "str", "choices": ["bios", "efi"]},
    "boot": {"type": "list", "elements": "str", "choices": ["network", "hd", "cdrom"]},
    "graphics": {"type": "str", "choices": ["none", "vnc", "spice"]},
    "disks": {"type": "list", "elements": "dict", "options": DISK_ARGUMENTS},
    "nics": {"type": "list", "elements": "dict", "options": NIC_ARGUMENTS},
}

ARGUMENT_SPEC: Dict[str, Dict[str, Any]] = {
    **CONNECTION_ARGUMENTS,
    **DOMAIN_ARGUMENTS,
    "state": {"type": "str", "choices": STATES, "default": "present"},
    "domains": {"type": "list", "elements": "dict", "options": DOMAIN_ARGUMENTS},
    "wait_timeout": {"type": "int", "default": 60},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec=ARGUMENT_SPEC,
        supports_check_mode=True,
        required_one_of=[("name", "xml", "domains")],
        mutually_exclusive=[("domains", "name"), ("domains", "xml"), ("domains", "uuid")],
        required_by={"sasl_password": "sasl_username"},
    )
    require_libvirt(module)
    params = module.params
    try:
        wanted = requests(params)
        with connection(params["uri"], params["sasl_username"], params["sasl_password"]) as opened:
            outcomes = Converger(opened, module.check_mode, params["wait_timeout"]).converge(wanted)
    except LabError as error:
        module.fail_json(msg=str(error))
    end(module, "domains", outcomes)


if __name__ == "__main__":
    main()
