# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker process: BMCs on their sockets, driven by asyncio.

``udp`` owns a socket, ``endpoint`` one BMC on it, ``link`` the way to the supervisor, ``main`` the whole.
Forked by ``supervisor.spawner``; protocol and commands are called, never the other way round.
"""
