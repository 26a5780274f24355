# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module ``vbmc`` from its parameters to its result, with a program in the place of the command."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.baremetal.lab.plugins.modules import vbmc

RECORDER = """\
#!/bin/sh
printf '%s\\n' "$@" > {folder}/arguments
cat > {folder}/input
cat {folder}/answer
"""


class Host:
    """A host whose ``vbmc`` writes down what it was asked."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._folder = folder
        self._capsys = capsys
        self.command = folder / "vbmc"
        self.command.write_text(RECORDER.format(folder=folder))
        self.command.chmod(self.command.stat().st_mode | stat.S_IXUSR)
        self.answers({"changed": False, "instances": []})

    def answers(self, result: dict[str, Any]) -> None:
        (self._folder / "answer").write_text(json.dumps(result))

    def refuses(self, code: str, message: str) -> None:
        error = {"code": code, "message": message, "details": []}
        (self._folder / "answer").write_text(json.dumps({"error": error}))

    @property
    def arguments(self) -> list[str]:
        return (self._folder / "arguments").read_text().splitlines()

    @property
    def asked(self) -> Any:
        return json.loads((self._folder / "input").read_text())["instances"]

    def run(self, **params: Any) -> dict[str, Any]:
        """The module's result; a failure has ``failed``."""
        with patch_module_args({"vbmc_path": str(self.command), **params}), pytest.raises(SystemExit):
            vbmc.main()
        result: dict[str, Any] = json.loads(self._capsys.readouterr().out)
        return result


@pytest.fixture
def host(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Host:
    return Host(tmp_path, capsys)


def test_an_item_takes_what_it_leaves_out_from_the_task(host: Host) -> None:
    host.run(
        instances=[{"name": "a"}, {"name": "b", "state": "absent", "password": "other"}],
        password="shared",
        owner="rack-7",
        state="started",
    )
    assert host.asked == [
        {"name": "a", "state": "started", "password": "shared", "owner": "rack-7"},
        {"name": "b", "state": "absent", "password": "other", "owner": "rack-7"},
    ]


def test_what_is_not_named_is_not_asked_for_so_that_the_daemon_keeps_it(host: Host) -> None:
    host.run(name="a")
    assert host.asked == [{"name": "a", "state": "present"}]


def test_an_empty_list_of_users_is_something_else_than_none(host: Host) -> None:
    host.run(name="a", users=[])
    assert host.asked == [{"name": "a", "state": "present", "users": []}]


def test_no_secret_is_on_the_command_line_or_in_the_result(host: Host) -> None:
    secrets = ["pa55-first", "pa55-other", "pa55-sasl", "pa55-kg"]
    result = host.run(
        instances=[
            {
                "name": "a",
                "password": secrets[0],
                "users": [{"name": "u", "password": secrets[1]}],
                "libvirt_sasl_password": secrets[2],
                "kg": secrets[3],
            }
        ]
    )
    assert [secret for secret in secrets if secret in json.dumps(host.asked)] == secrets
    assert [secret for secret in secrets if secret in f"{host.arguments}{result}"] == []


def test_redfish_goes_to_the_daemon_as_it_is_given(host: Host) -> None:
    host.run(
        instances=[{"name": "a"}, {"name": "b", "redfish": {"enabled": False}}], redfish={"port": 443, "tls": True}
    )
    first, second = ({key: value for key, value in one["redfish"].items() if value is not None} for one in host.asked)
    assert first == {"port": 443, "tls": True}
    assert second == {"enabled": False}


def test_firmware_goes_to_the_daemon_as_it_is_given(host: Host) -> None:
    firmware = {"version": "2.0", "dialect": "openbmc-2023", "faults": [{"kind": "busy"}]}
    host.run(instances=[{"name": "a"}, {"name": "b", "firmware": {"slots": 3}}], firmware=firmware)
    first, second = ({key: value for key, value in one["firmware"].items() if value is not None} for one in host.asked)
    assert first == {**firmware, "faults": [{"kind": "busy", "count": 1, "seconds": None}]}
    assert second == {"slots": 3}
    assert "one of: busy" in host.run(name="a", firmware={"faults": [{"kind": "fire"}]})["msg"]


def test_purging_needs_an_owner_and_can_be_of_all_that_it_has(host: Host) -> None:
    assert "owner" in host.run(instances=[], purge=True)["msg"]
    host.run(instances=[], purge=True, owner="rack-7")
    assert (host.arguments[-2:], host.asked) == (["--purge", "--owner=rack-7"], [])


def test_check_mode_asks_the_daemon(host: Host) -> None:
    host.answers({"changed": True, "instances": [_outcome("a")]})
    result = host.run(name="a", _ansible_check_mode=True)
    assert "--check" in host.arguments
    assert result["changed"] is True


def test_the_diff_is_the_daemons_and_given_on_request(host: Host) -> None:
    host.answers({"changed": True, "instances": [_outcome("a", before={"port": 1}, after={"port": 2})]})
    assert "diff" not in host.run(name="a")
    (diff,) = host.run(name="a", _ansible_diff=True)["diff"]
    assert (diff["before"], diff["after"]) == ({"port": 1}, {"port": 2})


def test_without_a_daemon_check_mode_warns_and_reads_changed_and_a_real_run_fails(host: Host) -> None:
    host.refuses("unavailable", "no daemon answers")
    checked = host.run(instances=[{"name": "a"}, {"name": "b"}], _ansible_check_mode=True)
    assert [one["changed"] for one in checked["instances"]] == [True, True]
    assert "no daemon answers" in str(checked["warnings"])
    failed = host.run(name="a")
    assert (failed["failed"], failed["code"], failed["msg"]) == (True, "unavailable", "no daemon answers")


def test_without_the_command_the_remedy_is_told(host: Host) -> None:
    host.command.unlink()
    assert "install the daemon with the role baremetal.lab.vbmc" in host.run(name="a")["msg"]


def test_a_part_that_failed_fails_the_task_and_names_the_instance_beside_what_was_done(host: Host) -> None:
    host.answers({"changed": True, "instances": [_outcome("a"), _outcome("b", error="port 6230 is taken")]})
    result = host.run(instances=[{"name": "a"}, {"name": "b"}])
    assert (result["failed"], result["changed"]) == (True, True)
    assert result["errors"] == [{"instance": "b", "message": "port 6230 is taken"}]
    assert [one["name"] for one in result["instances"]] == ["a", "b"]


def test_a_name_and_a_list_exclude_each_other_and_one_is_needed(host: Host) -> None:
    assert "mutually exclusive" in host.run(name="a", instances=[])["msg"]
    assert "one of the following is required" in host.run()["msg"]


def _outcome(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "state": "started", "changed": True, "actions": ["update"], "port": 6230, **more}
