# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A QEMU domain with a BMC of its own, and clients for it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from rig.daemon import Vbmcd, alive
from rig.domains import tiny_domain
from rig.ipmi import Target, freeipmi, ipmitool, said
from rig.libvirtd import Libvirtd
from rig.ports import free_ports
from rig.waiting import eventually


@dataclass
class Node:
    """A domain and its BMC."""

    name: str
    uuid: str
    libvirtd: Libvirtd
    vbmcd: Vbmcd
    target: Target
    folder: Path
    """The test's own; the domain's disk is in it."""

    @classmethod
    @contextmanager
    def served(
        cls, libvirtd: Libvirtd, vbmcd: Vbmcd, folder: Path, spec: Mapping[str, Any], **domain: Any
    ) -> Iterator[Self]:
        """A new one; `spec` is more of the instance, `domain` of tiny_domain()."""
        name, identity = f"node-{folder.name[-24:]}", str(uuid.uuid4())
        disk = folder / "disk"
        disk.write_bytes(bytes(1 << 20))
        libvirtd.define(tiny_domain(name, uuid=identity, disks=[disk], nics=1, **domain))
        try:
            # A port of its own: pyghmi would go on with the session of the BMC that had it before.
            port = vbmcd.serve(name, libvirt_uri=libvirtd.uri, port=free_ports(1)[0], **spec)
            yield cls(name, identity, libvirtd, vbmcd, Target(port), folder)
        finally:
            vbmcd.ask("delete", names=[name])
            libvirtd.remove(name)

    def state(self) -> str:
        return self.libvirtd.virsh("domstate", self.name)

    def has_state(self, state: str) -> bool:
        eventually(lambda: self.state() == state, what=f"domain {self.name} is {state}")
        return True

    def start(self) -> None:
        """Switch it on past its BMC, and wait until that has heard of it."""
        self.libvirtd.virsh("start", self.name)
        eventually(lambda: self.ipmitool("power", "status") == "Chassis Power is on", what=f"the BMC of {self.name}")

    def qemu(self) -> int:
        return self.libvirtd.qemu_pid(self.name)

    def power(self, word: str, suite: int = 17) -> bool:
        """ipmitool power. It is answered when on, off or cycle is under way, so wait for its end."""
        before = self.qemu() if word == "cycle" else 0
        said(ipmitool(self.target, "power", word, suite=suite))
        if before:
            eventually(lambda: not alive([before]), what="the machine was off for a moment")
        return self.has_state("shut off" if word == "off" else "running")

    def ipmitool(self, *words: str) -> str:
        """What it says; it has to succeed."""
        return said(ipmitool(self.target, *words))

    def freeipmi(self, tool: str, *words: str) -> str:
        """The same with one of FreeIPMI's tools."""
        cache = () if tool == "bmc-device" else (f"--sdr-cache-directory={self.folder}", "--quiet-cache")
        return said(freeipmi(tool, self.target, *cache, *words))
