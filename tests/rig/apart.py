# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A network for each process of pytest, so that two can run the integration tests at once.

They use fixed addresses of loopback, ports and bridges. Called by the tests' conftest.py in pytest-xdist's processes.
"""

from __future__ import annotations

import ctypes
import subprocess

_CLONE_NEWNET = 0x40000000
"""unshare(2): a network namespace of the calling thread and all that it starts."""
_SETUP = (
    "link set lo up",
    # A resolver gives no IPv6 address, not even ::1, where none but loopback's is configured (getaddrinfo(3)).
    "link add outside0 type bridge",
    "link set outside0 up",
    "address add 192.0.2.1/24 dev outside0",
    "address add 2001:db8::1/64 dev outside0 nodad",
)


def have_own_network() -> None:
    """Leave the machine's network for one of loopback and an bridge that leads nowhere. Root only. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "no network namespace for a process of the tests")
    for command in _SETUP:
        subprocess.run(["ip", *command.split()], check=True)
