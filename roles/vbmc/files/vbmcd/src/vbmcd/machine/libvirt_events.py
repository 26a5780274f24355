# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirt's event loop: one daemon thread a process, for events, close notices and answers to keepalive.

Started with the first link, so never in a process that still forks workers. The thread is shared by all
links; what it calls back hands over to the asyncio loop at once and never calls libvirt.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

import libvirt

_log = logging.getLogger(__name__)
_lock = threading.Lock()
_started = False


def ensure_running() -> None:
    """Start the thread if it does not run yet. Has to come before the first connection is opened."""
    global _started  # noqa: PLW0603 - libvirt has one event implementation a process, so one flag a process
    with _lock:
        if _started:
            return
        libvirt.registerErrorHandler(_ignore, None)
        libvirt.virEventRegisterDefaultImpl()
        threading.Thread(target=_run, name="libvirt-events", daemon=True).start()
        _started = True


def _run() -> None:
    while True:
        try:
            libvirt.virEventRunDefaultImpl()
        except libvirt.libvirtError:
            _log.exception("libvirt's event loop failed once; it goes on")


def _ignore(_context: Any, _error: Any) -> None:
    """libvirt prints every error to stderr otherwise, the ones that are handled too."""
