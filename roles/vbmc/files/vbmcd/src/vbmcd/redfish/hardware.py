# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the machine is made of: processors, memory, storage, network interfaces, what it boots from.

All of it is the domain's own, read when asked for; only the boot order is ever written (``systems``).
"""

from __future__ import annotations

from typing import Any, Dict, List, Sequence, Tuple

from vbmcd.commands.bmc import Bmc
from vbmcd.machine.base import Disk, Hardware, NetworkInterface
from vbmcd.redfish.exchange import Request, Response
from vbmcd.redfish.messages import failure
from vbmcd.redfish.root import CHASSIS, SYSTEM, collection, link
from vbmcd.redfish.table import Chapter

hardware = Chapter()

PROCESSORS = f"{SYSTEM}/Processors"
MEMORY = f"{SYSTEM}/Memory"
STORAGE = f"{SYSTEM}/Storage"
INTERFACES = f"{SYSTEM}/EthernetInterfaces"
BOOT_OPTIONS = f"{SYSTEM}/BootOptions"

ENABLED = {"State": "Enabled", "Health": "OK"}
GIB, MIB = 2**30, 2**20

_ARCHITECTURES = {
    "x86_64": ("x86", "x86-64"),
    "i686": ("x86", "x86-64"),
    "aarch64": ("ARM", "ARM-A64"),
    "armv7l": ("ARM", "ARM-A32"),
    "ppc64le": ("Power", "PowerISA"),
    "ppc64": ("Power", "PowerISA"),
    "mips64el": ("MIPS", "MIPS64"),
}
"""ProcessorArchitecture and InstructionSet of libvirt's words."""
_PROTOCOLS = {"scsi": "SAS", "sata": "SATA", "usb": "USB", "nvme": "NVMe"}
_ALIASES = {"network": "Pxe", "hd": "Hdd", "cdrom": "Cd", "fd": "Floppy"}


def summaries(parts: Hardware) -> Dict[str, Any]:
    """What the system's own resource says of them."""
    return {
        "ProcessorSummary": {
            "Count": 1,
            "CoreCount": parts.cores,
            "LogicalProcessorCount": parts.processors,
            **({"Model": parts.processor_model} if parts.processor_model else {}),
        },
        "MemorySummary": {"TotalSystemMemoryGiB": gibibytes(parts.memory)},
    }


def gibibytes(size: int) -> float:
    return round(size / GIB, 3)


# --- Processors and memory -------------------------------------------------------------------------------------------


@hardware.get(PROCESSORS)
async def list_processors(request: Request, bmc: Bmc) -> Response:
    return collection(PROCESSORS, "Processor", "Processors", [f"{PROCESSORS}/0"])


@hardware.get(f"{PROCESSORS}/{{processor}}")
async def get_processor(request: Request, bmc: Bmc) -> Response:
    """All the domain's processors as one."""
    _index(request, "processor", "Processor", 1)
    parts = await bmc.machine.hardware()
    architecture, instructions = _ARCHITECTURES.get(parts.architecture, ("OEM", "OEM"))
    return Response(
        {
            "@odata.id": f"{PROCESSORS}/0",
            "@odata.type": "#Processor.v1_18_0.Processor",
            "Id": "0",
            "Name": "Processor 0",
            "ProcessorType": "CPU",
            "ProcessorArchitecture": architecture,
            "InstructionSet": instructions,
            "Model": parts.processor_model or None,
            "TotalCores": parts.cores,
            "TotalThreads": parts.processors,
            "Status": ENABLED,
            "Links": {"Chassis": link(CHASSIS)},
        }
    )


@hardware.get(MEMORY)
async def list_memory(request: Request, bmc: Bmc) -> Response:
    return collection(MEMORY, "Memory", "Memory", [f"{MEMORY}/0"])


@hardware.get(f"{MEMORY}/{{memory}}")
async def get_memory(request: Request, bmc: Bmc) -> Response:
    """All the domain's memory as one."""
    _index(request, "memory", "Memory", 1)
    parts = await bmc.machine.hardware()
    return Response(
        {
            "@odata.id": f"{MEMORY}/0",
            "@odata.type": "#Memory.v1_19_0.Memory",
            "Id": "0",
            "Name": "Memory 0",
            "MemoryType": "DRAM",
            "CapacityMiB": parts.memory // MIB,
            "Status": ENABLED,
            "Links": {"Chassis": link(CHASSIS)},
        }
    )


# --- Storage ---------------------------------------------------------------------------------------------------------


def _by_bus(disks: Sequence[Disk]) -> Dict[str, List[Disk]]:
    """The disks, not the drives of removable media, by bus: each is a storage subsystem."""
    found: Dict[str, List[Disk]] = {}
    for disk in disks:
        if disk.device in ("disk", "lun") and disk.name:
            found.setdefault(disk.bus or "unknown", []).append(disk)
    return found


async def _subsystem(request: Request, bmc: Bmc) -> Tuple[str, List[Disk]]:
    bus = request.ids["storage"]
    disks = _by_bus((await bmc.machine.hardware()).disks).get(bus)
    if disks is None:
        raise failure(404, "ResourceNotFound", "Storage", bus)
    return f"{STORAGE}/{bus}", disks


def _disk(request: Request, disks: List[Disk], what: str, id: str) -> Disk:
    disk = next((disk for disk in disks if disk.name == request.ids[id]), None)
    if disk is None:
        raise failure(404, "ResourceNotFound", what, request.ids[id])
    return disk


@hardware.get(STORAGE)
async def list_storage(request: Request, bmc: Bmc) -> Response:
    buses = _by_bus((await bmc.machine.hardware()).disks)
    return collection(STORAGE, "Storage", "Storage", [f"{STORAGE}/{bus}" for bus in buses])


@hardware.get(f"{STORAGE}/{{storage}}")
async def get_storage(request: Request, bmc: Bmc) -> Response:
    """The disks of one bus."""
    path, disks = await _subsystem(request, bmc)
    return Response(
        {
            "@odata.id": path,
            "@odata.type": "#Storage.v1_15_1.Storage",
            "Id": request.ids["storage"],
            "Name": f"Disks on {request.ids['storage']}",
            "Drives": [link(f"{path}/Drives/{disk.name}") for disk in disks],
            "Drives@odata.count": len(disks),
            "Volumes": link(f"{path}/Volumes"),
            "Status": ENABLED,
        }
    )


@hardware.get(f"{STORAGE}/{{storage}}/Drives/{{drive}}")
async def get_drive(request: Request, bmc: Bmc) -> Response:
    path, disks = await _subsystem(request, bmc)
    disk = _disk(request, disks, "Drive", "drive")
    protocol = _PROTOCOLS.get(disk.bus)
    return Response(
        {
            "@odata.id": f"{path}/Drives/{disk.name}",
            "@odata.type": "#Drive.v1_18_0.Drive",
            "Id": disk.name,
            "Name": disk.name,
            "CapacityBytes": disk.capacity,
            **({"Protocol": protocol} if protocol else {}),
            "SerialNumber": disk.serial or None,
            "Status": ENABLED,
            "Links": {"Volumes": [link(f"{path}/Volumes/{disk.name}")]},
        }
    )


@hardware.get(f"{STORAGE}/{{storage}}/Volumes")
async def list_volumes(request: Request, bmc: Bmc) -> Response:
    path, disks = await _subsystem(request, bmc)
    return collection(f"{path}/Volumes", "Volume", "Volumes", [f"{path}/Volumes/{disk.name}" for disk in disks])


@hardware.get(f"{STORAGE}/{{storage}}/Volumes/{{volume}}")
async def get_volume(request: Request, bmc: Bmc) -> Response:
    """A volume for each disk: what the domain sees."""
    path, disks = await _subsystem(request, bmc)
    disk = _disk(request, disks, "Volume", "volume")
    return Response(
        {
            "@odata.id": f"{path}/Volumes/{disk.name}",
            "@odata.type": "#Volume.v1_9_0.Volume",
            "Id": disk.name,
            "Name": disk.name,
            "CapacityBytes": disk.capacity,
            "RAIDType": "None",
            "Status": ENABLED,
            "Links": {"Drives": [link(f"{path}/Drives/{disk.name}")]},
        }
    )


# --- Network ---------------------------------------------------------------------------------------------------------


@hardware.get(INTERFACES)
async def list_interfaces(request: Request, bmc: Bmc) -> Response:
    interfaces = (await bmc.machine.hardware()).interfaces
    members = [f"{INTERFACES}/{number}" for number in range(len(interfaces))]
    return collection(INTERFACES, "EthernetInterface", "Ethernet Interfaces", members)


@hardware.get(f"{INTERFACES}/{{interface}}")
async def get_interface(request: Request, bmc: Bmc) -> Response:
    interfaces = (await bmc.machine.hardware()).interfaces
    number = _index(request, "interface", "EthernetInterface", len(interfaces))
    return Response(_interface(number, interfaces[number]))


def _interface(number: int, interface: NetworkInterface) -> Dict[str, Any]:
    return {
        "@odata.id": f"{INTERFACES}/{number}",
        "@odata.type": "#EthernetInterface.v1_12_0.EthernetInterface",
        "Id": str(number),
        "Name": f"{interface.model or 'network'} interface {number}",
        "MACAddress": interface.mac.upper() or None,
        "PermanentMACAddress": interface.mac.upper() or None,
        "InterfaceEnabled": True,
        "LinkStatus": "LinkUp" if interface.up else "LinkDown",
        **({"MTUSize": interface.mtu} if interface.mtu else {}),
        # Also of a machine that is off: clients take inventory of what is enabled (Ironic makes ports of it).
        "Status": ENABLED,
    }


# --- Boot order ------------------------------------------------------------------------------------------------------


def boot_order(parts: Hardware) -> List[str]:
    """References of what the domain boots from, first to last."""
    return [_reference(parts.boot_devices.index(device)) for device in dict.fromkeys(parts.boot_order)]


def ordered_devices(parts: Hardware, references: Sequence[str]) -> List[str]:
    """The other way round."""
    return [parts.boot_devices[boot_options(parts).index(reference)] for reference in references]


def boot_options(parts: Hardware) -> List[str]:
    return [_reference(number) for number in range(len(parts.boot_devices))]


def _reference(number: int) -> str:
    return f"Boot{number:04X}"


@hardware.get(BOOT_OPTIONS)
async def list_boot_options(request: Request, bmc: Bmc) -> Response:
    members = [f"{BOOT_OPTIONS}/{reference}" for reference in sorted(boot_order(await bmc.machine.hardware()))]
    return collection(BOOT_OPTIONS, "BootOption", "Boot Options", members)


@hardware.get(f"{BOOT_OPTIONS}/{{option}}")
async def get_boot_option(request: Request, bmc: Bmc) -> Response:
    """A device, or a kind of devices, that the domain boots from."""
    parts = await bmc.machine.hardware()
    references, wanted = boot_order(parts), request.ids["option"]
    if wanted not in references:
        raise failure(404, "ResourceNotFound", "BootOption", wanted)
    (device,) = ordered_devices(parts, [wanted])
    alias = _ALIASES.get(device) or _alias(parts, device)
    return Response(
        {
            "@odata.id": f"{BOOT_OPTIONS}/{wanted}",
            "@odata.type": "#BootOption.v1_0_6.BootOption",
            "Id": wanted,
            "Name": wanted,
            "BootOptionReference": wanted,
            "DisplayName": device,
            "BootOptionEnabled": True,
            **({"Alias": alias} if alias else {}),
        }
    )


def _alias(parts: Hardware, device: str) -> str:
    if any(interface.mac == device for interface in parts.interfaces):
        return "Pxe"
    kinds = {disk.name: disk.device for disk in parts.disks}
    return {"disk": "Hdd", "lun": "Hdd", "cdrom": "Cd", "floppy": "Floppy"}.get(kinds.get(device, ""), "")


def _index(request: Request, name: str, kind: str, count: int) -> int:
    """The number that an id is. Raises Failure."""
    id = request.ids[name]
    if id.isascii() and id.isdigit() and len(id) < 4 and str(int(id)) == id and int(id) < count:
        return int(id)
    raise failure(404, "ResourceNotFound", kind, id)
