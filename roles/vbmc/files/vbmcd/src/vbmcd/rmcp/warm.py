# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One login and one packet of each usual cipher suite, for what OpenSSL sets up when it first needs an algorithm.

Called by ``daemon`` before the fork: all workers share that memory then, instead of 1 MB each of their own.
"""

from __future__ import annotations

from vbmcd.config import DEFAULT_CIPHER_SUITES, Privilege
from vbmcd.rmcp import packet
from vbmcd.rmcp.handshake import Exchange
from vbmcd.rmcp.session import Session
from vbmcd.rmcp.suites import SUITES

_ANY = bytes(16)


def warm_up() -> None:
    """Leaves nothing behind but what OpenSSL keeps."""
    for number in DEFAULT_CIPHER_SUITES:
        exchange = Exchange(SUITES[number], 1, 1, _ANY, _ANY, _ANY, Privilege.USER, b"", _ANY)
        session = Session(exchange, "", Privilege.USER)
        datagram = session.seal(packet.PAYLOAD_IPMI, _ANY)
        header = packet.parse(datagram)
        assert isinstance(header, packet.PlusHeader)
        session.open(datagram, header)
