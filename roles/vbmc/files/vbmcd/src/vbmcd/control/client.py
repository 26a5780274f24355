# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking the daemon over its control socket: one request, one reply.

Used by the CLI. A daemon that is not there is told at once from one that is slow.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Dict, Optional

from vbmcd.control import protocol
from vbmcd.errors import DaemonUnavailable, InvalidRequest
from vbmcd.paths import check_socket_path

DEFAULT_TIMEOUT = 60.0
"""Seconds; converging hundreds of instances on a busy host stays far below."""
_LOOK = 500
"""Milliseconds between looks whether the daemon still lives, while it works."""


class ControlClient:
    """The daemon behind one control socket."""

    def __init__(self, socket_path: Path, timeout: float = DEFAULT_TIMEOUT) -> None:
        """Raises InvalidRequest if no socket can have that path."""
        self.socket_path = check_socket_path(socket_path)
        self._timeout = timeout

    def is_listening(self) -> bool:
        """Whether something listens there. Raises DaemonUnavailable if this user may not know."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(1)
            try:
                probe.connect(os.fspath(self.socket_path))
            except PermissionError:
                raise DaemonUnavailable(
                    f"no access to the control socket {self.socket_path}: be root, or join the group vbmc"
                ) from None
            except socket.timeout:
                return True
            except OSError as error:
                # A full queue of connections is a listener's.
                return error.errno == errno.EAGAIN
        return True

    def request(self, command: str, arguments: Optional[Mapping[str, object]] = None) -> Dict[str, Any]:
        """The reply's result. Raises the reply's error, or DaemonUnavailable."""
        message = protocol.encode_request(command, arguments or {})
        if len(message) > protocol.MAX_MESSAGE:
            raise InvalidRequest(f"{command}: the request has {len(message)} bytes: ask for fewer instances at once")
        if not self.is_listening():
            raise DaemonUnavailable(
                f"no vbmcd answers on {self.socket_path}: start it, or name its socket with --socket"
            )
        return protocol.decode_reply(self._exchange(message))

    def _exchange(self, message: bytes) -> bytes:
        import zmq  # not needed, and slow to import, where there is no daemon

        context = zmq.Context()
        requester = context.socket(zmq.REQ)
        requester.setsockopt(zmq.LINGER, 0)
        requester.setsockopt(zmq.MAXMSGSIZE, protocol.MAX_MESSAGE)
        try:
            requester.connect(f"ipc://{self.socket_path}")
            requester.send(message)
            deadline = time.monotonic() + self._timeout
            while not requester.poll(_LOOK):
                if not self.is_listening():
                    # To answer may have been the last that it did, after the wait above.
                    if requester.poll(_LOOK):
                        break
                    raise DaemonUnavailable(
                        f"vbmcd on {self.socket_path} ended before it answered: see its log, and try again"
                    )
                if time.monotonic() >= deadline:
                    raise DaemonUnavailable(
                        f"vbmcd on {self.socket_path} has not answered for {self._timeout:g} seconds: see its log"
                    )
            reply: bytes = requester.recv()
            return reply
        except zmq.ZMQError as error:
            raise DaemonUnavailable(f"vbmcd on {self.socket_path} can't be asked: {error}: see its log") from error
        finally:
            context.destroy(linger=0)
