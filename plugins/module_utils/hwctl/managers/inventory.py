# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What many BMCs say of themselves and their machines."""

from __future__ import annotations

from typing import Any, Dict

from ..errors import Refused, Unsupported
from ..executor import ParallelNodes
from ..node import Node
from ..outcome import OK, Outcome


class InventoryManager(ParallelNodes):
    """Operation: `get_info`."""

    def get_info(self, node: Node) -> Outcome:
        with node.session() as client:
            node.at("read")
            data: Dict[str, Any] = {"power": node.reading(client.power), **node.reading(client.info)}
            try:
                data["boot"] = node.reading(client.boot).result()
            except (Unsupported, Refused):  # IPMI wants an operator for it
                data["boot"] = None
            return Outcome(node.name, OK, data=data)
