# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the client of the command ``vbmc`` sends, and how it reads what comes back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.baremetal.lab.plugins.module_utils._vbmc import (
    ROLE_COMMAND,
    VbmcClient,
    VbmcError,
    VbmcUnavailable,
    all_changed,
)

STARTED = {
    "name": "node-01",
    "state": "started",
    "changed": True,
    "actions": ["create", "start"],
    "before": None,
    "after": {"name": "node-01", "password": "********"},
    "error": None,
    "address": "::",
    "port": 6230,
}
UNCHANGED = {**STARTED, "name": "node-02", "changed": False, "actions": [], "before": STARTED["after"]}


class Command:
    """Stands for the command at the process boundary: says what it was asked, answers what it was told."""

    def __init__(self, stdout: str = "", stderr: str = "", code: int = 0) -> None:
        self._answer = (code, stdout, stderr)
        self.arguments: list[str] = []
        self.data: str | None = None

    def __call__(self, arguments: list[str], data: str | None = None) -> tuple[int, str, str]:
        self.arguments, self.data = arguments, data
        return self._answer


def answering(*instances: dict[str, Any], code: int = 0) -> Command:
    changed = any(instance["changed"] for instance in instances)
    return Command(stdout=json.dumps({"changed": changed, "instances": list(instances)}), code=code)


def refusing(code: str, *messages: str) -> Command:
    details = [{"code": code, "instance": None, "message": message} for message in messages]
    error = {"code": code, "message": messages[0], "instance": None, "details": details}
    return Command(code=1, stdout=json.dumps({"error": error}), stderr="\n".join(messages))


def test_the_wanted_instances_go_by_standard_input_alone() -> None:
    command = answering(STARTED)
    VbmcClient(command, "/bin/vbmc").apply([{"name": "node-01", "password": "s3cret"}])
    assert command.arguments == ["/bin/vbmc", "--no-daemon", "apply", "-f", "json", "-"]
    assert json.loads(command.data or "") == {"instances": [{"name": "node-01", "password": "s3cret"}]}


def test_check_purge_and_socket_are_options_of_the_command() -> None:
    command = answering(STARTED)
    VbmcClient(command, "/bin/vbmc", "/run/s.sock").apply([], check=True, purge=True, owner="rack-7")
    assert command.arguments[1:4] == ["--no-daemon", "--socket", "/run/s.sock"]
    assert command.arguments[-3:] == ["--check", "--purge", "--owner=rack-7"]


def test_a_report_has_a_result_for_each_instance_and_a_diff_for_the_changed_ones() -> None:
    report = VbmcClient(answering(STARTED, UNCHANGED), "/bin/vbmc").apply([])
    result = report.result()
    assert result["changed"] is True
    assert [(one["name"], one["changed"], one["port"]) for one in result["instances"]] == [
        ("node-01", True, 6230),
        ("node-02", False, 6230),
    ]
    assert [(one["after_header"], one["before"]) for one in report.diff()] == [("vbmc node-01", {})]


def test_an_instance_that_could_not_be_brought_to_its_state_is_a_failure() -> None:
    command = answering({**STARTED, "error": "port 6230 is taken"}, UNCHANGED, code=1)
    report = VbmcClient(command, "/bin/vbmc").apply([])
    assert report.failures() == [{"instance": "node-01", "message": "port 6230 is taken"}]


def test_a_refusal_tells_everything_that_is_wrong() -> None:
    with pytest.raises(VbmcError, match="first.*; second") as raised:
        VbmcClient(refusing("conflict", "first thing", "second thing"), "/bin/vbmc").apply([])
    assert raised.value.code == "conflict"
    assert [error["message"] for error in raised.value.errors] == ["first thing", "second thing"]


def test_no_daemon_and_no_command_are_told_from_a_refusal() -> None:
    with pytest.raises(VbmcUnavailable, match="nobody answers"):
        VbmcClient(refusing("unavailable", "nobody answers"), "/bin/vbmc").apply([])
    with pytest.raises(VbmcUnavailable, match=r"install the daemon with the role"):
        VbmcClient(answering(), None).apply([])


def test_a_command_that_is_none_of_ours_is_named() -> None:
    virtualbmc = Command(code=2, stderr="vbmc: 'apply' is not a vbmc command")
    with pytest.raises(VbmcError, match="exit code 2 and without JSON: vbmc: 'apply' is not .* name this collection's"):
        VbmcClient(virtualbmc, "/usr/bin/vbmc").apply([])
    with pytest.raises(VbmcError, match="exit code 0 and without JSON: it said nothing"):
        VbmcClient(Command(), "/usr/bin/vbmc").apply([])


def test_an_instance_is_told_with_the_types_of_the_modules_options() -> None:
    properties = {
        "name": "n",
        "domain_name": "machine",
        "users": [{"name": "eve (user), x", "password": "********", "privilege": "user"}],
        "redfish": {"enabled": True, "port": 443, "fingerprint": "ab"},
        "firmware": {"version": "2.10", "faults": []},
        "media": "",
    }
    rows = [{"Property": key, "Value": value} for key, value in properties.items()]
    answers = [[{"Name": "n", "Owner": ""}], rows]
    client = VbmcClient(lambda arguments, data: (0, json.dumps(answers.pop(0)), ""), "/bin/vbmc")
    [told] = client.instances()
    assert (told["domain"], told["users"]) == ("machine", [{"name": "eve (user), x", "privilege": "user"}])
    assert told["redfish"] == {"enabled": True, "port": 443, "fingerprint": "ab"}
    assert (told["firmware"], told["media"], told["pid"]) == ({"version": "2.10", "faults": []}, {}, None)


def test_without_a_daemon_check_mode_takes_all_for_changed_and_keeps_secrets_to_itself() -> None:
    report = all_changed([{"name": "node-01", "state": "started", "password": "s3cret", "users": [{"password": "x"}]}])
    assert report.changed is True
    assert report.outcomes[0].after == {"name": "node-01", "state": "started"}
    assert all_changed([]).changed is False


def test_the_command_that_was_chosen_wins_and_a_missing_one_is_none(tmp_path: Any) -> None:
    chosen = tmp_path / "vbmc"
    chosen.touch(mode=0o755)
    assert VbmcClient.find(str(chosen), lambda name: "/usr/bin/vbmc") == str(chosen)
    assert VbmcClient.find(str(tmp_path / "other"), lambda name: "/usr/bin/vbmc") is None
    assert VbmcClient.find(None, lambda name: f"/usr/bin/{name}") in (ROLE_COMMAND, "/usr/bin/vbmc")
