# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a module finds the daemon vbmcd; the options of COMMAND_ARGUMENTS in module_utils/_vbmc.py."""

from __future__ import annotations


class ModuleDocFragment:
    """C(baremetal.lab.vbmc)."""

    DOCUMENTATION = r"""
options:
  socket:
    description:
      - The control socket of the daemon, where it is not the one that C(vbmc) finds by itself
        (E(VBMCD_SOCKET), or the system's daemon).
    type: path
  vbmc_path:
    description:
      - The C(vbmc) command on the managed host.
      - By default the one that the role P(baremetal.lab.vbmc#role) installs, C(/opt/vbmcd/bin/vbmc), and otherwise
        the one on the E(PATH). The role's comes first because VirtualBMC has a command of the same name.
    type: path
requirements:
  - the command C(vbmc) of this collection's daemon on the managed host, and nothing else
"""
