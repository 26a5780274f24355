# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""RMCP+ over bytes (IPMI 2.0, chapters 12 and 13): no sockets, no clock, no asyncio.

``engine`` is the front: datagrams in, replies or decoded requests out. The rest is one wire format a
file. Called by ``worker``, and by tests with vectors.
"""
