# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains that depend on each other, and a daemon that follows them: what several tests and benchmarks set up."""

from __future__ import annotations

import subprocess

from rig.daemon import Vbmcd
from rig.libvirtd import Libvirtd, tiny_domain
from rig.waiting import eventually

NAMESPACE = "urn:baremetal.lab:dependencies:1"


def declare(libvirtd: Libvirtd, master: str, *others: str, **options: str) -> None:
    """Have `master` depend on `others`, in its stored definition."""
    words = "".join(f" {key.replace('_', '-')}='{value}'" for key, value in options.items())
    items = "".join(f"<domain uuid='{libvirtd.virsh('domuuid', one)}' name='{one}'{words}/>" for one in others)
    text = f"<dependencies>{items}</dependencies>"
    libvirtd.virsh("metadata", master, NAMESPACE, "--key", "dep", "--set", text, "--config")


def make(libvirtd: Libvirtd, *names: str) -> None:
    libvirtd.define(*(tiny_domain(name) for name in names))


def follow(vbmcd: Vbmcd, libvirtd: Libvirtd) -> None:
    """Have the daemon follow the domains there; it does so for each instance's libvirt."""
    vbmcd.apply({"name": "any", "address": "127.0.0.1", "libvirt_uri": libvirtd.uri, "domain": "any"})
    eventually(lambda: watcher(vbmcd)["connected"], what="the watcher is connected")


def watcher(vbmcd: Vbmcd) -> dict[str, object]:
    (one,) = vbmcd.ask("ping")["watchers"]
    found: dict[str, object] = one
    return found


def state(libvirtd: Libvirtd, name: str) -> str:
    done = subprocess.run(
        ["virsh", "--quiet", "--connect", libvirtd.uri, "domstate", name], capture_output=True, check=False, text=True
    )
    return done.stdout.strip() or "absent"


def becomes(libvirtd: Libvirtd, wanted: str, *names: str) -> None:
    eventually(
        lambda: all(state(libvirtd, name) == wanted for name in names), what=f"{', '.join(names)} become {wanted}"
    )
