# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for any number of BMCs to take a connection, in one thread: one that is away costs a socket, and no thread.

Where hundreds are dead, or all reboot at once, those that live would otherwise wait for a thread behind them. Called by
`pools.py` with what `session.py` asks for.
"""

from __future__ import annotations

import errno
import os
import queue
import selectors
import socket
import threading
import time
from dataclasses import dataclass, field
from typing import Callable, Dict, Generic, List, Optional, Tuple, TypeVar

LOOK = 0.25
"""Seconds between two looks for those whose time is over."""

Who = TypeVar("Who")


@dataclass
class Knock:
    """Go on when one of the places takes a connection, or when none did in `seconds` each."""

    places: List[Tuple[int, Tuple[object, ...]]]
    """Family and address of sockets."""
    seconds: float
    error: str = field(default="", init=False)
    """Afterwards, why none did."""


class Knocker(Generic[Who]):
    """`done` is called with each one that was given, from the thread."""

    def __init__(self, done: Callable[[Who], None]) -> None:
        self._done = done
        self._new: queue.SimpleQueue[Optional[Tuple[Who, Knock]]] = queue.SimpleQueue()
        self._selector = selectors.DefaultSelector()
        self._open: Dict[socket.socket, Tuple[Who, Knock, float]] = {}
        self._bell, self._heard = socket.socketpair()
        self._heard.setblocking(False)
        self._selector.register(self._heard, selectors.EVENT_READ)
        self._hurried = False
        self._thread: Optional[threading.Thread] = None

    def give(self, who: Who, knock: Knock) -> None:
        self._new.put((who, knock))
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="hwctl-knock", daemon=True)
            self._thread.start()
        self._bell.send(b"!")

    def hurry(self) -> None:
        """Have all of them go on now."""
        self._hurried = True
        self._bell.send(b"!")

    def end(self) -> None:
        self._new.put(None)
        self._bell.send(b"!")
        if self._thread is None:
            self._close()

    def _serve(self) -> None:
        while True:
            # From before the look: who answers while this thread waits for a core was not late.
            now = time.monotonic()
            for key, _events in self._selector.select(LOOK if self._open else None):
                if key.fileobj is self._heard:
                    self._heard.recv(65536)
                elif isinstance(key.fileobj, socket.socket):
                    self._ended(key.fileobj, key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
            while not self._new.empty():
                given = self._new.get()
                if given is None:
                    return self._close()
                self._try(*given)
            for late in [one for one, (_who, _knock, end) in self._open.items() if end <= now or self._hurried]:
                self._ended(late, errno.ETIMEDOUT)

    def _try(self, who: Who, knock: Knock) -> None:
        """At the first place that is left."""
        if not knock.places or self._hurried:
            return self._done(who)
        family, address = knock.places.pop(0)
        try:
            attempt = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        except OSError as error:
            knock.error = str(error.strerror)
            return self._try(who, knock)
        found = attempt.connect_ex(address)
        self._open[attempt] = (who, knock, time.monotonic() + knock.seconds)
        self._selector.register(attempt, selectors.EVENT_WRITE)
        if found not in (0, errno.EINPROGRESS):
            self._ended(attempt, found)

    def _ended(self, attempt: socket.socket, found: int) -> None:
        who, knock, _end = self._open.pop(attempt)
        self._selector.unregister(attempt)
        attempt.close()
        knock.error = os.strerror(found) if found else ""
        if found:
            self._try(who, knock)
        else:
            self._done(who)

    def _close(self) -> None:
        for one in [*self._open, self._bell, self._heard]:
            one.close()
        self._selector.close()
