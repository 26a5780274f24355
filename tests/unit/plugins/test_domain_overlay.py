# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The comparison of domain definitions: what reads unchanged, what is a difference, and what survives."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings

from ansible_collections.baremetal.lab.plugins.module_utils._domain_xml import (
    WHOLE,
    Overlay,
    Scope,
    new_definition,
    overlay,
)
from ansible_collections.baremetal.lab.plugins.module_utils._errors import LabError
from ansible_collections.baremetal.lab.plugins.module_utils._xml import parse, text_of
from rig.definitions import definitions

# libvirt 9.0.0, QEMU 7.2: virsh dumpxml --inactive --security-info, shortened.
STORED = """
<domain type='qemu'>
  <name>a</name>
  <uuid>64fa7fb3-39b3-48e3-a0eb-3301bbe4029c</uuid>
  <metadata>
    <lab:domain xmlns:lab="urn:baremetal.lab:domain:1" owner="o"/>
    <x:note xmlns:x="urn:somebody" a="1"/>
  </metadata>
  <memory unit='KiB'>65536</memory>
  <currentMemory unit='KiB'>65536</currentMemory>
  <vcpu placement='static'>2</vcpu>
  <cputune><shares>512</shares></cputune>
  <os>
    <type arch='x86_64' machine='pc-q35-7.2'>hvm</type>
    <boot dev='network'/>
    <boot dev='hd'/>
  </os>
  <features><acpi/><apic/></features>
  <cpu mode='custom' match='exact' check='none'><model fallback='forbid'>qemu64</model></cpu>
  <clock offset='utc'/>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/>
      <source file='/images/a'/>
      <target dev='vda' bus='virtio'/>
      <address type='pci' domain='0x0000' bus='0x06' slot='0x00' function='0x0'/>
    </disk>
    <disk type='file' device='cdrom'>
      <driver name='qemu' type='raw'/>
      <target dev='sda' bus='sata'/>
      <readonly/>
      <address type='drive' controller='0' bus='0' target='0' unit='0'/>
    </disk>
    <controller type='usb' index='0' model='qemu-xhci'>
      <address type='pci' domain='0x0000' bus='0x04' slot='0x00' function='0x0'/>
    </controller>
    <controller type='sata' index='0'>
      <address type='pci' domain='0x0000' bus='0x00' slot='0x1f' function='0x2'/>
    </controller>
    <controller type='pci' index='0' model='pcie-root'/>
    <interface type='user'>
      <mac address='52:54:00:11:29:34'/>
      <model type='virtio'/>
      <address type='pci' domain='0x0000' bus='0x02' slot='0x01' function='0x0'/>
    </interface>
    <interface type='network'>
      <mac address='52:54:00:a9:c3:d0'/>
      <source network='lab'/>
      <model type='e1000e'/>
      <address type='pci' domain='0x0000' bus='0x03' slot='0x00' function='0x0'/>
    </interface>
    <serial type='pty'><target type='isa-serial' port='0'><model name='isa-serial'/></target></serial>
    <console type='pty'><target type='serial' port='0'/></console>
    <input type='tablet' bus='usb'><address type='usb' bus='0' port='1'/></input>
    <input type='mouse' bus='ps2'/>
    <input type='keyboard' bus='ps2'/>
    <graphics type='vnc' port='-1' autoport='yes' passwd='geheim'><listen type='address'/></graphics>
    <audio id='1' type='none'/>
    <video><model type='cirrus' vram='16384' heads='1' primary='yes'/></video>
    <memballoon model='virtio'/>
  </devices>
</domain>
"""

WANTED = """
<domain type='qemu'>
  <name>a</name>
  <memory unit='MiB'>64</memory>
  <vcpu>2</vcpu>
  <cputune><shares>512</shares></cputune>
  <os><type arch='x86_64' machine='q35'>hvm</type><boot dev='network'/><boot dev='hd'/></os>
  <features><apic/><acpi/></features>
  <devices>
    <disk type='file'><driver type='raw' name='qemu'/><source file='/images/a'/><target dev='vda'/></disk>
    <disk device='cdrom'><target dev='sda' bus='sata'/></disk>
    <interface type='user'><model type='virtio'/></interface>
    <interface type='network'>
      <source network='lab'/><mac address='52:54:00:A9:C3:D0'/><model type='e1000e'/>
    </interface>
    <console type='pty'/>
    <input type='tablet' bus='usb'/>
    <graphics type='vnc' passwd='geheim'/>
  </devices>
</domain>
"""


def changed(old: str, new: str, text: str = WANTED) -> ET.Element:
    """The wanted definition with a passage replaced."""
    assert old in text
    return parse(text.replace(old, new), "test")


def lay(wanted: ET.Element, stored: str = STORED, scope: Scope = WHOLE, running: bool = False) -> Overlay:
    return overlay(parse(stored, "test"), wanted, scope, running)


def differences(result: Overlay) -> dict[str, tuple[str | None, str | None]]:
    return {difference.path: (difference.before, difference.after) for difference in result.differences}


NIC = "<interface type='user'><model type='virtio'/></interface>"

SAME = {
    "the same again": ("", ""),
    "memory in bytes": ("<memory unit='MiB'>64<", "<memory unit='b'>67108864<"),
    "memory without a unit": ("<memory unit='MiB'>64<", "<memory>65536<"),
    "memory as libvirt's letters": ("<memory unit='MiB'>64<", "<memory unit='m'>64<"),
    "a machine with its version": ("machine='q35'", "machine='pc-q35-7.2'"),
    "the uuid in capitals": ("<memory", "<uuid>64FA7FB3-39B3-48E3-A0EB-3301BBE4029C</uuid><memory"),
    "whitespace": ("<vcpu>2</vcpu>", "<vcpu>\n 2\n </vcpu>"),
    "no word of a boot order": ("<boot dev='network'/><boot dev='hd'/>", ""),
    "hexadecimal addresses": (
        NIC,
        NIC.replace("<model", "<address type='pci' bus='2' slot='0x1' function='0'/><model"),
    ),
    "the console as a serial port": ("<console type='pty'/>", "<serial type='pty'/>"),
    "both of serial port and console": ("<console type='pty'/>", "<serial type='pty'/><console type='pty'/>"),
    "a screen with its port and listen": (
        "<graphics type='vnc' passwd='geheim'/>",
        "<graphics type='vnc' port='-1' passwd='geheim'><listen type='address'/></graphics>",
    ),
    "devices that libvirt adds": ("<devices>", "<devices><memballoon model='virtio'/><input type='mouse' bus='ps2'/>"),
    "a sata controller without an index": ("<devices>", "<devices><controller type='sata'/>"),
    "video memory that libvirt rounds up": (
        "<devices>",
        "<devices><video><model type='cirrus' vram='9216' heads='1'/></video>",
    ),
    "names from a run": (NIC, NIC.replace("<model", "<alias name='net0'/><target dev='vnet3'/><model")),
    "the id of a run": ("<domain type='qemu'>", "<domain type='qemu' id='7'>"),
    "metadata without a namespace": ("<memory", "<metadata><note/></metadata><memory"),
    "a comment": ("<vcpu>", "<!-- two --><vcpu>"),
}


@pytest.mark.parametrize("passage", SAME.values(), ids=SAME.keys())
def test_the_same_meaning_reads_unchanged(passage: tuple[str, str]) -> None:
    result = lay(changed(*passage))
    assert result.differences == ()
    assert lay(result.merged).differences == ()


DISK = "<disk type='file'><driver type='raw' name='qemu'/><source file='/images/a'/><target dev='vda'/></disk>"
TABLET = "<input type='tablet' bus='usb'/>"
SCREEN = "<graphics type='vnc' passwd='geheim'/>"
TABLET_SHOWN = '<input type="tablet" bus="usb"><address type="usb" bus="0" port="1" /></input>'

CHANGES = {
    "memory": (
        ("unit='MiB'>64", "unit='MiB'>128"),
        {"memory": ("65536", "131072"), "currentMemory": ("65536", "131072")},
    ),
    "vcpus": (("<vcpu>2", "<vcpu>3"), {"vcpu": ("2", "3")}),
    "type": (("domain type='qemu'", "domain type='kvm'"), {"@type": ("qemu", "kvm")}),
    "another machine version": (
        ("machine='q35'", "machine='pc-q35-6.2'"),
        {"os/type/@machine": ("pc-q35-7.2", "pc-q35-6.2")},
    ),
    "boot order": (("<boot dev='network'/><boot dev='hd'/>", "<boot dev='hd'/>"), {"os/boot": ("network,hd", "hd")}),
    "efi": (("<os>", "<os firmware='efi'>"), {"os/@firmware": (None, "efi")}),
    "a setting that goes": (
        ("<cputune><shares>512</shares></cputune>", ""),
        {"cputune": ("<cputune><shares>512</shares></cputune>", None)},
    ),
    "a direct kernel": (
        ("<boot dev='network'/>", "<kernel>/k</kernel><boot dev='network'/>"),
        {"os/kernel": (None, "/k")},
    ),
    "a removed tablet": ((TABLET, ""), {"devices/input[tablet,usb]": (TABLET_SHOWN, None)}),
    "another disk file": (("/images/a", "/images/b"), {"devices/disk[vda]/source/@file": ("/images/a", "/images/b")}),
    "a cache mode": (
        ("driver type='raw'", "driver type='raw' cache='none'"),
        {"devices/disk[vda]/driver/@cache": (None, "none")},
    ),
    "a network": (
        ("network='lab'", "network='other'"),
        {"devices/interface[52:54:00:a9:c3:d0]/source/@network": ("lab", "other")},
    ),
    "a medium": (
        ("<target dev='sda' bus='sata'/>", "<source file='/iso'/><target dev='sda' bus='sata'/>"),
        {"devices/disk[sda]/source": (None, '<source file="/iso" />')},
    ),
    "a password": (
        ("passwd='geheim'", "passwd='neu'"),
        {"devices/graphics[vnc]/@passwd": ("********", "******** (changed)")},
    ),
    "a cpu of another mode": (("<devices>", "<cpu mode='maximum'/><devices>"), {"cpu/@mode": ("custom", "maximum")}),
    "a given port": (
        ("<graphics type='vnc' ", "<graphics type='vnc' port='5901' "),
        {"devices/graphics[vnc]/@port": (None, "5901"), "devices/graphics[vnc]/@autoport": ("yes", "no")},
    ),
}


@pytest.mark.parametrize(("passage", "expected"), CHANGES.values(), ids=CHANGES.keys())
def test_a_change_is_one_difference_and_then_none(
    passage: tuple[str, str], expected: dict[str, tuple[str | None, str | None]]
) -> None:
    wanted = changed(*passage)
    result = lay(wanted)
    assert differences(result) == expected
    assert overlay(result.merged, wanted).differences == ()


def test_a_nic_that_is_no_longer_wanted_goes_and_the_other_stays_as_it_is() -> None:
    result = lay(changed(NIC, ""))
    assert list(differences(result)) == ["devices/interface[52:54:00:11:29:34]"]
    (nic,) = result.merged.findall("devices/interface")
    assert nic.find("mac[@address='52:54:00:a9:c3:d0']") is not None
    assert nic.find("address[@bus='0x03']") is not None


def test_a_wanted_nic_without_an_address_takes_none_that_another_is_wanted_with() -> None:
    wanted = changed(NIC, "<interface type='network'><source network='lab'/><model type='e1000e'/></interface>")
    merged = lay(wanted).merged
    macs = [mac.get("address") for mac in merged.iterfind("devices/interface/mac")]
    assert macs == ["52:54:00:11:29:34", "52:54:00:a9:c3:d0"]


def test_nics_come_in_the_wanted_order() -> None:
    first, second = parse(WANTED, "test").findall("devices/interface")
    wanted = parse(WANTED, "test")
    devices = wanted.find("devices")
    assert devices is not None
    devices[2], devices[3] = second, first
    result = lay(wanted)
    assert list(differences(result)) == ["devices/interface (order)"]
    assert overlay(result.merged, wanted).differences == ()


def test_boot_orders_of_devices_and_of_the_system_are_never_mixed() -> None:
    by_device = changed("<boot dev='network'/><boot dev='hd'/>", "")
    nic = by_device.find("devices/interface")
    assert nic is not None
    ET.SubElement(nic, "boot", {"order": "1"})
    result = lay(by_device)
    assert differences(result)["os/boot"] == ("network,hd", None)
    assert result.merged.find("os/boot") is None
    back = overlay(result.merged, parse(WANTED, "test"))
    assert back.merged.find("devices/*/boot") is None
    assert [boot.get("dev") for boot in back.merged.iterfind("os/boot")] == ["network", "hd"]
    unspoken = overlay(result.merged, changed("<boot dev='network'/><boot dev='hd'/>", ""))
    assert unspoken.differences == ()


def test_another_kind_of_machine_drops_what_fitted_the_old_one_but_keeps_who_it_is() -> None:
    wanted = changed("machine='q35'", "machine='pc'")
    result = lay(wanted)
    assert list(differences(result)) == ["os/type/@machine"]
    assert result.merged.find("devices/controller") is None
    assert result.merged.find("devices/*/address") is None
    macs = [mac.get("address") for mac in result.merged.iterfind("devices/interface/mac")]
    assert [mac.lower() for mac in macs if mac] == ["52:54:00:11:29:34", "52:54:00:a9:c3:d0"]
    assert result.merged.findtext("uuid") == "64fa7fb3-39b3-48e3-a0eb-3301bbe4029c"


def test_firmware_that_libvirt_chose_stays_with_efi_and_goes_with_bios() -> None:
    chosen = (
        "<os firmware='efi'><firmware><feature enabled='no' name='secure-boot'/></firmware>"
        "<loader readonly='yes' type='pflash'>/code</loader><nvram template='/vars'>/nvram/a</nvram>"
    )
    stored = STORED.replace("<os>", chosen)
    efi = lay(changed("<os>", "<os firmware='efi'>"), stored)
    assert efi.differences == ()
    assert efi.merged.findtext("os/nvram") == "/nvram/a"
    bios = lay(changed("", ""), stored)
    assert differences(bios) == {"os/@firmware": ("efi", None)}
    assert bios.merged.find("os/loader") is None
    by_hand = lay(changed("<os>", "<os><loader type='pflash'>/mine</loader>"), stored)
    assert differences(by_hand) == {"os/@firmware": ("efi", None), "os/loader": ("/code", "/mine")}


def test_metadata_of_others_survives_and_ones_own_is_replaced() -> None:
    mine = "<metadata><l:domain xmlns:l='urn:baremetal.lab:domain:1' owner='p'/></metadata><memory"
    result = lay(changed("<memory", mine))
    assert list(differences(result)) == ["metadata/{urn:baremetal.lab:domain:1}domain"]
    assert result.merged.find("metadata/{urn:somebody}note[@a='1']") is not None
    assert len(result.merged.findall("metadata/*")) == 2


def test_what_the_template_does_not_speak_of_stays() -> None:
    wanted = parse("<domain type='qemu'><name>a</name><vcpu>2</vcpu><devices/></domain>", "test")
    partial = Scope(settings=False, firmware=False, devices=frozenset(["interface"]))
    assert set(differences(lay(wanted, scope=partial))) == {
        "devices/interface[52:54:00:11:29:34]",
        "devices/interface[52:54:00:a9:c3:d0]",
    }
    nothing = Scope(settings=False, firmware=False, devices=frozenset())
    assert lay(wanted, scope=nothing).differences == ()


def test_a_running_machine_is_judged_without_what_only_running_gives_it() -> None:
    live = STORED.replace("65536<", "66560<").replace("port='-1'", "port='5900'")
    live = live.replace("<model fallback='forbid'>qemu64</model>", "<feature policy='require' name='hypervisor'/>")
    wanted = changed("<memory unit='MiB'>64<", "<memory unit='KiB'>65540<")
    assert lay(wanted, live, running=True).differences == ()
    assert [change.path for change in lay(parse(WANTED, "test"), live, running=True).differences] == ["memory"]


def test_a_running_machines_cpu_is_judged_by_its_model_and_features() -> None:
    live = STORED.replace("check='none'", "check='full'")
    model = "<cpu mode='custom' match='exact' check='partial'><model fallback='allow'>%s</model></cpu>"

    def waiting(cpu: str) -> list[str]:
        result = lay(changed("<devices>", cpu + "<devices>"), live, running=True)
        return [change.path for change in result.differences if change.path.startswith("cpu")]

    assert waiting(model % "qemu64") == []
    assert waiting(model % "kvm64") == ["cpu/model"]
    assert waiting("<cpu match='minimum'><model>core2duo</model></cpu>") == []


def test_nics_of_one_address_stay_in_their_places() -> None:
    nic = "<interface type='user'><mac address='52:54:00:00:00:01'/></interface>"
    first, second = (nic.replace("<mac", "<alias name='ua-%d'/><mac" % number) for number in (1, 2))
    stored = "<domain type='qemu'><name>a</name><devices>%s%s</devices></domain>" % (first, second)
    wanted = stored.replace(first, "<interface type='user'/>").replace(second, nic)
    assert lay(parse(wanted, "test"), stored).differences == ()


def test_numa_cells_say_how_much_memory_there_is() -> None:
    numa = "<cpu><numa><cell id='0' cpus='0-1' memory='1' unit='GiB'/></numa></cpu><devices>"
    wanted = new_definition(changed("<devices>", numa))
    assert wanted.findtext("memory") == "1048576"


def test_an_amount_of_memory_needs_a_known_unit() -> None:
    with pytest.raises(LabError, match="'furlong' is no amount of memory: give a whole number"):
        new_definition(changed("unit='MiB'", "unit='furlong'"))


def test_a_namespace_is_declared_where_it_begins() -> None:
    text = text_of(parse(STORED, "test"))
    assert '<lab:domain xmlns:lab="urn:baremetal.lab:domain:1" owner="o" />' in text
    assert text.startswith('<domain type="qemu">')


# Whatever the stored definition is, the wanted one holds after one redefine.


@given(definitions(), definitions())
@settings(max_examples=300, deadline=None)
def test_what_was_laid_over_needs_no_laying_again(stored: str, wanted: str) -> None:
    current, wish = new_definition(parse(stored, "test")), parse(wanted, "test")
    merged = overlay(current, wish).merged
    assert overlay(merged, wish).differences == ()


@given(definitions())
@settings(max_examples=100, deadline=None)
def test_a_new_definition_is_as_wanted(wanted: str) -> None:
    wish = parse(wanted, "test")
    assert overlay(new_definition(wish), wish).differences == ()
