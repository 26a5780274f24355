# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The test rig: disposable real parts (libvirtd with QEMU) that tests, benchmarks and people start by hand.

Used by fixtures in tests/integration/conftest.py and by tests/benchmarks; imports nothing of the product.
"""
