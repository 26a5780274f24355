# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Boot devices in domain XML: what moves, what stays, and what is refused."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from rig.domains import tiny_domain
from vbmcd.machine.base import BootDevice, BootOverride, Unsupported
from vbmcd.machine.libvirt_boot import boot_signature, efi_needed, offers_efi, with_boot

NETWORK, DISK, CDROM, FLOPPY = BootDevice.NETWORK, BootDevice.DISK, BootDevice.CDROM, BootDevice.FLOPPY
EVERYTHING = {"disks": ["/a", "/b"], "cdrom": True, "floppy": True, "nics": 2}


def devices_in_order(definition: str) -> list[str]:
    """The devices with a boot order as words: targets of disks, 'nicN' by position."""
    found = {}
    domain = ET.fromstring(definition)
    for device in domain.iterfind("devices/disk"):
        if (boot := device.find("boot")) is not None:
            found[int(boot.get("order"))] = device.find("target").get("dev")
    for number, device in enumerate(domain.iterfind("devices/interface")):
        if (boot := device.find("boot")) is not None:
            found[int(boot.get("order"))] = f"nic{number}"
    return [found[order] for order in sorted(found)]


def listed(definition: str) -> list[str]:
    return [boot.get("dev") for boot in ET.fromstring(definition).iterfind("os/boot")]


@pytest.mark.parametrize(
    ("before", "device", "after"),
    [
        ((), NETWORK, ["network"]),
        (("hd",), NETWORK, ["network", "hd"]),
        (("hd", "network"), NETWORK, ["network", "hd"]),
        (("network", "hd"), NETWORK, ["network", "hd"]),
        (("hd", "cdrom", "network"), NETWORK, ["network", "hd", "cdrom"]),
        (("network", "hd"), CDROM, ["cdrom", "network", "hd"]),
        (("network", "cdrom", "hd"), DISK, ["hd", "network", "cdrom"]),
        (("hd",), FLOPPY, ["fd", "hd"]),
    ],
)
def test_the_boot_list_gets_the_device_first_and_keeps_the_rest(before, device, after):
    definition = with_boot(tiny_domain("d", boot=before, **EVERYTHING), BootOverride(device))
    assert listed(definition) == after
    assert devices_in_order(definition) == []


@pytest.mark.parametrize(
    ("before", "device", "after"),
    [
        (["vda"], NETWORK, ["nic0", "vda"]),
        (["vda", "nic1"], NETWORK, ["nic1", "vda"]),
        (["vda", "nic1", "hdc", "nic0"], NETWORK, ["nic1", "nic0", "vda", "hdc"]),
        (["nic0", "nic1", "vda"], NETWORK, ["nic0", "nic1", "vda"]),
        (["nic0", "vdb"], DISK, ["vdb", "nic0"]),
        (["nic0", "vda"], CDROM, ["hdc", "nic0", "vda"]),
        (["nic0", "vda"], FLOPPY, ["fda", "nic0", "vda"]),
    ],
)
def test_boot_orders_get_the_device_first_and_keep_the_rest(before, device, after):
    definition = with_boot(tiny_domain("d", orders=before, **EVERYTHING), BootOverride(device))
    assert devices_in_order(definition) == after
    assert listed(definition) == []


@pytest.mark.parametrize("style", [{"boot": ["network", "hd"]}, {"orders": ["nic0", "vda"]}])
def test_a_device_that_is_first_already_leaves_the_text_alone(style):
    before = tiny_domain("d", **style, **EVERYTHING)
    assert with_boot(before, BootOverride(NETWORK)) is before


@pytest.mark.parametrize(
    ("device", "word"),
    [(NETWORK, "network interface"), (DISK, "disk"), (CDROM, "CD-ROM drive"), (FLOPPY, "floppy drive")],
)
def test_a_device_that_the_domain_has_not_is_refused_by_name(device, word):
    with pytest.raises(Unsupported, match=f"domain 'bare' has no {word}"):
        with_boot(tiny_domain("bare", boot=["hd"]), BootOverride(device))


def test_a_cdrom_drive_is_no_disk():
    with pytest.raises(Unsupported):
        with_boot(tiny_domain("d", cdrom=True), BootOverride(DISK))


@pytest.mark.parametrize("os", ["<kernel>/boot/vmlinuz</kernel>", None])
def test_a_domain_that_does_not_boot_by_device_is_refused(os):
    definition = tiny_domain("d", loader=os or "", nics=1)
    if os is None:
        definition = definition.replace(">hvm<", ">exe<")
    with pytest.raises(Unsupported, match="it has no boot devices"):
        with_boot(definition, BootOverride(NETWORK))


def test_attributes_of_a_boot_element_are_kept():
    definition = tiny_domain("d", orders=["vda"], **EVERYTHING).replace("order='1'", "order='1' loadparm='2'")
    assert 'order="2" loadparm="2"' in with_boot(definition, BootOverride(NETWORK))


def test_everything_else_survives():
    extra = (
        "<metadata><lab:owner xmlns:lab='urn:lab'>me</lab:owner><other xmlns='urn:other'><x/></other></metadata>"
        "<qemu:commandline xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><qemu:arg value='-S'/>"
        "</qemu:commandline>"
    )
    nvram = "<loader readonly='yes' type='pflash'>/fw/CODE.fd</loader><nvram template='/fw/VARS.fd'>/var/d.fd</nvram>"
    before = tiny_domain("d", boot=["hd"], loader=nvram, vnc_password="s3cret & <co>", **EVERYTHING)
    before = before.replace("</devices>", f"</devices>{extra}")
    after = with_boot(before, BootOverride(NETWORK, efi=True))
    assert ET.canonicalize(without_boot(after), rewrite_prefixes=True) == ET.canonicalize(
        without_boot(before), rewrite_prefixes=True
    )
    assert "<lab:owner" in after and "<qemu:arg" in after


def without_boot(definition: str) -> str:
    return re.sub(r"<boot dev=[^>]*/>", "", definition)


def test_efi_replaces_the_bios_of_a_bios_domain():
    rom = "<loader type='rom'>/usr/share/seabios/bios.bin</loader>"
    before = tiny_domain("d", boot=["network"], loader=rom, machine="q35", **EVERYTHING)
    boot = BootOverride(NETWORK, efi=True)
    after = with_boot(before, boot)
    os = ET.fromstring(after).find("os")
    assert os.get("firmware") == "efi" and os.find("loader") is None
    needed = efi_needed(before, boot)
    assert needed is not None and (needed.arch, needed.machine, needed.virt_type) == ("x86_64", "q35", "qemu")
    assert efi_needed(after, boot) is None


@pytest.mark.parametrize("efi", [True, False])
@pytest.mark.parametrize(
    "firmware", [{"firmware": "efi"}, {"loader": "<loader type='pflash'>/CODE</loader><nvram>/VARS</nvram>"}]
)
def test_an_efi_domain_keeps_its_firmware_and_nvram(efi, firmware):
    before = tiny_domain("d", boot=["network"], **firmware, **EVERYTHING)
    assert efi_needed(before, BootOverride(NETWORK, efi=efi)) is None
    assert with_boot(before, BootOverride(NETWORK, efi=efi)) is before


def test_efi_without_acpi_is_refused():
    definition = tiny_domain("d", nics=1).replace("<acpi/>", "")
    with pytest.raises(Unsupported, match="ACPI"):
        with_boot(definition, BootOverride(NETWORK, efi=True))


@pytest.mark.parametrize(("values", "offered"), [("<value>bios</value><value>efi</value>", True), ("", False)])
def test_capabilities_tell_whether_there_is_efi(values, offered):
    assert offers_efi(f"<c><os><enum name='firmware'>{values}</enum></os></c>") is offered


def test_the_signature_sees_what_changes_the_next_boot_and_nothing_else():
    disk_first = tiny_domain("d", uuid="1" * 32, orders=["vda", "nic0"], **EVERYTHING)
    assert boot_signature(disk_first) == boot_signature(disk_first.replace("32</memory>", "64</memory>"))
    assert boot_signature(disk_first) != boot_signature(with_boot(disk_first, BootOverride(NETWORK)))
    listed_first = tiny_domain("d", boot=["hd"], **EVERYTHING)
    assert boot_signature(listed_first) != boot_signature(with_boot(listed_first, BootOverride(NETWORK)))
    assert boot_signature(listed_first) != boot_signature(with_boot(listed_first, BootOverride(DISK, efi=True)))
