# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The control socket: requests of the CLI and of Ansible, one JSON object each, over ZMQ.

A message that is none gets an error and harms nothing. Who may open the socket file may do everything, so
the file is 0660 in a folder that root and the group ``vbmc`` can enter.
"""

from __future__ import annotations

import asyncio
import grp
import logging
import os
import socket
import stat
from contextlib import suppress
from pathlib import Path
from typing import Awaitable, Callable, Dict, List, Optional

import zmq
import zmq.asyncio

from vbmcd.background import Background
from vbmcd.control import protocol
from vbmcd.errors import StateError, VbmcError

log = logging.getLogger(__name__)

GROUP = "vbmc"
MODE = 0o660
CHECK_SECONDS = 2.0
"""Between two looks whether a socket's file is still there."""

Handle = Callable[[protocol.Request], Awaitable[Dict[str, object]]]


def prepare_folder(socket_path: Path) -> None:
    """Make the socket's folder, 0750 root:vbmc where there is that group. Raises StateError."""
    folder = socket_path.parent
    try:
        if folder.exists():
            return
        folder.mkdir(parents=True, mode=0o750)
        folder.chmod(0o750)
        give_to_group(folder)
    except OSError as error:
        raise StateError(
            f"can't make {folder} for the control socket: {error.strerror}: choose another with --socket"
        ) from error


def give_to_group(path: Path) -> None:
    """To the group of those who may control the daemon, where there is one and this user may."""
    try:
        os.chown(path, -1, grp.getgrnam(GROUP).gr_gid)
    except (KeyError, PermissionError):
        return


def bind_private(zmq_socket: zmq.asyncio.Socket, path: Path, mode: int) -> None:
    """Bind an ipc socket whose file never had more rights than `mode`, not even for a moment.

    A second bind on a path that is in use would take it over without an error. So who calls this holds the
    lock of the state folder, and here is looked for a daemon that has another state folder and the same socket.
    """
    if path.exists() and not stat.S_ISSOCK(path.stat().st_mode):
        raise StateError(f"{path} is in the way and is no socket: remove it, or choose another with --socket")
    if is_listening(path):
        raise StateError(f"another program listens on {path}: stop that one, or choose another with --socket")
    before = os.umask(0o777 & ~mode)
    try:
        zmq_socket.bind(f"ipc://{path}")
    except zmq.ZMQError as error:
        raise StateError(f"can't listen on {path}: {error.strerror}: choose another with --socket") from error
    finally:
        os.umask(before)


def is_listening(path: Path) -> bool:
    """Whether anybody listens on a unix socket; a file that a killed daemon left has no listener."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(os.fspath(path))
        except BlockingIOError:
            return True  # its queue of connections is full (unix(7))
        except OSError:
            return False
    return True


async def keep_bound(
    zmq_socket: zmq.asyncio.Socket, path: Path, mode: int, bound: Optional[Callable[[], None]] = None
) -> None:
    """Bind anew, for ever, whenever somebody has removed the socket's file; `bound` is called then."""
    while True:
        await asyncio.sleep(CHECK_SECONDS)
        if os.path.exists(path):  # noqa: ASYNC240 - /run is no disk that could be slow
            continue
        try:
            prepare_folder(path)
            # The listener of the removed file stays: to unbind it would remove the new file, a moment later.
            bind_private(zmq_socket, path, mode)
        except StateError as error:
            log.error(str(error))
        else:
            log.warning("somebody removed %s: it is there again", path)
            if bound is not None:
                bound()


class ControlServer:
    """Answers each request in a task of its own; `handle` decides what may run at once."""

    def __init__(self, path: Path, handle: Handle) -> None:
        self._path = path
        self._handle = handle
        self._tasks = Background()
        self._socket = zmq.asyncio.Context.instance().socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.LINGER, 200)
        self._socket.setsockopt(zmq.MAXMSGSIZE, protocol.MAX_MESSAGE)
        bind_private(self._socket, path, MODE)
        self._bound()

    def _bound(self) -> None:
        self._inode = self._path.stat().st_ino
        give_to_group(self._path)

    async def keep_bound(self) -> None:
        """Mend what a cleaner of /run or /tmp has done, for ever."""
        await keep_bound(self._socket, self._path, MODE, self._bound)

    async def serve(self) -> None:
        """For ever."""
        while True:
            frames = await self._socket.recv_multipart()
            self._tasks.start(self._answer(frames))

    async def _answer(self, frames: List[bytes]) -> None:
        # Client's identity, then an empty frame from REQ sockets, then the request.
        *envelope, raw = frames
        try:
            reply = protocol.encode_result(await self._handle(protocol.decode_request(raw)))
        except VbmcError as error:
            reply = protocol.encode_error(error)
        except Exception:
            log.exception("a control request failed by a mistake in the daemon")
            reply = protocol.encode_error(VbmcError("the daemon failed on this request: see its log"))
        await self._socket.send_multipart([*envelope, reply])

    async def finish(self) -> None:
        """Let the requests under way be answered, then close."""
        await self._tasks.drain(1)
        self._socket.close()
        # Not one that another daemon has made there since this one's was removed.
        with suppress(FileNotFoundError):
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()
