# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Platform event filtering (IPMI 2.0, chapter 30): there is none, and clients that look for it are told so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict

from vbmcd.commands.bmc import Bmc, Context
from vbmcd.commands.codes import Code, CommandError
from vbmcd.commands.parameters import COMPLETE, REVISION, REVISION_ONLY, SET_IN_PROGRESS, claimed
from vbmcd.commands.sensor import sensor
from vbmcd.commands.table import of_length
from vbmcd.config import Privilege
from vbmcd.storage.sel import LAST

VERSION = 0x51
"""1.5, and compatible with 2.0 (30.1)."""
NO_ENTRY = b"\xff\xff"

PARAMETERS: Dict[int, bytes] = {
    1: b"\0",  # filtering is off
    2: b"\0",  # so are all actions
    3: b"\0",  # start-up delays
    4: b"\0",
    5: b"\0",  # how many filters there are
    8: b"\0",  # alert policies
    10: bytes(17),  # the GUID of alerts: Get System GUID's
    11: b"\0",  # alert strings
}
"""Values by number (table 30-6)."""


class PefState:
    """Whether somebody is about to write."""

    def __init__(self, bmc: Bmc) -> None:
        self.in_progress = COMPLETE


@sensor.read(0x10, privilege=Privilege.USER)
async def get_capabilities(context: Context, request: None) -> bytes:
    """Get PEF Capabilities (30.1): no action, no filter."""
    return bytes((VERSION, 0, 0))


@dataclass(frozen=True)
class PefParameter:
    """The request of Set PEF Configuration Parameters."""

    parameter: int
    value: bytes

    @classmethod
    def parse(cls, data: bytes) -> PefParameter:
        if len(data) < 2:
            raise CommandError(Code.REQUEST_LENGTH_INVALID)
        return cls(data[0] & 0x7F, data[1:])

    def __str__(self) -> str:
        """Empty for what changes nothing, such as 'set in progress'."""
        return "" if self.parameter == SET_IN_PROGRESS else f"parameter {self.parameter}"


@sensor.change(0x12, privilege=Privilege.ADMINISTRATOR, parse=PefParameter.parse, audit="pef")
async def set_configuration(context: Context, request: PefParameter) -> bytes:
    """Set PEF Configuration Parameters (30.3). 82h for what differs from what is there."""
    state = context.bmc.part(PefState)
    if request.parameter == SET_IN_PROGRESS:
        state.in_progress = claimed(state.in_progress, request.value[0])
        return b""
    if request.parameter not in PARAMETERS:
        raise CommandError(Code.PARAMETER_NOT_SUPPORTED)
    if request.value != PARAMETERS[request.parameter]:
        raise CommandError(Code.READ_ONLY, "there is no event filtering")
    return b""


@sensor.read(0x13, privilege=Privilege.OPERATOR, parse=of_length(3))
async def get_configuration(context: Context, request: bytes) -> bytes:
    """Get PEF Configuration Parameters (30.4). 80h for a parameter that there is not."""
    parameter = request[0] & 0x7F
    if request[0] & REVISION_ONLY:
        return bytes((REVISION,))
    if parameter == SET_IN_PROGRESS:
        return bytes((REVISION, context.bmc.part(PefState).in_progress))
    if parameter not in PARAMETERS:
        raise CommandError(Code.PARAMETER_NOT_SUPPORTED)
    return bytes((REVISION,)) + PARAMETERS[parameter]


@sensor.read(0x15, privilege=Privilege.ADMINISTRATOR)
async def get_last_processed_event(context: Context, request: None) -> bytes:
    """Get Last Processed Event ID (30.6): the log's last entry, and that none was ever processed."""
    log = context.bmc.journal.sel
    last = log.get(LAST)
    return log.added.to_bytes(4, "little") + (last[:2] if last else NO_ENTRY) + bytes(4)
