# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking over from a VirtualBMC that runs: ``vbmc take-over``, which is its one caller.

It works beside the daemon, with the rights of who called it: the daemon is only told which instances there are.
"""
