# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine's CD drive as a BMC's virtual medium: fetch, store, insert, eject, and remember what it was."""

from __future__ import annotations

import asyncio
import logging
import secrets
import tempfile
from typing import BinaryIO, Optional

from vbmcd.commands.bmc import Bmc
from vbmcd.machine.base import Busy, MachineError, WrongState
from vbmcd.media.options import MediaOptions
from vbmcd.media.record import RECORD, Inserted, from_bytes, to_bytes
from vbmcd.media.source import Source, local_path, pieces
from vbmcd.paths import escape

log = logging.getLogger(__name__)

SPOOL = "/var/tmp"  # noqa: S108 - a file without a name; /tmp is often memory, and media are large


class Drive:
    """A part of the Bmc. One change at a time."""

    def __init__(self, bmc: Bmc) -> None:
        self._bmc = bmc
        self._changing = asyncio.Lock()
        self._download: Optional[asyncio.Future[int]] = None
        self._stopped = False
        self._inserted, self._left = from_bytes(bmc.kept.get(RECORD, b""))

    async def inserted(self) -> Optional[Inserted]:
        """What is in the drive, if it is what was inserted here. Raises MachineError, Unsupported without a drive."""
        path = await self._bmc.machine.medium()
        return self._inserted if self._inserted is not None and self._inserted.path == path else None

    async def insert(self, source: Source) -> None:
        """Fetch a medium and insert it, in place of what is there. Raises SourceError and MachineError."""
        if self._changing.locked():
            raise Busy("a medium is being inserted or ejected: try again when that is done")
        async with self._changing:
            # Without a drive there is nothing to fetch anything for.
            await self._bmc.machine.medium()
            # What is a file here is none at another host.
            if source.scheme == "file" and self._bmc.machine.host_run():
                path = await asyncio.to_thread(local_path, source, self._bmc.instance.media)
                await self._change(Inserted(source.uri, path))
            else:
                await self._change(await self._fetch(source))

    async def eject(self) -> None:
        """Have nothing in the drive, whoever inserted it; what is being downloaded for it ends. Raises MachineError."""
        self._end_download()
        async with self._changing:
            await self._change(None)

    def stop(self) -> None:
        """The BMC resets, or is served no more: nothing is inserted after that."""
        self._stopped = True
        self._end_download()

    def _end_download(self) -> None:
        if self._download is not None:
            self._download.cancel()

    async def _change(self, wanted: Optional[Inserted]) -> None:
        """Have it in the drive. Its volume, or that of what was there, goes: whichever is not in the drive then."""
        machine, before = self._bmc.machine, self._inserted
        if self._stopped:
            await self._tidy()
            raise Busy("the BMC resets: try again when it has")
        try:
            loaded = await machine.medium()
            if wanted is not None or loaded is not None:
                await machine.change_medium(wanted.path if wanted is not None else None)
            left = list(self._left)
            if before is not None and before.volume:
                left.append((before.pool, before.volume))
            try:
                await self._bmc.remember(RECORD, to_bytes(wanted, left))
            except Busy as error:
                if wanted is not None:
                    await machine.change_medium(loaded)
                    raise
                # What a record names that is behind is not in the drive, and that is looked at.
                log.warning("it could not be stored that the drive is empty: %s", error)
            self._inserted, self._left = wanted, left
        finally:
            await self._tidy()

    async def _fetch(self, source: Source) -> Inserted:
        """Into a volume."""
        options = self._bmc.instance.media
        name = f"vbmcd-{escape(self._bmc.instance.name)}-{secrets.token_hex(4)}.iso"
        # Not all servers say how long it is, and a volume has to be of its size.
        with await asyncio.to_thread(_spool) as spool:
            self._download = asyncio.ensure_future(_download(source, options, spool))
            try:
                size = await self._download
            except asyncio.CancelledError:
                if self._download.cancelled():
                    raise Busy("the drive was emptied, or the BMC has reset, while it was downloaded") from None
                raise
            finally:
                self._download = None
            # Known before it is there, so that it goes even if this worker ends meanwhile.
            self._left.append((options.pool, name))
            await self._bmc.remember(RECORD, to_bytes(self._inserted, self._left))
            path = await self._bmc.machine.store_medium(options.pool, name, spool, size)
        return Inserted(source.uri, path, options.pool, name)

    async def _tidy(self) -> None:
        """Remove the volumes that nothing needs any more."""
        kept = self._inserted.volume if self._inserted is not None else ""
        for pool, volume in tuple(self._left):
            try:
                if volume != kept:
                    await self._bmc.machine.discard_medium(pool, volume)
            except MachineError as error:
                log.warning("volume %r of pool %r could not be removed: %s", volume, pool, error)
            else:
                self._left.remove((pool, volume))


def _spool() -> BinaryIO:
    file: BinaryIO = tempfile.TemporaryFile(dir=SPOOL)  # noqa: SIM115 - the caller's
    return file


async def _download(source: Source, options: MediaOptions, spool: BinaryIO) -> int:
    """All of it into `spool`, which is at its beginning then; the number of bytes."""
    async for piece in pieces(source, options, options.max_bytes):
        try:
            await asyncio.to_thread(spool.write, piece)
        except OSError as error:
            raise WrongState(f"the daemon's host has no room for it in {SPOOL}: {error.strerror}") from None
    size = spool.tell()
    spool.seek(0)
    return size
