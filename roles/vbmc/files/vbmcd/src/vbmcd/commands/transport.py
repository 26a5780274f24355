# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Transport commands (IPMI 2.0, chapter 23): the LAN configuration.

All of it follows from the instance, so a console may read it, and write what is there already. Holds the table of
the network function.
"""

from __future__ import annotations

from dataclasses import dataclass

from vbmcd.commands import lan
from vbmcd.commands.bmc import Bmc, Context
from vbmcd.commands.channel import channel
from vbmcd.commands.codes import Code, CommandError
from vbmcd.commands.parameters import COMPLETE, REVISION, REVISION_ONLY, SET_IN_PROGRESS, claimed
from vbmcd.commands.table import CommandTable, NetFn, of_length
from vbmcd.config import Privilege

transport = CommandTable(NetFn.TRANSPORT)


class LanSettings:
    """What is not the instance's: whether somebody is about to write."""

    def __init__(self, bmc: Bmc) -> None:
        self.in_progress = COMPLETE


@dataclass(frozen=True)
class LanParameter:
    """The request of Set LAN Configuration Parameters."""

    parameter: int
    value: bytes

    @classmethod
    def parse(cls, data: bytes) -> LanParameter:
        if len(data) < 3:
            raise CommandError(Code.REQUEST_LENGTH_INVALID)
        channel(data[0])
        return cls(data[1], data[2:])

    def __str__(self) -> str:
        """Empty for what changes nothing, such as 'set in progress'."""
        return "" if self.parameter == SET_IN_PROGRESS else f"parameter {self.parameter}"


@transport.change(0x01, privilege=Privilege.ADMINISTRATOR, parse=LanParameter.parse, audit="lan")
async def set_lan_configuration(context: Context, request: LanParameter) -> bytes:
    """Set LAN Configuration Parameters (23.1). 82h for what differs from how the instance is configured."""
    settings = context.bmc.part(LanSettings)
    if request.parameter == SET_IN_PROGRESS:
        settings.in_progress = claimed(settings.in_progress, request.value[0])
        return b""
    selector = request.value[0] if request.parameter in lan.SELECTED else 0
    if lan.read(_network(context), request.parameter, selector) != request.value:
        raise CommandError(Code.READ_ONLY, "the LAN configuration is the instance's: change that")
    return b""


@transport.read(0x02, privilege=Privilege.OPERATOR, parse=of_length(4))
async def get_lan_configuration(context: Context, request: bytes) -> bytes:
    """Get LAN Configuration Parameters (23.2). 80h for a parameter that there is not."""
    channel(request[0])
    if request[0] & REVISION_ONLY:
        return bytes((REVISION,))
    if request[1] == SET_IN_PROGRESS:
        return bytes((REVISION, context.bmc.part(LanSettings).in_progress))
    return bytes((REVISION,)) + lan.read(_network(context), request[1], request[2])


def _network(context: Context) -> lan.Network:
    bmc = context.bmc
    instance = bmc.instance
    return lan.Network(instance.address, instance.port, context.source[0], bmc.engine.guid, instance.cipher_suites)
