# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may ask: sessions by token, basic authentication, and how often somebody may be wrong (DSP0266, 'Security').

The users are the instance's own, of whom IPMI may have changed one since: each request looks.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass, field
from typing import Callable, Dict, Optional

from vbmcd.commands.bmc import Bmc
from vbmcd.commands.users import note_failed_login
from vbmcd.config import User
from vbmcd.redfish.exchange import Login, Request
from vbmcd.redfish.messages import Failure, failure
from vbmcd.redfish.roles import LOGIN, privileges_of
from vbmcd.redfish.settings import Settings
from vbmcd.rmcp.logins import FORGET_SECONDS, Failures

MAX_SESSIONS = 64
MAX_SESSIONS_PER_USER = 32
"""Of one user, so that another can always log in."""
DEFAULT_TIMEOUT = 1800
MIN_TIMEOUT, MAX_TIMEOUT = 30, 86400
"""Seconds without a request after which a session ends (SessionService.SessionTimeout)."""

TOKEN = "x-auth-token"


@dataclass
class WebSession:
    """One session. Its token is known by its digest only."""

    id: str
    user: str
    password: str = field(repr=False)
    """As it was at the login: another password ends it."""
    source: str
    created: float
    """Seconds since 1970."""
    used: float
    """By the clock that never goes back."""


class Access:
    """The sessions of one BMC, and the failed logins: a part of the Bmc."""

    def __init__(self, bmc: Bmc, clock: Callable[[], float] = time.monotonic) -> None:
        self._bmc = bmc
        self._clock = clock
        self._by_digest: Dict[bytes, WebSession] = {}
        self.failures = Failures()

    @property
    def timeout(self) -> int:
        return self._bmc.part(Settings).number("SessionTimeout", DEFAULT_TIMEOUT)

    @property
    def sessions(self) -> Dict[str, WebSession]:
        """By id, the oldest first."""
        self.expire()
        return {session.id: session for session in self._by_digest.values()}

    def expire(self) -> None:
        """Forget who was idle for too long, and who may not log in any more."""
        now = self._clock()
        for digest, session in list(self._by_digest.items()):
            if now - session.used > self.timeout or self._user_of(session) is None:
                del self._by_digest[digest]
        self.failures.expire(now)

    def open(self, user: User, source: str) -> tuple[WebSession, str]:
        """A new session and its token. Raises Failure where there are too many."""
        self.expire()
        own = sum(session.user == user.name for session in self._by_digest.values())
        if len(self._by_digest) >= MAX_SESSIONS or own >= MAX_SESSIONS_PER_USER:
            raise failure(503, "SessionLimitExceeded", headers={"Retry-After": "30"})
        token = secrets.token_hex(24)
        session = WebSession(secrets.token_hex(5), user.name, user.password, source, time.time(), self._clock())
        self._by_digest[_digest(token)] = session
        return session, token

    def close(self, id: str) -> None:
        for digest, session in list(self._by_digest.items()):
            if session.id == id:
                del self._by_digest[digest]

    def follow(self, id: str, user: User) -> None:
        """The session changed its own user, and goes on."""
        for session in self._by_digest.values():
            if session.id == id:
                session.user, session.password = user.name, user.password

    def login_of(self, request: Request) -> Login:
        """Who asks. Raises Failure for nobody that there is."""
        token = request.headers.get(TOKEN)
        if token is not None:
            return self._by_token(token)
        basic = request.headers.get("authorization")
        if basic is not None:
            name, password = _credentials(basic)
            user = self.check(name, password, request.source)
            return Login(user, privileges_of(user.privilege))
        raise failure(401, "ResourceAtUriUnauthorized", request.path, "no user is given", headers=challenge())

    def _by_token(self, token: str) -> Login:
        digest = _digest(token)
        session = self._by_digest.get(digest)
        now = self._clock()
        user = self._user_of(session) if session is not None else None
        if session is None or user is None or now - session.used > self.timeout:
            self._by_digest.pop(digest, None)
            raise failure(401, "NoValidSession", headers=challenge())
        session.used = now
        return Login(user, privileges_of(user.privilege), session.id)

    def check(self, name: str, password: str, source: str) -> User:
        """The user of that name. Raises Failure for a wrong password, and for too many of them from one host."""
        now = self._clock()
        if self.failures.too_many(source, now):
            seconds = str(int(FORGET_SECONDS))
            raise failure(503, "ServiceTemporarilyUnavailable", seconds, headers={"Retry-After": seconds})
        user = self._find(name)
        # Compared all the same, so that the time tells nobody which users there are.
        wanted = user.password if user else secrets.token_hex(8)
        # JSON can name half a surrogate pair, which is no character and is wrong like any other password.
        good = hmac.compare_digest(wanted.encode(), password.encode("utf-8", "surrogatepass"))
        if user is None or not good or LOGIN not in privileges_of(user.privilege):
            self.failures.note(source, now)
            note_failed_login(self._bmc, user)
            raise failure(
                401, "ResourceAtUriUnauthorized", "/redfish/v1", "the credentials are not valid", headers=challenge()
            )
        return user

    def _find(self, name: str) -> Optional[User]:
        return next((user for user in self._bmc.instance.users if user.name == name), None)

    def _user_of(self, session: WebSession) -> Optional[User]:
        user = self._find(session.user)
        return user if user is not None and user.password == session.password else None


def challenge() -> Dict[str, str]:
    """The header of a 401 (RFC 9110, 11.6.1)."""
    return {"WWW-Authenticate": 'Basic realm="Redfish"'}


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def _credentials(header: str) -> tuple[str, str]:
    """Name and password of an Authorization header (RFC 7617). Raises Failure."""
    scheme, separator, encoded = header.partition(" ")
    try:
        if scheme.lower() != "basic":
            raise ValueError("another scheme")
        name, separator, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (ValueError, binascii.Error):
        separator = ""
    if not separator:
        refused: Failure = failure(401, "HeaderInvalid", "Authorization", headers=challenge())
        raise refused
    return name, password
