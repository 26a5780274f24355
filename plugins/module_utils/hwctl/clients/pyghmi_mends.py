# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is mended of pyghmi 1.6 from outside, for `pyghmi_thread` alone. Another pyghmi is left as it is."""

from __future__ import annotations

import socket
from typing import Any, Dict, Optional

SLICE = 0.005
"""Seconds that pyghmi waits at most before it looks anew, see `_mend_waits`."""
SHA1 = 0x01
"""RAKP-HMAC-SHA1 (table 13-17)."""
SET_PRIVILEGE = 0x3B
LEVEL_REFUSED = (0x80, 0x81)
"""Completion codes of Set Session Privilege Level (22.18)."""
ADMINISTRATOR, OPERATOR = 4, 3


def mend(module: Any) -> None:
    """pyghmi's module `session`."""
    _mend_waits(module)
    _mend_login(module.Session)
    _mend_privilege(module)


def release(session: Any) -> None:
    """What pyghmi does itself after a call without callback: the next command may go."""
    session.incommand = False
    while session.evq:
        session.evq.popleft().set()


def _mend_waits(module: Any) -> None:
    """Keep it from waiting for a packet that it has.

    An answer that its reading thread takes before a wait begins wakes nobody. And when it sends, it makes the socket a
    blocking one. If its reading thread is about to read from that, it stands still.
    """
    wait, receive = getattr(module, "_io_wait", None), getattr(module, "_io_recvfrom", None)
    if wait is None or receive is None:
        return  # another pyghmi, which may need none of this

    def wait_briefly(timeout: float, myaddr: Any = None, evq: Any = None) -> None:
        if any(one.sockaddr == myaddr and one.pktqueue for one in list(module.sessionqueue)):
            return
        wait(min(timeout, SLICE), myaddr, evq)

    def receive_at_once(mysocket: Any, size: int) -> Optional[Any]:
        try:
            return mysocket.recvfrom(size, socket.MSG_DONTWAIT)
        except OSError:
            return None

    module._io_wait, module._io_recvfrom = wait_briefly, receive_at_once


def _mend_login(session: Any) -> None:
    """Have pyghmi's class `session` heed which algorithm a BMC chose (Open Session Response, 13.18).

    It asks for SHA-256. A BMC that knows SHA-1 alone may refuse, which pyghmi minds, or answer with what it knows, as
    VirtualBMC does.
    """
    opened = getattr(session, "_got_rmcp_response", None)
    if opened is None:
        return

    def heed(self: Any, data: Any) -> Any:
        chosen = data[16] if len(data) > 16 and data[0] == self.rmcptag and data[1] == 0 else None
        if chosen == SHA1 and self.attemptedhash == 256 and self.sessioncontext == "OPENSESSION":
            self.attemptedhash = 1
            return self._open_rmcpplus_request()
        return opened(self, data)

    session._got_rmcp_response = heed


def _mend_privilege(module: Any) -> None:
    """Have it ask for its privilege level (22.18), which ends a login, without waiting for the answer.

    It does so in the one thread: a BMC that falls silent there makes all others wait for up to 40 s. Nor does it log in
    anew by itself any more where a session falls silent later: it forgets then whom to tell.
    """
    session, describe = module.Session, getattr(module, "get_ipmi_error", None)
    if not hasattr(session, "_req_priv_level") or describe is None:
        return

    def ask(self: Any) -> None:
        def answered(answer: Dict[str, Any]) -> None:
            release(self)
            if answer.get("code") in LEVEL_REFUSED and self.privlevel == ADMINISTRATOR:
                self.privlevel = OPERATOR
                self.raw_command(netfn=6, command=SET_PRIVILEGE, data=[OPERATOR], callback=answered)
                return
            self.logging = False
            if answer.get("code"):
                self.logged = 0
                suffix = "" if "error" in answer else f" while asking for privilege level {self.privlevel}"
                self.onlogon({"error": describe(answer, suffix=suffix)})
            else:
                self.onlogon({"success": True})

        self.logged, self.logoutexpiry = 1, None
        self.maxtimeout, self.logontries = 4, 0
        self.raw_command(netfn=6, command=SET_PRIVILEGE, data=[self.privlevel], callback=answered)

    session._req_priv_level = ask
