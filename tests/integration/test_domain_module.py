# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules `domain` and `domain_info` as a playbook calls them, against real libvirtd and QEMU."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rig.controller import POOL, Controller
from rig.libvirtd import Libvirtd


@pytest.fixture(scope="module")
def controller(libvirtd: Libvirtd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controller]:
    controller = Controller(tmp_path_factory.mktemp("controller"), libvirtd)
    pool = controller.folder / "pool"
    pool.mkdir()
    libvirtd.virsh("pool-create-as", POOL, "dir", "--target", str(pool))
    yield controller
    libvirtd.virsh("pool-destroy", POOL)


@pytest.mark.parametrize("target", ["domain", "domain_info"])
def test_target(controller: Controller, target: str) -> None:
    said = controller.play([{"ansible.builtin.import_role": {"name": target}}])
    assert "WARNING" not in said


def _like_virt_install(memory_kib: int) -> str:
    return f"""
<domain type="qemu">
  <name>like-virt-install</name>
  <metadata>
    <libosinfo:libosinfo xmlns:libosinfo="http://libosinfo.org/xmlns/libvirt/domain/1.0">
      <libosinfo:os id="http://debian.org/debian/12"/>
    </libosinfo:libosinfo>
  </metadata>
  <memory>{memory_kib}</memory>
  <currentMemory>{memory_kib}</currentMemory>
  <vcpu>2</vcpu>
  <os><type arch="x86_64" machine="q35">hvm</type><boot dev="network"/><boot dev="hd"/></os>
  <features><acpi/><apic/></features>
  <cpu mode="maximum"/>
  <clock offset="utc">
    <timer name="rtc" tickpolicy="catchup"/><timer name="pit" tickpolicy="delay"/><timer name="hpet" present="no"/>
  </clock>
  <pm><suspend-to-mem enabled="no"/><suspend-to-disk enabled="no"/></pm>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type="file" device="cdrom"><target dev="sda" bus="sata"/><readonly/></disk>
    <controller type="usb" model="qemu-xhci" ports="15"/>
    <controller type="pci" model="pcie-root"/>
    <controller type="pci" model="pcie-root-port"/>
    <controller type="pci" model="pcie-root-port"/>
    <interface type="user"><mac address="52:54:00:AA:BB:01"/><model type="virtio"/></interface>
    <interface type="user"><model type="e1000e"/></interface>
    <console type="pty"/>
    <channel type="unix"><source mode="bind"/><target type="virtio" name="org.qemu.guest_agent.0"/></channel>
    <input type="tablet" bus="usb"/>
    <graphics type="vnc" port="-1" listen="127.0.0.1" passwd="geheim"/>
    <video><model type="vga"/></video>
    <memballoon model="virtio"/>
    <rng model="virtio"><backend model="random">/dev/urandom</backend></rng>
  </devices>
</domain>"""


# As VirtualBMC's and tenks' users write it: old machine, per-device boot order, no word of most things.
LIKE_TENKS = """
<domain type='qemu'>
  <name>like-tenks</name>
  <memory unit='MiB'>64</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type><smbios mode='sysinfo'/></os>
  <sysinfo type='smbios'>
    <system><entry name='manufacturer'>lab</entry><entry name='serial'>0010</entry></system>
  </sysinfo>
  <features><acpi/><pae/></features>
  <devices>
    <disk type='file' device='cdrom'><target dev='hdc' bus='ide'/></disk>
    <interface type='user'><boot order='2'/><rom enabled='no'/></interface>
    <interface type='user'><boot order='1'/></interface>
    <interface type='user'/>
    <serial type='pty'/>
    <serial type='tcp'><source mode='bind' host='127.0.0.1' service='0'/><protocol type='telnet'/></serial>
    <watchdog model='i6300esb' action='poweroff'/>
    <sound model='ich6'/>
  </devices>
</domain>"""

EFI_ON_PCIE = """
<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>efi-on-pcie</name>
  <uuid>0C8A1F6E-2D4B-4A57-9A37-6C1D2E3F4A5B</uuid>
  <memory unit='GB'>0</memory>
  <maxMemory slots='4' unit='MiB'>1024</maxMemory>
  <cpu><topology sockets='2' cores='1' threads='1'/><numa><cell id='0' cpus='0-1' memory='64' unit='MiB'/></numa></cpu>
  <vcpu>2</vcpu>
  <cputune><shares>512</shares><vcpupin vcpu='0' cpuset='0'/></cputune>
  <os firmware='efi'>
    <type arch='x86_64' machine='q35'>hvm</type>
    <firmware><feature enabled='no' name='secure-boot'/><feature enabled='no' name='enrolled-keys'/></firmware>
    <boot dev='hd'/>
  </os>
  <features><acpi/><vmcoreinfo state='on'/></features>
  <devices>
    <interface type='user'><model type='virtio'/><address type='pci' bus='1' slot='0x0' function='0'/></interface>
    <interface type='user'><model type='virtio'/><link state='down'/></interface>
    <controller type='scsi' model='virtio-scsi'/>
    <panic model='isa'/>
  </devices>
  <qemu:commandline><qemu:arg value='-name'/><qemu:arg value='efi,debug-threads=on'/></qemu:commandline>
</domain>"""

XML = {"like-virt-install": _like_virt_install(65536), "like-tenks": LIKE_TENKS, "efi-on-pcie": EFI_ON_PCIE}


@pytest.fixture
def removing(libvirtd: Libvirtd) -> Iterator[list[str]]:
    """Names of domains to remove after the test."""
    names: list[str] = []
    yield names
    for name in names:
        libvirtd.remove(name)


@pytest.mark.parametrize("name", XML)
def test_the_same_xml_reads_unchanged(controller: Controller, removing: list[str], name: str) -> None:
    removing.append(name)
    converge = {"baremetal.lab.domain": {"xml": XML[name]}}
    run = {"baremetal.lab.domain": {"xml": XML[name], "state": "running"}}
    made, again, started, running, checked = controller.results(
        converge, converge, run, run, {**converge, "check_mode": True}
    )
    assert (made["changed"], made.get("warnings")) == (True, None)
    for later in (again, running, checked):
        assert (later["changed"], later["domains"][0]["differences"]) == (False, [])
    assert started["domains"][0]["actions"] == ["start"]
    assert running["domains"][0]["restart_required"] == []


@pytest.mark.parametrize("name", XML)
def test_the_dump_of_a_running_domain_reads_unchanged_the_second_time(
    controller: Controller, removing: list[str], name: str
) -> None:
    removing.append(name)
    controller.domain(xml=XML[name], state="running")
    dump = controller.libvirtd.virsh("dumpxml", name)
    first = controller.domain(xml=dump)
    assert first.get("warnings") is None
    assert controller.domain(xml=dump)["domains"][0]["differences"] == []


def test_a_removed_nic_goes_and_changed_memory_waits_for_a_restart(controller: Controller, removing: list[str]) -> None:
    removing.append("like-virt-install")
    made = controller.domain(xml=_like_virt_install(65536), state="running")
    smaller = _like_virt_install(49152).replace('<interface type="user"><model type="e1000e"/></interface>', "")
    changed, again = controller.results(*[{"baremetal.lab.domain": {"xml": smaller}}] * 2)
    (domain,) = changed["domains"]
    assert domain["uuid"] == made["domains"][0]["uuid"]
    assert domain["macs"] == ["52:54:00:aa:bb:01"]
    assert again["changed"] is False
    waiting = again["domains"][0]["restart_required"]
    assert "memory" in waiting
    assert any(path.startswith("devices/interface") for path in waiting)


def test_metadata_of_others_secrets_and_nvram_survive_a_change(controller: Controller, removing: list[str]) -> None:
    libvirtd, name = controller.libvirtd, "like-virt-install"
    removing.append(name)
    controller.domain(xml=_like_virt_install(65536), owner="lab-a", state="running")
    libvirtd.virsh("metadata", name, "urn:somebody", "--key", "s", "--set", "<note a='1'/>", "--config")
    changed = controller.domain(xml=_like_virt_install(49152), owner="lab-b")
    assert "belongs to 'lab-a'" in changed["msg"]
    changed = controller.domain(xml=_like_virt_install(49152))
    assert changed["changed"] is True
    stored = libvirtd.virsh("dumpxml", "--inactive", "--security-info", name)
    assert '<s:note xmlns:s="urn:somebody" a="1"/>' in stored
    assert 'owner="lab-a"' in stored
    assert "passwd='geheim'" in stored
    assert "geheim" not in json.dumps(changed)


def test_a_new_label_reaches_a_running_domain_at_once(controller: Controller, removing: list[str]) -> None:
    removing.append("labelled")
    task = {"name": "labelled", "type": "qemu", "memory_mb": 32, "state": "running"}
    controller.domain(**task)
    labelled, again = controller.results(*[{"baremetal.lab.domain": {**task, "owner": "lab-a"}}] * 2)
    assert labelled["domains"][0]["actions"] == ["define", "set-metadata"]
    assert labelled["domains"][0]["restart_required"] == []
    assert again["changed"] is False
    assert 'owner="lab-a"' in controller.libvirtd.virsh("metadata", "labelled", "urn:baremetal.lab:domain:1", "--live")


VARIANTS: list[dict[str, Any]] = [
    {"firmware": firmware, "machine": machine, "graphics": graphics, "nics": nics, "disks": disks}
    for firmware, machine, graphics, nics, disks in [
        ("bios", "q35", "none", [{"user": True}], []),
        ("efi", "q35", "none", [{"user": True, "pxe": False}, {"user": True, "pxe": True}], [{"size_gb": 0.01}]),
        ("bios", "pc", "vnc", [], [{"size_gb": 0.01, "bus": "scsi", "format": "raw"}, {"device": "cdrom"}]),
        (
            "efi",
            "q35",
            "vnc",
            [{"user": True, "model": "e1000"}],
            [{"size_gb": 0.01, "bus": "sata", "cache": "unsafe"}],
        ),
    ]
]


def test_every_variant_of_the_template_starts_and_reads_unchanged(controller: Controller, removing: list[str]) -> None:
    domains = [
        {**variant, "name": f"variant-{index}", "disks": [{"pool": POOL, **disk} for disk in variant["disks"]]}
        for index, variant in enumerate(VARIANTS)
    ]
    removing.extend(domain["name"] for domain in domains)
    options = {"type": "qemu", "memory_mb": 64, "vcpus": 2, "state": "running", "domains": domains}
    made, again = controller.results(*[{"baremetal.lab.domain": options}] * 2)
    assert [domain["state"] for domain in made["domains"]] == ["running"] * len(VARIANTS)
    assert [domain["differences"] for domain in again["domains"]] == [[]] * len(VARIANTS)
    assert [domain["restart_required"] for domain in again["domains"]] == [[]] * len(VARIANTS)


def test_a_template_domain_changes_its_machine_and_firmware(controller: Controller, removing: list[str]) -> None:
    removing.append("changing")
    base = {
        "name": "changing",
        "type": "qemu",
        "memory_mb": 64,
        "disks": [{"pool": POOL, "size_gb": 0.01}, {"device": "cdrom"}],
        "nics": [{"user": True}, {"user": True, "model": "e1000"}],
        "graphics": "vnc",
    }
    states = [
        {"machine": "q35", "firmware": "efi"},
        {"machine": "pc", "firmware": "bios"},
        {"machine": "q35", "graphics": "none", "nics": [{"user": True, "model": "e1000"}]},
        {"machine": "q35", "firmware": "efi", "boot": ["hd"], "disks": []},
    ]
    tasks = []
    for options in states:
        task = {"baremetal.lab.domain": {**base, **options}}
        on = {"baremetal.lab.domain": {"name": "changing", "state": "running"}}
        off = {"baremetal.lab.domain": {"name": "changing", "state": "destroyed"}}
        tasks.extend([task, task, on, off])
    results = controller.results(*tasks)
    for index in range(0, len(tasks), 4):
        assert results[index]["changed"], results[index]
        assert results[index].get("warnings") is None
        assert results[index + 1]["domains"][0]["differences"] == []
        assert results[index + 2]["domains"][0]["state"] == "running"


def test_an_overlay_disk_is_made_and_its_backing_file_outlives_it(controller: Controller, removing: list[str]) -> None:
    removing.extend(["golden", "overlay"])
    golden = {"name": "golden", "type": "qemu", "memory_mb": 32, "disks": [{"pool": POOL, "size_gb": 0.01}]}
    image = controller.domain(**golden)["domains"][0]["disks"][0]["source"]
    disks = [{"pool": POOL, "backing_file": image}]
    overlay = {"name": "overlay", "type": "qemu", "memory_mb": 32, "disks": disks, "state": "running"}
    made, again, golden_gone, gone = controller.results(
        {"baremetal.lab.domain": overlay},
        {"baremetal.lab.domain": overlay},
        {"baremetal.lab.domain": {"name": "golden", "state": "absent", "remove_disks": True}},
        {"baremetal.lab.domain": {"name": "overlay", "state": "absent", "remove_disks": True}},
    )
    assert made["domains"][0]["actions"] == ["create-disk overlay-0.qcow2", "define", "start"]
    assert again["changed"] is False
    assert golden_gone["domains"][0]["actions"] == ["undefine"]
    assert "it is the backing file of another" in str(golden_gone["warnings"])
    assert gone["domains"][0]["actions"][:2] == ["destroy", "undefine"]
    assert Path(image).exists()


def test_a_transient_domain_becomes_persistent_or_goes(controller: Controller, removing: list[str]) -> None:
    removing.append("fleeting")
    document = controller.folder / "fleeting.xml"
    text = "<domain type='qemu'><name>fleeting</name><memory unit='MiB'>32</memory><os><type>hvm</type></os></domain>"
    document.write_text(text)
    controller.libvirtd.virsh("create", str(document))
    kept, again = controller.results(*[{"baremetal.lab.domain": {"xml": text}}] * 2)
    assert kept["domains"][0]["differences"] == [{"path": "persistent", "before": "no", "after": "yes"}]
    assert again["changed"] is False
    gone = controller.domain(name="fleeting", state="absent")
    assert gone["domains"][0]["actions"] == ["destroy", "undefine"]
    controller.libvirtd.virsh("create", str(document))
    gone, again = controller.results(*[{"baremetal.lab.domain": {"name": "fleeting", "state": "absent"}}] * 2)
    assert gone["domains"][0]["actions"] == ["destroy"]
    assert again["changed"] is False


def test_what_libvirt_drops_without_a_word_is_told(controller: Controller, removing: list[str]) -> None:
    removing.append("odd")
    made = controller.domain(
        xml="<domain type='qemu'><name>odd</name><metadata><note/></metadata><memory unit='MiB'>32</memory><os>"
        "<type>hvm</type></os><devices><unheard-of/></devices></domain>"
    )
    warnings = str(made["warnings"])
    assert "devices/unheard-of" in warnings
    assert "<note> in <metadata> has no namespace" in warnings


def test_two_hundred_domains_are_one_task(controller: Controller, removing: list[str]) -> None:
    names = [f"many-{index}" for index in range(200)]
    removing.extend(names)
    options = {
        "type": "qemu",
        "memory_mb": 32,
        "nics": [{"user": True}],
        "disks": [{"pool": POOL, "size_gb": 0.01}],
        "domains": [{"name": name} for name in names],
    }
    made, again = controller.domain(**options), controller.domain(**options)
    assert (made["changed"], again["changed"]) == (True, False)
    assert len({mac for domain in made["domains"] for mac in domain["macs"]}) == 200
    controller.domain(state="absent", remove_disks=True, domains=options["domains"])
