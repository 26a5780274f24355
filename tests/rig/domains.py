# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""XML of domains small enough to start anywhere: emulated (TCG), 32 MiB, nothing but what a test names."""

from __future__ import annotations

import uuid as uuids
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import quoteattr


def tiny_domain(
    name: str,
    *,
    uuid: str | None = None,
    memory_mib: int = 32,
    disks: Sequence[Path] = (),
    cdrom: bool = False,
    floppy: bool = False,
    nics: int = 0,
    boot: Sequence[str] = (),
    orders: Sequence[str] = (),
    vnc_password: str | None = None,
    machine: str = "pc",
    firmware: str | None = None,
    loader: str = "",
    devices: str = "",
) -> str:
    """The XML of a domain of type 'qemu'.

    `disks` are raw files on virtio, `cdrom` and `floppy` drives without a medium, NICs in user mode. `boot` is
    the os/boot list (libvirt's words); `orders` the other style: device names ("vda", "sda", "nic0", "hdc",
    "fda") in the wanted order, which become <boot order='N'/>. `firmware` is os/@firmware, `loader` and
    `devices` more XML inside <os> and <devices>.
    """

    def order(device: str) -> str:
        return f"<boot order='{orders.index(device) + 1}'/>" if device in orders else ""

    parts = []
    for index, disk in enumerate(disks):
        target = f"vd{chr(ord('a') + index)}"
        parts.append(
            f"<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file={quoteattr(str(disk))}/>"
            f"<target dev='{target}' bus='virtio'/>{order(target)}</disk>"
        )
    if cdrom:
        target, bus = ("hdc", "ide") if machine == "pc" else ("sdc", "sata")
        parts.append(
            f"<disk type='file' device='cdrom'><target dev='{target}' bus='{bus}'/><readonly/>{order(target)}</disk>"
        )
    if floppy:
        parts.append(f"<disk type='file' device='floppy'><target dev='fda' bus='fdc'/>{order('fda')}</disk>")
    for index in range(nics):
        parts.append(f"<interface type='user'><model type='virtio'/>{order(f'nic{index}')}</interface>")
    if vnc_password is not None:
        parts.append(f"<graphics type='vnc' autoport='yes' passwd={quoteattr(vnc_password)}/>")
    boots = "".join(f"<boot dev='{device}'/>" for device in boot)
    auto = f" firmware='{firmware}'" if firmware else ""
    return (
        f"<domain type='qemu'><name>{name}</name><uuid>{uuid or uuids.uuid4()}</uuid>"
        f"<memory unit='MiB'>{memory_mib}</memory>"
        f"<os{auto}><type arch='x86_64' machine='{machine}'>hvm</type>{loader}{boots}</os><features><acpi/></features>"
        f"<devices>{''.join(parts)}<controller type='usb' model='none'/><memballoon model='none'/>"
        f"{devices}</devices></domain>"
    )
