# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a module that talks to libvirt itself is told where libvirt is; the options of module_utils/_libvirt.py."""

from __future__ import annotations


class ModuleDocFragment:
    """C(baremetal.lab.libvirt)."""

    DOCUMENTATION = r"""
options:
  uri:
    description:
      - The libvirt daemon to talk to, as seen from the host that the module runs on.
    type: str
    default: qemu:///system
  sasl_username:
    description:
      - The user to log in as, where the daemon asks for SASL credentials.
    type: str
  sasl_password:
    description:
      - The password of O(sasl_username).
    type: str
requirements:
  - the libvirt binding for Python on the host that the module runs on (Debian and Ubuntu C(python3-libvirt))
"""
