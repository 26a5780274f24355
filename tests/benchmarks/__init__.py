# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Benchmarks: vbmcd beside VirtualBMC and ipmi_sim, in one run on one machine (`make bench`).

``servers`` starts what is measured, ``console`` and ``clients`` are the IPMI client that asks, ``processes`` reads
what the kernel knows of memory and CPU, ``scenarios`` puts these together, ``load`` and ``throughput`` do the same
for servers that are busy, ``task`` measures the Ansible module,
``report`` prints and stores. docs/benchmarks.md says how to read the figures. Imports nothing of the product.
"""
