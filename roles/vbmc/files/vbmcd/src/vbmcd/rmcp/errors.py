# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one error of the wire formats."""

from __future__ import annotations


class Malformed(ValueError):
    """Bytes that are not what their place in the protocol demands; such a datagram is dropped."""
