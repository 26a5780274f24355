# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a BMC stores and shows of its board: sensor data records, the event log, the FRU inventory.

Objects over bytes (IPMI 2.0, chapters 31 to 34 and 41 to 43; FRU Information Storage Definition 1.0): no I/O,
time is passed in. ``commands.sensors``, ``sdr``, ``sel`` and ``fru`` serve them; ``commands.journal`` writes
the event log.
"""
