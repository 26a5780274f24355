# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules ``vbmc`` and ``vbmc_info`` as a playbook calls them, against a running daemon."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rig.playbooks import Playbooks
from rig.waiting import eventually

CHECKOUT = Path(__file__).resolve().parents[2]
DAEMON = CHECKOUT / "roles/vbmc/files/vbmcd/src"


class Controller(Playbooks):
    """A controller on the machine of a daemon: its command and its socket."""

    def __init__(self, folder: Path, command: Path, socket: Path) -> None:
        super().__init__(
            folder,
            defaults={"group/baremetal.lab.lab": {"socket": "{{ vbmc_socket }}", "vbmc_path": "{{ vbmc_path }}"}},
            variables={"vbmc_path": str(command), "vbmc_socket": str(socket)},
        )
        self.folder = folder
        self.command = command
        self.socket = socket


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controller]:
    folder = tmp_path_factory.mktemp("controller")
    command = folder / "vbmc"
    command.write_text(f'#!/bin/sh\nPYTHONPATH={DAEMON} exec {sys.executable} -m vbmcd.cli.app "$@"\n')
    command.chmod(0o755)
    control = folder / "run/control.sock"
    paths = ["--state-dir", str(folder / "state"), "--socket", str(control)]
    with (folder / "vbmcd.log").open("w") as output:
        daemon = subprocess.Popen(
            [sys.executable, "-m", "vbmcd.daemon", "--foreground", "--workers", "1", *paths],
            env={**os.environ, "PYTHONPATH": str(DAEMON)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        eventually(lambda: _answers(command, control), what="the daemon answers")
        yield Controller(folder, command, control)
    finally:
        daemon.terminate()
        daemon.wait(timeout=60)


def _answers(command: Path, control: Path) -> bool:
    asked = [str(command), "--no-daemon", "--socket", str(control), "status"]
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_the_life_of_instances_from_making_to_purging(controller: Controller) -> None:
    said = controller.play([{"ansible.builtin.import_role": {"name": "vbmc"}}], vbmc_port=_free_port())
    assert "pa55word" not in said


def test_two_hundred_converge_in_one_task_and_read_unchanged(controller: Controller) -> None:
    converge = {
        "baremetal.lab.vbmc": {
            "instances": [{"name": f"many-{number}"} for number in range(200)],
            "address": "127.0.0.1",
            "domain": "test",
            "libvirt_uri": "test:///default",
            "owner": "many",
            "state": "started",
        }
    }
    purge = {"baremetal.lab.vbmc": {"instances": [], "owner": "many", "purge": True}}
    made, again, purged = controller.results(converge, converge, purge)
    assert (made["changed"], again["changed"]) == (True, False)
    assert len({instance["port"] for instance in made["instances"]}) == 200
    assert len(purged["instances"]) == 200


def test_without_a_daemon_info_says_so_and_check_mode_reads_changed(controller: Controller) -> None:
    info, checked = controller.results(
        {"baremetal.lab.vbmc_info": {}},
        {"baremetal.lab.vbmc": {"name": "a", "state": "started"}, "check_mode": True},
        vbmc_socket=str(controller.folder / "nobody.sock"),
    )
    assert (info["daemon"]["running"], info["instances"]) == (False, [])
    assert "no vbmcd answers" in info["daemon"]["reason"]
    assert checked["changed"] is True
    assert "nothing was checked" in str(checked["warnings"])


def test_info_reads_the_instances_that_it_is_asked_for(controller: Controller) -> None:
    monitor = {"name": "monitor", "password": "m0nitor", "privilege": "user"}
    instances = [{"name": "info-b"}, {"name": "info-a", "users": [monitor]}]
    made, owned, named = controller.results(
        {"baremetal.lab.vbmc": {"instances": instances, "address": "127.0.0.1", "owner": "info"}},
        {"baremetal.lab.vbmc_info": {"owner": "info"}},
        {"baremetal.lab.vbmc_info": {"names": ["info-a", "none-such"]}},
    )
    assert made["changed"] is True
    assert [instance["name"] for instance in owned["instances"]] == ["info-a", "info-b"]
    assert owned["daemon"]["running"] is True
    (instance,) = named["instances"]
    assert instance["users"] == [{"name": "monitor", "privilege": "user"}]
    assert (instance["domain"], instance["status"], instance["password"]) == ("info-a", "down", "********")
    assert instance["pid"] is None
    assert (instance["firmware"]["slots"], instance["media"]["folders"]) == (2, [])
