# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Control messages that are none, or ask for what may not be: each gets an error, and nothing is harmed."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import os
import socket
from collections.abc import Iterator

import pytest
import zmq

from rig.daemon import NO_MACHINE, ControlError, Vbmcd

REQUEST = {"version": 1, "command": "ping", "arguments": {}}

MALFORMED = {
    "empty": b"",
    "no JSON": b"\xff\xfe\x00",
    "half of one": b'{"version": 1, "command": ',
    "a list": b"[1, 2]",
    "null": b"null",
    "no command": b'{"version": 1}',
    "no version": b'{"command": "ping"}',
    "a version that is no number": json.dumps({**REQUEST, "version": "1"}).encode(),
    "a version to come": json.dumps({**REQUEST, "version": 2}).encode(),
    "an unknown command": json.dumps({**REQUEST, "command": "format"}).encode(),
    "a command that is a list": json.dumps({**REQUEST, "command": ["ping"]}).encode(),
    "arguments that are a list": json.dumps({**REQUEST, "arguments": []}).encode(),
    "too deep": b"[" * 100_000,
    "a number without end": b'{"version": 1' + b"0" * 10_000 + b"}",
    "not a number": b'{"version": NaN}',
    "names of numbers": json.dumps({**REQUEST, "command": "delete", "arguments": {"names": [1]}}).encode(),
    "no names": json.dumps({**REQUEST, "command": "start", "arguments": {}}).encode(),
    "an argument too many": json.dumps({**REQUEST, "command": "list", "arguments": {"name": ["a"]}}).encode(),
    "instances that are a word": json.dumps({**REQUEST, "command": "apply", "arguments": {"instances": "a"}}).encode(),
    "an instance that is a word": json.dumps(
        {**REQUEST, "command": "apply", "arguments": {"instances": ["a"]}}
    ).encode(),
    "an instance without a name": json.dumps(
        {**REQUEST, "command": "apply", "arguments": {"instances": [{}]}}
    ).encode(),
    "a name of half a character": b'{"version":1,"command":"delete","arguments":{"names":["\\ud800"]}}',
    "a port that is none": json.dumps(
        {**REQUEST, "command": "apply", "arguments": {"instances": [{"name": "x", "port": 99999}]}}
    ).encode(),
    "a purge of everybody": json.dumps(
        {**REQUEST, "command": "apply", "arguments": {"instances": [], "purge": True}}
    ).encode(),
}


@pytest.fixture(scope="module")
def target() -> Iterator[Vbmcd]:
    with Vbmcd() as daemon:
        daemon.serve("a", **NO_MACHINE)
        yield daemon
        assert "Traceback" not in daemon.log and "by a mistake" not in daemon.log


@pytest.mark.parametrize("what", MALFORMED)
def test_a_message_that_is_none_gets_an_error_and_harms_nothing(target: Vbmcd, what: str) -> None:
    before = target.ask("list"), target.ask("ping")["pid"]
    (*_unused, raw) = target.ask_raw(MALFORMED[what])
    reply = json.loads(raw)
    assert reply["ok"] is False and reply["error"]["code"] in ("invalid", "not-found") and reply["error"]["message"]
    assert (target.ask("list"), target.ask("ping")["pid"]) == before


@pytest.mark.parametrize("name", ["..", ".", "../a", "/etc/passwd", "a/b", "%2e%2e", "~", "-rf", "é" * 90])
def test_an_odd_name_is_a_name_in_the_state_folder_or_none(target: Vbmcd, name: str) -> None:
    before = sorted(target.folder.rglob("*"))
    with contextlib.suppress(ControlError):
        target.apply({"name": name, "address": "127.0.0.1", **NO_MACHINE})
        assert target.status(name)["name"] == name
        assert len(list((target.state / "instances").iterdir())) == 2
        target.ask("delete", names=[name])
    assert sorted(target.folder.rglob("*")) == before
    assert target.status("a")["status"] == "running"


@pytest.mark.parametrize("name", ["", "a\0b", "a\nb", "x" * 1000])
def test_a_name_that_nobody_could_type_is_refused(target: Vbmcd, name: str) -> None:
    with pytest.raises(ControlError) as refused:
        target.apply({"name": name, **NO_MACHINE})
    assert refused.value.body["code"] == "invalid"


def test_frames_that_are_no_request_harm_nothing(target: Vbmcd) -> None:
    ping = json.dumps(REQUEST).encode()
    for frames in ([b""], [b"", b""], [b"", b"", b"", ping, b""], [ping, b"x"], [b"\0" * 300] * 50):
        with zmq.Context() as context, context.socket(zmq.DEALER) as dealer:
            dealer.linger = 0
            dealer.connect(f"ipc://{target.socket}")
            dealer.send_multipart(frames)
            assert dealer.poll(60_000) and not json.loads(dealer.recv_multipart()[-1])["ok"]
    with zmq.Context() as context, context.socket(zmq.PUB) as stranger:
        stranger.linger = 0
        stranger.connect(f"ipc://{target.socket}")
        stranger.send(ping)
    for rubbish in (b"", b"GET / HTTP/1.1\r\n\r\n", os.urandom(4096)):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as raw:
            raw.connect(str(target.socket))
            raw.sendall(rubbish)
    assert target.ask("ping")


def test_a_message_too_long_is_not_read(target: Vbmcd) -> None:
    with zmq.Context() as context, context.socket(zmq.DEALER) as dealer:
        dealer.linger = 0
        dealer.connect(f"ipc://{target.socket}")
        dealer.send_multipart([b"", b" " * (17 << 20)])
        assert target.ask("ping")
        assert not dealer.poll(100)


def test_many_requests_at_once_are_all_answered(target: Vbmcd) -> None:
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: target.ask("list")["instances"][0]["name"], range(80)))
    assert replies == ["a"] * 80
