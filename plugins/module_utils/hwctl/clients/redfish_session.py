# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A login to a Redfish service, and requests within it (DSP0266, 13.3)."""

from __future__ import annotations

import base64
from typing import Mapping, Optional

from ..deadline import Deadline
from ..errors import AuthFailed, HwctlError, Unsupported
from ..target import Target
from .http import Answer, HttpClient
from .redfish_answers import Document, at, document, path, refusal

ROOT = "/redfish/v1/"
CLOSE_TIMEOUT = 2.0


class RedfishSession:
    """By X-Auth-Token where the service has sessions and by Basic where not.

    Raises Unreachable, TlsFailed, AuthFailed or BadAnswer when it can't be had.
    """

    def __init__(self, target: Target, deadline: Deadline) -> None:
        self._target = target
        self.http = HttpClient(target, deadline)
        self._session: Optional[str] = None
        try:
            self.root = self._root()
            self._login()
        except HwctlError:
            self.close()
            raise

    def _root(self) -> Document:
        answer = self.http.request("GET", ROOT)
        if answer.status == 404:
            raise Unsupported(f"the BMC has no {ROOT}, so it speaks no Redfish there: check the port and the protocol")
        return document(answer, ROOT)

    def get(self, uri: str) -> Answer:
        return self.request("GET", uri)

    def read(self, uri: str) -> Document:
        """Raises what the service's answer means when it is not one with a document."""
        return document(self.get(uri), uri)

    def change(self, method: str, uri: str, wanted: Mapping[str, object], **headers: str) -> Answer:
        """Raises what the service's answer means when it is no success."""
        answer = self.request(method, uri, wanted, **headers)
        if not answer.ok:
            raise refusal(answer, uri)
        return answer

    def request(self, method: str, uri: str, wanted: Optional[Mapping[str, object]] = None, **headers: str) -> Answer:
        """A session that the service has ended, by a reboot or its idle time, is made anew: it did nothing then."""
        answer = self.http.request(method, uri, wanted, **headers)
        if answer.status != 401 or self._session is None:
            return answer
        self._session = None
        del self.http.headers["X-Auth-Token"]
        self._login()
        return self.http.request(method, uri, wanted, **headers)

    def close(self) -> None:
        """Raises nothing."""
        try:
            if self._session is not None:
                self.http.deadline = Deadline(CLOSE_TIMEOUT)  # a node whose time is over leaves no session behind
                self.http.request("DELETE", self._session)
        except HwctlError:
            pass  # the BMC ends a forgotten session by itself
        finally:
            self._session = None
            self.http.close()

    def _login(self) -> None:
        """SessionService where the root links one (DSP0266, 13.3.4), HTTP Basic otherwise."""
        target = self._target
        sessions = at(at(self.root, "Links"), "Sessions").get("@odata.id")
        if isinstance(sessions, str):
            credentials = {"UserName": target.username, "Password": target.password}
            answer = self.http.request("POST", sessions, credentials)
            token = answer.headers.get("x-auth-token")
            if answer.ok and token:
                self.http.headers["X-Auth-Token"] = token
                self._session = path(answer.headers.get("location", "")) or answer.json().get("@odata.id")
                return
            if answer.status in (400, 401, 403):
                raise AuthFailed(f"the BMC at {target.address} refused the login: check user name and password")
            if answer.status not in (404, 405, 501):
                raise refusal(answer, sessions)
        word = base64.b64encode(f"{target.username}:{target.password}".encode()).decode()
        self.http.headers["Authorization"] = f"Basic {word}"
