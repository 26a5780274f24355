# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ``vbmc`` command: cliff commands that turn options into control requests and results into tables.

``app`` is the entry point; ``base`` is what commands share; the rest is a file for each kind of command.
Nothing decides here what changes: the daemon does. Modules are imported late, so that ``vbmc`` starts fast.
"""
