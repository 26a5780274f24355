# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A target's session over a long time: connected when it is asked, and at rest while it waits."""

from __future__ import annotations

import socket
import threading
from typing import Callable, Generator, List, Optional, Tuple, TypeVar

from ..clients import connect
from ..clients.base import Client
from ..clients.firmware import FirmwareCalls, Inventory
from ..clients.http import CONNECT_TIMEOUT
from ..deadline import Deadline
from ..errors import AuthFailed, Cancelled, HwctlError, TlsFailed, Unreachable
from ..target import Target
from .knock import Knock
from .pools import Pause, Wish

ATTEMPTS = 3
LOGINS = 4
"""Refused ones in a row that a BMC is asked while it boots. More could lock the user out."""

Answer = TypeVar("Answer")


class LongSession:
    """Of one target. Whatever waits is a generator for `pools`; whoever is called off is told at the next step."""

    def __init__(self, target: Target, deadline: Deadline, cancelled: threading.Event, poll: float) -> None:
        self.target = target
        self.deadline = deadline
        self._cancelled = cancelled
        self._poll = poll
        self._client: Optional[Client] = None
        self._refused = 0

    def check(self, step: str) -> None:
        """Raises TimedOut or Cancelled."""
        if self._cancelled.is_set():
            raise Cancelled(f"called off in {step}")
        self.deadline.check(step)

    def reached(self) -> Generator[Wish, None, None]:
        """Before a connection: wait for the BMC to take one, and hold no thread meanwhile. Raises HwctlError."""
        if self._client is not None:
            return
        address, port = self.target.address, self.target.port
        knock = Knock(_places(address, port), min(CONNECT_TIMEOUT, self.deadline.left))
        yield knock
        if knock.error:
            raise Unreachable(f"{address} port {port} does not answer: {knock.error}")

    def client(self) -> Client:
        """Connected. Raises HwctlError."""
        if self._client is None:
            self._client = connect(self.target, self.deadline)
        return self._client

    def calls(self) -> FirmwareCalls:
        return self.client().firmware()

    def leave(self) -> None:
        """The BMC reboots, or broke off: what it knew of us is gone, and it may have other addresses afterwards."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def pause(self, seconds: float, step: str) -> Generator[Pause, None, None]:
        """Wait, with no connection held."""
        self.check(step)
        if self._client is not None:
            self._client.rest()
        yield Pause(min(seconds, self.deadline.left))
        self.check(step)

    def reading(self, read: Callable[[], Answer], step: str) -> Generator[Wish, None, Answer]:
        """What `read` returns, tried again where that may help."""
        for attempt in range(ATTEMPTS - 1):
            try:
                yield from self.reached()
                return read()
            except HwctlError as error:
                if not error.safe_to_retry:
                    raise
                self.leave()
                wait = max(error.retry_after, self._poll * (attempt + 1) / 2)
            yield from self.pause(wait, step)
        yield from self.reached()
        return read()

    def inventory(self, step: str) -> Generator[Wish, None, Inventory]:
        found = yield from self.reading(lambda: self.calls().inventory(), step)
        return found

    def glance(self) -> Generator[Wish, None, Optional[Inventory]]:
        """The inventory of a BMC that may be booting; None where it can't be had just now.

        A service that starts refuses good passwords too, and lacks resources; but not for ever.
        """
        try:
            yield from self.reached()
            found = self.calls().inventory()
        except AuthFailed:
            self._refused += 1
            self.leave()
            if self._refused >= LOGINS:
                raise
            return None
        except TlsFailed:
            self.leave()
            raise
        except HwctlError:
            self.leave()
            return None
        self._refused = 0
        return found


def _places(address: str, port: int) -> List[Tuple[int, Tuple[object, ...]]]:
    """Where a name or an address leads. Raises Unreachable."""
    try:
        found = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise Unreachable(f"the name {address} can't be resolved: {reason}") from None
    return [(family, place) for family, _kind, _protocol, _name, place in found]
