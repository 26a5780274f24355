# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Serial over LAN packets and their flow, over bytes (IPMI 2.0, 15.9 to 15.11). The time is passed in.

Stop and wait: one packet is on its way until it is acknowledged. Acknowledgements travel in packets of their own.
Both directions work alike, so that a test can put two of these face to face.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Optional

HEADER = 4
MAX_CHARACTERS = 200
"""In one packet: with header, padding and code it fits whatever a client reads into."""
SLOW_RETRY = 1.0
"""Seconds between further attempts, once the configured retries are used up: nothing is lost before the end."""
DEAD_AFTER = 20.0
"""Seconds without an acknowledgement after which the other side is gone."""

NACK = 0x40
BREAK = 0x10
"""From the console: generate a break (table 15-2)."""
CTS_PAUSE = 0x08
"""From the console: no characters for now."""
FLUSH_TO_MACHINE, FLUSH_TO_CONSOLE = 0x02, 0x01
UNAVAILABLE = 0x20
"""From the BMC: the machine takes no characters now, nothing is transferred."""
DEACTIVATED = 0x10
"""From the BMC: this was the last packet."""


@dataclass(frozen=True)
class Timing:
    """The configuration parameters 3 and 4 (26.3), in seconds and characters."""

    accumulate: float = 0.02
    threshold: int = 96
    retries: int = 7
    interval: float = 0.1


@dataclass(frozen=True)
class Received:
    """What a packet brought: characters to pass on, once, and its control bits."""

    characters: bytes = b""
    control: int = 0


@dataclass
class _Sent:
    sequence: int
    characters: bytes
    first: float
    tries: int = 0
    due: float = 0.0


class SolLink:
    """One side of an activated payload."""

    def __init__(self, timing: Timing, size: int = MAX_CHARACTERS) -> None:
        self._timing = timing
        self._size = size
        self._waiting = bytearray()
        self._since: Optional[float] = None
        """When the first of the waiting characters came."""
        self._sent: Optional[_Sent] = None
        self._sequence = 0
        self._hold = 0.0
        """No new packet before: the other side had no room."""
        self._paused = False
        self._last = 0
        self._last_count = 0
        """The packet received last, and how many of its characters were taken: a repeated one is answered so."""
        self._answers: List[bytes] = []

    @property
    def backlog(self) -> int:
        """Characters that are not acknowledged yet."""
        return len(self._waiting) + (len(self._sent.characters) if self._sent else 0)

    def undelivered(self) -> bytes:
        """Those characters, for who comes next."""
        return (self._sent.characters if self._sent else b"") + bytes(self._waiting)

    def put(self, characters: bytes, now: float) -> None:
        """Send these, sooner or later."""
        if characters and self._since is None:
            self._since = now
        self._waiting += characters

    def trim(self, limit: int) -> None:
        """Drop the oldest of what was not sent yet, beyond `limit` characters."""
        del self._waiting[: max(0, len(self._waiting) - limit)]

    def receive(self, packet: bytes, now: float, room: int = 1 << 16, status: int = 0) -> Received:
        """Take a packet of the other side. Never raises. `room` is how many characters can be passed on now,
        `status` goes with the acknowledgement."""
        if len(packet) < HEADER:
            return Received()
        sequence, acknowledged, count, control = packet[0] & 0x0F, packet[1] & 0x0F, packet[2], packet[3]
        if acknowledged:
            self._acknowledged(acknowledged, count, control, now)
        self._paused = bool(control & CTS_PAUSE)
        if not sequence:
            return Received(control=control & ~BREAK)
        # Of 15 numbers 7 lie ahead; what lies behind was on its way for long and is known already.
        if self._last and (sequence - self._last) % 15 not in range(1, 8):
            if sequence == self._last:
                self._answer(len(packet) - HEADER, status)
            return Received()
        characters = packet[HEADER:][: min(room, 0xFF)]
        self._last, self._last_count = sequence, len(characters)
        self._answer(len(packet) - HEADER, status)
        if control & FLUSH_TO_CONSOLE:
            self._waiting.clear()
        return Received(characters, control)

    def poll(self, now: float) -> List[bytes]:
        """The packets to send now."""
        packets, self._answers = self._answers, []
        sent = self._sent
        if sent is None and self._ready(now):
            sent = self._next(now)
        if sent is not None and sent.due <= now:
            wait = self._timing.interval if sent.tries < self._timing.retries else SLOW_RETRY
            sent.tries += 1
            sent.due = now + max(wait, 0.01)
            packets.append(bytes((sent.sequence, 0, 0, 0)) + sent.characters)
        return packets

    def due(self, now: float) -> Optional[float]:
        """When poll() has something to do next; None before anything happens."""
        if self._answers:
            return now
        if self._sent is not None:
            return self._sent.due
        if self._since is None or self._paused:
            return None
        full = len(self._waiting) >= self._timing.threshold
        return max(self._hold, self._since if full else self._since + self._timing.accumulate)

    def is_dead(self, now: float) -> bool:
        """Whether the other side has not acknowledged anything for too long."""
        return self._sent is not None and now - self._sent.first > DEAD_AFTER

    def _ready(self, now: float) -> bool:
        due = self.due(now)
        return bool(self._waiting) and due is not None and due <= now

    def _next(self, now: float) -> _Sent:
        self._sequence = self._sequence % 15 + 1
        self._sent = _Sent(self._sequence, bytes(self._waiting[: self._size]), now, due=now)
        del self._waiting[: self._size]
        self._since = now if self._waiting else None
        return self._sent

    def _acknowledged(self, sequence: int, count: int, control: int, now: float) -> None:
        sent = self._sent
        if sent is None or sequence != sent.sequence:
            return
        rest = sent.characters[count:]
        self._sent = None
        if rest:
            # The rest goes with a number of its own, as a new packet (15.11).
            self._waiting[:0] = rest
            self._since = now
        if control & NACK:
            self._hold = now + max(self._timing.interval, 0.01)

    def _answer(self, size: int, status: int) -> None:
        short = NACK if self._last_count < size else 0
        self._answers.append(bytes((0, self._last, self._last_count, status | short)))


def closing(status: int = DEACTIVATED) -> bytes:
    """The packet that tells a console that its payload was deactivated."""
    return bytes((0, 0, 0, status))
