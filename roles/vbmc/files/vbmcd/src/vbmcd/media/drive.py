# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine's CD drive as a BMC's virtual medium: fetch, store, insert, eject, and remember what it was."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import tempfile
from dataclasses import asdict, dataclass
from typing import BinaryIO, Optional

from vbmcd.commands.bmc import Bmc
from vbmcd.machine.base import Busy, MachineError
from vbmcd.media.source import Source, local_path, pieces
from vbmcd.paths import escape

log = logging.getLogger(__name__)

RECORD = "media"
SPOOL = "/var/tmp"  # noqa: S108 - a file without a name; /tmp is often memory, and media are large


@dataclass(frozen=True)
class Inserted:
    """What was inserted."""

    uri: str
    path: str
    """Where it is, on the machine's host."""
    pool: str = ""
    volume: str = ""
    """The volume that goes with the medium; empty for a file that was there."""


class Drive:
    """A part of the Bmc. One change at a time."""

    def __init__(self, bmc: Bmc) -> None:
        self._bmc = bmc
        self._changing = False
        self._inserted = _from_bytes(bmc.kept.get(RECORD, b""))

    async def inserted(self) -> Optional[Inserted]:
        """What is in the drive, if it is what was inserted here. Raises MachineError, Unsupported without a drive."""
        path = await self._bmc.machine.medium()
        return self._inserted if self._inserted is not None and self._inserted.path == path else None

    async def insert(self, source: Source) -> None:
        """Fetch a medium and insert it, in place of what is there. Raises SourceError and MachineError."""
        self._begin()
        try:
            # Without a drive there is nothing to fetch anything for.
            await self._bmc.machine.medium()
            if source.scheme == "file":
                path = await asyncio.to_thread(local_path, source, self._bmc.instance.media)
                await self._change(Inserted(source.uri, path))
            else:
                await self._change(await self._fetch(source))
        finally:
            self._changing = False

    async def eject(self) -> None:
        """Have nothing in the drive, whoever inserted it. Raises MachineError."""
        self._begin()
        try:
            await self._eject()
        finally:
            self._changing = False

    def _begin(self) -> None:
        if self._changing:
            raise Busy("a medium is being inserted or ejected: try again when that is done")
        self._changing = True

    async def _eject(self) -> None:
        machine = self._bmc.machine
        if await machine.medium() is not None:
            await machine.change_medium(None)
        before = self._inserted
        if before is not None:
            await self._remember(None)
            await self._discard(before)

    async def _change(self, wanted: Inserted) -> None:
        before = self._inserted
        try:
            await self._bmc.machine.change_medium(wanted.path)
            await self._remember(wanted)
        except MachineError:
            await self._discard(wanted)
            raise
        if before is not None and before.path != wanted.path:
            await self._discard(before)

    async def _fetch(self, source: Source) -> Inserted:
        """Into a volume."""
        options = self._bmc.instance.media
        name = f"vbmcd-{escape(self._bmc.instance.name)}-{secrets.token_hex(4)}.iso"
        # Not all servers say how long it is, and a volume has to be of its size.
        with await asyncio.to_thread(_spool) as spool:
            async for piece in pieces(source, options, options.max_bytes):
                await asyncio.to_thread(spool.write, piece)
            size = spool.tell()
            spool.seek(0)
            path = await self._bmc.machine.store_medium(options.pool, name, spool, size)
        return Inserted(source.uri, path, options.pool, name)

    async def _discard(self, one: Inserted) -> None:
        if not one.volume:
            return
        try:
            await self._bmc.machine.discard_medium(one.pool, one.volume)
        except MachineError as error:
            log.warning("volume %r of pool %r could not be removed: %s", one.volume, one.pool, error)

    async def _remember(self, inserted: Optional[Inserted]) -> None:
        data = json.dumps(asdict(inserted)).encode() if inserted is not None else b"null"
        await self._bmc.remember(RECORD, data)
        self._inserted = inserted


def _spool() -> BinaryIO:
    file: BinaryIO = tempfile.TemporaryFile(dir=SPOOL)  # noqa: SIM115 - the caller's
    return file


def _from_bytes(data: bytes) -> Optional[Inserted]:
    try:
        known = json.loads(data)
        return Inserted(str(known["uri"]), str(known["path"]), str(known["pool"]), str(known["volume"]))
    except (ValueError, KeyError, TypeError):
        return None
