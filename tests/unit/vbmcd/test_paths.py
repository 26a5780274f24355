# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Paths: defaults, escaping of names, and the length of a unix socket's path."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vbmcd import paths
from vbmcd.errors import InvalidRequest

names = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=200)


@given(names)
def test_an_escaped_name_is_one_harmless_path_component(name: str) -> None:
    escaped = paths.escape(name)
    assert escaped.isascii() and escaped.isprintable()
    assert "/" not in escaped and not escaped.startswith(".")
    assert 0 < len(escaped) <= 160


@given(names, names)
def test_different_names_get_different_files(one: str, other: str) -> None:
    assert (paths.escape(one) == paths.escape(other)) is (one == other)


@given(names)
def test_a_name_comes_back_unless_it_was_shortened(name: str) -> None:
    escaped = paths.escape(name)
    assert paths.unescape(escaped) == (None if "~" in escaped else name)


@pytest.mark.parametrize(
    ("name", "escaped"),
    [
        ("node-01", "node-01"),
        ("..", "%2E."),
        (".", "%2E"),
        ("", "%"),
        ("../etc/passwd", "%2E.%2Fetc%2Fpasswd"),
        ("a b\n", "a%20b%0A"),
        ("~root", "%7Eroot"),
        ("lab.example", "lab.example"),
    ],
)
def test_escaping(name: str, escaped: str) -> None:
    assert paths.escape(name) == escaped


@pytest.mark.parametrize("file_name", ["a%62", "%FF", "", "%", "x~0"])
def test_a_file_name_that_no_name_escapes_to_has_no_name(file_name: str) -> None:
    assert paths.unescape(file_name) is None


def test_a_socket_path_that_fits_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert paths.check_socket_path(Path("control.sock")) == tmp_path / "control.sock"


def test_the_longest_socket_path_fits_and_one_byte_more_is_refused() -> None:
    longest = Path("/" + "x" * (paths.MAX_SOCKET_PATH - 1))
    assert paths.check_socket_path(longest) == longest
    with pytest.raises(InvalidRequest, match=r"108 bytes.*107.*--socket"):
        paths.check_socket_path(Path(f"{longest}x"))


def test_root_uses_the_systems_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert paths.state_dir({}) == Path("/var/lib/vbmcd")
    assert paths.socket_path({}) == Path("/run/vbmcd/control.sock")


def test_others_use_their_own_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("os.getuid", lambda: 1000)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert paths.state_dir({}) == tmp_path / ".local/state/vbmcd"
    assert paths.state_dir({"XDG_STATE_HOME": "/x"}) == Path("/x/vbmcd")
    assert paths.state_dir({"XDG_STATE_HOME": "relative"}) == tmp_path / ".local/state/vbmcd"
    assert paths.socket_path({"XDG_RUNTIME_DIR": "/run/user/1000"}) == Path("/run/user/1000/vbmcd/control.sock")
    assert paths.socket_path({}).parent.name == "vbmcd-1000"


def test_the_environment_names_the_socket() -> None:
    assert paths.socket_path({"VBMCD_SOCKET": "/a/b"}) == Path("/a/b")
    assert paths.client_socket_path({"VBMCD_SOCKET": "/a/b"}) == Path("/a/b")


def test_a_client_prefers_the_systems_socket_where_it_sees_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr(paths, "SYSTEM_SOCKET", tmp_path / "control.sock")
    monkeypatch.setattr(paths, "UNIT_FOLDERS", (tmp_path / "units",))
    own = {"XDG_RUNTIME_DIR": "/run/user/1000"}
    assert paths.client_socket_path(own) == Path("/run/user/1000/vbmcd/control.sock")
    (tmp_path / "control.sock").touch()
    assert paths.client_socket_path(own) == tmp_path / "control.sock"
    (tmp_path / "control.sock").unlink()
    (tmp_path / "units").mkdir()
    (tmp_path / "units" / "vbmcd.service").touch()
    assert paths.client_socket_path(own) == tmp_path / "control.sock"
