# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The client of the control socket, against a fake daemon and against none."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import zmq

from rig.fake_daemon import FakeDaemon
from vbmcd.control.client import ControlClient
from vbmcd.errors import DaemonUnavailable, InvalidRequest, NotFound


@pytest.fixture
def path() -> Iterator[Path]:
    with TemporaryDirectory(dir="/tmp") as folder:  # a socket's path has to be short
        yield Path(folder) / "s"


def test_a_request_is_answered(path: Path) -> None:
    with FakeDaemon(path) as daemon:
        assert ControlClient(path).request("ping")["pid"] == 6
        assert daemon.requests == [("ping", {})]


def test_the_daemons_error_is_raised(path: Path) -> None:
    with FakeDaemon(path), pytest.raises(NotFound, match="No domain with matching name x was found") as caught:
        ControlClient(path).request("start", {"names": ["x"]})
    assert caught.value.instance == "x"


def test_a_client_can_ask_again(path: Path) -> None:
    client = ControlClient(path)
    with FakeDaemon(path):
        assert client.request("list") == client.request("list") == {"instances": []}


def test_a_missing_daemon_is_told_at_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ControlClient, "_exchange", lambda *_message: pytest.fail("it is waited for"))
    client = ControlClient(path)
    assert not client.is_listening()
    with pytest.raises(DaemonUnavailable, match=rf"no vbmcd answers on {path}: start it"):
        client.request("ping")


def test_a_dead_daemons_socket_is_told_at_once(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(os.fspath(path))
    assert path.exists()
    with pytest.raises(DaemonUnavailable, match="no vbmcd answers"):
        ControlClient(path).request("ping")


def test_a_daemon_that_does_not_answer_is_told_from_one_that_is_missing(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(os.fspath(path))
        silent.listen()
        with pytest.raises(DaemonUnavailable, match=r"has not answered for 0\.1 seconds"):
            ControlClient(path, timeout=0.1).request("ping")


def test_what_a_daemon_answers_just_before_it_ends_counts(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        router.bind(f"ipc://{path}")
        looks: list[bool] = []

        def answers_and_ends(_client: ControlClient) -> bool:
            """At the second look, which is after the first wait for the answer."""
            looks.append(not looks)
            if len(looks) == 2:
                *envelope, _request = router.recv_multipart()
                router.send_multipart([*envelope, b'{"version": 1, "ok": true, "result": {"instances": []}}'])
            return looks[-1]

        monkeypatch.setattr(ControlClient, "is_listening", answers_and_ends)
        assert ControlClient(path).request("list") == {"instances": []}


def test_a_daemon_that_ends_meanwhile_is_told_before_the_time_is_over(path: Path) -> None:
    script = (
        "import sys, zmq; router = zmq.Context().socket(zmq.ROUTER); router.bind('ipc://' + sys.argv[1])\n"
        "print('bound', flush=True); router.recv_multipart()"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE) as daemon:
        assert daemon.stdout is not None and daemon.stdout.readline()
        with pytest.raises(DaemonUnavailable, match="ended before it answered"):
            ControlClient(path).request("ping")


def test_no_access_says_what_to_do(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_self: socket.socket, _address: str) -> None:
        raise PermissionError

    # Nobody can refuse root, who may well run this.
    monkeypatch.setattr(socket.socket, "connect", refuse)
    with pytest.raises(DaemonUnavailable, match="be root, or join the group vbmc"):
        ControlClient(path).request("ping")


def test_something_else_on_the_socket_is_told(path: Path) -> None:
    with FakeDaemon(path) as daemon:
        daemon.answer = lambda _: b"hello"
        with pytest.raises(InvalidRequest, match="not JSON"):
            ControlClient(path).request("ping")


def test_a_path_that_no_socket_can_have_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="107"):
        ControlClient(Path("/" + "x" * 200))
