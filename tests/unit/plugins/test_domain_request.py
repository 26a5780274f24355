# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A task's parameters on their way to wanted domains, and the template's XML."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.baremetal.lab.plugins.module_utils import _domain_facts as facts
from ansible_collections.baremetal.lab.plugins.module_utils._domain_request import Request, requests
from ansible_collections.baremetal.lab.plugins.module_utils._domain_template import (
    Disk,
    DiskSource,
    Host,
    Nic,
    Template,
    defaults,
    render,
)
from ansible_collections.baremetal.lab.plugins.module_utils._domain_xml import overlay
from ansible_collections.baremetal.lab.plugins.module_utils._errors import LabError
from ansible_collections.baremetal.lab.plugins.module_utils._mac import free_mac, stable_mac

XML = "<domain type='qemu'><name>x</name><memory>1024</memory></domain>"


def only(**params: Any) -> Request:
    (request,) = requests({"state": "present", **params})
    return request


def test_options_beside_the_list_hold_for_each_item_that_has_not_its_own() -> None:
    one, two = requests(
        {
            "state": "running",
            "memory_mb": 64,
            "owner": "lab",
            "domains": [{"name": "a", "memory_mb": None}, {"name": "b", "memory_mb": 128, "state": "absent"}],
        }
    )
    assert (one.state, one.template and one.template.memory_mb, one.owner) == ("running", 64, "lab")
    assert (two.state, two.template and two.template.memory_mb, two.owner) == ("absent", 128, "lab")


def test_a_name_alone_wants_a_state_alone() -> None:
    request = only(name="a", state="running")
    assert (request.xml, request.template) == (None, None)


def test_xml_gets_name_uuid_and_owner_from_beside_it() -> None:
    request = only(name="a", xml="<domain type='qemu'><memory>1</memory></domain>", owner="lab")
    assert request.xml is not None
    assert (request.xml.findtext("name"), facts.owner(request.xml)) == ("a", "lab")
    assert only(xml=XML.replace("<memory>", "<uuid>64FA7FB3-39B3-48E3-A0EB-3301BBE4029C</uuid><memory>")).uuid == (
        "64fa7fb3-39b3-48e3-a0eb-3301bbe4029c"
    )


NIC = {"user": True}
REFUSED = {
    "no name": ({"xml": "<domain type='qemu'/>"}, "without a name: give 'name'"),
    "malformed": ({"name": "a", "xml": "<domain"}, "xml of domain 'a' is no well-formed XML"),
    "another root": ({"xml": "<network/>"}, "the root <network>: give a <domain>"),
    "no type": ({"xml": "<domain><name>a</name></domain>"}, "give <domain type='kvm'>"),
    "two names": ({"name": "a", "xml": XML}, "has the name 'x': leave one of the two out"),
    "xml and options": ({"xml": XML, "vcpus": 2, "memory_mb": 1}, "'x' has xml and also memory_mb, vcpus"),
    "dependencies that mean nothing": (
        {
            "xml": "<domain type='qemu'><name>a</name><metadata><dep:dependencies "
            "xmlns:dep='urn:baremetal.lab:dependencies:1'><dep:domain name='b'/></dep:dependencies></metadata></domain>"
        },
        "metadata of domain 'a' can't be used: the element has a dependency without uuid or file",
    ),
    "no uuid": ({"name": "a", "uuid": "1"}, "has the uuid '1', which is none"),
    "no memory": ({"name": "a", "memory_mb": 0}, "has memory_mb 0: give 1 or more"),
    "a boot device twice": ({"name": "a", "boot": ["hd", "hd"]}, "a boot device twice"),
    "a nic of two kinds": ({"name": "a", "nics": [{"user": True, "bridge": "b"}]}, "NIC 0 of domain 'a' has bridge"),
    "a nic of no kind": ({"name": "a", "nics": [{"user": False}]}, "has no connection: give one of"),
    "no address": ({"name": "a", "nics": [{**NIC, "mac": "52:54"}]}, "MAC address '52:54': give six bytes"),
    "a number": ({"name": "a", "nics": [{**NIC, "mac": "41135040061"}]}, "put it in quotes"),
    "multicast": ({"name": "a", "nics": [{**NIC, "mac": "53:54:00:00:00:01"}]}, "multicast MAC address"),
    "an address twice": (
        {"name": "a", "nics": [{**NIC, "mac": "52:54:00:00:00:0A"}, {**NIC, "mac": "52-54-00-00-00-0a"}]},
        "MAC address 52:54:00:00:00:0a is wanted by domain 'a' and again by 'a'",
    ),
    "an address in xml and template": (
        {
            "domains": [
                {
                    "xml": XML.replace(
                        "</domain>",
                        "<devices><interface type='user'><mac address='52:54:00:00:00:0A'/>"
                        "</interface></devices></domain>",
                    )
                },
                {"name": "b", "nics": [{**NIC, "mac": "52:54:00:00:00:0a"}]},
            ]
        },
        "wanted by domain 'x' and again by 'b'",
    ),
    "a name twice": ({"domains": [{"name": "a"}, {"name": "a"}]}, "'a' is in the list twice"),
    "a volume twice": (
        {"domains": [{"name": "a", "disks": [{"name": "v"}]}, {"name": "b", "disks": [{"name": "v"}]}]},
        "volume 'v' of pool 'default' is wanted by domain 'a' and again by 'b'",
    ),
    "a tiny disk": ({"name": "a", "disks": [{"size_gb": 0.0001}]}, "disk 0 of domain 'a' has size_gb 0.0001"),
    "a path and a size": ({"name": "a", "disks": [{"path": "/x", "size_gb": 1}]}, "the existing /x, and has size_gb"),
    "a relative path": ({"name": "a", "disks": [{"path": "x"}]}, "the path 'x': give an absolute one"),
    "raw with a backing file": (
        {"name": "a", "disks": [{"backing_file": "/x", "format": "raw"}]},
        "leave out 'format: raw'",
    ),
}


@pytest.mark.parametrize(("params", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_meant_is_refused(params: dict[str, Any], message: str) -> None:
    with pytest.raises(LabError) as refused:
        requests({"state": "present", **params})
    assert message in str(refused.value)


def test_the_address_of_a_removed_domain_is_free() -> None:
    mac = {"nics": [{**NIC, "mac": "52:54:00:00:00:0a"}]}
    requests({"state": "present", "domains": [{"name": "a", **mac}, {"name": "b", "state": "absent", **mac}]})


def test_a_size_is_whole_kib() -> None:
    (disk,) = only(name="a", disks=[{"size_gb": 0.01}]).disks
    assert (disk.size, disk.volume, disk.pool) == (10737664, "a-0.qcow2", "default")


def test_addresses_are_the_same_again_and_differ_by_name_owner_and_place() -> None:
    assert stable_mac("node-1", "lab", 0) == "52:0b:c8:d3:56:16"
    assert len({stable_mac(name, owner, index) for name in "ab" for owner in "cd" for index in range(9)}) == 36
    assert free_mac("a", "", 0, {stable_mac("a", "", 0)}) == stable_mac("a", "", 1)


@given(st.text(), st.text(), st.integers(0, 99))
def test_addresses_are_local_and_unicast(name: str, owner: str, index: int) -> None:
    first = int(stable_mac(name, owner, index)[:2], 16)
    assert first & 0b11 == 0b10


NEW = Template("n", memory_mb=64)


def test_a_new_domain_gets_every_default() -> None:
    domain = render(defaults(NEW, Host("x86_64", kvm=True)), [])
    assert facts.machine(domain) == {"type": "kvm", "arch": "x86_64", "machine": "q35"}
    assert (facts.firmware(domain), facts.boot_order(domain)) == ("bios", ["network", "hd"])
    assert domain.find("devices/serial[@type='pty']") is not None
    assert domain.find("devices/graphics") is None
    emulated = render(defaults(replace(NEW, arch="aarch64"), Host("x86_64", kvm=True)), [])
    assert facts.machine(emulated) == {"type": "qemu", "arch": "aarch64", "machine": "virt"}
    assert facts.firmware(emulated) == "efi"


def test_an_existing_domain_keeps_its_type_and_all_that_is_not_named() -> None:
    existing = render(defaults(NEW, Host(kvm=True)), [])
    partial = replace(NEW, memory_mb=None, vcpus=2)
    result = overlay(existing, render(partial, [], "kvm"), partial.scope())
    assert [difference.path for difference in result.differences] == ["vcpu"]


def test_pxe_chooses_among_nics_by_an_order_of_devices() -> None:
    template = replace(
        defaults(NEW, Host()),
        nics=(Nic("user", pxe=False), Nic("network", "lab", pxe=True)),
        disks=(Disk("v"), Disk("", device="cdrom", format="raw")),
    )
    domain = render(template, [DiskSource("/v"), None])
    assert facts.boot_order(domain) == [stable_mac("n", "", 1), "vda"]
    assert domain.find("os/boot") is None
    assert [rom.get("enabled") for rom in domain.iterfind("devices/interface/rom")] == ["no", "yes"]


def test_disks_get_targets_by_their_bus_and_block_devices_their_kind() -> None:
    disks = (Disk("a"), Disk("b", bus="scsi"), Disk("c", path="/dev/sdx"), Disk("d", device="cdrom", format="raw"))
    template = replace(defaults(NEW, Host()), disks=disks)
    domain = render(template, [DiskSource("/a"), DiskSource("/b"), DiskSource("/dev/sdx", True), None])
    told = [(disk["target"], disk["type"], disk["source"]) for disk in facts.disks(domain)]
    assert told == [("vda", "file", "/a"), ("sda", "file", "/b"), ("vdb", "block", "/dev/sdx"), ("sdb", "file", "")]
    assert domain.find("devices/controller[@model='virtio-scsi']") is not None


def test_what_is_a_domains_own_leaves_out_cds_and_shared_disks() -> None:
    devices = (
        "<devices><disk type='file'><source file='/own'/></disk>"
        "<disk type='file' device='cdrom'><source file='/cd'/></disk>"
        "<disk type='file'><source file='/shared'/><shareable/></disk>"
        "<disk type='network'><source name='far'/></disk></devices>"
    )
    xml = only(xml=XML.replace("</domain>", devices + "</domain>")).xml
    assert xml is not None
    assert facts.own_disk_paths(xml) == ["/own"]
    assert facts.disk_paths(xml) == ["/own", "/cd", "/shared", "far"]
