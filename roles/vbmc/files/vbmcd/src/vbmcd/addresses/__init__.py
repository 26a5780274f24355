# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host's IP addresses that BMCs have to themselves: ``vbmcd-addresses``, a program of root's beside the daemon.

The daemon may not touch interfaces; so this makes the addresses, keeps lists of them in /etc for the next start of the
host, and removes what nobody wants any more. Called by the module vbmc_address, and by a unit before the daemon's.
"""
