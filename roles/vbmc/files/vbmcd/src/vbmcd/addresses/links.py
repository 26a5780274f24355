# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host's interfaces, through iproute2's ``ip``."""

from __future__ import annotations

import json
import subprocess
from typing import Any, Dict, List

from vbmcd.addresses.plan import Link
from vbmcd.errors import VbmcError

ALIAS = "addresses of virtual BMCs (vbmcd-addresses)"
"""Tells an interface that was made here from any other."""

_KINDS = ("dummy", "bridge")
"""What an interface of our own can be: a kernel without the first has the second, which does as well without a port."""


class LinkError(VbmcError):
    """What the kernel refused."""

    code = "address"


def links() -> Dict[str, Link]:
    """The interfaces by name."""
    # `ip address` leaves the alias out of its JSON.
    ours = {item["ifname"] for item in _items("link") if item.get("ifalias") == ALIAS}
    found = {}
    for item in _items("address"):
        name, up = item["ifname"], "UP" in item.get("flags", [])
        addresses = frozenset(part["local"] for part in item.get("addr_info", []) if "local" in part)
        found[name] = Link(name, name in ours, up, addresses)
    return found


def _items(kind: str) -> List[Dict[str, Any]]:
    # iproute2 has empty objects for what a filter leaves out.
    return [item for item in json.loads(_ip("-json", kind, "show") or "[]") if "ifname" in item]


def make(name: str) -> None:
    """Make an interface of our own. Raises LinkError."""
    refusals: List[str] = []
    for kind in _KINDS:
        try:
            _ip("link", "add", "dev", name, "type", kind)
        except LinkError as error:
            refusals.append(f"{kind}: {error}")
            continue
        _ip("link", "set", "dev", name, "alias", ALIAS)
        set_up(name)
        return
    raise LinkError(
        f"interface {name!r} can't be made ({'; '.join(refusals)}): name one that there is (lab_bmc_interface); lo does"
    )


def set_up(name: str) -> None:
    _ip("link", "set", "dev", name, "up")


def add(name: str, address: str) -> None:
    """Add `address` alone, without its network: who may reach it is the routing's matter. Raises LinkError."""
    options = ["dev", name]
    if ":" in address:
        # Usable at once, since a BMC is about to bind it; and deprecated, so that the host's own connections never
        # leave from it (RFC 6724, rule 3).
        options += ["nodad", "preferred_lft", "0"]
    try:
        _ip("address", "add", _host(address), *options)
    except LinkError as error:
        raise LinkError(
            f"{address} can't be added to interface {name!r}: {error}: correct that and run again"
        ) from None


def delete(name: str, address: str) -> None:
    _ip("address", "delete", _host(address), "dev", name)


def remove(name: str) -> None:
    _ip("link", "delete", "dev", name)


def _host(address: str) -> str:
    return f"{address}/128" if ":" in address else f"{address}/32"


def _ip(*arguments: str) -> str:
    try:
        done = subprocess.run(["ip", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise LinkError("there is no command ip: install iproute2") from None
    if done.returncode != 0:
        raise LinkError(done.stderr.strip() or f"ip {' '.join(arguments)} ended with {done.returncode}")
    return done.stdout
