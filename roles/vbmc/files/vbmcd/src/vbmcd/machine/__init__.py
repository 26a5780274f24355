# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine behind a BMC: the interface (``base``) and libvirt's implementation of it.

Called by the command handlers through ``base.Machine`` alone; only ``libvirt_*`` modules know libvirt.
"""
