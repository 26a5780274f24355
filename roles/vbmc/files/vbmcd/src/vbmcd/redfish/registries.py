# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What describes the service: the registry of its messages, and the schemas that its resources follow."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Tuple

from vbmcd.commands.bmc import Bmc
from vbmcd.redfish.exchange import Request, Response
from vbmcd.redfish.messages import MESSAGES, REGISTRY, VERSION, Kind, failure
from vbmcd.redfish.root import ROOT, collection
from vbmcd.redfish.table import Chapter
from vbmcd.redfish.task_service import EVENTS

registries = Chapter()

REGISTRIES = f"{ROOT}/Registries"
REGISTERED: Mapping[str, Tuple[str, Mapping[str, Kind]]] = {
    REGISTRY: (VERSION, MESSAGES),
    "TaskEvent": ("1.0.3", EVENTS),
}
"""Version and messages of each registry."""

SCHEMAS: Dict[str, str] = {
    "AccountService": "v1_14_1",
    "Bios": "v1_2_3",
    "BootOption": "v1_0_6",
    "Chassis": "v1_23_0",
    "ComputerSystem": "v1_22_0",
    "Drive": "v1_18_0",
    "EthernetInterface": "v1_12_0",
    "LogEntry": "v1_15_0",
    "LogService": "v1_5_0",
    "Manager": "v1_19_1",
    "ManagerAccount": "v1_12_1",
    "ManagerNetworkProtocol": "v1_9_1",
    "Memory": "v1_19_0",
    "Message": "v1_2_0",
    "MessageRegistry": "v1_6_0",
    "MessageRegistryFile": "v1_1_3",
    "Power": "v1_7_3",
    "Processor": "v1_18_0",
    "Role": "v1_3_2",
    "SecureBoot": "v1_1_2",
    "Sensor": "v1_7_0",
    "ServiceRoot": "v1_16_0",
    "Session": "v1_7_0",
    "SessionService": "v1_1_9",
    "Settings": "v1_3_5",
    "SoftwareInventory": "v1_10_0",
    "Storage": "v1_15_1",
    "Task": "v1_4_3",
    "TaskService": "v1_1_4",
    "Thermal": "v1_7_1",
    "UpdateService": "v1_11_1",
    "VirtualMedia": "v1_6_3",
    "Volume": "v1_9_0",
}
"""The schemas of what is served, and their versions."""

COLLECTIONS = (
    "BootOption",
    "Chassis",
    "ComputerSystem",
    "EthernetInterface",
    "LogEntry",
    "LogService",
    "Manager",
    "ManagerAccount",
    "Memory",
    "MessageRegistryFile",
    "Processor",
    "Role",
    "Sensor",
    "Session",
    "SoftwareInventory",
    "Storage",
    "Task",
    "VirtualMedia",
    "Volume",
)
"""Of which there are collections."""

_SOURCE = "http://redfish.dmtf.org/schemas/v1"


@registries.get(REGISTRIES)
async def list_registries(request: Request, bmc: Bmc) -> Response:
    return collection(REGISTRIES, "MessageRegistryFile", "Registries", [f"{REGISTRIES}/{name}" for name in REGISTERED])


@registries.get(f"{REGISTRIES}/{{registry}}")
async def get_registry_file(request: Request, bmc: Bmc) -> Response:
    """Where a registry is."""
    name, version, _messages = _find(request)
    return Response(
        {
            "@odata.id": f"{REGISTRIES}/{name}",
            "@odata.type": "#MessageRegistryFile.v1_1_3.MessageRegistryFile",
            "Id": name,
            "Name": f"{name} Message Registry File",
            "Registry": f"{name}.{version.rpartition('.')[0]}",
            "Languages": ["en"],
            "Location": [{"Language": "en", "Uri": _file(name, version)}],
        }
    )


@registries.get(f"{REGISTRIES}/{{registry}}/{{file}}")
async def get_registry(request: Request, bmc: Bmc) -> Response:
    """The messages that this service sends, by the standard's ids."""
    name, version, messages = _find(request)
    if request.path.rstrip("/") != _file(name, version):
        raise failure(404, "ResourceMissingAtURI", request.path)
    return Response(
        {
            "@odata.type": "#MessageRegistry.v1_6_0.MessageRegistry",
            "Id": f"{name}.{version}",
            "Name": f"{name} Message Registry",
            "Language": "en",
            "Description": f"The messages of the {name} registry that this service sends",
            "RegistryPrefix": name,
            "RegistryVersion": version,
            "OwningEntity": "DMTF",
            "Messages": {id: _entry(kind) for id, kind in messages.items()},
        }
    )


def _find(request: Request) -> Tuple[str, str, Mapping[str, Kind]]:
    name = request.ids["registry"]
    if name not in REGISTERED:
        raise failure(404, "ResourceNotFound", "MessageRegistryFile", name)
    return (name, *REGISTERED[name])


def _file(name: str, version: str) -> str:
    return f"{REGISTRIES}/{name}/{name}.{version}.json"


def _entry(kind: Kind) -> Dict[str, Any]:
    return {
        "Description": kind.text,
        "Message": kind.text,
        "MessageSeverity": kind.severity,
        "Severity": kind.severity,  # its former name: sushy warns of each message without
        "NumberOfArgs": kind.arguments,
        "ParamTypes": ["string"] * kind.arguments,
        "Resolution": kind.resolution,
    }


@registries.get(f"{ROOT}/$metadata", privilege=None)
async def metadata(request: Request, bmc: Bmc) -> Response:
    """The OData metadata document: where each schema is (DSP0266, 'OData metadata')."""
    return Response(_METADATA, headers={"Content-Type": "application/xml;charset=utf-8"})


def _metadata() -> bytes:
    lines: List[str] = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<edmx:Edmx xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx" Version="4.0">',
    ]
    for name, version in sorted(SCHEMAS.items()):
        lines += _reference(f"{name}_v1.xml", [name, f"{name}.{version}"])
    lines += [line for name in COLLECTIONS for line in _reference(f"{name}Collection_v1.xml", [f"{name}Collection"])]
    lines += _reference("RedfishExtensions_v1.xml", ["RedfishExtensions.v1_0_0"], "Redfish")
    lines += [
        "  <edmx:DataServices>",
        '    <Schema xmlns="http://docs.oasis-open.org/odata/ns/edm" Namespace="Service">',
        f'      <EntityContainer Name="Service" Extends="ServiceRoot.{SCHEMAS["ServiceRoot"]}.ServiceContainer"/>',
        "    </Schema>",
        "  </edmx:DataServices>",
        "</edmx:Edmx>",
        "",
    ]
    return "\n".join(lines).encode()


def _reference(file: str, namespaces: List[str], alias: str = "") -> List[str]:
    named = f' Alias="{alias}"' if alias else ""
    return [
        f'  <edmx:Reference Uri="{_SOURCE}/{file}">',
        *(f'    <edmx:Include Namespace="{namespace}"{named}/>' for namespace in namespaces),
        "  </edmx:Reference>",
    ]


_METADATA = _metadata()
