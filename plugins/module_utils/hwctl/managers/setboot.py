# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What many machines boot from next. Read first, written where it differs, and read back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Optional

from ..clients.base import BOOT_DEVICES, NO_OVERRIDE, Boot, Client
from ..errors import BadRequest, HwctlError, NotReached
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
                node.changing(
                    lambda: client.set_boot(_written(request)), lambda error: _there(node, client, request, error)
                )
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


def _there(node: Node, client: Client, request: BootRequest, error: HwctlError) -> bool:
    """Whether a BMC that refused, or did not answer, has taken it."""
    if not error.safe_to_retry:
        return False
    found = node.reading(client.boot)
    return found == _after(request, found)


def _verified(node: Node, client: Client, request: BootRequest) -> Boot:
    """What the BMC says afterwards; some take a moment. Raises NotReached."""
    patience = node.deadline.at_most(VERIFY_TIMEOUT)
    while True:
        found = node.reading(client.boot)
        if found == _after(request, found):
            return found
        if patience.left <= VERIFY_PAUSE:
            raise NotReached(_kept(_written(request), found))
        node.pause(VERIFY_PAUSE)


def _kept(wanted: Boot, found: Boot) -> str:
    """What is wrong with the override that a BMC says that it has, and what to do."""
    if found.device == wanted.device and found.persistent and not wanted.persistent:
        return (
            f"the BMC took {wanted.device} for the next boot alone, and keeps it for every boot: ask for that "
            "(persistent: true), and set another one when the machine has booted"
        )
    return f"the BMC took {_words(wanted)}, and says that it has {_words(found)}"


def _words(boot: Boot) -> str:
    if boot.device == NO_OVERRIDE:
        return "no override"
    mode = "" if boot.efi is None else ", by UEFI" if boot.efi else ", by BIOS"
    return f"{boot.device} for {'every boot' if boot.persistent else 'the next boot alone'}{mode}"
