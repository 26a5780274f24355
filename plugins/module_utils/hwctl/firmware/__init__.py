# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Firmware of many BMCs: from an image file to the version that is read back after the reboot. docs/hwctl.md tells how.

`managers/firmware.py` begins it; each target's way is a `life.Life`, run by `pools.py`, written down by `journal.py`.
"""
