# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What many machines boot from next. Read first, written where it differs, and read back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from ..clients import connect
from ..clients.base import BOOT_DEVICES, NO_OVERRIDE, Boot
from ..errors import BadRequest, NotReached
from ..executor import ParallelNodes
from ..node import Node
from ..outcome import OK, Outcome, settled


@dataclass(frozen=True)
class BootRequest:
    """A boot override to set; `efi` None leaves the mode as it is."""

    device: str
    persistent: bool = False
    efi: Optional[bool] = None
    check: bool = False
    """Only say what would be done."""


class SetbootManager(ParallelNodes):
    """Operations: `get_boot`, `set_boot`."""

    def get_boot(self, node: Node) -> Outcome:
        node.at("connect")
        with connect(node.target, node.deadline) as client:
            node.at("read")
            return Outcome(node.name, OK, data={"boot": node.reading(client.boot).result()})

    def validate_set_boot(self, request: BootRequest) -> None:
        if request.device not in BOOT_DEVICES:
            raise BadRequest(f"there is no boot device {request.device!r}: give one of {', '.join(BOOT_DEVICES)}")

    def set_boot(self, node: Node, request: BootRequest) -> Outcome:
        node.at("connect")
        with connect(node.target, node.deadline) as client:
            node.at("read")
            before = node.reading(client.boot)
            wanted = _wanted(request, before)
            if before != wanted and not request.check:
                node.at("change")
                client.set_boot(wanted)
                node.at("verify")
                found = node.reading(client.boot)
                if found != wanted:
                    raise NotReached(f"the BMC took {wanted.result()} and says {found.result()}")
            return settled(node.name, before.result(), wanted.result(), boot=wanted.result())


def _wanted(request: BootRequest, before: Boot) -> Boot:
    if request.device == NO_OVERRIDE:
        return Boot()
    return Boot(request.device, request.persistent, before.efi if request.efi is None else request.efi)
