# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Opening and closing a libvirt connection: blocking functions for threads, called by libvirt_link.py alone."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Callable, Iterator, List, Optional, Tuple
from urllib.parse import urlsplit

import libvirt

from vbmcd.config import Connection
from vbmcd.machine.base import Power

OnEvent = Callable[[str, Optional[Power]], None]


@dataclass(frozen=True)
class DomainEvent:
    """What libvirt tells of a domain. `kind` is a virDomainEventType, or METADATA."""

    uuid: str
    name: str
    id: int
    """The domain's number then; -1 when it was off."""
    kind: int
    detail: int


METADATA = -1
"""A domain's metadata was changed, which is an event of its own kind in libvirt."""

OnDetail = Callable[[DomainEvent], None]

_SWITCHED = {libvirt.VIR_DOMAIN_EVENT_STARTED: True, libvirt.VIR_DOMAIN_EVENT_STOPPED: False}


class ClientConnection:
    """An open connection. One thread at a time may call on it.

    libvirt allows more, but its client (seen with 9.0) can lose the wake-up for a second thread's call while a
    first one waits, and frees memory that waiting threads still use when its keepalive gives up. So every
    thread has a connection of its own, and there is no keepalive: LibvirtLink asks for signs of life itself.
    """

    def __init__(self, settings: Connection) -> None:
        """Open it, which may block for as long as the peer likes. Raises libvirtError."""
        self.handle = _open(settings)

    def close(self) -> None:
        """Close it, which may block as well. No call may be in it: the binding frees it regardless."""
        with suppress(libvirt.libvirtError):
            self.handle.close()


class EventConnection(ClientConnection):
    """One that also tells of lifecycle events, and of its own end."""

    def __init__(
        self,
        settings: Connection,
        on_event: OnEvent,
        on_close: Callable[[], None],
        on_detail: Optional[OnDetail] = None,
    ) -> None:
        """`on_event` gets the name of each domain that has an event, and its power where that was switched;
        `on_detail` all that is told of it; `on_close` is called when the connection breaks; all in libvirt's event
        thread."""
        super().__init__(settings)
        self._callback = -1
        self._metadata_callback = -1
        try:
            # A driver may know neither. Without events nothing may be cached (follows_events).
            with _optional():
                self._callback = self.handle.domainEventRegisterAny(
                    None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, _lifecycle_event, (on_event, on_detail)
                )
            if on_detail is not None:
                with _optional():
                    self._metadata_callback = self.handle.domainEventRegisterAny(
                        None, libvirt.VIR_DOMAIN_EVENT_ID_METADATA_CHANGE, _metadata_event, on_detail
                    )
            with _optional():
                self.handle.registerCloseCallback(_closed, on_close)
        except libvirt.libvirtError:
            self.close()
            raise

    @property
    def follows_events(self) -> bool:
        return self._callback >= 0

    def close(self) -> None:
        for callback in (self._callback, self._metadata_callback):
            with suppress(libvirt.libvirtError):
                if callback >= 0:
                    self.handle.domainEventDeregisterAny(callback)
        with suppress(libvirt.libvirtError):
            self.handle.unregisterCloseCallback()
        super().close()


class Borrowed:
    """Another's connection, for a lane that is not to close it."""

    def __init__(self, handle: Any) -> None:
        self.handle = handle

    def close(self) -> None:
        """Left to the owner."""


def is_here(uri: str) -> bool:
    """Whether the driver's host is this one: the URI names no other."""
    return not urlsplit(uri).netloc


def in_process(uri: str) -> bool:
    """Whether the driver lives in this process (libvirt's test driver): then a second connection would see
    machines of its own, and one may be used by many threads."""
    return uri.partition(":")[0] == "test"


def is_alive(handle: Any) -> bool:
    """Whether the connection is up as far as this side knows; asks nothing of the peer."""
    try:
        return bool(handle.isAlive())
    except libvirt.libvirtError:
        return False


def _open(settings: Connection) -> Any:
    def answer(credentials: List[List[Any]], _data: object) -> int:
        for credential in credentials:
            if credential[0] == libvirt.VIR_CRED_AUTHNAME:
                credential[4] = settings.sasl_username
            elif credential[0] == libvirt.VIR_CRED_PASSPHRASE:
                credential[4] = settings.sasl_password
        return 0 if settings.sasl_username else -1

    kinds = [libvirt.VIR_CRED_AUTHNAME, libvirt.VIR_CRED_PASSPHRASE]
    return libvirt.openAuth(settings.uri, [kinds, answer, None], 0)


@contextmanager
def _optional() -> Iterator[None]:
    """Pass over what the driver does not support, and nothing else."""
    try:
        yield
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_SUPPORT:
            raise


def _lifecycle_event(
    _connection: Any, domain: Any, event: int, detail: int, tell: Tuple[OnEvent, Optional[OnDetail]]
) -> None:
    on_event, on_detail = tell
    on = _SWITCHED.get(event)
    on_event(domain.name(), None if on is None else Power(on, domain.ID(), domain.UUIDString()))
    if on_detail is not None:
        on_detail(DomainEvent(domain.UUIDString(), domain.name(), domain.ID(), event, detail))


def _metadata_event(_connection: Any, domain: Any, kind: int, _namespace: str, on_detail: OnDetail) -> None:
    on_detail(DomainEvent(domain.UUIDString(), domain.name(), domain.ID(), METADATA, kind))


def _closed(_connection: Any, _reason: int, on_close: Callable[[], None]) -> None:
    on_close()
