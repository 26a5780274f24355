# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A console on a socket, for what the usual clients can't do: measure, send again, or send rubbish. Blocking."""

from __future__ import annotations

import os
import socket
import time
from types import TracebackType
from typing import Self

from rig.packets import ConsolePackets, payload_of
from rig.waiting import eventually

STATUS = (0x00, 0x01)
"""Get Chassis Status, which needs the machine."""
DEVICE_ID = (0x06, 0x01)
"""Get Device ID, which needs none."""
CONTROL = (0x00, 0x02)
"""Chassis Control: 00h off, 01h on, 02h cycle, 03h reset."""


class NoAnswer(AssertionError):
    """Nothing came back in time."""


class Refused(AssertionError):
    """The login ended with a status code (13.24)."""


class Console:
    """Log in with login(), ask with request(). What is not answered is sent again after `resend` seconds."""

    def __init__(
        self,
        port: int,
        host: str = "127.0.0.1",
        *,
        user: str = "admin",
        password: str = "password",
        suite: int = 17,
        resend: float = 0.25,
    ) -> None:
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        # Connected, so that an answer from any address but the one that was asked is never seen.
        self.socket.connect((host, port))
        self._who = (user.encode(), password.encode(), suite)
        self._resend = resend
        self.packets = ConsolePackets(*self._who)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def login(self, privilege: int = 4, timeout: float = 20.0) -> Self:
        """Log in anew and raise the privilege to the one asked for. Raises Refused or NoAnswer.

        Begins again from the start when an answer stays away: the BMC may have come back without its memory.
        """
        deadline = time.monotonic() + timeout
        while True:
            try:
                self._log_in(privilege, min(deadline, time.monotonic() + max(1.0, 2 * self._resend)))
                break
            except NoAnswer:
                if time.monotonic() >= deadline:
                    raise
        assert self.request(0x06, 0x3B, bytes((privilege,)))[0] == 0, "Set Session Privilege was refused"
        return self

    def _log_in(self, privilege: int, deadline: float) -> None:
        # Another id each time: the late answer to an earlier login is none to this one.
        console_id = int.from_bytes(os.urandom(4), "little") | 1
        packets = self.packets = ConsolePackets(*self._who, role=privilege, console_id=console_id)
        if packets.opened(self._step(packets.open_session(), deadline)):
            raise Refused("Open Session was refused")
        if not packets.took_rakp2(self._step(packets.rakp1(), deadline)):
            raise Refused("the BMC knows another password, or no such user")
        if status := packets.took_rakp4(self._step(packets.rakp3(), deadline)):
            raise Refused(f"RAKP 4 has status {status:02X}h")

    def request(self, netfn: int, command: int, data: bytes = b"", timeout: float = 20.0) -> bytes:
        """Completion code and data. Sent again as clients do it: a new sequence number, the same rqSeq."""
        deadline = time.monotonic() + timeout
        datagram = self.packets.request(netfn, command, data)
        rqseq = self.packets.rqseq
        while time.monotonic() < deadline:
            self._send(datagram)
            again = min(deadline, time.monotonic() + 1)
            # What was sent twice may be answered twice, and the second answer is none to what is asked next.
            while (message := self._message(again)) is not None:
                if (message[4] >> 2, message[5]) == (rqseq, command):
                    return message[6:-1]
            datagram = self.packets.request(netfn, command, data, rqseq=rqseq)
        raise NoAnswer(f"no answer to {netfn:02X}h/{command:02X}h within {timeout:g} s")

    def insist(self, netfn: int, command: int, data: bytes = b"") -> bytes:
        """The same, and again while the BMC is busy, as clients do it."""

        def served() -> bytes:
            answer = self.request(netfn, command, data)
            return b"" if answer == b"\xc0" else answer

        return eventually(served, what=f"the BMC has time for {netfn:02X}h/{command:02X}h")

    def is_on(self) -> bool:
        """Whether the machine has power, as Get Chassis Status says (28.2)."""
        answer = self.insist(*STATUS)
        assert answer[0] == 0, answer.hex()
        return bool(answer[1] & 1)

    @property
    def _console_id(self) -> bytes:
        return self.packets.console_id.to_bytes(4, "little")

    def send(self, datagram: bytes) -> None:
        """Send any bytes."""
        self.socket.send(datagram)

    def answers(self, seconds: float) -> list[bytes]:
        """Completion codes and data of all answers that come within so many seconds."""
        deadline = time.monotonic() + seconds
        found = []
        while (message := self._message(deadline)) is not None:
            found.append(message[6:-1])
        return found

    def _message(self, deadline: float) -> bytes | None:
        datagram = self._receive(deadline)
        # An answer of the login that came twice is not one of the session, nor is one of an earlier session.
        while datagram is not None and (datagram[5] != 0xC0 or datagram[6:10] != self._console_id):
            datagram = self._receive(deadline)
        return None if datagram is None else self.packets.message(datagram)

    def _step(self, datagram: bytes, deadline: float) -> bytes:
        """Send a login message until its answer comes, whose payload type is the one after its own."""
        while time.monotonic() < deadline:
            self._send(datagram)
            answer = self._receive(min(deadline, time.monotonic() + self._resend))
            if answer is None or answer[5] != datagram[5] + 1 or payload_of(answer)[4:8] != self._console_id:
                continue
            if payload_of(answer)[1]:
                raise Refused(f"login message {datagram[5]:02X}h got status {payload_of(answer)[1]:02X}h")
            return answer
        raise NoAnswer(f"no answer to login message {datagram[5]:02X}h in time")

    def _send(self, datagram: bytes) -> None:
        try:
            self.socket.send(datagram)
        except ConnectionRefusedError:
            time.sleep(0.005)  # the error of what was sent before: nobody has the port

    def _receive(self, deadline: float) -> bytes | None:
        while (left := deadline - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                return self.socket.recv(2048)
            except TimeoutError:
                return None
            except ConnectionRefusedError:
                time.sleep(0.005)
        return None
