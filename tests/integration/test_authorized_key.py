# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module bmc_authorized_key against real ssh servers."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from benchmarks.processes import tree
from rig.daemon import alive
from rig.module import Module
from rig.sshd import PASSWORD, USER, Sshd
from rig.waiting import eventually

OTHERS = 'from="192.0.2.0/24" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl theirs\n'


@pytest.fixture(params=["dropbear", "openssh"])
def bmc(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sshd]:
    folder = tmp_path / "bmc"
    folder.mkdir()
    with Sshd(request.param, folder) as running:
        yield running


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """A private key; its public half is beside it."""
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "an admin", "-f", str(path)], check=True)
    return path


@pytest.fixture
def authorize(bmc: Sshd, key: Path, tmp_path: Path) -> Any:
    module = Module("bmc_authorized_key", tmp_path / "c")

    def call(check: bool = False, **options: Any) -> dict[str, Any]:
        given = {
            "targets": [{"name": "bmc", "address": "127.0.0.1", "port": bmc.port}],
            "username": USER,
            "password": PASSWORD,
            "known_hosts": str(bmc.known_hosts),
            "timeout": 20,
            "key": key.with_suffix(".pub").read_text(),
            **options,
        }
        return module(check=check, **{name: value for name, value in given.items() if value is not None})

    return call


def logs_in(bmc: Sshd, key: Path) -> bool:
    options = ["-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", f"UserKnownHostsFile={bmc.known_hosts}"]
    command = ["ssh", *options, "-i", str(key), "-p", str(bmc.port), f"{USER}@127.0.0.1", "true"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_a_key_is_let_in_once_and_taken_away_again(bmc: Sshd, key: Path, authorize: Any) -> None:
    foreseen = authorize(check=True)
    assert not bmc.authorized_keys.exists()
    done, again = authorize(), authorize()
    assert (foreseen["changed"], done["changed"], again["changed"]) == (True, True, False), (foreseen, done, again)
    assert logs_in(bmc, key)
    assert foreseen["diff"] == done["diff"]
    assert bmc.authorized_keys.stat().st_mode & 0o777 == 0o600
    gone, still_gone = authorize(state="absent"), authorize(state="absent")
    assert (gone["changed"], still_gone["changed"], logs_in(bmc, key)) == (True, False, False)


def test_keys_of_others_stay_as_they_are(bmc: Sshd, authorize: Any) -> None:
    bmc.authorized_keys.parent.mkdir(mode=0o700)
    bmc.authorized_keys.write_text(f"# for the night shift\n{OTHERS}")
    authorize()
    assert bmc.authorized_keys.read_text().startswith(f"# for the night shift\n{OTHERS}ssh-ed25519 ")
    assert not authorize(key="ssh-ed25519 " + OTHERS.split()[2])["changed"], "options and comment are not the key's"
    authorize(state="absent")
    assert bmc.authorized_keys.read_text() == f"# for the night shift\n{OTHERS}"


def test_keys_that_are_let_in_at_once_are_all_let_in(bmc: Sshd, authorize: Any, tmp_path: Path) -> None:
    bmc.authorized_keys.parent.mkdir(mode=0o700)
    bmc.authorized_keys.write_text(f"# no newline\r\n# at the end: \u2028 {OTHERS}".rstrip())
    keys = [tmp_path / f"key-{number}" for number in range(4)]
    for one in keys:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(one)], check=True)
    with ThreadPoolExecutor() as pool:
        done = list(pool.map(lambda one: authorize(key=one.with_suffix(".pub").read_text()), keys))
    assert [one["changed"] for one in done] == 4 * [True], done
    assert [logs_in(bmc, one) for one in keys] == 4 * [True]
    assert bmc.authorized_keys.read_bytes().startswith(f"# no newline\r\n# at the end: \u2028 {OTHERS}".encode())


def test_a_key_that_is_there_may_let_in_another(bmc: Sshd, key: Path, authorize: Any, tmp_path: Path) -> None:
    authorize()
    other = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", str(other)], check=True)
    done = authorize(password=None, private_key_file=str(key), key=other.with_suffix(".pub").read_text())
    assert done["changed"] and logs_in(bmc, other)


def test_a_wrong_password_is_told_as_such_and_nowhere_shown(authorize: Any) -> None:
    (result,) = authorize(password="not-the-password")["results"]
    assert (result["kind"], result["step"]) == ("auth", "read"), result
    assert "not-the-password" not in str(result)


def test_a_bmc_that_nobody_knows_is_given_no_password(bmc: Sshd, authorize: Any, tmp_path: Path) -> None:
    bmc.known_hosts.write_text("")
    (refused,) = authorize()["results"]
    assert refused["kind"] == "host-key" and "ssh-keyscan" in refused["msg"]
    assert authorize(host_key_checking="accept-new")["changed"]
    assert "ssh-ed25519" in bmc.known_hosts.read_text()
    wrong = OTHERS.partition("ssh-ed25519 ")[2].split()[0]
    bmc.known_hosts.write_text(f"[127.0.0.1]:{bmc.port} ssh-ed25519 {wrong}\n")
    (refused,) = authorize(host_key_checking="accept-new")["results"]
    assert refused["kind"] == "host-key"


def test_a_changed_host_key_is_no_matter_to_who_checks_none(bmc: Sshd, authorize: Any) -> None:
    wrong = OTHERS.partition("ssh-ed25519 ")[2].split()[0]
    bmc.known_hosts.write_text(f"[127.0.0.1]:{bmc.port} ssh-ed25519 {wrong}\n")
    assert authorize(host_key_checking="off")["changed"]
    assert wrong in bmc.known_hosts.read_text()


def test_the_keys_of_an_agent_use_up_no_attempts(
    bmc: Sshd, key: Path, authorize: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent_socket = tmp_path / "agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", str(agent_socket)], stdout=subprocess.DEVNULL) as agent:
        eventually(agent_socket.exists, what="the agent")
        monkeypatch.setenv("SSH_AUTH_SOCK", str(agent_socket))
        for number in range(12):
            kept = tmp_path / f"kept-{number}"
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(kept)], check=True)
            subprocess.run(["ssh-add", "-q", str(kept)], check=True)
        done = authorize()
        agent.terminate()
    assert done["changed"], done


def test_a_passphrase_is_not_answered_with_the_password(bmc: Sshd, authorize: Any, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "a passphrase", "-f", str(locked)], check=True)
    bmc.authorized_keys.parent.mkdir(mode=0o700)
    bmc.authorized_keys.write_text(locked.with_suffix(".pub").read_text())
    bmc.authorized_keys.chmod(0o600)
    assert authorize(private_key_file=str(locked))["changed"]


def test_a_line_that_is_commented_out_lets_nobody_in(bmc: Sshd, key: Path, authorize: Any) -> None:
    bmc.authorized_keys.parent.mkdir(mode=0o700)
    bmc.authorized_keys.write_text(f"# {key.with_suffix('.pub').read_text()}")
    assert authorize()["changed"]
    assert logs_in(bmc, key)


def test_a_file_system_that_takes_nothing_is_told_of_and_the_keys_stay(bmc: Sshd, authorize: Any) -> None:
    bmc.authorized_keys.parent.mkdir(mode=0o700)
    bmc.authorized_keys.write_text(OTHERS)
    bmc.write_protect()
    for change in ({}, {"state": "absent", "key": OTHERS.partition(" ")[2]}):
        (refused,) = authorize(**change)["results"]
        assert (refused["kind"], refused["step"]) == ("refused", "change"), refused
        for told in ("Read-only file system", f"~/.ssh/authorized_keys of {USER}", "mount it writable"):
            assert told in refused["msg"]
    assert bmc.kept_keys() == OTHERS
    kept = bmc.fill_up(OTHERS, room=40)
    (refused,) = authorize()["results"]
    assert "No space left on device" in refused["msg"] and "make room" in refused["msg"], refused
    assert bmc.kept_keys() == kept, "a line that was cut short is none"


def test_a_task_that_is_called_off_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        module = Module("bmc_authorized_key", tmp_path / "c")
        common = {"address": "127.0.0.1", "username": "root", "password": "pa55word", "key": OTHERS}
        process = module.start(port=silent.getsockname()[1], **common)
        connection, _where = silent.accept()
        started = set(tree(process.pid)) - {process.pid}
        process.terminate()
        (outcome,) = module.result(process)["results"]
        assert outcome["kind"] == "cancelled"
        assert started
        eventually(lambda: not alive(started), what="ssh's end")
        connection.close()
    assert not list(tmp_path.glob("baremetal-lab-*"))


@pytest.mark.parametrize(
    "key_text", ["", "ssh-ed25519", "ssh-rsa AAAA", "no key at all", "-----BEGIN PRIVATE KEY-----"]
)
def test_what_is_no_public_key_is_refused_before_anybody_is_asked(tmp_path: Path, key_text: str) -> None:
    result = Module("bmc_authorized_key", tmp_path / "c")(
        address="127.0.0.1", port=9, username="root", password="x", key=key_text
    )
    assert result["failed"] and "give the one line of a .pub file" in result["msg"]
