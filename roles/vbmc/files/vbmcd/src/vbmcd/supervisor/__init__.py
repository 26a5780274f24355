# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parent: configuration, sockets, workers, and the control socket.

``spawner`` forks workers, ``sockets`` binds for them, ``workers`` keeps them alive, ``fleet`` places
instances on them, ``service`` answers control requests. Called by ``daemon`` alone.
"""
