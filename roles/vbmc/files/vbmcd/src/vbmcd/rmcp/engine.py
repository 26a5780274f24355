# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The front of the protocol core: one BMC's logins and sessions (IPMI 2.0, 13.14 to 13.24).

Bytes and the time go in; a reply, a request to carry out, or nothing comes out. The worker owns the
socket and the clock. Sessions are keyed by the BMC's own session id, never by a console's address, so
that one console socket can talk to many BMCs and an address may change.
"""

from __future__ import annotations

import hmac
import os
from dataclasses import dataclass, replace
from typing import Callable, Dict, Iterable, List, NamedTuple, Optional, Tuple, Union

from vbmcd.config import DEFAULT_CIPHER_SUITES, MAX_PASSWORD, MAX_USERNAME, Privilege, User
from vbmcd.rmcp import packet
from vbmcd.rmcp.admission import Admission
from vbmcd.rmcp.errors import Malformed
from vbmcd.rmcp.handshake import (
    Exchange,
    OpenSessionRequest,
    Rakp1,
    Rakp3,
    Status,
    open_session_error,
    open_session_response,
    rakp_error,
)
from vbmcd.rmcp.logins import Failures, Login, Logins
from vbmcd.rmcp.message import Message
from vbmcd.rmcp.packet import Address
from vbmcd.rmcp.presence import RMCP_ASF, pong
from vbmcd.rmcp.session import Session
from vbmcd.rmcp.suites import CipherSuite, by_strength

SESSION_TIMEOUT = 60.0
"""Seconds without a packet after which a session ends (6.12.15)."""
MAX_SESSIONS = 64
LOGIN_DATAGRAMS = 4
"""What a login takes: Get Channel Authentication Capabilities, Open Session, RAKP 1 and RAKP 3."""


class Request(NamedTuple):
    """An IPMI message to carry out; `session` is None before a login. A tuple, as one is made for each datagram."""

    message: Message
    session: Optional[Session]
    framing_plus: bool = True
    """Whether it came in RMCP+ framing, which commands without a session may use as well (13.6)."""

    def reply(self, answer: bytes) -> bytes:
        """The datagram that carries `answer`: completion code and data."""
        message = self.message.reply(answer)
        if self.session is not None:
            return self.session.seal(packet.PAYLOAD_IPMI, message)
        if self.framing_plus:
            return packet.encode_plus(packet.PAYLOAD_IPMI, 0, 0, message)
        return packet.SessionlessMessage(message).encode()


@dataclass(frozen=True)
class SolPacket:
    """A Serial over LAN packet of a session (chapter 15), decrypted."""

    session: Session
    payload: bytes


class Engine:
    """The sessions of one BMC."""

    def __init__(
        self,
        users: Iterable[User],
        guid: bytes,
        random: Callable[[int], bytes] = os.urandom,
        kg: bytes = b"",
        suites: Iterable[int] = DEFAULT_CIPHER_SUITES,
    ) -> None:
        """`kg`: the BMC key that consoles have to know besides a password; empty for none.

        `suites`: the numbers of the cipher suites that are offered.
        """
        self.suites = by_strength(suites)
        self._users: Dict[bytes, User] = {user.name.encode(): user for user in users}
        self.guid = guid
        self._kg = kg
        self._random = random
        self._admission = Admission()
        self._logins = Logins()
        self._failures = Failures()
        self._sessions: Dict[int, Session] = {}
        self.on_failed_login: Optional[Callable[[Optional[User]], None]] = None
        """Told of each login as a user, or as nobody there is (None), that came to RAKP 2 and then to nothing."""

    @property
    def session_count(self) -> int:
        return len(self._sessions)

    @property
    def sessions(self) -> List[Session]:
        """Those that are active, in the order of their logins."""
        return list(self._sessions.values())

    def set_users(self, users: Iterable[User]) -> None:
        """Who may log in from now on. Sessions of whoever may not any more end, and so do logins under way."""
        self._users = {user.name.encode(): user for user in users}
        for session in self.sessions:
            if session.user.encode() not in self._users:
                self.close(session.id)
        for login in self._logins.begun():
            self._logins.pop(login.session_id)

    def rename(self, before: str, now: str) -> None:
        """A user has another name from now on. Its sessions go on; set_users() comes next."""
        for session in self.sessions:
            if session.user == before:
                session.user = now

    def receive(self, datagram: bytes, source: Address, now: float) -> Union[bytes, Request, SolPacket, None]:
        """A reply to send at once, a request to carry out or a packet for SOL, or None where nothing is to be answered.

        Never raises for whatever `datagram` holds. `now` is seconds of any steady clock.
        """
        try:
            if packet.names_session(datagram):
                return self._in_session(datagram, now)
            if not self._admission.admits(source, now):
                return None
            parsed = packet.parse(datagram)
            if isinstance(parsed, packet.SessionlessMessage):
                return Request(Message.parse(parsed.payload), None, framing_plus=False)
            return self._login_step(parsed, source, now)
        except Malformed:
            return pong(datagram) if datagram[3:4] == bytes((RMCP_ASF,)) else None

    def close(self, session_id: int) -> bool:
        """End a session and drop its keys; False when there is none of that id."""
        return self._sessions.pop(session_id, None) is not None

    def has(self, session: Session) -> bool:
        """Whether the session is still active."""
        return self._sessions.get(session.id) is session

    def close_all(self) -> None:
        """End all sessions, and the logins under way."""
        for session in self.sessions:
            self.close(session.id)
        self._logins.clear()

    def expire(self, now: float) -> None:
        """Drop what was idle for too long. Cheap; the worker calls it every few seconds."""
        for session in [s for s in self._sessions.values() if now - s.last_used > SESSION_TIMEOUT]:
            self.close(session.id)
        for login in self._logins.expire(now):
            self._given_up(login, now)
        self._failures.expire(now)
        self._admission.expire(now)

    def _given_up(self, login: Login, now: float) -> None:
        """A login that ended without a RAKP 3: a failure where the console got a RAKP 2."""
        if login.exchange is not None:
            self._login_failed(login, now)

    def _login_failed(self, login: Login, now: float) -> None:
        self._failures.note(login.source[0], now)
        if self.on_failed_login is not None:
            self.on_failed_login(login.user)

    def _in_session(self, datagram: bytes, now: float) -> Union[Request, SolPacket, None]:
        header = packet.parse_plus(datagram)
        session = self._sessions.get(header.session_id)
        if session is None or header.kind > packet.PAYLOAD_SOL:
            return None
        payload = session.open(datagram, header)
        message = Message.parse(payload) if header.kind == packet.PAYLOAD_IPMI else None
        session.last_used = now
        session.login_reply = None
        return SolPacket(session, payload) if message is None else Request(message, session)

    def _login_step(self, header: packet.PlusHeader, source: Address, now: float) -> Union[bytes, Request, None]:
        """Payloads of session id 0: the login, and commands that need none in RMCP+ framing."""
        if header.flags:
            return None
        if header.kind == packet.PAYLOAD_IPMI:
            return Request(Message.parse(header.payload), None)
        if header.kind == packet.PAYLOAD_OPEN_SESSION_REQUEST:
            reply: Optional[bytes] = self._open_session(OpenSessionRequest.parse(header.payload), source, now)
        elif header.kind == packet.PAYLOAD_RAKP1:
            reply = self._rakp1(Rakp1.parse(header.payload))
        elif header.kind == packet.PAYLOAD_RAKP3:
            reply = self._rakp3(Rakp3.parse(header.payload), source, now)
        else:
            reply = None
        # Each answer's payload type is the one after its request's (13.27.3).
        return packet.encode_plus(header.kind + 1, 0, 0, reply) if reply else None

    def _open_session(self, request: OpenSessionRequest, source: Address, now: float) -> bytes:
        suite = choose_suite(self.suites, request.proposal)
        if suite is None:
            return open_session_error(request, Status.NO_MATCHING_SUITE)
        if request.privilege > Privilege.ADMINISTRATOR:
            return open_session_error(request, Status.INVALID_ROLE)
        if not request.console_id:
            return open_session_error(request, Status.INVALID_SESSION_ID)
        if self._failures.too_many(source[0], now):
            return open_session_error(request, Status.INSUFFICIENT_RESOURCES)
        privilege = request.privilege or int(Privilege.ADMINISTRATOR)
        login = Login(self._new_id(), request.console_id, source, now, privilege, suite)
        crowded_out = self._logins.add(login)
        if crowded_out is not None:
            self._given_up(crowded_out, now)
        return open_session_response(request, login.session_id, privilege, suite)

    def _new_id(self) -> int:
        while True:
            session_id = int.from_bytes(self._random(4), "little")
            if session_id and session_id not in self._sessions and session_id not in self._logins:
                return session_id

    def _free_handle(self) -> int:
        used = {session.handle for session in self._sessions.values()}
        return next(handle for handle in range(1, MAX_SESSIONS + 1) if handle not in used)

    def _rakp1(self, rakp1: Rakp1) -> Optional[bytes]:
        login = self._logins.get(rakp1.session_id)
        if login is None:
            return None
        if rakp1.privilege > Privilege.ADMINISTRATOR or not rakp1.privilege:
            self._logins.pop(login.session_id)
            return rakp_error(rakp1.tag, Status.INVALID_ROLE, login.console_id)
        if len(rakp1.name) > MAX_USERNAME:
            self._logins.pop(login.session_id)
            return rakp_error(rakp1.tag, Status.INVALID_NAME_LENGTH, login.console_id)
        exchange = login.exchange
        if exchange is None or login.rakp1 is None or replace(rakp1, tag=login.rakp1.tag) != login.rakp1:
            exchange = self._begin_exchange(login, rakp1)
        # A RAKP 1 that was sent again gets the same RAKP 2, or the console's RAKP 3 would not match.
        return exchange.rakp2(rakp1.tag)

    def _begin_exchange(self, login: Login, rakp1: Rakp1) -> Exchange:
        user = self._users.get(rakp1.name)
        # An unknown user gets a RAKP 2 too, keyed with a secret of the moment: it reads like a wrong
        # password, and at once, where silence would leave the console waiting and tell who exists. The
        # secret is made in either case, so that the time tells nothing either.
        bmc_random, secret = self._random(16), self._random(MAX_PASSWORD)
        password = user.password.encode() if user else secret
        exchange = Exchange(
            suite=login.suite,
            console_id=login.console_id,
            session_id=login.session_id,
            console_random=rakp1.console_random,
            bmc_random=bmc_random,
            guid=self.guid,
            role=rakp1.role,
            name=rakp1.name,
            password=password,
            kg=self._kg,
        )
        self._logins.renew(login._replace(exchange=exchange, rakp1=rakp1, user=user))
        return exchange

    def _rakp3(self, rakp3: Rakp3, source: Address, now: float) -> Optional[bytes]:
        session = self._sessions.get(rakp3.session_id)
        if session is not None:
            return session.reply_to_repeated(rakp3.code)
        login = self._logins.get(rakp3.session_id)
        if login is None or login.exchange is None:
            return None
        self._logins.pop(login.session_id)
        if rakp3.status:
            # The console did not like RAKP 2's code: with another password than ours, or none of ours (13.22).
            self._login_failed(login, now)
            return None
        code_ok = hmac.compare_digest(rakp3.code, login.exchange.rakp3_code())
        if login.user is None or not code_ok:
            self._login_failed(login, now)
            return rakp_error(rakp3.tag, Status.INVALID_INTEGRITY_CHECK, login.console_id)
        wanted = min(login.exchange.role & 0x0F, login.privilege)
        if wanted > login.user.privilege:
            return rakp_error(rakp3.tag, Status.UNAUTHORIZED_ROLE, login.console_id)
        if len(self._sessions) >= MAX_SESSIONS:
            return rakp_error(rakp3.tag, Status.INSUFFICIENT_RESOURCES, login.console_id)
        self._admission.credit(source, LOGIN_DATAGRAMS)
        session = Session(login.exchange, login.user.name, Privilege(wanted), self._random)
        session.last_used = now
        session.source = source
        session.handle = self._free_handle()
        reply = login.exchange.rakp4(rakp3.tag)
        session.login_reply = (rakp3.code, reply)
        self._sessions[session.id] = session
        return reply


def choose_suite(
    suites: Iterable[CipherSuite], proposal: Tuple[Optional[int], Optional[int], Optional[int]]
) -> Optional[CipherSuite]:
    """The first of `suites` that the proposal allows; a null record allows any (13.17)."""
    for suite in suites:
        if all(asked is None or asked == has for asked, has in zip(proposal, suite.algorithms())):
            return suite
    return None
