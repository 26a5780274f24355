# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a BMC fetches for its clients: firmware images and virtual media, and from where it may.

``options`` says from where, ``source`` fetches, ``drive`` puts a medium into the machine's CD drive, ``record`` is what
it remembers. Called by ``redfish/``. ``leftover`` tidies up after BMCs that are deleted.
"""
