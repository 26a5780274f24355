# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains that depend on each other: what is declared, what follows from it, and how it is done.

The one source for the daemon and for the collection's modules, where plugins/module_utils/_dependency has a link to
each file. So it is plain Python 3.8, imports itself by relative names, and nothing else but the standard library and
libvirt's binding. `model`, `document`, `decide` and `carry` are pure; `hypervisor` calls libvirt.
"""
