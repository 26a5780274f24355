# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A link to one libvirt daemon: a connection that is kept, watched and reopened in the background.

A worker keeps one link for each Connection (LinkPool counts its users). Everything but the blocking calls
themselves runs on the worker's event loop. libvirt objects stay in the threads that use them: to drop the
last reference to one may itself block on a frozen daemon.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
import weakref
from contextlib import suppress
from functools import partial
from typing import Any, Callable, Dict, Optional, Protocol, Type, TypeVar

import libvirt

from vbmcd.config import Connection
from vbmcd.machine import libvirt_events
from vbmcd.machine.base import Busy, Power
from vbmcd.machine.lanes import Lane, Overdue, Tool
from vbmcd.machine.libvirt_connection import (
    Borrowed,
    ClientConnection,
    DomainEvent,
    EventConnection,
    in_process,
    is_alive,
)
from vbmcd.machine.libvirt_errors import LoginRefused, translate, unreachable
from vbmcd.machine.libvirt_survey import Searcher, Survey, running

T = TypeVar("T")

READ_DEADLINE = 0.5
"""Seconds that a read may take. An IPMI client sends again after about one."""
ACTION_DEADLINE = 60.0
"""Seconds after which a power action counts as stuck; libvirt itself gives QEMU 30 s to start or to die."""
LIFE_SIGN = 0.5
"""Seconds for which an answer of libvirtd proves that it lives (LibvirtLink.check)."""

_READERS = 2
_ACTORS = 2
"""Threads, each with a connection of its own (ClientConnection says why). The first reader has the kept one;
the others come when there is more to do at once than one can, and go when there no longer is."""

_GIVE_UP = 8.0
"""Seconds without any answer after which a connection is replaced: its peer may have gone without a word."""
_MAX_ABANDONED = 2
"""So many replaced connections may have calls that have not come back; then the present one has to do."""

_BACKOFF = (0.2, 1.0)
"""First and longest pause between two attempts to connect, in seconds."""
_REFUSED_PAUSE = 15.0
"""The longest after a login that was refused: who gets it wrong too often may find the account locked. New
credentials in an instance's configuration open another link, which does not wait for this."""
_DOUBTS = (1.0, 5.0, 30.0)
"""Seconds after a connection came back at which nothing that was read since is believed any more. libvirtd that was
restarted calls a domain running until it has tried its QEMU, and sends no event when it finds that dead
(qemuProcessReconnect)."""
_PATIENCE = 30.0
"""An attempt that has taken this long gets another one beside it, up to _ATTEMPTS."""
_ATTEMPTS = 3

_log = logging.getLogger(__name__)


class Watcher(Searcher, Protocol):
    """Who wants to know that a domain may have changed (LibvirtMachine)."""

    def changed(self, power: Optional[Power] = None) -> None:
        """A lifecycle event of the domain, with its power if it started or stopped; or the connection was lost,
        and events will be missed: found() comes later."""


class Follower(Protocol):
    """Who follows all domains of a link (the dependency watcher). Called on the event loop."""

    def connected(self) -> None:
        """There is a connection (again). From now on no event is missed; what came before may be."""

    def happened(self, event: DomainEvent) -> None:
        """Something happened to a domain."""


class LibvirtLink:
    """How one worker reaches one libvirt daemon. Create and use it on the worker's event loop."""

    def __init__(self, connection: Connection, follower: Optional[Follower] = None, actors: int = _ACTORS) -> None:
        """`actors`: how many actions may be under way at a time."""
        self.uri = connection.uri
        self._follower = follower
        self._actors = actors
        self._settings = connection
        self._loop = asyncio.get_running_loop()
        self._watchers: Dict[str, weakref.WeakSet[Any]] = {}
        self._live: Optional[_Live] = None
        self._settled = asyncio.Event()
        """Set once the first attempt to connect has ended, one way or the other."""
        self._abandoned = 0
        libvirt_events.ensure_running()
        self._keeper = self._loop.create_task(self._keep())
        self._survey = Survey(partial(self.call, "", running))

    @property
    def settings(self) -> Connection:
        """How to reach it, for who needs a connection of his own."""
        return self._settings

    @property
    def connected(self) -> bool:
        return self._live is not None

    @property
    def follows_events(self) -> bool:
        """Whether watchers hear of changes now, so that what they cache holds until then."""
        return self._live is not None and self._live.opened is not None and self._live.opened.follows_events

    def watch(self, domain: str, watcher: Watcher) -> None:
        """Have `watcher` told of changes of `domain`, for as long as somebody else holds on to it."""
        self._watchers.setdefault(domain, weakref.WeakSet()).add(watcher)
        self._survey.add(domain, watcher)

    async def call(self, domain: str, function: Callable[..., T], *args: Any) -> T:
        """Read something: run `function(connection, *args)` in a thread, within READ_DEADLINE.

        `domain` is for messages, and tells a domain that hangs from a daemon that does. Raises Busy while
        libvirt is away or too slow, the MachineError for what libvirt refused, or what `function` raised.
        """
        return await self._read(await self._healthy(), domain, function, *args)

    async def act(self, domain: str, function: Callable[..., T], *args: Any) -> T:
        """The same for what may take its time, such as a power action: ACTION_DEADLINE from when it runs."""
        live = await self._healthy()
        job = self._guarded(live, domain, function, *args)
        return await live.actions.run(domain, job, deadline=ACTION_DEADLINE, patient=True)

    async def check(self) -> None:
        """Raise Busy unless libvirtd answered within the last LIFE_SIGN seconds, or answers now.

        For those who answer from a cache: a frozen daemon sends no event. However many ask, this costs
        libvirtd one trivial call every LIFE_SIGN seconds at most.
        """
        live = await self._healthy()
        asked = time.monotonic()
        if asked - live.answered < LIFE_SIGN:
            return
        await asyncio.wait({self._probe(live)})
        # However long ago that is by now: a worker that had to wait for a core says nothing of libvirtd.
        if live is not self._live or live.answered < asked:
            raise Busy(f"libvirt at {self.uri} does not answer")

    async def drain(self, timeout: float) -> None:
        """Let power actions that are under way end, but wait no longer than `timeout` seconds."""
        if self._live is not None:
            await self._live.actions.drain(timeout)

    def close(self) -> None:
        """Give the connection up for good, without waiting for anything."""
        self._keeper.cancel()
        self._survey.close()
        self._settled.set()
        live, self._live = self._live, None
        if live is not None:
            self._lost(live)
            live.reads.forget()
            live.actions.forget()

    async def _healthy(self) -> _Live:
        if not self._settled.is_set():
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._settled.wait(), READ_DEADLINE)
        live = self._live
        if live is None:
            raise Busy(f"libvirt at {self.uri} is away")
        if live.suspect:
            raise Busy(f"libvirt at {self.uri} does not answer")
        return live

    async def _read(self, live: _Live, domain: str, function: Callable[..., T], *args: Any) -> T:
        job = self._guarded(live, domain, function, *args)
        try:
            result = await live.reads.run(domain, job, deadline=READ_DEADLINE)
        except Overdue:
            # Is it this domain that hangs, or the daemon? Until the probe knows, everybody is refused.
            self._suspect(live)
            self._probe(live)
            raise
        live.answers()
        return result

    def _suspect(self, live: _Live) -> None:
        """Refuse everything until a call comes back, or replace the connection if none does."""
        if live.suspect:
            return
        live.suspect = True
        asked = time.monotonic()

        def give_up() -> None:
            if live.answered < asked and self._abandoned < _MAX_ABANDONED:
                self._lost(live)

        self._loop.call_later(_GIVE_UP, give_up)

    def _probe(self, live: _Live) -> asyncio.Task[None]:
        """Ask the daemon something trivial; one such question at a time."""
        if live.probe is None or live.probe.done():
            live.probe = self._loop.create_task(self._run_probe(live))
        return live.probe

    async def _run_probe(self, live: _Live) -> None:
        try:
            await live.reads.run("", self._guarded(live, "", _version), deadline=READ_DEADLINE)
        except Overdue:
            self._suspect(live)
        except Busy as reason:
            _log.debug("libvirt at %s could not be probed: %s", self.uri, reason)
        else:
            live.answers()

    def _guarded(self, live: _Live, domain: str, function: Callable[..., T], *args: Any) -> Callable[[Any], T]:
        """The call as its thread is to run it, with libvirt's errors translated there."""
        uri, loop, lost = self.uri, self._loop, self._lost

        def guarded(handle: Any) -> T:
            try:
                return function(handle, *args)
            except libvirt.libvirtError as error:
                alive = is_alive(handle)
                failure = translate(error, domain, uri, alive)
            if not alive:  # the close callback says so too, where the driver has one
                _tell(loop, lost, live)
            raise failure

        return guarded

    def _event(self, live: _Live, domain: str, power: Optional[Power]) -> None:
        live.answers()
        watchers = self._watchers.get(domain)
        if watchers is None:
            return
        for watcher in list(watchers):
            watcher.changed(power)
        if not watchers:
            del self._watchers[domain]

    async def _keep(self) -> None:
        """Connect, wait until the connection is lost, and so on until close()."""
        while True:
            live = await self._connect()
            if self._settled.is_set():  # it was away, and has come up
                for seconds in _DOUBTS:
                    self._loop.call_later(seconds, self._doubt, live)
            if not live.lost.is_set():
                self._live = live
                live.answers()
                self._settled.set()
                _log.info("connected to libvirt at %s", self.uri)
                if self._follower is not None:
                    self._follower.connected()
            await live.lost.wait()
            await asyncio.sleep(_jittered(_BACKOFF[0]))

    async def _connect(self) -> _Live:
        """Try until it works. A frozen daemon blocks an attempt for as long as it likes, in its own thread."""
        pause = _BACKOFF[0]
        reported: Optional[Type[BaseException]] = None
        attempts = {self._attempt()}
        try:
            while True:
                done, _pending = await asyncio.wait(attempts, timeout=_PATIENCE, return_when=asyncio.FIRST_COMPLETED)
                if done:
                    attempt = done.pop()
                    attempts.discard(attempt)
                    error = attempt.exception()
                    if error is None:
                        return attempt.result()
                    self._settled.set()
                    if error.__class__ is not reported:
                        _log.warning("%s; trying again until it works", error)
                        reported = error.__class__
                    await asyncio.sleep(_jittered(pause))
                    pause = min(pause * 2, _REFUSED_PAUSE if isinstance(error, LoginRefused) else _BACKOFF[1])
                if len(attempts) < _ATTEMPTS:
                    attempts.add(self._attempt())
        finally:
            for attempt in attempts:
                if not attempt.cancel() and attempt.exception() is None:
                    self._dispose(attempt.result())

    def _attempt(self) -> asyncio.Future[_Live]:
        """Open a connection in a thread of its own. Cancel the future to have it closed again."""
        loop, settings, event, lost = self._loop, self._settings, self._event, self._lost
        future: asyncio.Future[_Live] = loop.create_future()
        live = _Live(settings, self._actors)
        follower = self._follower

        def failed(error: Busy) -> None:
            if not future.cancelled():
                future.set_exception(error)

        def deliver(opened: EventConnection) -> None:
            live.opened = opened
            if future.cancelled() or live.lost.is_set():
                self._dispose(live)
            if not future.cancelled():
                future.set_result(live)

        def work() -> None:
            try:
                opened = EventConnection(
                    settings,
                    on_event=lambda domain, power: _tell(loop, event, live, domain, power),
                    on_close=lambda: _tell(loop, lost, live),
                    on_detail=None if follower is None else lambda event: _tell(loop, follower.happened, event),
                )
            except libvirt.libvirtError as error:
                _tell(loop, failed, unreachable(error, settings.uri))
            else:
                _tell(loop, deliver, opened)

        try:
            threading.Thread(target=work, name="libvirt-connect", daemon=True).start()
        except RuntimeError as error:  # a limit on processes or memory: a failed attempt like any other
            failed(Busy(f"libvirt at {settings.uri} is away: no thread to connect in ({error})"))
        return future

    def _lost(self, live: _Live) -> None:
        """The connection is gone: refuse its calls, forget what was cached, and let _keep() open another one."""
        if live.lost.is_set():
            return
        live.lost.set()
        self._dispose(live)
        if live is self._live:
            self._live = None
            _log.warning("lost the connection to libvirt at %s", self.uri)
        # Once is enough: while nothing is connected nothing can be read, so nothing is cached either.
        self._forget()

    def _doubt(self, live: _Live) -> None:
        if live is not self._live:
            return
        self._forget()
        if self._follower is not None:
            self._follower.connected()

    def _forget(self) -> None:
        """Have everything read again that is known of domains."""
        for domain, watchers in list(self._watchers.items()):
            for watcher in list(watchers):
                watcher.changed()
                self._survey.add(domain, watcher)

    def _dispose(self, live: _Live) -> None:
        """Refuse its calls, and close it in a thread of its own: calls that are stuck in it hold that up."""
        live.reads.close()
        live.actions.close()
        opened, loop, closed = live.opened, self._loop, self._closed
        if opened is None:
            return
        self._abandoned += 1

        def close() -> None:
            live.reads.join()  # no call may be left in the connection
            live.actions.join()
            opened.close()
            _tell(loop, closed)

        def start() -> None:
            try:
                threading.Thread(target=close, name="libvirt-close", daemon=True).start()
            except RuntimeError as error:  # a limit on processes or memory
                _log.debug("libvirt at %s: no thread to close a connection in yet (%s)", self.uri, error)
                loop.call_later(_BACKOFF[1], start)

        start()

    def _closed(self) -> None:
        self._abandoned -= 1


class _Live:
    """What goes with one kept connection and is replaced with it."""

    def __init__(self, settings: Connection, actors: int) -> None:
        self._settings = settings
        self.opened: Optional[EventConnection] = None
        """The kept connection; set before the first call."""
        name = f"libvirt at {settings.uri}"
        self.reads = Lane(name, [self._kept] + [self._another] * (_READERS - 1), self.answers)
        self.actions = Lane(name, [self._another] * actors, self.answers)
        self.lost = asyncio.Event()
        self.answered = 0.0
        """When (time.monotonic) libvirtd last showed a sign of life."""
        self.suspect = False
        """A read is overdue and nothing has come back since: everything is refused."""
        self.probe: Optional[asyncio.Task[None]] = None

    def _kept(self) -> Tool:
        assert self.opened is not None, "only a connection that is open gets calls"
        return Borrowed(self.opened.handle)

    def _another(self) -> Tool:
        if in_process(self._settings.uri):
            return self._kept()
        try:
            return ClientConnection(self._settings)
        except libvirt.libvirtError as error:
            raise unreachable(error, self._settings.uri) from None

    def answers(self) -> None:
        self.answered = time.monotonic()
        self.suspect = False


class LinkPool:
    """The links of a worker: one for each Connection, for as long as somebody uses it."""

    def __init__(self) -> None:
        self._links: Dict[Connection, LibvirtLink] = {}
        self._users: Dict[Connection, int] = {}

    def acquire(self, connection: Connection) -> LibvirtLink:
        """The link for `connection`, opened in the background if it is new. Pair it with release()."""
        if connection not in self._links:
            self._links[connection] = LibvirtLink(connection)
        self._users[connection] = self._users.get(connection, 0) + 1
        return self._links[connection]

    def release(self, connection: Connection) -> None:
        """Give one acquire() back; the last one closes the link."""
        self._users[connection] -= 1
        if self._users[connection] == 0:
            del self._users[connection]
            self._links.pop(connection).close()

    async def close(self, timeout: float = 0.8) -> None:
        """Close every link. Power actions under way get `timeout` seconds to end, stuck ones no more than that."""
        links, self._links, self._users = list(self._links.values()), {}, {}
        if links:
            await asyncio.wait({asyncio.ensure_future(link.drain(timeout)) for link in links})
        for link in links:
            link.close()


def _version(handle: Any) -> None:
    handle.getLibVersion()


def _jittered(seconds: float) -> float:
    """A bit less, at random, so that a thousand workers do not all come back in the same moment."""
    return seconds * random.uniform(0.6, 1.0)  # noqa: S311


def _tell(loop: asyncio.AbstractEventLoop, function: Callable[..., None], *args: Any) -> None:
    """Call `function` on the loop, from a thread; a loop that has ended needs to know nothing any more."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(function, *args)
