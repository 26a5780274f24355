# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The control socket: ``protocol`` is its messages, ``client`` asks, ``server`` answers.

The CLI uses the client, the supervisor the server. JSON over ZMQ, one message each way.
"""
