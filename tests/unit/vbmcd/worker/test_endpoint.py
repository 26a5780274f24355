# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A BMC on a real socket of the loopback: repeats, floods, mistakes in a handler, the address of a reply."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from rig.machine import ScriptedMachine
from rig.packets import ConsolePackets, sessionless
from vbmcd.commands.bmc import Bmc
from vbmcd.config import Instance, User
from vbmcd.machine.base import Busy
from vbmcd.rmcp.engine import Engine
from vbmcd.worker import repeats
from vbmcd.worker.endpoint import MAX_RUNNING, MAX_STRANGERS, Endpoint
from vbmcd.worker.udp import UdpSocket

ADMIN = User("admin", "secret")
CONTROL, RESET, STATUS = (0x00, 0x02), b"\x03", (0x00, 0x01)
RESERVE_SEL = (0x0A, 0x42)


class Client:
    """A console on a socket of its own, logged in."""

    def __init__(self, family: int, target: tuple[str, int]) -> None:
        self.sock = socket.socket(family, socket.SOCK_DGRAM)
        self.sock.setblocking(False)
        self.sock.connect(target)
        self.console = ConsolePackets(b"admin", b"secret")

    async def ask(self, datagram: bytes) -> bytes:
        self.sock.send(datagram)
        return await self.receive()

    async def receive(self) -> bytes:
        return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self.sock, 2048), 30)

    async def log_in(self) -> None:
        console = self.console
        assert console.opened(await self.ask(console.open_session())) == 0
        assert console.took_rakp2(await self.ask(console.rakp1()))
        assert console.took_rakp4(await self.ask(console.rakp3())) == 0
        assert await self.command((0x06, 0x3B), b"\x04") == "0004"

    async def command(self, command: tuple[int, int], data: bytes = b"", rqseq: int | None = None) -> str:
        return self.console.answer(await self.ask(self.console.request(*command, data, rqseq=rqseq))).hex()


class Served:
    """One BMC on `address`, and consoles for it."""

    def __init__(self, address: str) -> None:
        self.machine = ScriptedMachine()
        self.machine.on = True
        self.family = socket.AF_INET6 if ":" in address else socket.AF_INET
        sock = socket.socket(self.family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        if address == "::":
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind((address, 0))
        self.port = sock.getsockname()[1]
        bmc = Bmc(
            Instance("node-07", "domain-07", self.port, users=(ADMIN,)),
            Engine((ADMIN,), bytes(16)),
            self.machine,
            _keep,
        )
        self.endpoint = Endpoint(bmc, UdpSocket(sock), asyncio.get_running_loop())

    async def client(self, address: str = "127.0.0.1") -> Client:
        client = Client(socket.AF_INET6 if ":" in address else socket.AF_INET, (address, self.port))
        await client.log_in()
        return client


async def _keep(record: str, data: bytes) -> None:
    return None


@pytest_asyncio.fixture
async def served(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    # Longer than this machine stalls between two datagrams, and shorter than a session lives.
    monkeypatch.setattr(repeats, "KEEP_SECONDS", 30.0)
    served = Served("127.0.0.1")
    yield served
    served.endpoint.stop()


async def test_a_reset_that_is_sent_again_runs_once_and_gets_the_same_answer(served: Served) -> None:
    client = await served.client()
    assert await client.command(CONTROL, RESET, rqseq=9) == "00"
    assert await client.command(CONTROL, RESET, rqseq=9) == "00"
    assert served.machine.calls == [("reset", None)]


async def test_a_reset_that_is_sent_again_while_it_runs_runs_once_too(served: Served) -> None:
    client = await served.client()
    served.machine.gate = asyncio.Event()
    for _turn in range(3):
        client.sock.send(client.console.request(*CONTROL, RESET, rqseq=9))
    # A read is answered meanwhile, which shows that the three have been taken.
    assert (await client.command(STATUS, rqseq=10))[:2] == "00"
    served.machine.gate.set()
    assert [client.console.answer(await client.receive()).hex() for _turn in range(3)] == ["00"] * 3
    assert [call for call, _turn in served.machine.calls if call == "reset"] == ["reset"]


async def test_a_client_that_counts_its_rqseq_up_to_ask_again_gets_one_reset_too(served: Served) -> None:
    """FreeIPMI does, and takes only the answer to what it sent last."""
    client = await served.client()
    served.machine.gate = asyncio.Event()
    for rqseq in (9, 10, 11):
        client.sock.send(client.console.request(*CONTROL, RESET, rqseq=rqseq))
    assert (await client.command(STATUS, rqseq=12))[:2] == "00"
    served.machine.gate.set()
    assert [client.console.answer(await client.receive()).hex() for _turn in range(3)] == ["00"] * 3
    assert [call for call, _turn in served.machine.calls if call == "reset"] == ["reset"]
    assert await client.command(CONTROL, RESET, rqseq=11) == "00"
    assert [call for call, _turn in served.machine.calls if call == "reset"] == ["reset"]


async def test_a_new_reset_runs_again_though_the_last_one_looked_alike(served: Served) -> None:
    client = await served.client()
    await client.command(CONTROL, RESET, rqseq=9)
    await client.command(CONTROL, RESET, rqseq=10)
    assert len(served.machine.calls) == 2


async def test_the_answer_of_a_change_is_kept_for_some_seconds_only(served: Served) -> None:
    client = await served.client()
    await client.command(CONTROL, RESET, rqseq=9)
    later = asyncio.get_running_loop().time() + repeats.KEEP_SECONDS + 1
    served.endpoint.expire(later)
    await client.command(CONTROL, RESET, rqseq=9)
    assert len(served.machine.calls) == 2


async def test_a_change_for_which_the_node_was_busy_is_tried_when_it_is_asked_again(served: Served) -> None:
    client = await served.client()
    served.machine.fails = Busy("libvirt is away")
    assert await client.command(CONTROL, RESET, rqseq=9) == "c0"
    served.machine.fails = None
    assert await client.command(CONTROL, RESET, rqseq=9) == "00"
    assert await client.command(CONTROL, RESET, rqseq=9) == "00"
    assert len(served.machine.calls) == 2


async def test_a_reservation_that_is_sent_again_cancels_none(served: Served) -> None:
    client = await served.client()
    first = await client.command(RESERVE_SEL, rqseq=9)
    assert await client.command(RESERVE_SEL, rqseq=9) == first
    assert await client.command(RESERVE_SEL, rqseq=10) != first


async def test_two_consoles_with_the_same_numbers_do_not_share_answers(served: Served) -> None:
    for client in (await served.client(), await served.client()):
        await client.command(CONTROL, RESET, rqseq=9)
    assert len(served.machine.calls) == 2


async def test_reads_are_never_answered_from_what_was(served: Served) -> None:
    client = await served.client()
    assert (await client.command(STATUS, rqseq=9))[2:4] == "61"
    served.machine.on = False
    assert (await client.command(STATUS, rqseq=9))[2:4] == "60"


async def test_too_many_commands_at_a_time_are_told_that_the_node_is_busy(served: Served) -> None:
    client = await served.client()
    served.machine.gate = asyncio.Event()
    for number in range(MAX_RUNNING):
        # Of different data, so that none is taken for a repeat: four actions, and the unused bits of the byte.
        client.sock.send(client.console.request(*CONTROL, bytes((number % 4 | number // 4 << 4,))))
    assert await client.command(STATUS) == "c0"
    # One that is asked again is not one more: it gets the answer of what runs.
    client.sock.send(client.console.request(*CONTROL, RESET))
    assert await client.command(STATUS) == "c0", "taken in order, so the one before was, too"
    served.machine.gate.set()
    answers = [client.console.answer(await client.receive()).hex() for _turn in range(MAX_RUNNING + 1)]
    assert answers == ["00"] * (MAX_RUNNING + 1)
    assert len(served.machine.calls) == MAX_RUNNING


async def test_strangers_can_not_keep_out_who_has_logged_in(served: Served) -> None:
    client = await served.client()
    served.machine.uuid_gate = asyncio.Event()
    for _turn in range(3 * MAX_STRANGERS):
        client.sock.send(sessionless(0x06, 0x37))
    busy = [await client.receive() for _turn in range(2 * MAX_STRANGERS)]
    assert {datagram[-2] for datagram in busy} == {0xC0}, "no more than so many of theirs run at a time"
    assert (await client.command(STATUS))[:2] == "00"
    served.machine.uuid_gate.set()


async def test_a_command_that_is_not_known_gets_c1h_and_one_for_another_lun_c2h(served: Served) -> None:
    client = await served.client()
    assert await client.command((0x0A, 0xFF)) == "c1"
    assert await client.command((0x00, 0x7F)) == "c1"
    assert client.console.answer(await client.ask(client.console.request(*STATUS, lun=1))).hex() == "c2"


async def test_a_mistake_in_a_handler_is_logged_and_answered_and_ends_nothing(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    client = await served.client()
    served.machine.fails = ZeroDivisionError("a mistake")  # type: ignore[assignment]
    with caplog.at_level(logging.ERROR):
        assert await client.command(STATUS) == "ff"
    assert "a mistake in its handler" in caplog.text
    served.machine.fails = None
    assert (await client.command(STATUS))[:2] == "00"


@pytest.mark.parametrize(("bound", "asked"), [
    ("::", "127.0.0.1"), ("::", "127.0.0.2"), ("::", "::1"), ("0.0.0.0", "127.0.0.3"), ("::1", "::1"),
])  # fmt: skip
async def test_a_reply_leaves_from_the_address_that_was_asked(bound: str, asked: str) -> None:
    served = Served(bound)
    try:
        # The client's socket is connected, so the kernel drops what comes from any other address.
        client = await served.client(asked)
        assert (await client.command(STATUS))[:2] == "00"
    finally:
        served.endpoint.stop()
