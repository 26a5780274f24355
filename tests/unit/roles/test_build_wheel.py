# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemon's wheel, as role vbmc builds it on the controller."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import Distribution, distributions
from pathlib import Path

import pytest

FILES = Path(__file__).resolve().parents[3] / "roles" / "vbmc" / "files"
CONSTRAINTS = FILES / "constraints.txt"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A copy of the daemon's source, to be changed."""
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    return Path(shutil.copytree(FILES / "vbmcd", tmp_path / "vbmcd", ignore=ignored))


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, FILES / "build_wheel.py", *arguments]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)


def pack(source: Path, folder: Path, *wheelhouse: Path) -> str:
    folder.mkdir()
    done = run(source, CONSTRAINTS, folder / "all.tar", *wheelhouse)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def wheel(folder: Path) -> Path:
    with tarfile.open(folder / "all.tar") as archive:
        archive.extractall(folder)
    [found] = folder.glob("*.whl")
    return found


def installed(folder: Path, target: Path) -> Distribution:
    """What pip makes of the wheel."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target"]
    subprocess.run([*map(str, pip), str(target), str(wheel(folder))], check=True)
    [found] = distributions(path=[str(target)])
    return found


def test_pip_installs_the_wheel_with_its_commands_and_its_needs(source: Path, tmp_path: Path) -> None:
    pack(source, tmp_path / "out")
    daemon = installed(tmp_path / "out", tmp_path / "target")
    assert daemon.name == "vbmcd"
    assert {point.name for point in daemon.entry_points} == {"vbmc", "vbmcd", "vbmcd-addresses"}
    assert "pyzmq>=24" in (daemon.requires or [])
    assert daemon.metadata["Requires-Python"] == ">=3.9"
    assert (tmp_path / "target" / "vbmcd" / "daemon.py").read_bytes() == (source / "src/vbmcd/daemon.py").read_bytes()


def test_the_record_holds_for_every_file(source: Path, tmp_path: Path) -> None:
    pack(source, tmp_path / "out")
    with zipfile.ZipFile(wheel(tmp_path / "out")) as archive:
        [record] = [name for name in archive.namelist() if name.endswith("/RECORD")]
        rows = [line.rsplit(",", 2) for line in archive.read(record).decode().splitlines()]
        assert {row[0] for row in rows} == set(archive.namelist())
        for name, checksum, size in rows:
            if name != record:
                digest = base64.urlsafe_b64encode(hashlib.sha256(archive.read(name)).digest()).decode().rstrip("=")
                assert (checksum, int(size)) == (f"sha256={digest}", len(archive.read(name)))


def test_the_same_source_makes_the_same_wheel(source: Path, tmp_path: Path) -> None:
    first = pack(source, tmp_path / "first")
    (source / "src" / "vbmcd" / "__pycache__").mkdir()
    (source / "src" / "vbmcd" / "__pycache__" / "daemon.cpython-311.pyc").write_bytes(b"")
    (source / "src" / "vbmcd.egg-info").mkdir()
    (source / "src" / "vbmcd.egg-info" / "PKG-INFO").write_text("")
    assert pack(source, tmp_path / "second") == first
    assert wheel(tmp_path / "first").read_bytes() == wheel(tmp_path / "second").read_bytes()


def test_another_source_makes_another_version(source: Path, tmp_path: Path) -> None:
    first = pack(source, tmp_path / "first")
    with (source / "src" / "vbmcd" / "paths.py").open("a") as file:
        file.write("# changed\n")
    assert pack(source, tmp_path / "second") != first
    assert wheel(tmp_path / "first").name != wheel(tmp_path / "second").name


def test_the_checksum_is_had_without_an_archive(source: Path, tmp_path: Path) -> None:
    told = run(source, CONSTRAINTS, "-").stdout.strip()
    assert not list(tmp_path.glob("*.tar"))
    assert told == pack(source, tmp_path / "out")


def test_wheels_for_a_host_without_an_index_come_along(source: Path, tmp_path: Path) -> None:
    (tmp_path / "house").mkdir()
    (tmp_path / "house" / "pyzmq-27.3.0-py3-none-any.whl").write_bytes(b"one")
    first = pack(source, tmp_path / "first", tmp_path / "house")
    with tarfile.open(tmp_path / "first" / "all.tar") as archive:
        names = {wheel(tmp_path / "first").name, "constraints.txt", "wheels/pyzmq-27.3.0-py3-none-any.whl"}
        assert set(archive.getnames()) == names
    (tmp_path / "house" / "pyzmq-27.3.0-py3-none-any.whl").write_bytes(b"two")
    assert pack(source, tmp_path / "second", tmp_path / "house") != first


def test_a_folder_without_wheels_is_refused_by_its_name(source: Path, tmp_path: Path) -> None:
    (tmp_path / "house").mkdir()
    done = run(source, CONSTRAINTS, tmp_path / "all.tar", tmp_path / "house")
    assert done.returncode != 0
    assert str(tmp_path / "house") in done.stderr
