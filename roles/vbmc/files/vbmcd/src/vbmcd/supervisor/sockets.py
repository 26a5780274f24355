# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sockets of the instances: bound by the supervisor, which keeps each one open after handing it to a worker.

So a dead worker loses no port, and a datagram or a connection waits in the kernel until its successor takes it.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import resource
import socket
from typing import Callable

from vbmcd.config import Instance
from vbmcd.endpoints import Endpoint, show
from vbmcd.errors import VbmcError

RECEIVE_BUFFER = 512 * 1024
"""Room for what comes while its worker is not running. The kernel counts 768 bytes for the smallest datagram."""

BACKLOG = 128
"""Connections that wait to be taken by a worker."""

_SO_RCVBUFFORCE = getattr(socket, "SO_RCVBUFFORCE", 33)

RESERVED = 64
"""Descriptors that no BMC gets, of those that the process may have: for files, clients of the control socket and
channels. ZMQ ends a process that has none left."""


IN_USE = "another program has it"
"""Of an endpoint that can be had as soon as that program gives it up."""


class BindError(VbmcError):
    """An endpoint that can't be had now."""

    code = "bind"


def bind(instance: Instance) -> socket.socket:
    """A non-blocking UDP socket on the instance's endpoint. Raises BindError, which names the remedy."""
    return _open(instance, instance.endpoint, _bind_udp)


def listen(instance: Instance) -> socket.socket:
    """A non-blocking TCP socket that listens on the instance's Redfish endpoint. Raises BindError as bind() does."""
    assert instance.redfish is not None and instance.redfish_endpoint is not None
    for path in (instance.redfish.certificate, instance.redfish.key):
        try:
            if path:
                open(path, "rb").close()
        except OSError as error:
            message = (
                f"instance {instance.name!r} can't serve Redfish with {path}: {error.strerror}: have the daemon's user "
                "read it, or leave redfish.certificate and redfish.key empty and one is made"
            )
            raise BindError(message, instance=instance.name) from error
    return _open(instance, instance.redfish_endpoint, _listen_tcp)


def _open(instance: Instance, endpoint: Endpoint, make: Callable[[str, int], socket.socket]) -> socket.socket:
    address, port = endpoint
    try:
        return make(address, port)
    except OSError as error:
        if address != "::" or error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
            raise BindError(_explain(instance, endpoint, error), instance=instance.name) from error
    try:
        # A host without IPv6: the wildcard, which is VirtualBMC's default, means all of IPv4.
        return make("0.0.0.0", port)  # noqa: S104 - the user asked for every address
    except OSError as error:
        raise BindError(_explain(instance, endpoint, error), instance=instance.name) from error


def _bind_udp(address: str, port: int) -> socket.socket:
    sock = _socket(address, socket.SOCK_DGRAM)
    return _bound(sock, address, port, lambda: _make_room(sock))


def _listen_tcp(address: str, port: int) -> socket.socket:
    sock = _socket(address, socket.SOCK_STREAM)
    # Or the connections of before would keep a restarted daemon from its port (tcp(7), TIME-WAIT).
    _bound(sock, address, port, lambda: sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1))
    try:
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def _socket(address: str, kind: int) -> socket.socket:
    v6 = ipaddress.ip_address(address).version == 6
    sock = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, kind | socket.SOCK_NONBLOCK)
    if v6:
        # '::' answers IPv4 as well, as VirtualBMC's does.
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if address == "::" else 1)
    return sock


def _bound(sock: socket.socket, address: str, port: int, prepare: Callable[[], None]) -> socket.socket:
    try:
        prepare()
        sock.bind((address, port))
        if sock.fileno() >= resource.getrlimit(resource.RLIMIT_NOFILE)[0] - RESERVED:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    except OSError:
        sock.close()
        raise
    return sock


def _make_room(sock: socket.socket) -> None:
    try:
        # Beyond net.core.rmem_max, which takes CAP_NET_ADMIN.
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BUFFER)
    except OSError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)


def _explain(instance: Instance, endpoint: Endpoint, error: OSError) -> str:
    remedies = {
        errno.EADDRINUSE: f"{IN_USE}: end that one, or give the instance another port",
        errno.EACCES: "ports below 1024 need root or CAP_NET_BIND_SERVICE: give it one above, or the right",
        errno.EADDRNOTAVAIL: "no interface has this address: add it, or give the instance another",
        errno.EMFILE: "the daemon's limit of open files is reached: raise it (LimitNOFILE=)",
    }
    remedy = remedies.get(error.errno or 0, error.strerror or str(error))
    return f"instance {instance.name!r} can't listen on {show(endpoint)}: {remedy}"
