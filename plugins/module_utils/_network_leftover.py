# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a libvirtd that was killed leaves of a network on its host, and how that goes away.

Used by ``_network_converge`` where a network does not start. Asks the kernel of the host that the module runs on, so it
is of use for a libvirt of that host alone.
"""

from __future__ import annotations

import json
import os
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Tuple

Run = Callable[..., Tuple[int, str, str]]
"""As AnsibleModule.run_command."""

PROC = Path("/proc")


@dataclass(frozen=True)
class Leftover:
    """The bridge, and the DHCP servers of a network that libvirt says is not active."""

    bridge: str
    ports: List[str] = field(default_factory=list)
    """Whoever is on the bridge, so that it can't go."""
    servers: List[int] = field(default_factory=list)
    """Process ids."""

    @property
    def removable(self) -> bool:
        return not self.ports

    def words(self) -> str:
        return "remove-leftover %s" % self.bridge


def is_bridge(name: str, run: Run) -> bool:
    return any(link.get("linkinfo", {}).get("info_kind") == "bridge" for link in _links(run, "dev", name))


def ports(bridge: str, run: Run) -> List[str]:
    """The interfaces on a bridge, but for the one that libvirt puts there itself."""
    names = [link["ifname"] for link in _links(run, "master", bridge)]
    return sorted(name for name in names if name != "%s-nic" % bridge)


def find(network: str, bridge: str, mac: str, run: Run, proc: Path = PROC) -> Optional[Leftover]:
    """The Leftover of an inactive network; None where its bridge isn't there, or isn't proven to be libvirt's.

    The proof is the MAC address, which libvirt chooses at random when the network is defined, and gives its bridge.
    """
    links = _links(run, "dev", bridge)
    if not mac or not links or links[0].get("address", "").lower() != mac.lower():
        return None
    return Leftover(bridge, ports(bridge, run), _servers(network, proc))


def remove(leftover: Leftover, run: Run) -> str:
    """Remove it; why that failed, or nothing."""
    for pid in leftover.servers:
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            continue
        except OSError as error:
            return "dnsmasq (process %d) can't be ended: %s" % (pid, error.strerror)
    code, _out, err = run(["ip", "link", "delete", "dev", leftover.bridge])
    return err.strip() if code != 0 else ""


def _links(run: Run, *which: str) -> List[Dict[str, Any]]:
    """What ``ip link show`` tells of these; nothing where there is none."""
    code, out, _err = run(["ip", "-json", "-details", "link", "show", *which])
    links = json.loads(out) if code == 0 and out.strip() else []
    return [link for link in links if "ifname" in link]


def _servers(network: str, proc: Path) -> List[int]:
    """Processes of dnsmasq with libvirt's file for this network, in our network namespace."""
    own = b"--conf-file=/var/lib/libvirt/dnsmasq/%s.conf" % network.encode()
    found = []
    for entry in proc.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if own in words and os.readlink(str(entry / "ns/net")) == os.readlink(str(proc / "self/ns/net")):
                found.append(int(entry.name))
        except OSError:
            continue  # ended meanwhile
    return sorted(found)
