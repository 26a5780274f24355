# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SOL configuration parameters (IPMI 2.0, chapter 26): kept for each BMC, with who may use it (24.6)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Dict

from vbmcd.commands.bmc import Bmc, Context
from vbmcd.commands.channel import LAN_CHANNEL, channel
from vbmcd.commands.codes import Code, CommandError
from vbmcd.commands.parameters import COMPLETE, REVISION, REVISION_ONLY, SET_IN_PROGRESS, claimed
from vbmcd.commands.table import of_length
from vbmcd.commands.transport import transport
from vbmcd.config import Privilege
from vbmcd.rmcp.sol import Timing

PROTECTED = 0xC0
"""Encryption and authentication are forced (parameter 2): sessions have both, always."""
FASTEST = 0x0A
"""115.2 kbit/s (parameters 5 and 6). A virtual line has no speed; the number is kept for clients."""
SLOWEST = 0x06
ENABLE, AUTHENTICATION, CHARACTERS, RETRY, RATE, VOLATILE_RATE, CHANNEL, PORT = range(1, 9)


@dataclass(frozen=True)
class SolConfig:
    """What is kept."""

    RECORD = "sol"
    enabled: bool = True
    privilege: int = int(Privilege.USER)
    accumulate: int = 4
    """In 5 ms."""
    threshold: int = 96
    retries: int = 7
    interval: int = 10
    """In 10 ms."""
    rate: int = FASTEST
    denied: int = 0
    """Bit n: user n may not use SOL."""

    @classmethod
    def of(cls, bmc: Bmc) -> SolConfig:
        data = bmc.kept.get(cls.RECORD, b"")
        if len(data) != 15:
            return cls()
        kept = cls(bool(data[0]), *data[1:7])
        return replace(kept, denied=int.from_bytes(data[7:], "little"))

    def encode(self) -> bytes:
        numbers = (self.privilege, self.accumulate, self.threshold, self.retries, self.interval, self.rate)
        return bytes((self.enabled, *numbers)) + self.denied.to_bytes(8, "little")

    def timing(self) -> Timing:
        return Timing(self.accumulate * 0.005, max(1, self.threshold), self.retries, self.interval * 0.01)


class SolState:
    """What ends with the BMC: whether somebody is about to write, and the volatile bit rate."""

    def __init__(self, bmc: Bmc) -> None:
        self.in_progress = COMPLETE
        self.rate = SolConfig.of(bmc).rate


@dataclass(frozen=True)
class SolParameter:
    """The request of Set SOL Configuration Parameters."""

    parameter: int
    value: bytes

    @classmethod
    def parse(cls, data: bytes) -> SolParameter:
        if len(data) < 3:
            raise CommandError(Code.REQUEST_LENGTH_INVALID)
        channel(data[0])
        sizes: Dict[int, int] = {CHARACTERS: 2, RETRY: 2, PORT: 2}
        if data[1] <= PORT and len(data) != 2 + sizes.get(data[1], 1):
            raise CommandError(Code.REQUEST_LENGTH_INVALID)
        return cls(data[1], data[2:])

    def __str__(self) -> str:
        """Empty for what changes nothing, such as 'set in progress'."""
        return "" if self.parameter == SET_IN_PROGRESS else f"parameter {self.parameter}: {self.value.hex(' ')}"


@transport.change(0x21, privilege=Privilege.ADMINISTRATOR, parse=SolParameter.parse, audit="sol")
async def set_sol_configuration(context: Context, request: SolParameter) -> bytes:
    """Set SOL Configuration Parameters (26.2). 82h for channel and port, which are the instance's."""
    state = context.bmc.part(SolState)
    if request.parameter == SET_IN_PROGRESS:
        state.in_progress = claimed(state.in_progress, request.value[0])
        return b""
    if request.parameter == VOLATILE_RATE:
        state.rate = _rate(request.value[0])
        return b""
    config = _changed(SolConfig.of(context.bmc), request)
    await context.bmc.remember(SolConfig.RECORD, config.encode())
    if request.parameter == RATE:
        state.rate = config.rate
    return b""


def _changed(config: SolConfig, request: SolParameter) -> SolConfig:
    first, last = request.value[0], request.value[-1]
    if request.parameter == ENABLE:
        return replace(config, enabled=bool(first & 1))
    if request.parameter == AUTHENTICATION:
        # Clients read, change the privilege and write: what they read has both bits.
        if first & PROTECTED != PROTECTED or not Privilege.USER <= first & 0x0F <= Privilege.ADMINISTRATOR:
            raise CommandError(Code.INVALID_FIELD, "sessions are encrypted and authenticated, always")
        return replace(config, privilege=first & 0x0F)
    if request.parameter == CHARACTERS:
        return replace(config, accumulate=first, threshold=last)
    if request.parameter == RETRY:
        return replace(config, retries=first & 0x07, interval=last)
    if request.parameter == RATE:
        return replace(config, rate=_rate(first))
    if request.parameter in (CHANNEL, PORT):
        raise CommandError(Code.READ_ONLY)
    raise CommandError(Code.PARAMETER_NOT_SUPPORTED)


def _rate(value: int) -> int:
    if value & 0x0F and not SLOWEST <= value & 0x0F <= FASTEST:
        raise CommandError(Code.INVALID_FIELD)
    return value & 0x0F


@transport.read(0x22, privilege=Privilege.USER, parse=of_length(4))
async def get_sol_configuration(context: Context, request: bytes) -> bytes:
    """Get SOL Configuration Parameters (26.3). 80h for a parameter that there is not."""
    channel(request[0])
    if request[0] & REVISION_ONLY:
        return bytes((REVISION,))
    config, state = SolConfig.of(context.bmc), context.bmc.part(SolState)
    values = {
        SET_IN_PROGRESS: (state.in_progress,),
        ENABLE: (int(config.enabled),),
        AUTHENTICATION: (PROTECTED | config.privilege,),
        CHARACTERS: (config.accumulate, config.threshold),
        RETRY: (config.retries, config.interval),
        RATE: (config.rate,),
        VOLATILE_RATE: (state.rate,),
        CHANNEL: (LAN_CHANNEL,),
        PORT: tuple(context.bmc.instance.port.to_bytes(2, "little")),
    }
    if request[1] not in values:
        raise CommandError(Code.PARAMETER_NOT_SUPPORTED)
    return bytes((REVISION, *values[request[1]]))
