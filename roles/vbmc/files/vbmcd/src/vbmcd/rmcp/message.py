# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The IPMI message inside of a packet (IPMI 2.0, 13.8)."""

from __future__ import annotations

from typing import NamedTuple

from vbmcd.rmcp.errors import Malformed

BMC_ADDRESS = 0x20
"""The BMC's slave address (5.4)."""
RESPONSE = 0x04
"""The bit of network function and LUN that responses have (5.1). Two BMCs would answer each other for ever."""

_SMALLEST = 7


def checksum(data: bytes) -> int:
    """The 2's complement checksum (13.8): the sum with `data` is 0 modulo 256."""
    return -sum(data) & 0xFF


class Message(NamedTuple):
    """A request as it came; what it takes to answer is kept with it. A tuple, as one is made for each datagram."""

    netfn: int
    lun: int
    command: int
    data: bytes
    requester: int
    requester_lun: int
    sequence: int
    """rqSeq, 6 bits: pairs an answer with its request."""

    @classmethod
    def parse(cls, raw: bytes) -> Message:
        """Raises Malformed: too short, a wrong checksum, for another address, or not a request but a response."""
        if len(raw) < _SMALLEST:
            raise Malformed("IPMI message is cut short")
        if sum(raw[:3]) & 0xFF or sum(raw[3:]) & 0xFF:
            raise Malformed("IPMI message has a wrong checksum")
        address, netfn_lun, _checksum, requester, sequence_lun, command = raw[:6]
        if address != BMC_ADDRESS:
            raise Malformed("IPMI message is not for the BMC")
        if netfn_lun & RESPONSE:
            raise Malformed("IPMI message is a response")
        return cls(netfn_lun >> 2, netfn_lun & 3, command, raw[6:-1], requester, sequence_lun & 3, sequence_lun >> 2)

    def reply(self, answer: bytes) -> bytes:
        """The response message: net function with its low bit set; `answer` is code and data."""
        netfn_lun, sequence_lun = (self.netfn | 1) << 2 | self.requester_lun, self.sequence << 2 | self.lun
        first = -(self.requester + netfn_lun) & 0xFF
        second = -(BMC_ADDRESS + sequence_lun + self.command + sum(answer)) & 0xFF
        head = bytes((self.requester, netfn_lun, first, BMC_ADDRESS, sequence_lun, self.command))
        return head + answer + bytes((second,))
