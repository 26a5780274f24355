# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hypothesis strategies for domain XML, put together at random from parts that tests of the comparison need.

Not all of them are definitions that libvirt takes (two disks of one name, for example).
"""

from __future__ import annotations

from hypothesis import strategies as st

_NICS = st.builds(
    "<interface type='{}'>{}{}{}</interface>".format,
    st.sampled_from(["user", "network", "bridge"]),
    st.sampled_from(["", "<mac address='52:54:00:00:00:01'/>", "<mac address='52:54:00:00:00:02'/>"]),
    st.sampled_from(["", "<model type='virtio'/>", "<model type='e1000'/>"]),
    st.sampled_from(["", "<link state='down'/>", "<rom enabled='no'/>", "<boot order='1'/>"]),
)
_DISKS = st.builds(
    "<disk type='file' device='{}'><source file='/images/{}'/><target dev='{}'/></disk>".format,
    st.sampled_from(["disk", "cdrom"]),
    st.sampled_from(["x", "y"]),
    st.sampled_from(["vda", "vdb", "sda"]),
)
_OTHERS = st.sampled_from(
    [
        "<console type='pty'/>",
        "<serial type='pty'/>",
        "<serial type='null'/>",
        "<graphics type='vnc'/>",
        "<sound model='ich6'/>",
        "<channel type='unix'><target type='virtio' name='a.b'/></channel>",
        "<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>",
        "<graphics type='spice' port='5901' listen='0.0.0.0'/>",
        "<video><model type='vga'/></video>",
        "<input type='tablet' bus='usb'/>",
        "<controller type='scsi' model='virtio-scsi'/>",
        "<watchdog model='i6300esb'/>",
        "<memballoon model='none'/>",
    ]
)
_SETTINGS = st.lists(
    st.sampled_from(
        [
            "<vcpu current='1'>2</vcpu>",
            "<cputune><vcpupin vcpu='0' cpuset='0-1'/></cputune>",
            "<cpu mode='maximum'/>",
            "<cpu mode='custom'><model>qemu64</model><feature policy='disable' name='svm'/></cpu>",
            "<clock offset='utc'><timer name='hpet' present='no'/></clock>",
            "<features><acpi/><hyperv><relaxed state='on'/></hyperv></features>",
            "<metadata><m:m xmlns:m='urn:m' a='1'/></metadata>",
        ]
    ),
    unique_by=lambda text: text.split()[0].split(">")[0],
)
_SYSTEMS = st.builds(
    "<os{}><type machine='{}'>hvm</type>{}</os>".format,
    st.sampled_from(["", " firmware='efi'"]),
    st.sampled_from(["q35", "pc", "pc-q35-7.2"]),
    st.sampled_from(["", "<boot dev='hd'/>", "<boot dev='network'/><boot dev='hd'/>", "<kernel>/k</kernel>"]),
)


def definitions(network: str = "lab", bridge: str = "br0") -> st.SearchStrategy[str]:
    """XML of domains named `a`; its NICs of these kinds are on the network and the bridge of these names."""

    def definition(memory: int, system: str, settings: list[str], devices: list[str]) -> str:
        text = "".join(devices)
        text = text.replace("type='network'>", f"type='network'><source network='{network}'/>")
        text = text.replace("type='bridge'>", f"type='bridge'><source bridge='{bridge}'/>")
        return (
            f"<domain type='qemu'><name>a</name><memory unit='MiB'>{memory}</memory>{system}{''.join(settings)}"
            f"<devices>{text}</devices></domain>"
        )

    devices = st.lists(st.one_of(_NICS, _DISKS, _OTHERS), max_size=6)
    return st.builds(definition, st.integers(1, 4096), _SYSTEMS, _SETTINGS, devices)
