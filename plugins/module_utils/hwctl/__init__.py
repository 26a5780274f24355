# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hardware control of many BMCs at once, real or virtual: docs/hwctl.md.

Managers (`managers/`) say what can be asked; the executor runs it on every node in parallel; clients (`clients/`) make
the atomic calls. The modules power, boot_device and bmc_info call it. Knows nothing of Ansible.
"""
