# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients that come and go at random: log in, ask some commands, and log out, or leave without a word."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from rig.console import CONTROL, DEVICE_ID, STATUS, Console, NoAnswer, Refused

READS: tuple[tuple[int, int, bytes], ...] = (
    (*STATUS, b""),
    (*DEVICE_ID, b""),
    (0x06, 0x37, b""),  # Get System GUID
    (0x06, 0x3D, b"\x00"),  # Get Session Info
    (0x0A, 0x20, b""),  # Get SDR Repository Info
    (0x0A, 0x40, b""),  # Get SEL Info
    (0x00, 0x09, b"\x05\x00\x00"),  # Get System Boot Options, the flags
    (0x0C, 0x02, b"\x01\x03\x00\x00"),  # Get LAN Configuration, the address
    (0x04, 0x2D, b"\x01"),  # Get Sensor Reading
)
CHANGES: tuple[tuple[int, int, bytes], ...] = (
    (0x00, 0x04, b"\x05"),  # Chassis Identify, 5 s
    (0x00, 0x08, b"\x05\x80\x04\x00\x00\x00"),  # Set System Boot Options: network, once
)
POWER = (b"\x01", b"\x00", b"\x03")
"""Chassis Control: on, off, reset."""

PAUSE = 0.05
"""Seconds between two commands of a visitor, on average."""
MOST_COMMANDS = 20
LEAVES, MISTYPES = 0.15, 0.03
"""How often a visitor goes without logging out, and how often it has a wrong password."""
AGAIN_SECONDS = 15.0
"""What a command may take in all when its session was lost: a new login, and the command once more."""


@dataclass
class Outcomes:
    """What became of everything that was asked, by all visitors."""

    sessions: int = 0
    answered: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    """Completion codes other than 00h."""
    again: int = 0
    """Commands that were answered in a second session, as the first was lost."""
    lost: Counter[str] = field(default_factory=Counter)
    """What was neither answered nor refused in time."""
    slowest: float = 0.0
    """Seconds from a command to its answer, a new login included."""

    @property
    def commands(self) -> int:
        return self.answered + sum(self.refused.values()) + sum(self.lost.values())


def log_in(console: Console) -> None:
    """Also when the BMC loses the new session at once, as its worker is killed. Raises NoAnswer or Refused."""
    deadline = time.monotonic() + AGAIN_SECONDS
    while True:
        try:
            console.login(timeout=deadline - time.monotonic())
        except NoAnswer:
            if time.monotonic() >= deadline:
                raise
        else:
            return


class Visitors:
    """So many at a time, each in a thread, at `ports`; power commands go to the first `switched` of them alone."""

    def __init__(self, count: int, ports: Sequence[int], switched: int, seed: int) -> None:
        self.outcomes = Outcomes()
        self._ports = ports
        self._switched = set(ports[:switched])
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._errors: list[BaseException] = []
        self._threads = [threading.Thread(target=self._run, args=(random.Random(seed + n),)) for n in range(count)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let each end its visit. Raises what one of them stumbled over."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        if self._errors:
            raise self._errors[0]

    def _run(self, dice: random.Random) -> None:
        try:
            while not self._stop.is_set():
                self._visit(dice, dice.choice(self._ports))
        except BaseException as error:  # noqa: BLE001 - told by stop()
            self._errors.append(error)

    def _visit(self, dice: random.Random, port: int) -> None:
        mistypes = dice.random() < MISTYPES
        with Console(port, password="wrong" if mistypes else "password", suite=dice.choice((3, 17))) as console:
            try:
                log_in(console)
            except Refused as refusal:
                if not mistypes:
                    self._note(lost=f"a login: {refusal}")
                return
            except NoAnswer:
                self._note(lost="a login")
                return
            with self._lock:
                self.outcomes.sessions += 1
            for _turn in range(dice.randrange(1, MOST_COMMANDS)):
                self._ask(console, *self._choose(dice, port))
                if self._stop.wait(dice.expovariate(1 / PAUSE)):
                    break
            if dice.random() >= LEAVES:
                self._ask(console, 0x06, 0x3C, console.packets.session_id.to_bytes(4, "little"))

    def _choose(self, dice: random.Random, port: int) -> tuple[int, int, bytes]:
        if port in self._switched and dice.random() < 0.2:
            return (*CONTROL, dice.choice(POWER))
        return dice.choice(CHANGES if dice.random() < 0.1 else READS)

    def _ask(self, console: Console, netfn: int, command: int, data: bytes) -> None:
        began = time.monotonic()
        again = False
        try:
            try:
                answer = console.request(netfn, command, data)
            except NoAnswer:
                again = True
                log_in(console)
                answer = console.request(netfn, command, data)
        except (NoAnswer, Refused) as error:
            self._note(lost=f"{netfn:02X}h/{command:02X}h: {error}")
            return
        self._note(answer, time.monotonic() - began, again)

    def _note(self, answer: bytes = b"", seconds: float = 0.0, again: bool = False, lost: str = "") -> None:
        outcomes = self.outcomes
        with self._lock:
            outcomes.slowest = max(outcomes.slowest, seconds)
            outcomes.again += again
            if lost:
                outcomes.lost[lost] += 1
            elif answer[0]:
                outcomes.refused[f"{answer[0]:02X}h"] += 1
            else:
                outcomes.answered += 1
