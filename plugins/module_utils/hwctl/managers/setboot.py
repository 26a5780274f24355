# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What many machines boot from next. Read first, written where it differs, and read back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Optional

from ..clients.base import BOOT_DEVICES, NO_OVERRIDE, Boot, Client
from ..errors import BadRequest, NotReached
from ..executor import ParallelNodes
from ..node import Node
from ..outcome import OK, Outcome, settled

VERIFY_TIMEOUT = 5.0
VERIFY_PAUSE = 0.5
"""Seconds that a BMC has to say what it was told, and between two looks."""


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
        with node.session() as client:
            node.at("read")
            return Outcome(node.name, OK, data={"boot": node.reading(client.boot).result()})

    def validate_set_boot(self, request: BootRequest) -> None:
        if request.device not in BOOT_DEVICES:
            raise BadRequest(f"there is no boot device {request.device!r}: give one of {', '.join(BOOT_DEVICES)}")

    def set_boot(self, node: Node, request: BootRequest) -> Outcome:
        with node.session() as client:
            node.at("read")
            before = node.reading(client.boot)
            after = _after(request, before)
            if before != after and not request.check:
                node.at("change")
                client.set_boot(_written(request))
                node.at("verify")
                after = _verified(node, client, request)
            return settled(node.name, before.result(), after.result(), boot=after.result())


def _written(request: BootRequest) -> Boot:
    if request.device == NO_OVERRIDE:
        return Boot()
    return Boot(request.device, request.persistent, request.efi)


def _after(request: BootRequest, found: Boot) -> Boot:
    """What is to be read back, with what is not asked for as it was found."""
    wanted = _written(request)
    return replace(wanted, efi=found.efi) if wanted.efi is None else wanted


def _verified(node: Node, client: Client, request: BootRequest) -> Boot:
    """What the BMC says afterwards; some take a moment. Raises NotReached."""
    patience = node.deadline.at_most(VERIFY_TIMEOUT)
    while True:
        found = node.reading(client.boot)
        if found == _after(request, found):
            return found
        if patience.left <= VERIFY_PAUSE:
            raise NotReached(f"the BMC took {_written(request).result()} and says {found.result()}")
        node.pause(VERIFY_PAUSE)
