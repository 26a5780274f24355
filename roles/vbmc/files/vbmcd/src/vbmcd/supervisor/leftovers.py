# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Has another process tidy up after BMCs that were deleted with a medium in their drive (``media.leftover``)."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Sequence

from vbmcd.background import Background
from vbmcd.media.leftover import Job, to_text

log = logging.getLogger(__name__)

_running = Background()

WAIT_SECONDS = 3.0
"""How long a deletion waits for it, since who deletes a BMC often deletes its domain and its pool next."""
LIMIT_SECONDS = 60.0
"""A libvirtd that does not answer is not waited for longer."""


async def clear(jobs: Sequence[Job]) -> None:
    """Begin, and log what can't be done. Returns when it is done, or when it has taken its time."""
    jobs = [job for job in jobs if job.needed]
    if jobs:
        _running.start(_clear(to_text(jobs).encode()))
        await _running.drain(WAIT_SECONDS)


async def _clear(jobs: bytes) -> None:
    try:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "vbmcd.media.leftover", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
    except OSError as error:
        log.warning("volumes of virtual media may be left in libvirt's pools: %s", error)
        return
    try:
        said, _nothing = await asyncio.wait_for(child.communicate(jobs), LIMIT_SECONDS)
    except asyncio.TimeoutError:
        child.kill()
        await child.wait()
        said = b"libvirt does not answer: volumes of virtual media may be left in its pools"
    for line in said.decode(errors="replace").splitlines():
        log.warning(line)
