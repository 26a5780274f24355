# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ``vbmc`` command, against a fake daemon behind a real control socket."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from rig.fake_daemon import FakeDaemon
from vbmcd import paths
from vbmcd.cli.app import main
from vbmcd.config import Instance, Privilege, User

ONE = Instance("one", "domain-1", 6230, users=(User("admin", "hidden-1"), User("eve", "hidden-2", Privilege.USER)))
TWO = Instance("two", "domain-0", 6231, "192.0.2.2", owner="lab", active=True)


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """cliff adds a handler to the root logger in each run; and the caller's environment is not the test's."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    for variable in ("VBMCD_SOCKET", "VBMC_PASSWORD"):
        monkeypatch.delenv(variable, raising=False)
    yield
    root.handlers[:] = before
    root.setLevel(level)


@dataclass
class Outcome:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Vbmc:
    """Runs ``vbmc`` with a fake daemon's socket."""

    def __init__(self, daemon: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
        self.daemon = daemon
        self._capsys = capsys

    def __call__(self, *arguments: str) -> Outcome:
        try:
            code = main(["--no-daemon", "--socket", str(self.daemon.path), *arguments])
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = self._capsys.readouterr()
        assert "hidden" not in out + err
        return Outcome(code, out, err)

    @property
    def asked(self) -> tuple[str, Any]:
        return self.daemon.requests[-1]


@pytest.fixture
def folder() -> Iterator[Path]:
    with TemporaryDirectory(dir="/tmp") as folder:  # a socket's path has to be short
        yield Path(folder)


@pytest.fixture
def vbmc(folder: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Vbmc]:
    with FakeDaemon(folder / "s") as daemon:
        daemon.instances = {"one": ONE, "two": TWO}
        yield Vbmc(daemon, capsys)


def test_add_needs_a_name_alone(vbmc: Vbmc) -> None:
    done = vbmc("add", "node-01")
    assert (done.code, done.out, done.err) == (0, "node-01 added on [::]:623\n", "")
    spec = {"name": "node-01", "default_port": 623}
    assert vbmc.asked == ("apply", {"instances": [spec], "create_only": True})


def test_add_says_which_port_it_got_where_623_is_taken(vbmc: Vbmc) -> None:
    vbmc("add", "node-01")
    assert vbmc("add", "node-02").out == "node-02 added on [::]:6232\n"


def test_add_takes_virtualbmcs_options_and_more(vbmc: Vbmc) -> None:
    done = vbmc(
        "add", "n", "--domain", "d", "--username", "u", "--password", "hidden", "--privilege", "operator",
        "--port", "7", "--address", "192.0.2.7", "--libvirt-uri", "test:///default", "--libvirt-sasl-username", "s",
        "--libvirt-sasl-password", "hidden", "--owner", "lab", "--cipher-suites", "17,8",
    )  # fmt: skip
    assert done.code == 0
    (spec,) = vbmc.asked[1]["instances"]
    assert spec == {
        "name": "n",
        "domain": "d",
        "username": "u",
        "password": "hidden",
        "privilege": "operator",
        "port": 7,
        "default_port": 623,
        "address": "192.0.2.7",
        "libvirt_uri": "test:///default",
        "libvirt_sasl_username": "s",
        "libvirt_sasl_password": "hidden",
        "owner": "lab",
        "cipher_suites": [17, 8],
    }


def password_sent(vbmc: Vbmc) -> Any:
    return vbmc.asked[1]["instances"][0].get("password")


def test_a_password_comes_from_option_file_or_environment(
    vbmc: Vbmc, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "password").write_text("hidden-file\n")
    monkeypatch.setenv("VBMC_PASSWORD", "hidden-env")
    vbmc("add", "a")
    assert password_sent(vbmc) == "hidden-env"
    vbmc("add", "b", "--password-file", str(folder / "password"))
    assert password_sent(vbmc) == "hidden-file"
    vbmc("add", "c", "--password", "hidden-option")
    assert password_sent(vbmc) == "hidden-option"
    monkeypatch.setattr("sys.stdin", io.StringIO("hidden-stdin\n"))
    vbmc("add", "d", "--password-file", "-")
    assert password_sent(vbmc) == "hidden-stdin"


def test_a_password_file_that_is_missing_is_told(vbmc: Vbmc) -> None:
    done = vbmc("add", "a", "--password-file", "/nowhere")
    assert (done.code, done.err) == (
        1,
        "password file /nowhere can't be read: No such file or directory: name another\n",
    )


def test_two_sources_of_a_password_are_wrong_usage(vbmc: Vbmc) -> None:
    assert vbmc("add", "a", "--password", "x", "--password-file", "y").code == 2


def test_add_takes_options_of_the_firmware(vbmc: Vbmc) -> None:
    given = ["version=2.10", "slots=3", "simple_update=yes", "faults=[{kind: busy, count: 2}, {kind: slow, count: 0}]"]
    assert vbmc("add", "x", *(word for one in given for word in ("--firmware", one))).code == 0
    firmware = vbmc.daemon.instances["x"].firmware
    assert (firmware.version, firmware.slots, firmware.simple_update, len(firmware.faults)) == ("2.10", 3, True, 2)
    assert "2.10 for vbmcd, openbmc-2025, faults: busy (2 times), slow (always)" in vbmc("show", "x").out


def test_what_has_options_of_its_own_is_an_object_for_machines(vbmc: Vbmc) -> None:
    assert vbmc("add", "x", "--firmware", "faults=[{kind: busy}]", "--media", "schemes=[https]").code == 0
    shown = {row["Property"]: row["Value"] for row in vbmc("show", "-f", "json", "x").json}
    assert shown["firmware"]["faults"] == [{"kind": "busy", "count": 1}]
    assert shown["media"]["schemes"] == ["https"]


def test_add_says_from_where_media_may_come(vbmc: Vbmc) -> None:
    assert vbmc("add", "x", "--media", "folders=[/srv/iso]", "--media", "schemes=[https]").code == 0
    media = vbmc.daemon.instances["x"].media
    assert (media.schemes, media.folders) == (("https",), ("/srv/iso",))
    assert "https, /srv/iso" in vbmc("show", "x").out


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("version", "such as version=2.1.0"),
        ("slots=[", "no YAML"),
        ("reboot_seconds=.inf", "neither text nor number"),
        ("faults=2026-01-01", "neither text nor number"),
        ("slots=0", "not a whole number from 1 to 16"),
        ("sluts=1", "did you mean 'slots'?"),
    ],
)
def test_a_wrong_option_of_the_firmware_is_named(vbmc: Vbmc, given: str, said: str) -> None:
    done = vbmc("add", "x", "--firmware", given)
    assert done.code != 0 and said in done.err


def test_adding_what_exists_is_refused(vbmc: Vbmc) -> None:
    done = vbmc("add", "one")
    assert (done.code, done.out) == (1, "")
    assert done.err == "instance 'one' exists already: choose another name, or change it with vbmc apply\n"


def test_several_names_are_started_stopped_and_deleted(vbmc: Vbmc) -> None:
    for command in ("start", "stop", "delete"):
        done = vbmc(command, "one", "two")
        assert (done.code, done.out, done.err) == (0, "", "")
        assert vbmc.asked == (command, {"names": ["one", "two"]})
    assert vbmc.daemon.instances == {}


def test_unknown_names_are_told_and_the_others_are_done_all_the_same(vbmc: Vbmc) -> None:
    done = vbmc("delete", "x", "one", "y")
    assert (done.code, done.out) == (1, "")
    assert [line.partition(":")[0] for line in done.err.splitlines()] == ["instance 'x'", "instance 'y'"]
    assert "No domain with matching name x was found" in done.err
    assert vbmc.daemon.instances == {"two": TWO}


@pytest.mark.parametrize(("command", "names"), [
    ("start", ["x", "y"]), ("stop", ["x", "y"]), ("delete", ["x", "y"]), ("show", ["x", "one", "y"])
])  # fmt: skip
def test_unknown_names_alone_are_told_a_line_each(vbmc: Vbmc, command: str, names: list[str]) -> None:
    done = vbmc(command, *names)
    assert (done.code, done.out) == (1, "")
    lines = done.err.splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "No domain with matching name x was found",
        "No domain with matching name y was found",
    ]
    assert vbmc.daemon.instances == {"one": ONE, "two": TWO}


def test_an_instance_that_fails_to_start_is_told(vbmc: Vbmc) -> None:
    vbmc.daemon.failing = {"one": "[::]:6230 is taken by another program: stop that one"}
    done = vbmc("start", "one", "two")
    assert (done.code, done.err) == (1, "instance 'one': [::]:6230 is taken by another program: stop that one\n")


def test_list_begins_with_virtualbmcs_columns_in_its_order(vbmc: Vbmc) -> None:
    vbmc.daemon.failing = {"one": "why"}
    done = vbmc("list", "-f", "csv", "--quote", "none")
    assert done.out.splitlines() == [
        "Domain name,Status,Address,Port,Name,Owner,Reason",
        "domain-0,running,192.0.2.2,6231,two,lab,",
        "domain-1,error,::,6230,one,,why",
    ]


def test_list_as_json_and_value(vbmc: Vbmc) -> None:
    assert [row["Port"] for row in vbmc("list", "-f", "json").json] == [6231, 6230]
    assert vbmc("list", "-f", "value", "-c", "Name").out == "two\none\n"
    assert "Port: 6230" in vbmc("list", "-f", "yaml").out


def test_show_has_virtualbmcs_properties_and_masks_passwords(vbmc: Vbmc) -> None:
    rows = {row["Property"]: row["Value"] for row in vbmc("show", "one", "-f", "json").json}
    assert list(rows) == sorted(rows)
    assert {key: rows[key] for key in ("domain_name", "status", "address", "port", "username", "password")} == {
        "domain_name": "domain-1",
        "status": "down",
        "address": "::",
        "port": 6230,
        "username": "admin",
        "password": "********",
    }
    assert rows["users"] == [{"name": "eve", "password": "********", "privilege": "user"}]
    assert "eve (user)" in vbmc("show", "one").out
    assert rows["libvirt_sasl_password"] == ""


def test_show_of_several_says_whose_property_it_is(vbmc: Vbmc) -> None:
    rows = vbmc("show", "two", "one", "-f", "json").json
    assert [(row["Name"], row["Value"]) for row in rows if row["Property"] == "port"] == [("two", 6231), ("one", 6230)]


def test_status_shows_daemon_and_workers(vbmc: Vbmc) -> None:
    out = vbmc("status", "-f", "value").out
    assert "pid 6\n" in out
    assert "worker worker-1 pid 7, 2 instances, heard 0.1 s ago\n" in out


@pytest.mark.parametrize(
    "text",
    [
        '[{"name": "new"}, {"name": "two", "password": "hidden-3", "state": "stopped"}]',
        '{"instances": [{"name": "new"}, {"name": "two", "password": "hidden-3", "state": "stopped"}]}',
        "- name: new\n- {name: two, password: hidden-3, state: stopped}\n",
        "instances:\n- name: new\n- {name: two, password: hidden-3, state: stopped}\n",
    ],
)
def test_apply_reads_json_and_yaml(vbmc: Vbmc, folder: Path, text: str) -> None:
    (folder / "file").write_text(text)
    done = vbmc("apply", str(folder / "file"), "-f", "value")
    assert (done.code, done.out) == (0, "new True create :: 6232\ntwo True update, stop 192.0.2.2 6231\n")
    again = vbmc("apply", str(folder / "file"), "-f", "json").json
    assert again["changed"] is False


def test_apply_reads_standard_input_and_prints_the_whole_result_as_json(
    vbmc: Vbmc, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b'[{"name": "two", "password": "hidden-4"}]')))
    result = vbmc("apply", "-", "-f", "json").json
    assert result["changed"] is True
    (two,) = result["instances"]
    assert (two["before"]["password"], two["after"]["password"]) == ("********", "******** (changed)")


def test_check_changes_nothing_and_ends_well(vbmc: Vbmc, folder: Path) -> None:
    (folder / "file").write_text("[{name: new}]")
    done = vbmc("apply", str(folder / "file"), "--check", "-f", "json")
    assert (done.code, done.json["changed"]) == (0, True)
    assert set(vbmc.daemon.instances) == {"one", "two"}


def test_an_owner_labels_those_that_name_none(vbmc: Vbmc, folder: Path) -> None:
    (folder / "file").write_text("[{name: a}, {name: b, owner: other}]")
    vbmc("apply", str(folder / "file"), "--owner", "lab")
    assert [spec["owner"] for spec in vbmc.asked[1]["instances"]] == ["lab", "other"]
    assert vbmc.asked[1]["purge"] is False


def test_purge_deletes_the_owners_others(vbmc: Vbmc, folder: Path) -> None:
    (folder / "file").write_text("[]")
    assert vbmc("apply", str(folder / "file"), "--purge", "--owner", "lab").code == 0
    assert set(vbmc.daemon.instances) == {"one"}


def test_purge_without_an_owner_is_wrong_usage(vbmc: Vbmc, folder: Path) -> None:
    done = vbmc("apply", "/nowhere", "--purge")
    assert done.code == 2
    assert "--purge needs --owner" in done.err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no list of instances"),
        (b"{}", "holds no list of instances"),
        (b"just words", "holds no list of instances"),
        (b"{instance: []}", "unknown key 'instance': did you mean 'instances'?"),
        (b"- name: x\n  password: hidden: secret\n", "line 2, column 19 is neither JSON nor YAML"),
        (b"!!python/object/apply:os.system [id]", "is neither JSON nor YAML"),
        (b"\xff", "is not UTF-8"),
    ],
)
def test_a_file_that_can_not_be_read_is_told_without_its_content(
    vbmc: Vbmc, folder: Path, content: bytes, message: str
) -> None:
    (folder / "file").write_bytes(content)
    done = vbmc("apply", str(folder / "file"))
    assert done.code == 1
    assert message in done.err and str(folder / "file") in done.err
    assert len(done.err.splitlines()) == 1
    assert "secret" not in done.err


def test_every_error_of_a_file_is_told_a_line_each(vbmc: Vbmc, folder: Path) -> None:
    (folder / "file").write_text("[{name: a, port: 0}, {name: b, colour: red}]")
    done = vbmc("apply", str(folder / "file"))
    assert [line.partition(":")[0] for line in done.err.splitlines()] == ["instance 'a'", "instance 'b'"]
    assert (done.code, set(vbmc.daemon.instances)) == (1, {"one", "two"})


def test_with_json_an_error_is_json_too(vbmc: Vbmc, folder: Path) -> None:
    (folder / "file").write_text("[{name: two, port: 6230}]")
    done = vbmc("apply", str(folder / "file"), "-f", "json")
    assert done.code == 1
    error = done.json["error"]
    assert (error["code"], error["instance"]) == ("conflict", "two")
    assert error["message"] in done.err


def test_with_json_a_failed_instance_is_in_the_result(vbmc: Vbmc, folder: Path) -> None:
    vbmc.daemon.failing = {"two": "taken"}
    (folder / "file").write_text("[{name: two, state: stopped}]")
    done = vbmc("apply", str(folder / "file"), "-f", "json")
    assert (done.code, done.json["instances"][0]["error"]) == (1, "taken")
    done = vbmc("apply", str(folder / "file"))
    assert (done.code, done.err) == (1, "instance 'two': taken\n")


def test_import_takes_a_virtualbmc_over(vbmc: Vbmc, folder: Path) -> None:
    for name, port in (("good", "7000"), ("bad", "x")):
        (folder / "vbmc" / name).mkdir(parents=True)
        (folder / "vbmc" / name / "config").write_text(
            f"[VirtualBMC]\npassword = hidden\nport = {port}\nactive = True\n"
        )
    done = vbmc("import", str(folder / "vbmc"), "--owner", "lab", "-f", "value")
    assert (done.code, done.out) == (1, "good True create, start :: 7000\n")
    assert "bad/config is not imported" in done.err
    assert vbmc.daemon.instances["good"].owner == "lab"


def test_import_reads_the_users_own_folder(vbmc: Vbmc, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / ".vbmc").mkdir()
    monkeypatch.setenv("HOME", str(folder))
    assert vbmc("import", "--check").code == 0
    assert vbmc.asked[1]["check"] is True


def test_the_environment_names_the_socket(
    vbmc: Vbmc, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VBMCD_SOCKET", str(vbmc.daemon.path))
    assert main(["list", "-f", "value", "-c", "Name"]) == 0
    assert capsys.readouterr().out == "two\none\n"


@pytest.mark.parametrize(
    "arguments", [[], ["fly"], ["start"], ["add"], ["add", "a", "--port", "x"], ["list", "-f", "x"]]
)
def test_wrong_usage_ends_with_2(vbmc: Vbmc, arguments: list[str]) -> None:
    assert vbmc(*arguments).code == 2


def test_help_names_every_command(vbmc: Vbmc) -> None:
    out = vbmc("--help").out
    assert all(
        f"  {command} " in out
        for command in ("add", "apply", "delete", "import", "list", "show", "start", "status", "stop")
    )


class Stub:
    """A program in the place of the Python that would run ``-m vbmcd.daemon``; it notes its arguments."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.socket, self.state = folder / "s", folder / "state"
        self._program, self._noted = folder / "python", folder / "arguments"
        self._python = sys.executable
        monkeypatch.setattr("sys.executable", str(self._program))

    def does(self, code: str) -> None:
        noting = f"import sys\nopen({str(self._noted)!r}, 'w').write(' '.join(sys.argv[1:]))\n"
        self._program.write_text(f"#!{self._python}\n{noting}{code}")
        self._program.chmod(0o700)

    @property
    def arguments(self) -> str | None:
        return self._noted.read_text() if self._noted.exists() else None

    def vbmc(self, *arguments: str) -> int:
        return main(["--socket", str(self.socket), "--state-dir", str(self.state), *arguments])


ANSWERS_ONCE = """
import json, os, zmq
router = zmq.Context().socket(zmq.ROUTER)
router.bind("ipc://" + sys.argv[sys.argv.index("--socket") + 1])
assert os.getsid(0) == os.getpid()
*envelope, data = router.recv_multipart()
router.send_multipart([*envelope, json.dumps({"version": 1, "ok": True, "result": {"instances": []}}).encode()])
"""


@pytest.fixture
def stub(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Stub:
    return Stub(folder, monkeypatch)


def test_a_daemon_is_started_where_none_answers(stub: Stub) -> None:
    stub.does(ANSWERS_ONCE)
    assert stub.vbmc("list") == 0
    assert stub.arguments == f"-m vbmcd.daemon --foreground --socket {stub.socket} --state-dir {stub.state}"
    assert (stub.state.stat().st_mode & 0o777, (stub.state / "vbmcd.log").stat().st_mode & 0o777) == (0o700, 0o600)


def test_a_daemon_that_does_not_start_says_why(stub: Stub, capsys: pytest.CaptureFixture[str]) -> None:
    stub.does("sys.exit('vbmcd: state folder /x is in use')")
    assert stub.vbmc("list") == 1
    assert capsys.readouterr().err == (
        f"vbmcd did not start: vbmcd: state folder /x is in use: see {stub.state / 'vbmcd.log'}\n"
    )


def test_no_daemon_is_started_where_that_is_not_wanted(stub: Stub, capsys: pytest.CaptureFixture[str]) -> None:
    stub.does(ANSWERS_ONCE)
    assert stub.vbmc("--no-daemon", "list") == 1
    assert stub.vbmc("status") == 1
    assert stub.arguments is None
    assert "no vbmcd answers on" in capsys.readouterr().err


def test_where_a_unit_is_installed_systemd_starts_it(
    stub: Stub, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stub.does(ANSWERS_ONCE)
    (folder / "vbmcd.service").touch()
    monkeypatch.setattr(paths, "UNIT_FOLDERS", (folder,))
    monkeypatch.setattr(paths, "SYSTEM_SOCKET", folder / "system")
    assert main(["list"]) == 1
    assert capsys.readouterr().err == f"no vbmcd answers on {folder / 'system'}: systemctl start vbmcd\n"
    assert stub.arguments is None


def test_the_command_starts_without_what_it_does_not_need() -> None:
    code = (
        "import sys, vbmcd.cli.app; print([name for name in ('yaml', 'zmq', 'libvirt', 'cmd2') if name in sys.modules])"
    )
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, env=environ, capture_output=True, check=True, text=True).stdout == "[]\n"
