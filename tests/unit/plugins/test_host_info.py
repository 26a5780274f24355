# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module `host_info`: what it says of a host, and of what a host does not have."""

from __future__ import annotations

import hashlib
import json
import os
import pwd
import socket
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.baremetal.lab.plugins.module_utils import _host
from ansible_collections.baremetal.lab.plugins.module_utils._vbmc import VbmcClient
from ansible_collections.baremetal.lab.plugins.modules import host_info

ROOT = {"owner": pwd.getpwuid(os.getuid()).pw_name}


def ask(capsys: pytest.CaptureFixture[str], **options: Any) -> dict[str, Any]:
    with patch_module_args(options), pytest.raises(SystemExit):
        host_info.main()
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert not result.get("failed")
    assert not result.get("changed")
    return result


def host(folder: Path, os_release: str) -> Path:
    (folder / "etc").mkdir()
    (folder / "etc/os-release").write_text(os_release)
    return folder


def test_a_system_made_from_debian_counts_as_debian(tmp_path: Path) -> None:
    root = host(tmp_path, 'PRETTY_NAME="Ubuntu 24.04"\nID=ubuntu\nID_LIKE=debian\nVERSION_ID="24.04"\n')
    assert _host.system(str(root)) == {
        "name": "Ubuntu 24.04",
        "id": "ubuntu",
        "version": "24.04",
        "debian": True,
        "systemd": False,
    }


def test_another_system_is_told_by_its_name(tmp_path: Path) -> None:
    root = host(tmp_path, 'PRETTY_NAME="Fedora Linux 42"\nID=fedora\n')
    (root / "run/systemd/system").mkdir(parents=True)
    told = _host.system(str(root))
    assert (told["name"], told["debian"], told["systemd"]) == ("Fedora Linux 42", False, True)


def test_a_host_that_says_nothing_of_itself_is_no_debian(tmp_path: Path) -> None:
    assert _host.system(str(tmp_path))["debian"] is False


def test_files_are_told_as_they_are(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content")
    (tmp_path / "file").chmod(0o640)
    (tmp_path / "link").symlink_to("nowhere")
    paths = {name: str(tmp_path / name) for name in ("file", "link", "missing")}
    found = ask(capsys, files=[*paths.values(), "/dev/null", str(tmp_path)])["files"]
    assert found[paths["file"]].items() >= {**ROOT, "kind": "file", "mode": "0640", "target": None}.items()
    assert found[paths["file"]]["sha256"] == hashlib.sha256(b"content").hexdigest()
    assert found[paths["link"]].items() >= {"kind": "link", "target": "nowhere", "sha256": None}.items()
    assert set(found[paths["missing"]].values()) == {"absent", None}
    assert [found["/dev/null"]["kind"], found[str(tmp_path)]["kind"]] == ["device", "directory"]


def test_a_socket_is_one(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(path)
        assert ask(capsys, files=[path])["files"][path]["kind"] == "socket"


def test_packages_that_are_not_installed_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    found = ask(capsys, packages=["dpkg", "no-such-package"])
    assert found["missing_packages"] == ["no-such-package"]


def test_a_package_whose_files_are_gone_is_missing() -> None:
    def query(_command: list[str]) -> tuple[int, str, str]:
        return 0, "installed one\nconfig-files two\n", ""

    assert _host.missing_packages(query, ["one", "two"]) == ["two"]


def test_units_are_told_in_systemds_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def show(_command: list[str]) -> tuple[int, str, str]:
        first = "Id=a.service\nActiveState=active\nUnitFileState=enabled\nNeedDaemonReload=no\n"
        return 0, first + "\nId=b.service\nActiveState=inactive\nUnitFileState=\nNeedDaemonReload=yes\n", ""

    monkeypatch.setattr(_host, "_found", lambda program: True)
    assert _host.units(show, ["a.service", "b.service"]) == {
        "a.service": {"active": "active", "enabled": "enabled", "stale": False},
        "b.service": {"active": "inactive", "enabled": "", "stale": True},
    }


def test_without_systemd_units_have_no_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_host, "_found", lambda program: False)
    assert _host.units(None, ["a.service"]) == {"a.service": {"active": "", "enabled": "", "stale": False}}


def test_an_account_has_all_its_groups(capsys: pytest.CaptureFixture[str]) -> None:
    found = ask(capsys, user="root", groups=["root", "no-such-group"])
    assert "root" in found["user"]["groups"]
    assert found["user"]["home"] == "/root"
    assert found["groups"] == ["root"]


def test_an_account_that_there_is_not_is_null(capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(capsys, user="no-such-user")["user"] is None


def test_a_pool_is_told_of(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("libvirt", reason="the distribution's libvirt binding (python3-libvirt) is missing")
    there = {"libvirt": True, "defined": True, "active": True, "autostart": False}
    assert ask(capsys, pool="default-pool", uri="test:///default")["pool"] == there
    missing = {"libvirt": True, "defined": False, "active": False, "autostart": False}
    assert ask(capsys, pool="none", uri="test:///default")["pool"] == missing


def test_without_libvirt_there_is_no_pool(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_info, "libvirt", None)
    assert not any(ask(capsys, pool="default-pool")["pool"].values())


def test_a_host_without_the_daemon_has_none_running(capsys: pytest.CaptureFixture[str]) -> None:
    told = ask(capsys, daemon=True, vbmc_path="/nowhere/vbmc")["daemon"]
    assert told["running"] is False
    assert "baremetal.lab.vbmc" in told["reason"]


def test_the_daemon_tells_its_release() -> None:
    def run(_command: list[str], data: str | None = None) -> tuple[int, str, str]:
        return 0, json.dumps([{"Property": "version", "Value": "1"}, {"Property": "release", "Value": "abc"}]), ""

    told = host_info.daemon(VbmcClient(run, "vbmc"))
    assert told["running"]
    assert told["release"] == "abc"
