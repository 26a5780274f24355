# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The BMC in the network: its one interface, as IPMI's LAN parameters have it (23.2), and its protocols. All of it is
the host's, so nothing can be set."""

from __future__ import annotations

import ipaddress
from typing import Any, Dict

from vbmcd.commands import lan
from vbmcd.commands.bmc import Bmc
from vbmcd.redfish.exchange import Request, Response
from vbmcd.redfish.root import MANAGER, collection
from vbmcd.redfish.table import Chapter

network = Chapter()

PROTOCOLS = f"{MANAGER}/NetworkProtocol"
INTERFACES = f"{MANAGER}/EthernetInterfaces"
INTERFACE = f"{INTERFACES}/eth0"

ENABLED = {"State": "Enabled", "Health": "OK"}


@network.get(PROTOCOLS)
async def get_protocols(request: Request, bmc: Bmc) -> Response:
    """Which protocols there are, and their ports."""
    instance = bmc.instance
    web = {"ProtocolEnabled": True, "Port": instance.redfish.port if instance.redfish else None}
    off = {"ProtocolEnabled": False, "Port": None}
    return Response(
        {
            "@odata.id": PROTOCOLS,
            "@odata.type": "#ManagerNetworkProtocol.v1_9_1.ManagerNetworkProtocol",
            "Id": "NetworkProtocol",
            "Name": "Manager Network Protocol",
            "HostName": instance.name,
            "FQDN": None,
            "HTTP": off if request.secure else web,
            "HTTPS": web if request.secure else off,
            "IPMI": {"ProtocolEnabled": True, "Port": instance.port},
            "Status": ENABLED,
        }
    )


@network.get(INTERFACES)
async def list_interfaces(request: Request, bmc: Bmc) -> Response:
    return collection(INTERFACES, "EthernetInterface", "Manager Ethernet Interfaces", [INTERFACE])


@network.get(INTERFACE)
async def get_interface(request: Request, bmc: Bmc) -> Response:
    """Its address is the one that Redfish is at."""
    instance = bmc.instance
    bound = instance.redfish_endpoint[0] if instance.redfish_endpoint else instance.address
    found = lan.Network(bound, instance.port, request.source, bmc.engine.guid, ())
    mac = found.mac().hex(":").upper()
    return Response(
        {
            "@odata.id": INTERFACE,
            "@odata.type": "#EthernetInterface.v1_12_0.EthernetInterface",
            "Id": "eth0",
            "Name": "Manager Ethernet Interface",
            "InterfaceEnabled": True,
            "LinkStatus": "LinkUp",
            "MACAddress": mac,
            "PermanentMACAddress": mac,
            "HostName": instance.name,
            "FQDN": None,
            "DHCPv4": {"DHCPEnabled": False},
            **_addresses(found),
            "Status": ENABLED,
        }
    )


def _addresses(found: lan.Network) -> Dict[str, Any]:
    address = found.address
    if address.version == 6:
        # The prefix is the host's business, as for IPMI.
        one = {"Address": str(address), "PrefixLength": 128, "AddressOrigin": "Static", "AddressState": "Preferred"}
        return {"IPv4Addresses": [], "IPv6Addresses": [one]}
    gateway = ipaddress.IPv4Address(found.gateway())
    one = {
        "Address": str(address),
        "SubnetMask": str(ipaddress.IPv4Address(found.mask())),
        "AddressOrigin": "Static",
        "Gateway": str(gateway) if int(gateway) else None,
    }
    return {"IPv4Addresses": [one], "IPv6Addresses": []}
