# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab as its hypervisors tell of it, made up: what plugin_utils/lab_report.py takes."""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]
LAB = "rack-7"


def node(name: str, hypervisor: str = "hv1", **domain: Any) -> Document:
    """A node of the inventory, as lab_nodes hands it on, with a password that nobody may see."""
    return {
        "name": name,
        "hypervisor": hypervisor,
        "domain": {"name": name, "owner": LAB, "memory_mb": 2048, "vcpus": 2, **domain},
        "bmc": {"name": name, "owner": LAB, "password": "not-for-printing"},
    }


def domain(name: str, state: str = "running", owner: str = LAB) -> Document:
    return {"name": name, "owner": owner, "state": state, "memory_mb": 4096, "vcpus": 4}


def bmc(name: str, status: str = "running", port: int = 6230, **properties: Any) -> Document:
    return {
        "name": name,
        "owner": LAB,
        "status": status,
        "address": "192.0.2.11",
        "port": port,
        "reason": "",
        **properties,
    }


def told(domains: list[Document], bmcs: list[Document], power: dict[str, str]) -> Document:
    """A hypervisor that answers everything."""
    return {
        "address": "192.0.2.1",
        "unreachable": "",
        "bmcs": {"instances": bmcs, "daemon": {"running": True, "version": "0.1.0", "workers": [{}, {}]}},
        "host": {
            "libvirt": {"running": True, "version": "9.0.0", "driver": "QEMU", "driver_version": "7.2.22"},
            "host": {"memory_mb": 65536, "memory_free_mb": 40210, "cpus": 16},
            "defined": {"domains": len(domains), "memory_mb": 4096 * len(domains), "vcpus": 4 * len(domains)},
            "active": {"domains": sum(one["state"] == "running" for one in domains)},
        },
        "domains": {"domains": domains},
        "power": {name: {"power": state} for name, state in power.items()},
    }


def running(*names: str) -> Document:
    """A hypervisor with these nodes' domains and BMCs, all on."""
    bmcs = [bmc(name, port=6230 + number) for number, name in enumerate(names)]
    return told([domain(name) for name in names], bmcs, dict.fromkeys(names, "on"))
