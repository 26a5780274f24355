# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A domain's serial console through a libvirt stream.

Each open console has a connection of its own, because a stream's data comes in libvirt's event thread, and one thread
at a time may call on a connection (libvirt_connection). Opening and closing block, so threads of their own do it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import xml.etree.ElementTree as ET
from contextlib import suppress
from typing import Any, Callable, Optional, Set, Tuple

import libvirt

from vbmcd.config import Connection
from vbmcd.machine import libvirt_events
from vbmcd.machine.libvirt_connection import ClientConnection

RETRY = 0.3
"""Seconds between attempts to open it: while the machine is off, say, or somebody else has its console."""
MAX_INPUT = 4096
CHUNK = 4096
_READ, _WRITE = libvirt.VIR_STREAM_EVENT_READABLE, libvirt.VIR_STREAM_EVENT_WRITABLE
_END = libvirt.VIR_STREAM_EVENT_ERROR | libvirt.VIR_STREAM_EVENT_HANGUP

_log = logging.getLogger(__name__)

_opening: Set[Tuple[Connection, str]] = set()
"""Consoles that a thread is about to open. With a libvirt daemon that hangs it hangs too, and has to be the only one:
clients come and go meanwhile."""


class LibvirtConsole:
    """Implements base.SerialConsole. Opens the stream, and again whenever it ends, until close()."""

    def __init__(self, settings: Connection, domain: str, on_output: Callable[[bytes], None]) -> None:
        self._settings = settings
        self._domain = domain
        self._on_output = on_output
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._stream: Optional[_Stream] = None
        self._early: Optional[bytearray] = bytearray()
        """What was typed before the first attempt to open it has ended, or during a break: each takes a moment."""
        self._breaking = False
        """A break is on its way: what is typed meanwhile waits in `_early`."""
        self._reported = ""
        libvirt_events.ensure_running()
        self._open()

    @property
    def connected(self) -> bool:
        return self._stream is not None or self._early is not None

    @property
    def room(self) -> int:
        if self._stream is not None and not self._breaking:
            return self._stream.room
        return max(0, MAX_INPUT - len(self._early)) if self._early is not None else 0

    def write(self, data: bytes) -> None:
        if self._early is not None:
            self._early += data
        elif self._stream is not None:
            self._stream.write(data)

    def send_break(self) -> None:
        """By QEMU's monitor, which libvirt notes in the domain's log: its streams carry characters alone."""
        if self._stream is None or self._breaking:
            return
        self._breaking, self._early = True, bytearray()
        threading.Thread(target=self._send_break, name="libvirt-console-break", daemon=True).start()

    def _send_break(self) -> None:
        try:
            send_break(self._settings, self._domain)
        except libvirt.libvirtError as error:
            _log.warning("the console of domain %r can't be given a break: %s", self._domain, error)
        self._tell(self._broke)

    def _broke(self) -> None:
        early, self._early, self._breaking = self._early, None, False
        if self._stream is not None and early:
            self._stream.write(bytes(early))

    def close(self) -> None:
        self._closed = True
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def _open(self) -> None:
        if self._closed:
            return
        if (self._settings, self._domain) in _opening:
            self._again()
            return
        _opening.add((self._settings, self._domain))
        try:
            threading.Thread(target=self._work, name="libvirt-console", daemon=True).start()
        except RuntimeError as error:
            _opening.discard((self._settings, self._domain))
            self._failed(str(error))

    def _work(self) -> None:
        try:
            stream = _Stream(self._settings, self._domain, self._output, self._ended)
        except libvirt.libvirtError as error:
            self._tell(self._failed, str(error))
        else:
            self._tell(self._opened, stream)
        finally:
            _opening.discard((self._settings, self._domain))

    def _opened(self, stream: _Stream) -> None:
        early, self._early = self._early, None
        if self._closed or stream.over:
            stream.close()
            self._again()
            return
        self._reported = ""
        self._stream = stream
        stream.start()
        if early:
            stream.write(bytes(early))

    def _failed(self, error: str) -> None:
        self._early = None
        if error != self._reported:
            _log.info("the console of domain %r can't be opened (%s); trying again", self._domain, error)
            self._reported = error
        self._again()

    def _again(self) -> None:
        if not self._closed:
            self._loop.call_later(RETRY, self._open)

    def _output(self, stream: _Stream, data: bytes) -> None:
        self._tell(self._received, stream, data)

    def _received(self, _stream: _Stream, data: bytes) -> None:
        if not self._closed:
            self._on_output(data)

    def _ended(self, stream: _Stream) -> None:
        self._tell(self._lost, stream)

    def _lost(self, stream: _Stream) -> None:
        if stream is self._stream:
            self._stream = None
            stream.close()
            self._again()

    def _tell(self, function: Callable[..., None], *args: Any) -> None:
        """Call it on the event loop, from a thread; a loop that has ended needs to know nothing any more."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *args)


def send_break(settings: Connection, domain: str) -> None:
    """Blocks. Raises libvirtError."""
    import libvirt_qemu  # only who sends a break needs it

    connection = ClientConnection(settings)
    try:
        found = connection.handle.lookupByName(domain)
        alias = ET.fromstring(found.XMLDesc(0)).find("devices/console/alias")
        if alias is not None:
            command = {"execute": "chardev-send-break", "arguments": {"id": f"char{alias.get('name')}"}}
            libvirt_qemu.qemuMonitorCommand(found, json.dumps(command), 0)
    finally:
        connection.close()


class _Stream:
    """An open stream. Made in a thread; data moves in libvirt's event thread."""

    def __init__(
        self,
        settings: Connection,
        domain: str,
        on_output: Callable[[_Stream, bytes], None],
        on_end: Callable[[_Stream], None],
    ) -> None:
        """Raises libvirtError."""
        self._on_output = on_output
        self._on_end = on_end
        self._lock = threading.Lock()
        self._input = bytearray()
        self._events = 0
        self.over = False
        self._connection = ClientConnection(settings)
        try:
            self._stream = self._connection.handle.newStream(libvirt.VIR_STREAM_NONBLOCK)
            self._connection.handle.lookupByName(domain).openConsole(None, self._stream, 0)
            self._stream.eventAddCallback(_END, _moved, self)
        except libvirt.libvirtError:
            self._connection.close()
            raise

    @property
    def room(self) -> int:
        return max(0, MAX_INPUT - len(self._input))

    def write(self, data: bytes) -> None:
        with self._lock:
            self._input += data
            self._watch(self._events | _WRITE)

    def start(self) -> None:
        """Output from now on."""
        with self._lock:
            self._watch(self._events | _READ)

    def close(self) -> None:
        """Give it up, in a thread: a frozen daemon may hold that up."""
        with self._lock:
            self.over = True
        threading.Thread(target=self._close, name="libvirt-console-close", daemon=True).start()

    def _close(self) -> None:
        with suppress(libvirt.libvirtError):
            self._stream.eventRemoveCallback()
        with suppress(libvirt.libvirtError):
            self._stream.abort()
        self._connection.close()

    def _watch(self, events: int) -> None:
        self._events = events
        if not self.over:
            with suppress(libvirt.libvirtError):
                self._stream.eventUpdateCallback(events | _END)

    def moved(self, events: int) -> None:
        """In libvirt's event thread. Neither call blocks."""
        with self._lock:
            if self.over:
                return
            try:
                alive = (not events & _READ or self._receive()) and (not events & _WRITE or self._send())
            except libvirt.libvirtError:
                alive = False
            # What is left to read comes before the end.
            if alive and (not events & _END or events & _READ):
                return
            self._watch(0)
            self.over = True
        self._on_end(self)

    def _receive(self) -> bool:
        data = self._stream.recv(CHUNK)
        if isinstance(data, int):
            return data == -2  # nothing there after all
        if data:
            self._on_output(self, data)
        return bool(data)

    def _send(self) -> bool:
        if self._input:
            count = self._stream.send(bytes(self._input))
            if count == -2:
                return True
            if count < 0:
                return False
            del self._input[:count]
        if not self._input:
            self._watch(self._events & ~_WRITE)
        return True


def _moved(_stream: Any, events: int, stream: _Stream) -> None:
    stream.moved(events)
