# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading VirtualBMC's folders."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vbmcd.documents import parse_specs
from vbmcd.errors import InvalidRequest
from vbmcd.virtualbmc import read_folder

# As VirtualBMC 3.3.0 writes it.
CONFIG = """[VirtualBMC]
username = admin
password = {password}
domain_name = {name}
libvirt_uri = qemu:///system
port = {port}
active = {active}
address = ::

"""


def add(folder: Path, name: str, port: int | str = 6230, active: bool = False, password: str = "secret") -> Path:
    path = folder / name / "config"
    path.parent.mkdir(parents=True)
    path.write_text(CONFIG.format(name=name, port=port, active=active, password=password))
    return path


def test_every_option_is_taken_over(tmp_path: Path) -> None:
    path = add(tmp_path, "node-01", active=True)
    with path.open("a") as config:
        config.write("libvirt_sasl_username = u\nlibvirt_sasl_password = p\n")
    found = read_folder(tmp_path)
    assert found.problems == []
    assert found.specs == [
        {
            "name": "node-01",
            "username": "admin",
            "password": "secret",
            "libvirt_uri": "qemu:///system",
            "libvirt_sasl_username": "u",
            "libvirt_sasl_password": "p",
            "port": 6230,
            "address": "::",
            "state": "started",
        }
    ]
    assert parse_specs(found.specs)


def test_one_that_is_down_stays_down(tmp_path: Path) -> None:
    add(tmp_path, "node-01")
    assert read_folder(tmp_path).specs[0]["state"] == "stopped"


def test_a_percent_sign_is_written_twice_by_virtualbmc(tmp_path: Path) -> None:
    add(tmp_path, "a", 1, password="50%% off")
    add(tmp_path, "b", 2, password="50% off")
    assert [spec["password"] for spec in read_folder(tmp_path).specs] == ["50% off", "50% off"]


def test_left_out_options_have_virtualbmcs_defaults(tmp_path: Path) -> None:
    (tmp_path / "node-01").mkdir()
    (tmp_path / "node-01" / "config").write_text("[VirtualBMC]\n")
    assert read_folder(tmp_path).specs == [{"name": "node-01", "port": 623, "state": "stopped"}]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "no section [VirtualBMC]"),
        ("password = secret\n", "no INI file"),
        ("[VirtualBMC]\nsecret\n", "no INI file"),
        ("[VirtualBMC]\nport = many\n", "port 'many' is not a number"),
        ("[VirtualBMC]\nport = 0\n", "port 0 is not a number"),
        ("[VirtualBMC]\npassword = secret-and-far-too-long\n", "password has 23 bytes"),
    ],
)
def test_one_that_is_unusable_is_told_and_the_others_are_read(tmp_path: Path, content: str, reason: str) -> None:
    add(tmp_path, "good")
    path = add(tmp_path, "bad", 1)
    path.write_text(content)
    found = read_folder(tmp_path)
    assert [spec["name"] for spec in found.specs] == ["good"]
    (problem,) = found.problems
    assert str(path) in problem and reason in problem
    assert "secret" not in problem


def test_bytes_that_are_no_text_are_told(tmp_path: Path) -> None:
    add(tmp_path, "bad").write_bytes(b"\xff\xfe")
    assert "no INI file" in read_folder(tmp_path).problems[0]


def test_a_folder_in_place_of_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "bad" / "config").mkdir(parents=True)
    assert "can't be read" in read_folder(tmp_path).problems[0]


def test_of_those_that_share_a_port_the_running_one_is_taken(tmp_path: Path) -> None:
    add(tmp_path, "a", 623)
    add(tmp_path, "b", 623, active=True)
    add(tmp_path, "c", 6230)
    found = read_folder(tmp_path)
    assert [spec["name"] for spec in found.specs] == ["b", "c"]
    (problem,) = found.problems
    assert "'b' has [::]:623 as well" in problem and os.path.join("a", "config") in problem


def test_other_files_there_are_ignored(tmp_path: Path) -> None:
    add(tmp_path, "node-01")
    (tmp_path / "master.pid").write_text("1")
    (tmp_path / "empty").mkdir()
    assert len(read_folder(tmp_path).specs) == 1


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="can't be read"):
        read_folder(tmp_path / "none")
