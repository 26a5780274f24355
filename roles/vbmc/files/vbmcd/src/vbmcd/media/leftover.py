# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What BMCs that were deleted had inserted: out of the drives, and the volumes removed. A process of its own.

The supervisor starts it (``supervisor.leftovers``), which has no connection to libvirt and may not wait for one. A BMC
that was stopped when it was deleted has no worker that could do it. Jobs come on standard input, since they hold
secrets; a line on standard output for each that failed.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from typing import Iterable, List

import libvirt

from vbmcd.config import Connection
from vbmcd.machine import libvirt_media
from vbmcd.machine.base import MachineError
from vbmcd.machine.libvirt_connection import ClientConnection
from vbmcd.machine.libvirt_errors import unreachable
from vbmcd.media.record import from_bytes


@dataclass(frozen=True)
class Job:
    """One BMC that is gone."""

    instance: str
    domain: str
    connection: Connection
    record: bytes = b""

    @property
    def needed(self) -> bool:
        """Whether there is anything to do."""
        inserted, left = from_bytes(self.record)
        return inserted is not None or bool(left)


def to_text(jobs: Iterable[Job]) -> str:
    return json.dumps(
        [[job.instance, job.domain, asdict(job.connection), job.record.decode(errors="replace")] for job in jobs]
    )


def from_text(text: str) -> List[Job]:
    return [
        Job(instance, domain, Connection(**connection), record.encode())
        for instance, domain, connection, record in json.loads(text)
    ]


def clear(job: Job) -> None:
    """Nothing is taken out that somebody else has put in meanwhile. Raises MachineError, and libvirtError."""
    inserted, left = from_bytes(job.record)
    if inserted is not None:
        _eject(job, inserted.path)
        left = [*left, (inserted.pool, inserted.volume)]
    for pool, volume in left:
        if volume:
            libvirt_media.discard(job.connection, pool, volume)


def _eject(job: Job, path: str) -> None:
    try:
        connection = ClientConnection(job.connection)
    except libvirt.libvirtError as error:
        raise unreachable(error, job.connection.uri) from error
    try:
        if libvirt_media.medium(connection.handle, job.domain) == path:
            libvirt_media.change_medium(connection.handle, job.domain, None)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
            raise
    finally:
        connection.close()


def main() -> None:
    libvirt.registerErrorHandler(lambda _context, _error: None, None)  # it would print
    for job in from_text(sys.stdin.read()):
        try:
            clear(job)
        except (MachineError, libvirt.libvirtError) as error:
            print(f"what {job.instance!r} had in the drive of domain {job.domain!r} stays: {error}", flush=True)


if __name__ == "__main__":
    main()
