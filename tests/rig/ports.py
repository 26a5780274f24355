# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports for servers that a test starts."""

from __future__ import annotations

import itertools
import os
import socket

_FIRST, _COUNT = 17000, 15000
"""Below those that the system gives to clients (ip(7), ip_local_port_range): nobody takes one before it is bound."""
_numbers = itertools.count(os.getpid() * 101)


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """Ports that nobody has now, neither of UDP nor of TCP. Each is given only once."""
    candidates = (_FIRST + number % _COUNT for number in _numbers)
    return list(itertools.islice((port for port in candidates if _is_free(host, port)), count))


def _is_free(host: str, port: int) -> bool:
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind((host, port))
            except OSError:
                return False
    return True
