# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A controller that has this collection, on the machine of a hypervisor: tasks in, results out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rig.libvirtd import Libvirtd
from rig.playbooks import Playbooks, Task

__all__ = ["POOL", "Controller", "Task"]

POOL = "domain-module"


class Controller(Playbooks):
    """Its tasks manage the domains of a libvirtd."""

    def __init__(self, folder: Path, libvirtd: Libvirtd) -> None:
        super().__init__(
            folder,
            defaults={"group/baremetal.lab.lab": {"uri": libvirtd.uri}},
            variables={
                # The distribution's Python is the one that has the libvirt binding on a hypervisor.
                "ansible_python_interpreter": "/usr/bin/python3",
                "domain_uri": libvirtd.uri,
                "domain_pool": POOL,
            },
        )
        self.folder = folder
        self.libvirtd = libvirtd

    def domain(self, **options: Any) -> dict[str, Any]:
        """What the module returned."""
        return self.results({"baremetal.lab.domain": options})[0]
