# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The logins of one BMC that are under way, and those that failed: how many of either a source may have.

Logins that succeed leave nothing here, however many they are. Too many under way never keep a new one out: the
oldest of the same port, of the same host, or of all makes room, so that who floods pushes out its own first.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Dict, Hashable, List, NamedTuple, Optional, Tuple

from vbmcd.config import User
from vbmcd.rmcp.handshake import Exchange, Rakp1
from vbmcd.rmcp.packet import Address
from vbmcd.rmcp.suites import CipherSuite

LOGIN_TIMEOUT = 20.0
"""Seconds that a login may take from Open Session to RAKP 3."""
MAX_LOGINS = 1024
MAX_LOGINS_PER_HOST = 256
MAX_LOGINS_PER_PORT = 16

MAX_FAILURES = 32
"""Failed logins that a host may have had lately; beyond that its next ones are refused."""
FORGET_SECONDS = 2.0
"""One failed login of a host is forgotten in this time."""
MAX_FAILED_HOSTS = 1024


class Login(NamedTuple):
    """A login between Open Session Request and RAKP 3."""

    session_id: int
    console_id: int
    source: Address
    started: float
    privilege: int
    suite: CipherSuite
    exchange: Optional[Exchange] = None
    rakp1: Optional[Rakp1] = None
    user: Optional[User] = None


class Logins:
    """Logins under way, by the session id that each is to get."""

    def __init__(self) -> None:
        self._all: OrderedDict[int, Login] = OrderedDict()
        self._of: Dict[Hashable, OrderedDict[int, None]] = {}
        """Their ids by port (an Address) and by host, the oldest first."""

    def __contains__(self, session_id: int) -> bool:
        return session_id in self._all

    def __len__(self) -> int:
        return len(self._all)

    def get(self, session_id: int) -> Optional[Login]:
        return self._all.get(session_id)

    def add(self, login: Login) -> Optional[Login]:
        """Note it, and give the one back that had to make room."""
        crowded = self._crowded_out(login.source)
        removed = self.pop(crowded) if crowded else None
        self._all[login.session_id] = login
        for key in (login.source, login.source[0]):
            self._of.setdefault(key, OrderedDict())[login.session_id] = None
        return removed

    def _crowded_out(self, source: Address) -> int:
        """The id of who has to make room for one more of `source`; 0 where nobody has to."""
        for key, limit in ((source, MAX_LOGINS_PER_PORT), (source[0], MAX_LOGINS_PER_HOST)):
            ids = self._of.get(key, ())
            if len(ids) >= limit:
                return next(iter(ids))
        return next(iter(self._all)) if len(self._all) >= MAX_LOGINS else 0

    def pop(self, session_id: int) -> Optional[Login]:
        """Forget it; None where there is no such one."""
        login = self._all.pop(session_id, None)
        if login is None:
            return None
        for key in (login.source, login.source[0]):
            ids = self._of[key]
            del ids[session_id]
            if not ids:
                del self._of[key]
        return login

    def renew(self, login: Login) -> None:
        """Put `login` in the place of that with its id, and behind all others of its host and of all: who has got this
        far has shown that its address is its own, and makes room last."""
        self._all[login.session_id] = login
        self._all.move_to_end(login.session_id)
        for key in (login.source, login.source[0]):
            self._of[key].move_to_end(login.session_id)

    def clear(self) -> None:
        self._all.clear()
        self._of.clear()

    def begun(self) -> List[Login]:
        """Those that have named a user."""
        return [login for login in self._all.values() if login.exchange is not None]

    def expire(self, now: float) -> List[Login]:
        """Forget the ones that take too long, and give them back."""
        late = [login for login in self._all.values() if now - login.started > LOGIN_TIMEOUT]
        for login in late:
            self.pop(login.session_id)
        return late


class Failures:
    """Failed logins by host: each fills a bucket, which leaks.

    A failure is a RAKP 3 with a wrong code or with a status, or none after the BMC's RAKP 2. A host that only forges
    another's address never gets so far, so it can't have the other refused.
    """

    def __init__(self) -> None:
        self._hosts: OrderedDict[str, Tuple[float, float]] = OrderedDict()
        """How many, and as of when."""

    def __len__(self) -> int:
        return len(self._hosts)

    def note(self, host: str, now: float) -> None:
        level = min(self._level(host, now) + 1, MAX_FAILURES)
        self._hosts[host] = (level, now)
        self._hosts.move_to_end(host)
        if len(self._hosts) > MAX_FAILED_HOSTS:
            self._hosts.popitem(last=False)

    def too_many(self, host: str, now: float) -> bool:
        """Whether no login of `host` is to be begun for now."""
        return host in self._hosts and self._level(host, now) > MAX_FAILURES - 1

    def _level(self, host: str, now: float) -> float:
        level, noted = self._hosts.get(host, (0.0, now))
        return max(0.0, level - (now - noted) / FORGET_SECONDS)

    def expire(self, now: float) -> None:
        """Forget hosts whose failures are all forgotten."""
        for host in [host for host in self._hosts if not self._level(host, now)]:
            del self._hosts[host]
