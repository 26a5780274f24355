# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SecureBoot (DSP0268): whether the machine's firmware takes signed boot loaders alone, from its next start on."""

from __future__ import annotations

from typing import Any, Dict

from vbmcd.commands.bmc import Bmc
from vbmcd.machine.base import SecureBoot, Unsupported
from vbmcd.redfish.exchange import Request, Response
from vbmcd.redfish.messages import failure
from vbmcd.redfish.properties import boolean, read_changes
from vbmcd.redfish.roles import COMPONENTS
from vbmcd.redfish.root import SYSTEM
from vbmcd.redfish.table import Chapter

secure_boot = Chapter()

SECURE_BOOT = f"{SYSTEM}/SecureBoot"


@secure_boot.get(SECURE_BOOT)
async def get_secure_boot(request: Request, bmc: Bmc) -> Response:
    """Only machines that boot by EFI have it."""
    return Response(_document(await _read(bmc)))


@secure_boot.patch(SECURE_BOOT, privilege=COMPONENTS)
async def set_secure_boot(request: Request, bmc: Bmc) -> Response:
    """SecureBootEnable counts from the next start on; a machine that runs goes on as it is."""
    changes = read_changes(request.body, _document(await _read(bmc)), {"SecureBootEnable": boolean})
    await bmc.machine.set_secure_boot(changes.get("SecureBootEnable", False))
    return changes.response(_document(await _read(bmc)))


async def _read(bmc: Bmc) -> SecureBoot:
    try:
        return await bmc.machine.secure_boot()
    except Unsupported:
        raise failure(404, "ResourceNotFound", "SecureBoot", "SecureBoot") from None


def _document(found: SecureBoot) -> Dict[str, Any]:
    return {
        "@odata.id": SECURE_BOOT,
        "@odata.type": "#SecureBoot.v1_1_2.SecureBoot",
        "Id": "SecureBoot",
        "Name": "UEFI Secure Boot",
        "SecureBootEnable": found.enabled,
        "SecureBootCurrentBoot": "Enabled" if found.current else "Disabled",
        # Firmware without Secure Boot has no keys enrolled either.
        "SecureBootMode": "UserMode" if found.enabled else "SetupMode",
    }
