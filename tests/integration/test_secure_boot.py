# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secure Boot of real domains: libvirt selects the firmware, and each kind keeps its own variables."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from rig.daemon import Vbmcd
from rig.libvirtd import Libvirtd
from rig.node import Node
from rig.ports import free_ports
from rig.redfish import SYSTEM, Client
from rig.waiting import eventually

SECURE_BOOT = f"{SYSTEM}/SecureBoot"


@pytest.fixture(scope="module")
def vbmcd() -> Iterator[Vbmcd]:
    with Vbmcd(workers="1") as daemon:
        yield daemon


@pytest.fixture
def serve(libvirtd: Libvirtd, vbmcd: Vbmcd, tmp_path: Path) -> Iterator[Callable[..., tuple[Node, Client]]]:
    with ExitStack() as stack:

        def served(**domain: object) -> tuple[Node, Client]:
            (port,) = free_ports(1)
            spec = {"redfish": {"port": port}}
            return stack.enter_context(Node.served(libvirtd, vbmcd, tmp_path, spec, **domain)), Client(port)

        yield served


def firmware(node: Node) -> tuple[bool, str]:
    """Of the running domain: whether its loader is a secure one, and the file of its variables."""
    os = ET.fromstring(node.libvirtd.virsh("dumpxml", node.name)).find("os")
    assert os is not None
    loader = os.find("loader")
    assert loader is not None
    return loader.get("secure") == "yes", os.findtext("nvram", "")


def want(client: Client, on: bool) -> None:
    """A machine that is still starting is busy for a moment."""
    eventually(lambda: client.patch(SECURE_BOOT, {"SecureBootEnable": on}).status == 200, what="Secure Boot is set")


def restart(node: Node, client: Client, kind: str) -> int:
    """Its QEMU, once it was reset; that it was started anew shows in another one."""
    qemu = node.qemu()
    eventually(lambda: client.reset(kind).status == 200, what="the reset is accepted")
    # A command is carried out in order, so the next one comes after it.
    want(client, client.get(SECURE_BOOT).json["SecureBootEnable"])
    assert node.has_state("running")
    return 0 if node.qemu() != qemu else qemu


def test_it_counts_from_the_next_start_and_each_kind_keeps_its_variables(
    serve: Callable[..., tuple[Node, Client]],
) -> None:
    node, client = serve(firmware="efi", machine="q35", memory_mib=64)
    want(client, False)
    client.reset("On")
    want(client, True)
    shown = client.get(SECURE_BOOT).json
    assert (shown["SecureBootEnable"], shown["SecureBootCurrentBoot"]) == (True, "Disabled")
    secure, plain = firmware(node)
    assert not secure, "what runs goes on as it is"
    assert restart(node, client, "ForceRestart") == 0
    assert firmware(node)[0] and firmware(node)[1] != plain
    assert client.get(SECURE_BOOT).json["SecureBootCurrentBoot"] == "Enabled"
    want(client, False)
    assert restart(node, client, "PowerCycle") == 0
    assert firmware(node) == (False, plain)
    assert restart(node, client, "ForceRestart") != 0, "with nothing pending a reset is one"


def test_a_machine_that_can_not_have_it_says_why(serve: Callable[..., tuple[Node, Client]]) -> None:
    node, client = serve(firmware="efi", machine="pc")
    answer = client.patch(SECURE_BOOT, {"SecureBootEnable": True})
    assert answer.status == 400 and "q35" in str(answer.json)
    assert "secureboot" not in node.libvirtd.virsh("dumpxml", node.name)
