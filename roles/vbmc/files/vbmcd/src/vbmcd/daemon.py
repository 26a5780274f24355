# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ``vbmcd`` command: options, the lock, the spawner, and then the supervisor's loop."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import logging
import math
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Callable, List, Optional, Tuple

from vbmcd import __version__, log, paths, process
from vbmcd.errors import VbmcError
from vbmcd.store import Store
from vbmcd.supervisor.placement import Placement, parse_placement

if TYPE_CHECKING:
    from socket import socket as Socket

    from vbmcd.supervisor.spawner import Spawner
    from vbmcd.worker.wire import WorkerSpec

READY = b"1"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """The daemon's own settings; all come from the command line."""

    state_dir: Path
    socket: Path
    placement: Placement
    foreground: bool
    log_level: str
    boot_flag_timeout: float
    watch: Tuple[str, ...]
    release: str


def parse_options(arguments: Optional[List[str]] = None) -> Options:
    parser = argparse.ArgumentParser(prog="vbmcd", description="Virtual BMCs for libvirt domains.")
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("--foreground", action="store_true", help="stay in the foreground, log to stderr")
    parser.add_argument("--state-dir", type=Path, metavar="DIR", help=f"default: {paths.state_dir()}")
    parser.add_argument("--socket", type=Path, metavar="FILE", help=f"control socket; default: {paths.socket_path()}")
    parser.add_argument(
        "--workers", type=_placement, default="auto", metavar="N",
        help="auto (one a core, at most 4), a number, or instance (a process per BMC); default: auto",
    )  # fmt: skip
    parser.add_argument(
        "--boot-flag-timeout", type=_seconds, default=0.0, metavar="SECONDS",
        help="a boot device for the next start is forgotten after so long; 60 is a server's habit; default: 0, never",
    )  # fmt: skip
    parser.add_argument(
        "--watch", action="append", default=[], metavar="URI",
        help="follow domains that others depend on at this libvirt of QEMU's, as is done where an instance has its "
        "domain; may be given several times",
    )  # fmt: skip
    parser.add_argument(
        "--release", default="", metavar="TEXT",
        help="what `vbmc status` tells of where this daemon comes from; nothing to the daemon itself",
    )  # fmt: skip
    parser.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error"])
    given = parser.parse_args(arguments)
    return Options(
        state_dir=given.state_dir or paths.state_dir(),
        socket=given.socket or paths.socket_path(),
        placement=given.workers,
        foreground=given.foreground,
        log_level=given.log_level,
        boot_flag_timeout=given.boot_flag_timeout,
        watch=tuple(given.watch),
        release=given.release,
    )


def _placement(text: str) -> Placement:
    try:
        return parse_placement(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not auto, instance or a number from 1 to 64") from None


def _seconds(text: str) -> float:
    with suppress(ValueError):
        if 0 <= float(text) < math.inf:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds: give 0 or more")


def daemonize(log_file: Path) -> int:
    """Leave the terminal for `log_file`: two forks and a session between (setsid(2)).

    The first process stays until the daemon says through the returned descriptor that it is ready, or why not.
    """
    ready, told = os.pipe()
    if os.fork():
        os.close(told)
        said = os.read(ready, 4096)
        if said != READY:
            print(said.decode() or f"vbmcd: it ended at once: see {log_file}", file=sys.stderr, flush=True)
        os._exit(0 if said == READY else 1)
    os.close(ready)
    os.setsid()
    if os.fork():
        os._exit(0)
    log_to = os.open(log_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for standard in (1, 2):
        os.dup2(log_to, standard)
    return told


def tell_ready(told: int) -> None:
    os.write(told, READY)


def main(arguments: Optional[List[str]] = None) -> int:
    """Entry point. Returns when the daemon was told to stop; 1 when it can't start."""
    options = parse_options(arguments)
    log.configure(options.log_level)
    try:
        return start(options)
    except VbmcError as error:
        print(f"vbmcd: {error}", file=sys.stderr)
        return 1


def start(options: Options) -> int:
    """Take the lock, then serve. Raises VbmcError: another daemon has it, or a folder can't be used."""
    socket = Path(os.path.abspath(options.socket))
    paths.check_socket_path(paths.workers_socket(socket))
    store = Store(options.state_dir)
    store.lock(str(socket))
    if options.foreground:
        return serve(options, store, socket, lambda: None)
    told = daemonize(store.path / paths.LOG_FILE)
    store.lock(str(socket))
    try:
        return serve(options, store, socket, partial(tell_ready, told))
    except VbmcError as error:
        with suppress(OSError):  # the first process has gone once it was told 'ready'
            os.write(told, f"vbmcd: {error}".encode())
        raise


def serve(options: Options, store: Store, socket: Path, on_ready: Callable[[], None]) -> int:
    """Fork the spawner, then run the supervisor until it is told to stop."""
    # Imported this late so that a second daemon, which only says who is first, costs little.
    from vbmcd.rmcp.warm import warm_up
    from vbmcd.supervisor.spawner import Spawner

    process.set_name("vbmcd")
    process.raise_file_limit()
    warm_up()
    if store.has_redfish():
        # All workers share what the HTTP library takes then: 13 MB, instead of each its own.
        importlib.import_module("vbmcd.worker.web")
    spawner = Spawner(child_main(options), release=store.close)
    if not asyncio.run(_run(options, store, socket, spawner, on_ready)):
        # Without its spawner it can't start a worker again, nor fork another beside ZMQ's threads. So it
        # begins anew: same pid, same options, the instances from the state folder.
        logger.critical("the spawner died: vbmcd starts itself again")
        os.waitpid(spawner.pid, 0)
        os.execv(sys.executable, [sys.executable, "-m", "vbmcd.daemon", *sys.argv[1:], "--foreground"])
    return 0


def child_main(options: Options) -> Callable[[WorkerSpec, Socket], None]:
    """What the spawner runs in each process that it forks."""
    from vbmcd.supervisor.watchers import KIND
    from vbmcd.watcher.main import main as watcher_main
    from vbmcd.worker.main import main as worker_main

    def main(spec: WorkerSpec, channel: Socket) -> None:
        if spec.kind == KIND:
            watcher_main(spec, channel)
        else:
            worker_main(spec, channel, options.boot_flag_timeout)

    return main


async def _run(options: Options, store: Store, socket: Path, spawner: Spawner, on_ready: Callable[[], None]) -> bool:
    """False when the spawner was lost."""
    from vbmcd.supervisor.main import Supervisor

    supervisor = Supervisor(store, socket, options.placement, spawner, options.watch, options.release)
    await supervisor.run(on_ready)
    return not supervisor.spawner_lost


if __name__ == "__main__":
    sys.exit(main())
