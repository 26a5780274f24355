# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine: its power, how it boots, and how it is told apart (ComputerSystem, DSP0268).

All of it is what IPMI sees as well: the same actions (28.3), the same boot flags (28.12), the same light (28.5).
"""

from __future__ import annotations

import math
from typing import Any, Dict, Tuple

from vbmcd.commands import power
from vbmcd.commands.bmc import Bmc
from vbmcd.commands.boot import DEVICE_SHIFT, EFI, PERSISTENT, VALID, BootFlags
from vbmcd.commands.boot_options import set_flags
from vbmcd.commands.chassis import command_power
from vbmcd.machine.base import Action, BootDevice, MachineError
from vbmcd.redfish.exchange import Request, Response, done
from vbmcd.redfish.properties import Changes, Settable, action_parameter, boolean, one_of, read_changes
from vbmcd.redfish.roles import COMPONENTS
from vbmcd.redfish.root import CHASSIS, MANAGER, ROOT, SYSTEM, collection, link
from vbmcd.redfish.table import Chapter

systems = Chapter()

RESET = "ComputerSystem.Reset"
RESET_TYPES: Dict[str, Tuple[Action, ...]] = {
    "On": (Action.ON,),
    "ForceOn": (Action.ON,),
    "ForceOff": (Action.OFF,),
    "GracefulShutdown": (Action.SOFT,),
    "ForceRestart": (Action.RESET,),
    "PowerCycle": (Action.CYCLE,),
    "Nmi": (Action.DIAGNOSTIC,),
    "PushPowerButton": (Action.SOFT, Action.ON),
}
"""What libvirt can do. The button does the first thing to a machine that is on, and the last to one that is off."""

TARGETS: Dict[str, int] = {"None": 0x0, "Pxe": 0x1, "Hdd": 0x2, "Cd": 0x5, "Floppy": 0xF}
"""Boot device selectors of IPMI (table 28-14)."""
DEVICE_TARGETS = {
    BootDevice.NETWORK: "Pxe",
    BootDevice.DISK: "Hdd",
    BootDevice.CDROM: "Cd",
    BootDevice.FLOPPY: "Floppy",
}

ENABLED = ("Disabled", "Once", "Continuous")
MODES = ("Legacy", "UEFI")


@systems.get(f"{ROOT}/Systems")
async def list_systems(request: Request, bmc: Bmc) -> Response:
    return collection(f"{ROOT}/Systems", "ComputerSystem", "Computer System Collection", [SYSTEM])


@systems.get(SYSTEM)
async def get_system(request: Request, bmc: Bmc) -> Response:
    """The machine. While libvirt is away its state is not known, and the rest is told."""
    return Response(await system_document(bmc))


async def system_document(bmc: Bmc) -> Dict[str, Any]:
    try:
        on = await bmc.machine.is_on()
        state: Dict[str, Any] = {"PowerState": "On" if on else "Off"}
        status = {"State": "Enabled" if on else "Disabled", "Health": "Warning" if bmc.history.fault else "OK"}
        identity = {"UUID": str(await bmc.machine.system_uuid())}
    except MachineError:
        state, identity, status = {"PowerState": None}, {}, {"State": "UnavailableOffline", "Health": "Critical"}
    lit = bmc.identify.remaining() > 0
    return {
        "@odata.id": SYSTEM,
        "@odata.type": "#ComputerSystem.v1_22_0.ComputerSystem",
        "Id": "1",
        "Name": bmc.instance.name,
        "HostName": bmc.instance.domain,
        "SystemType": "Virtual",
        "Manufacturer": "baremetal.lab",
        "Model": "vbmcd",
        **identity,
        **state,
        "Status": status,
        "LocationIndicatorActive": lit,
        "IndicatorLED": "Blinking" if lit else "Off",
        "Boot": await boot_document(bmc),
        "Links": {"Chassis": [link(CHASSIS)], "ManagedBy": [link(MANAGER)]},
        "Actions": {
            f"#{RESET}": {
                "target": f"{SYSTEM}/Actions/{RESET}",
                "ResetType@Redfish.AllowableValues": list(RESET_TYPES),
            }
        },
    }


async def boot_document(bmc: Bmc) -> Dict[str, Any]:
    await power.drop_flags_of_another(bmc)
    flags = bmc.boot.flags
    target = next((name for name, selector in TARGETS.items() if selector == flags.selector), "None")
    if flags.selector == 0x8:
        target = "Cd"  # remote media, for IPMI
    active = flags.valid and target != "None"
    enabled = ("Continuous" if flags.raw[0] & PERSISTENT else "Once") if active else "Disabled"
    return {
        "BootSourceOverrideEnabled": enabled,
        "BootSourceOverrideEnabled@Redfish.AllowableValues": list(ENABLED),
        "BootSourceOverrideTarget": target if active else "None",
        "BootSourceOverrideTarget@Redfish.AllowableValues": list(TARGETS),
        "BootSourceOverrideMode": "UEFI" if flags.raw[0] & EFI else "Legacy",
        "BootSourceOverrideMode@Redfish.AllowableValues": list(MODES),
    }


@systems.patch(SYSTEM, privilege=COMPONENTS)
async def set_system(request: Request, bmc: Bmc) -> Response:
    """The boot override and the identify light."""
    settable: Settable = {
        "LocationIndicatorActive": boolean,
        "IndicatorLED": one_of(("Lit", "Blinking", "Off")),
        "Boot": {
            "BootSourceOverrideEnabled": one_of(ENABLED),
            "BootSourceOverrideTarget": one_of(tuple(TARGETS)),
            "BootSourceOverrideMode": one_of(MODES),
        },
    }
    changes = read_changes(request.body, await system_document(bmc), settable)
    if any(path.startswith("Boot/") for path in changes.values):
        await set_flags(bmc, wanted_flags(bmc.boot.flags, changes))
    if "IndicatorLED" in changes:
        bmc.identify.set(math.inf if changes.get("IndicatorLED", "Off") != "Off" else 0)
    if "LocationIndicatorActive" in changes:
        bmc.identify.set(math.inf if changes.get("LocationIndicatorActive", False) else 0)
    return changes.response(await system_document(bmc))


def wanted_flags(before: BootFlags, changes: Changes) -> BootFlags:
    """IPMI's boot flags for what a client wants. What it leaves out stays; a target alone is for once."""
    present = "Disabled" if not before.valid else "Continuous" if before.raw[0] & PERSISTENT else "Once"
    selector = before.selector if before.valid else 0
    if "Boot/BootSourceOverrideTarget" in changes:
        selector = TARGETS[changes.get("Boot/BootSourceOverrideTarget", "None")]
        if present == "Disabled" and selector:
            present = "Once"
    enabled = changes.get("Boot/BootSourceOverrideEnabled", present)
    mode = changes.get("Boot/BootSourceOverrideMode", "UEFI" if before.raw[0] & EFI else "Legacy")
    bits = EFI if mode == "UEFI" else 0
    if enabled == "Disabled" or not selector:
        return BootFlags(bytes((bits, 0, 0, 0, 0)))
    bits |= VALID | (PERSISTENT if enabled == "Continuous" else 0)
    return BootFlags(bytes((bits, selector << DEVICE_SHIFT, 0, 0, 0)))


@systems.post(f"{SYSTEM}/Actions/{RESET}", privilege=COMPONENTS)
async def reset(request: Request, bmc: Bmc) -> Response:
    """Power: what Chassis Control does (28.3), with the pending boot override."""
    wanted = action_parameter(request.body, RESET, "ResetType", RESET_TYPES, default="ForceRestart")
    actions = RESET_TYPES[wanted]
    action = actions[0] if len(actions) == 1 or await bmc.machine.is_on() else actions[-1]
    await command_power(bmc, action)
    return done()
