# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A BMC's firmware as a model: images, slots, activation, tasks and a plan of faults, to rehearse a roll-out on.

No HTTP in here: ``redfish/`` serves it, ``config`` carries its options. Bytes and times are passed in; only ``unit``
has a clock, and stores.
"""
