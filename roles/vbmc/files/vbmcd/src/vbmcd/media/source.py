# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetching what a client names by a URL, piece by piece, from where the options allow it and from nowhere else."""

from __future__ import annotations

import asyncio
import base64
import os
import stat
import time
from dataclasses import dataclass, field
from typing import AsyncIterator, Dict, Optional, Tuple
from urllib.parse import unquote, urljoin, urlsplit

from vbmcd.media.options import MediaOptions

CHUNK = 256 << 10
CONNECT_SECONDS = 10.0
STALL_SECONDS = 30.0
MIN_RATE = 16 << 10
"""Bytes a second, over the whole: who gives less would keep the drive busy for days."""
MAX_REDIRECTS = 5
MAX_URI = 2048


class SourceError(Exception):
    """It can't be fetched, or may not be; the message says why, and has no password in it."""


class NotAllowed(SourceError):
    """The options do not allow it."""


@dataclass(frozen=True)
class Source:
    """What to fetch."""

    uri: str
    username: str = ""
    password: str = field(default="", repr=False)

    @property
    def scheme(self) -> str:
        return urlsplit(self.uri).scheme.lower()


def source_of(uri: str, protocol: str = "", username: str = "", password: str = "") -> Source:
    """What a client means by its parameters; `protocol` is Redfish's TransferProtocolType. Raises SourceError."""
    scheme = protocol.lower()
    if "://" not in uri and scheme:
        uri = f"{scheme}://{uri}"
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise SourceError("that is no URL") from None
    if len(uri) > MAX_URI or not uri.isprintable() or not parts.scheme:
        raise SourceError("that is no URL")
    if scheme and scheme != parts.scheme.lower():
        raise SourceError(f"the URL is not one of {protocol}")
    if parts.username or parts.password:
        raise SourceError("give user and password beside the URL, and not in it")
    if (parts.scheme.lower() != "file" and not host) or port == 0:
        raise SourceError("the URL names no host")
    return Source(uri, username, password)


def local_path(source: Source, options: MediaOptions) -> str:
    """The path of a file that may be used. Raises SourceError; says nothing of files elsewhere."""
    parts = urlsplit(source.uri)
    if not options.folders or parts.netloc not in ("", "localhost"):
        raise NotAllowed("no files of the host may be used: name their folder in the instance's media.folders")
    named = unquote(parts.path)
    path = "" if "\0" in named else os.path.realpath(named)
    folders = [os.path.realpath(folder) for folder in options.folders]
    if not any(path.startswith(f"{folder}/") for folder in folders):
        raise NotAllowed(f"only files in {', '.join(options.folders)} may be used")
    try:
        found = os.stat(path)
    except OSError as error:
        raise SourceError(f"the file can't be used: {error.strerror}") from None
    if not stat.S_ISREG(found.st_mode):
        raise SourceError("that is not a file")
    if not found.st_size:
        raise SourceError("it is empty")
    return path


async def pieces(source: Source, options: MediaOptions, limit: int) -> AsyncIterator[bytes]:
    """The content, in pieces, `limit` bytes at most. Raises SourceError."""
    stream = _of_file(source, options) if source.scheme == "file" else _of_url(source, options, limit)
    size, began = 0, time.monotonic()
    async for piece in stream:
        size += len(piece)
        if size > limit:
            raise _too_large(limit)
        if time.monotonic() - began > STALL_SECONDS + size / MIN_RATE:
            raise SourceError("the server is too slow to wait for")
        yield piece
    if not size:
        raise SourceError("it is empty")


async def _of_file(source: Source, options: MediaOptions) -> AsyncIterator[bytes]:
    path = await asyncio.to_thread(local_path, source, options)
    try:
        with await asyncio.to_thread(open, path, "rb") as file:
            while piece := await asyncio.to_thread(file.read, CHUNK):
                yield piece
    except OSError as error:
        raise SourceError(f"the file can't be read: {error.strerror}") from None


async def _of_url(source: Source, options: MediaOptions, limit: int) -> AsyncIterator[bytes]:
    import aiohttp  # only where something is fetched

    times = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=STALL_SECONDS)
    connector = aiohttp.TCPConnector(ssl=None if options.verify else False)  # type: ignore[arg-type, unused-ignore]
    # The image as it is: a server may compress even what is no page, and say so in a header alone.
    plain = {"Accept-Encoding": "identity"}
    login = _login(source)
    try:
        async with aiohttp.ClientSession(connector=connector, timeout=times, auto_decompress=False) as session:
            uri = source.uri
            for _turn in range(MAX_REDIRECTS + 1):
                _check_scheme(uri, options)
                async with session.get(uri, headers={**plain, **login}, allow_redirects=False) as response:
                    redirected = _redirect(uri, response.status, response.headers.get("Location"))
                    if redirected is not None:
                        login = login if _origin(redirected) == _origin(uri) else {}
                        uri = redirected
                        continue
                    if response.status != 200:
                        raise SourceError(f"the server answers {response.status}")
                    _check_content(response.headers.get("Content-Encoding", "identity"), response.content_length, limit)
                    async for piece in response.content.iter_chunked(CHUNK):
                        yield piece
                    return
            raise SourceError("the server redirects without an end")
    except aiohttp.ClientConnectorCertificateError:
        remedy = (
            "have it signed by an authority that the daemon's host trusts, or set the instance's media.verify to false"
        )
        raise SourceError(f"the server's certificate can't be verified: {remedy}") from None
    except aiohttp.ClientConnectorError as error:
        number, words = error.os_error.errno or 0, error.os_error.strerror
        # Where its name is not known the number is none of the system's.
        raise SourceError(f"the server can't be reached: {os.strerror(number) if number > 0 else words}") from None
    except asyncio.TimeoutError:
        raise SourceError("the server does not answer, or has stopped to") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise SourceError(f"the server broke off, or speaks no HTTP: {type(error).__name__}") from None


def _check_content(encoding: str, length: Optional[int], limit: int) -> None:
    """Before any of it is read. Servers may lie about the length."""
    if encoding.lower() != "identity":
        raise SourceError(f"the server sends it in {encoding}, which was not asked for")
    if length is not None and length > limit:
        raise _too_large(limit)


def _too_large(limit: int) -> SourceError:
    return SourceError(f"it has more than {limit} bytes, and they are the most")


def _login(source: Source) -> Dict[str, str]:
    """The header of basic authentication (RFC 7617)."""
    if not source.username:
        return {}
    encoded = base64.b64encode(f"{source.username}:{source.password}".encode()).decode()
    return {"Authorization": f"Basic {encoded}"}


def _check_scheme(uri: str, options: MediaOptions) -> None:
    scheme = urlsplit(uri).scheme.lower()
    if scheme not in options.schemes:
        allowed = f"only {', '.join(options.schemes)}" if options.schemes else "no URLs"
        raise NotAllowed(f"{allowed} may be downloaded (the instance's media.schemes), and that is {scheme}")


def _redirect(uri: str, status: int, location: Optional[str]) -> Optional[str]:
    return urljoin(uri, location) if status in (301, 302, 303, 307, 308) and location else None


def _origin(uri: str) -> Tuple[str, str]:
    parts = urlsplit(uri)
    return parts.scheme, parts.netloc
