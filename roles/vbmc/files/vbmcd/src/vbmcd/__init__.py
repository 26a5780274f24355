# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vbmcd: virtual BMCs for libvirt domains.

``rmcp`` and ``commands`` are the protocol, over bytes and without sockets; ``machine`` is what stands
behind a BMC; ``worker`` drives both with asyncio; ``supervisor`` owns configuration, sockets and workers;
``control`` and ``cli`` are how people and Ansible talk to it. Nothing here imports Ansible.
"""

from __future__ import annotations

__version__ = "0.1.0"
