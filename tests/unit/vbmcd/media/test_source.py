# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a BMC fetches for a client, and what it does not."""

from __future__ import annotations

import asyncio
import base64
import datetime
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest
import pytest_asyncio
from aiohttp import web

from rig.web_server import web_server
from vbmcd.config import Instance
from vbmcd.media.options import MediaOptions
from vbmcd.media.source import NotAllowed, Source, SourceError, pieces, source_of
from vbmcd.redfish.certificate import make

DATA = bytes(range(256)) * 4096
OPEN = MediaOptions()


async def serve(request: web.Request) -> web.StreamResponse:
    if request.path == "/loop":
        raise web.HTTPFound("/loop")
    if request.path == "/away":
        raise web.HTTPFound("/data")
    if request.path == "/file":
        raise web.HTTPFound("file:///etc/passwd")
    if request.path == "/private":
        login = "Basic " + base64.b64encode(b"me:secret").decode()
        return web.Response(body=DATA) if request.headers.get("Authorization") == login else web.Response(status=401)
    if request.path == "/encoded":
        return web.Response(body=DATA, headers={"Content-Encoding": "x-own"})
    if request.path == "/compressing":
        compressed = "gzip" in request.headers.get("Accept-Encoding", "")
        return web.Response(body=b"gzip" if compressed else DATA)
    if request.path == "/drip":
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x")
            await asyncio.sleep(0.01)
    if request.path == "/empty":
        return web.Response()
    if request.path == "/short":
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"x")
        assert request.transport is not None
        request.transport.abort()
        return response
    return web.Response(body=DATA) if request.path == "/data" else web.Response(status=404)


@pytest_asyncio.fixture
async def server() -> AsyncIterator[str]:
    async with web_server(serve) as url:
        yield url


async def fetch(source: Source, options: MediaOptions = OPEN, limit: int = 1 << 30) -> bytes:
    return b"".join([piece async for piece in pieces(source, options, limit)])


async def test_a_url_is_downloaded_through_redirects(server: str) -> None:
    assert await fetch(source_of(f"{server}/data")) == await fetch(source_of(f"{server}/away")) == DATA


async def test_user_and_password_are_given_to_the_server(server: str) -> None:
    assert await fetch(source_of(f"{server}/private", "", "me", "secret")) == DATA


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/none", "answers 404"),
        ("/private", "answers 401"),
        ("/loop", "without an end"),
        ("/short", "broke off"),
        ("/file", "that is file"),
        ("/empty", "is empty"),
        ("/encoded", "x-own"),
    ],
)
async def test_what_can_not_be_had_is_told(server: str, path: str, said: str) -> None:
    with pytest.raises(SourceError, match=said):
        await fetch(source_of(server + path))


async def test_nothing_is_compressed_on_the_way(server: str) -> None:
    assert await fetch(source_of(f"{server}/compressing")) == DATA


async def test_a_server_that_only_drips_is_not_waited_for(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # By this clock ten seconds pass with each look at it.
    monkeypatch.setattr("vbmcd.media.source.time", SimpleNamespace(monotonic=count(0, 10).__next__))
    with pytest.raises(SourceError, match="too slow"):
        await fetch(source_of(f"{server}/drip"))


async def test_what_is_said_to_be_too_large_is_not_begun(server: str) -> None:
    def never(*_bytes: object) -> None:
        raise AssertionError("something was read")

    taken = pieces(source_of(f"{server}/data"), OPEN, 1000)
    with pytest.raises(SourceError, match="more than 1000 bytes"):
        never(await taken.__anext__())


async def test_who_is_not_there_is_told() -> None:
    with pytest.raises(SourceError, match="can't be reached"):
        await fetch(source_of("http://127.0.0.1:1/x"))
    with pytest.raises(SourceError, match="Connection refused"):
        await fetch(source_of("http://127.0.0.1:1/x"))


async def test_a_certificate_that_nobody_signed_is_refused_unless_told_otherwise(tmp_path: Path) -> None:
    certificate = tmp_path / "server.pem"
    certificate.write_bytes(make(Instance("media", "media", 623, "127.0.0.1"), datetime.datetime.now(datetime.UTC)))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    runner = web.ServerRunner(web.Server(serve))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    source = source_of(f"https://127.0.0.1:{runner.addresses[0][1]}/data")
    with pytest.raises(SourceError, match=r"media\.verify"):
        await fetch(source)
    assert await fetch(source, replace(OPEN, verify=False)) == DATA
    await runner.cleanup()


async def test_no_more_is_taken_than_the_limit(server: str) -> None:
    with pytest.raises(SourceError, match="more than 1000 bytes"):
        await fetch(source_of(f"{server}/data"), limit=1000)


async def test_only_listed_schemes_are_downloaded(server: str) -> None:
    with pytest.raises(NotAllowed, match="only https may be downloaded"):
        await fetch(source_of(f"{server}/data"), replace(OPEN, schemes=("https",)))
    with pytest.raises(NotAllowed, match="no URLs"):
        await fetch(source_of("ftp://127.0.0.1/x"), replace(OPEN, schemes=()))


@pytest.mark.parametrize(
    ("uri", "protocol"),
    [
        ("", ""),
        ("x", ""),
        ("http://", ""),
        ("http://[::1", ""),
        ("http://h:99999/", ""),
        ("http://me:secret@h/x", ""),
        ("http://h/x", "HTTPS"),
        ("http://h/\r\nX: y", ""),
        ("http://h/" + "x" * 3000, ""),
    ],
)
def test_what_is_no_url_is_refused(uri: str, protocol: str) -> None:
    with pytest.raises(SourceError) as refused:
        source_of(uri, protocol)
    assert "secret" not in str(refused.value)


def test_a_protocol_may_stand_for_the_scheme() -> None:
    assert source_of("192.0.2.1/x.iso", "HTTP").uri == "http://192.0.2.1/x.iso"


async def test_files_of_listed_folders_are_used_and_no_others(tmp_path: Path) -> None:
    folder, other = tmp_path / "media", tmp_path / "media-other"
    for each in (folder, other):
        each.mkdir()
        (each / "a b.iso").write_bytes(DATA)
    (folder / "link").symlink_to(other / "a b.iso")
    (folder / "folder").mkdir()
    options = replace(OPEN, folders=(str(folder),))
    assert await fetch(source_of(f"file://{folder}/a%20b.iso"), options) == DATA
    assert await fetch(source_of(f"file://{folder}/../media/a%20b.iso"), options) == DATA
    for path in (
        f"{other}/a%20b.iso",
        f"{folder}/../media-other/a%20b.iso",
        f"{folder}/link",
        f"{folder}/a%00b.iso",
        "/etc/passwd",
        str(folder),
    ):
        with pytest.raises(NotAllowed, match="only files in"):
            await fetch(source_of(f"file://{path}"), options)
    (folder / "empty.iso").touch()
    for path in (f"{folder}/none", f"{folder}/folder", f"{folder}/empty.iso"):
        with pytest.raises(SourceError):
            await fetch(source_of(f"file://{path}"), options)
    with pytest.raises(NotAllowed, match="media.folders"):
        await fetch(source_of(f"file://{folder}/a%20b.iso"))
    with pytest.raises(NotAllowed):
        await fetch(source_of(f"file://elsewhere{folder}/a%20b.iso"), options)
