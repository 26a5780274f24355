# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Soak runs of vbmcd with many BMCs (`make soak`): one without faults, one with, each for some minutes.

``visitors`` are the clients, ``faults`` kills workers and libvirtd, ``memory`` watches the daemon's processes,
``__main__`` puts the two runs together. docs/benchmarks.md has the results. Imports nothing of the product.
"""
