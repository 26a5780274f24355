# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine: its power, how it boots, and how it is told apart (ComputerSystem, DSP0268).

All of it is what IPMI sees as well: the same actions (28.3), the same boot flags (28.12), the same light (28.5).
"""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Tuple

from vbmcd.commands import power, power_policy
from vbmcd.commands.bmc import Bmc
from vbmcd.commands.boot import DEVICE_SHIFT, EFI, PERSISTENT, VALID, BootFlags
from vbmcd.commands.boot_options import set_flags
from vbmcd.commands.chassis import command_power
from vbmcd.commands.codes import CommandError
from vbmcd.commands.graceful_restart import GracefulRestart
from vbmcd.machine.base import Action, BootDevice, Hardware, MachineError
from vbmcd.redfish.bios import bios_parts
from vbmcd.redfish.chassis import ASSET_TAG, IDENTIFY, identify_document, set_common
from vbmcd.redfish.exchange import Request, Response, done
from vbmcd.redfish.hardware import (
    BOOT_OPTIONS,
    INTERFACES,
    MEMORY,
    PROCESSORS,
    STORAGE,
    boot_order,
    ordered_devices,
    summaries,
)
from vbmcd.redfish.messages import failure
from vbmcd.redfish.properties import Changes, Settable, action_parameter, one_of, order_of, read_changes
from vbmcd.redfish.roles import COMPONENTS
from vbmcd.redfish.root import CHASSIS, MANAGER, ROOT, SYSTEM, collection, link
from vbmcd.redfish.settings import Settings
from vbmcd.redfish.table import Chapter
from vbmcd.storage.fru import MANUFACTURER, PRODUCT

systems = Chapter()

RESET = "ComputerSystem.Reset"
RESET_TYPES: Dict[str, Tuple[Action, ...]] = {
    "On": (Action.ON,),
    "ForceOn": (Action.ON,),
    "ForceOff": (Action.OFF,),
    "GracefulShutdown": (Action.SOFT,),
    "ForceRestart": (Action.RESET,),
    "PowerCycle": (Action.CYCLE,),
    "FullPowerCycle": (Action.CYCLE,),
    "Nmi": (Action.DIAGNOSTIC,),
    "PushPowerButton": (Action.SOFT, Action.ON),
    "Pause": (Action.PAUSE,),
    "Resume": (Action.RESUME,),
}
"""What libvirt can do, beside a graceful restart. The button does the first thing to a machine that is on, and the last
to one that is off."""
GRACEFUL_RESTART = "GracefulRestart"

TARGETS: Dict[str, int] = {"None": 0x0, "Pxe": 0x1, "Hdd": 0x2, "Cd": 0x5, "Floppy": 0xF}
"""Boot device selectors of IPMI (table 28-14)."""
DEVICE_TARGETS = {
    BootDevice.NETWORK: "Pxe",
    BootDevice.DISK: "Hdd",
    BootDevice.CDROM: "Cd",
    BootDevice.FLOPPY: "Floppy",
}

POLICIES = {
    power_policy.STAY_OFF: "AlwaysOff",
    power_policy.PREVIOUS: "LastState",
    power_policy.ALWAYS_ON: "AlwaysOn",
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
    try:
        parts: Optional[Hardware] = await bmc.machine.hardware()
    except MachineError:
        parts = None
    if parts is not None and parts.paused and state["PowerState"] == "On":
        state["PowerState"] = "Paused"
    return {
        "@odata.id": SYSTEM,
        "@odata.type": "#ComputerSystem.v1_22_0.ComputerSystem",
        "Id": "1",
        "Name": bmc.instance.name,
        "HostName": bmc.instance.domain,
        "SystemType": "Virtual",
        "Manufacturer": MANUFACTURER,
        "Model": PRODUCT,
        "AssetTag": bmc.part(Settings).text("AssetTag"),
        **_restore_policy(bmc, parts),
        **identity,
        **state,
        "Status": status,
        **identify_document(bmc),
        "Boot": await boot_document(bmc, parts),
        **(summaries(parts) if parts is not None else {}),
        "SerialConsole": {
            "MaxConcurrentSessions": 1,
            "IPMI": {"ServiceEnabled": parts is None or parts.console, "Port": bmc.instance.port},
        },
        "Processors": link(PROCESSORS),
        "Memory": link(MEMORY),
        "Storage": link(STORAGE),
        "EthernetInterfaces": link(INTERFACES),
        **bios_parts(bmc),
        "VirtualMedia": link(f"{SYSTEM}/VirtualMedia"),
        **({"SecureBoot": link(f"{SYSTEM}/SecureBoot")} if parts is not None and parts.efi else {}),
        "Links": {"Chassis": [link(CHASSIS)], "ManagedBy": [link(MANAGER)]},
        "Actions": {
            f"#{RESET}": {
                "target": f"{SYSTEM}/Actions/{RESET}",
                "ResetType@Redfish.AllowableValues": [*RESET_TYPES, GRACEFUL_RESTART],
            }
        },
    }


def _restore_policy(bmc: Bmc, parts: Optional[Hardware]) -> Dict[str, str]:
    """As long as none is set here it is the hypervisor's, which IPMI calls unknown. Clients set what they can read."""
    policy = power_policy.restore_policy(bmc)
    if policy not in POLICIES and parts is not None and parts.autostart is not None:
        policy = power_policy.ALWAYS_ON if parts.autostart else power_policy.STAY_OFF
    return {"PowerRestorePolicy": POLICIES[policy]} if policy in POLICIES else {}


async def boot_document(bmc: Bmc, parts: Optional[Hardware]) -> Dict[str, Any]:
    await power.drop_flags_of_another(bmc)
    flags = bmc.boot.flags
    target = next((name for name, selector in TARGETS.items() if selector == flags.selector), "None")
    if flags.selector == 0x8:
        target = "Cd"  # remote media, for IPMI
    active = flags.valid and target != "None"
    enabled = ("Continuous" if flags.raw[0] & PERSISTENT else "Once") if active else "Disabled"
    # IPMI's flag asks for EFI; without it the machine boots as it is configured.
    efi = parts is not None and parts.efi
    return {
        "BootSourceOverrideEnabled": enabled,
        "BootSourceOverrideEnabled@Redfish.AllowableValues": list(ENABLED),
        "BootSourceOverrideTarget": target if active else "None",
        "BootSourceOverrideTarget@Redfish.AllowableValues": list(TARGETS),
        "BootSourceOverrideMode": "UEFI" if flags.raw[0] & EFI or efi else "Legacy",
        "BootSourceOverrideMode@Redfish.AllowableValues": ["UEFI"] if efi else list(MODES),
        "BootOptions": link(BOOT_OPTIONS),
        "BootOrder": boot_order(parts) if parts is not None else [],
    }


@systems.patch(SYSTEM, privilege=COMPONENTS)
async def set_system(request: Request, bmc: Bmc) -> Response:
    """The boot override, the identify light, the asset tag, what comes after the host was off."""
    before = await system_document(bmc)
    settable: Settable = {
        **IDENTIFY,
        **ASSET_TAG,
        "PowerRestorePolicy": one_of(tuple(POLICIES.values())),
        "Boot": {
            "BootSourceOverrideEnabled": one_of(ENABLED),
            "BootSourceOverrideTarget": one_of(tuple(TARGETS)),
            "BootSourceOverrideMode": one_of(before["Boot"]["BootSourceOverrideMode@Redfish.AllowableValues"]),
            "BootOrder": order_of(before["Boot"]["BootOrder"]),
        },
    }
    changes = read_changes(request.body, before, settable)
    _refuse_half_an_override(changes)
    # What has to be stored comes first: where it can't be, nothing is done.
    if "PowerRestorePolicy" in changes:
        await set_restore_policy(bmc, changes)
    await set_common(bmc, changes.values)
    await set_boot(bmc, changes, before["Boot"]["BootOrder"])
    return changes.response(await system_document(bmc))


def _refuse_half_an_override(changes: Changes) -> None:
    """Who asks for a target that there is not, once, does not get what was set before once more."""
    if any(path.startswith("Boot/BootSource") and "@" not in path for path, _problem in changes.problems):
        for path in [path for path in changes.values if path.startswith("Boot/")]:
            del changes.values[path]
        changes.require()


async def set_boot(bmc: Bmc, changes: Changes, order: List[str]) -> None:
    """The boot order, which was `order`, and after it the override: a persistent one goes first in it."""
    if "Boot/BootOrder" in changes:
        await _set_order(bmc, changes.get("Boot/BootOrder", order))
    try:
        if any(path.startswith("Boot/BootSource") for path in changes.values):
            await set_flags(bmc, wanted_flags(bmc.boot.flags, changes))
    except (MachineError, CommandError):
        if "Boot/BootOrder" in changes:
            await _set_order(bmc, order)
        raise


async def _set_order(bmc: Bmc, references: List[str]) -> None:
    await bmc.machine.set_boot_order(ordered_devices(await bmc.machine.hardware(), references))


async def set_restore_policy(bmc: Bmc, changes: Changes) -> None:
    """As Set Power Restore Policy (28.8)."""
    word = changes.get("PowerRestorePolicy", "")
    policy = next(number for number, name in POLICIES.items() if name == word)
    if not power_policy.supported(bmc) >> policy & 1:
        changes.refuse("PowerRestorePolicy", failure(400, "PropertyValueNotInList", word, "PowerRestorePolicy"))
    else:
        await power_policy.set_policy(bmc, policy)


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
    kinds = (*RESET_TYPES, GRACEFUL_RESTART)
    wanted = action_parameter(request.body, RESET, "ResetType", kinds, default="ForceRestart")
    if wanted == GRACEFUL_RESTART:
        await bmc.part(GracefulRestart).begin()
        return done()
    actions = RESET_TYPES[wanted]
    action = actions[0] if len(actions) == 1 or await bmc.machine.is_on() else actions[-1]
    await command_power(bmc, action)
    return done()
