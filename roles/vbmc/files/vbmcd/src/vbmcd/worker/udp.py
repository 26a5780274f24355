# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A BMC's UDP socket: datagrams in and out, replies from the address that was asked.

A socket on a wildcard address has to be told where its replies come from, or a host with several
addresses answers from the wrong one (IP_PKTINFO in ip(7), IPV6_PKTINFO in RFC 3542, 6.1 and 6.2).
"""

from __future__ import annotations

import socket
from typing import Any, List, NamedTuple, Optional, Tuple

MAX_DATAGRAM = 2048
"""More than any IPMI packet (payload length is below 1 KiB in practice); the rest is cut and fails."""

_ANCILLARY = socket.CMSG_SPACE(64)
_IPV6_RECVPKTINFO = getattr(socket, "IPV6_RECVPKTINFO", 49)
_IPV6_PKTINFO = getattr(socket, "IPV6_PKTINFO", 50)
_IP_PKTINFO = getattr(socket, "IP_PKTINFO", 8)

Ancillary = List[Tuple[int, int, bytes]]


class Peer(NamedTuple):
    """Where a datagram came from, and what makes the reply leave from where it went to."""

    address: Any
    """The socket module's own address tuple, with an IPv6 scope where there is one."""
    source: Tuple[str, int]
    """Host and port; the host as IPv4 where it is."""
    ancillary: Optional[Ancillary] = None


class UdpSocket:
    """A bound, non-blocking socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._v6 = sock.family == socket.AF_INET6
        self._wildcard = sock.getsockname()[0] in ("::", "0.0.0.0")  # noqa: S104 - a comparison
        if self._wildcard and self._v6:
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO, 1)
        elif self._wildcard:
            sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)

    def fileno(self) -> int:
        return self._sock.fileno()

    def close(self) -> None:
        self._sock.close()

    def receive(self) -> Optional[Tuple[bytes, Peer]]:
        """The next datagram; None when there is none now."""
        try:
            if not self._wildcard:
                data, address = self._sock.recvfrom(MAX_DATAGRAM)
                return data, Peer(address, _source(address) if self._v6 else address)
            data, ancillary, _flags, address = self._sock.recvmsg(MAX_DATAGRAM, _ANCILLARY)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:
            # An ICMP error of an earlier reply (udp(7)): nothing to do with this BMC's clients.
            return None
        return data, Peer(address, _source(address), [_reply_from(item) for item in ancillary])

    def send(self, data: bytes, peer: Peer) -> None:
        """Send, or drop when the kernel has no room or the peer is gone: clients ask again."""
        try:
            if peer.ancillary is None:
                self._sock.sendto(data, peer.address)
            else:
                self._sock.sendmsg([data], peer.ancillary, 0, peer.address)
        except OSError:
            return


def _source(address: Any) -> Tuple[str, int]:
    host: str = address[0]
    return (host[7:] if host.startswith("::ffff:") else host, address[1])


def _reply_from(item: Tuple[int, int, bytes]) -> Tuple[int, int, bytes]:
    """The received packet information, made into that of the reply."""
    level, kind, data = item
    if level == socket.IPPROTO_IP and kind == _IP_PKTINFO:
        # struct in_pktinfo: interface, ipi_spec_dst (the source of a reply), destination of the request.
        return (level, kind, bytes(4) + data[8:12] + bytes(4))
    return item
