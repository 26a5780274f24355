# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The store: durable, private, one bad file at a time, one daemon at a time."""

from __future__ import annotations

import json
import os
import resource
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from vbmcd.config import Instance, User
from vbmcd.documents import instance_to_file
from vbmcd.errors import StateError
from vbmcd.paths import escape
from vbmcd.store import Loaded, Store, holder_of

ONE = Instance("one", "one", 6230)
TWO = Instance("two", "two", 6231, users=(User("admin", "secret"),), active=True)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "state")


def file_of(store: Store, name: str) -> Path:
    return store.path / "instances" / f"{escape(name)}.json"


@contextmanager
def full_disk() -> Iterator[None]:
    """No file of this process can grow beyond a few bytes: EFBIG, which stands for ENOSPC."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def no_access(folder: Path) -> Iterator[None]:
    """This process can't list `folder`, not even if it is root's."""
    user = os.geteuid()
    mode = stat.S_IMODE(folder.stat().st_mode)
    folder.chmod(0)
    try:
        if user == 0:
            os.seteuid(65534)
        yield
    finally:
        os.seteuid(user)
        folder.chmod(mode)


def test_what_is_saved_is_loaded(store: Store) -> None:
    store.save([ONE, TWO])
    loaded = Store(store.path).load()
    assert loaded.instances == {"one": ONE, "two": TWO}
    assert loaded.broken == {}


def test_everything_is_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = Store(tmp_path / "a" / "state")
        store.lock()
        store.save([ONE])
        store.save_record("one", "boot", b"\x01")
    finally:
        os.umask(before)
    for path in [store.path, *store.path.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_the_mode_of_a_folder_is_mended(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    Store(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


def test_a_folder_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    with pytest.raises(StateError, match=r"make the folder .*state"):
        Store(tmp_path / "state")


@pytest.mark.parametrize(
    "name", ["..", ".", "/etc/passwd", "../../x", "a\\b", "ünï", "x" * 200, "ä" * 200, ".tmp-1", "lock"]
)
def test_no_name_leaves_the_folder(store: Store, name: str) -> None:
    before = set(store.path.parent.iterdir())
    instance = Instance(name, "d", 1)
    store.save([instance])
    store.save_record(name, "boot", b"x")
    assert set(store.path.parent.iterdir()) == before
    assert store.load().instances == {name: instance}
    store.delete([name])
    assert store.load().instances == {}
    assert store.load_record(name, "boot") is None


BAD_CONTENTS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "not JSON"),
    "text": (b"port = 623", "not JSON"),
    "cut off": (b'{"format": 1, "name": "b', "not JSON"),
    "deep": (b"[" * 100_000, "not JSON"),
    "list": (b"[]", "no JSON object"),
    "binary": (b"\xff\xfe\x00", "not UTF-8"),
    "big": (b" " * ((1 << 20) + 1), "1048577 bytes"),
    "bad port": (json.dumps({**instance_to_file(ONE), "name": "bad", "port": 0}).encode(), "port 0"),
    "wrong type": (json.dumps({**instance_to_file(ONE), "name": "bad", "domain": 5}).encode(), "domain 5"),
    "newer": (json.dumps({**instance_to_file(ONE), "name": "bad", "format": 99}).encode(), "format 99"),
    "other name": (json.dumps(instance_to_file(Instance("else", "x", 9))).encode(), "'else'"),
}


@pytest.mark.parametrize("kind", BAD_CONTENTS)
def test_a_bad_file_breaks_its_own_instance_only(store: Store, kind: str) -> None:
    content, reason = BAD_CONTENTS[kind]
    store.save([ONE, TWO])
    file_of(store, "bad").write_bytes(content)
    loaded = store.load()
    assert loaded.instances == {"one": ONE, "two": TWO}
    assert list(loaded.broken) == ["bad"]
    assert reason in loaded.broken["bad"]
    assert str(file_of(store, "bad")) in loaded.broken["bad"]


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), os.mkfifo, lambda path: path.symlink_to("x")])
def test_what_is_no_file_breaks_its_own_instance_only(store: Store, make: Any) -> None:
    store.save([ONE])
    make(file_of(store, "bad"))
    loaded = store.load()
    assert loaded.instances == {"one": ONE}
    assert list(loaded.broken) == ["bad"]


def test_a_bad_file_with_an_odd_name_can_be_deleted(store: Store) -> None:
    odd = store.path / "instances" / "a%62.json"
    odd.write_bytes(b"")
    assert list(store.load().broken) == ["a%62"]
    store.delete(["a%62"])
    assert not odd.exists()


def test_an_instance_in_a_file_with_an_odd_name_is_mended_by_saving_it(store: Store) -> None:
    store.save([ONE])
    odd = file_of(store, "one").with_name("one copy.json")
    odd.write_bytes(file_of(store, "one").read_bytes())
    assert list(store.load().broken) == ["one copy"]
    copy = Instance("one copy", "two", 6231)
    store.save([copy])
    assert not odd.exists()
    assert store.load() == Loaded({"one": ONE, "one copy": copy}, {})


def test_an_odd_file_beside_the_good_one_goes_when_that_is_saved(store: Store) -> None:
    instance = Instance("x y", "one", 6230)
    store.save([instance])
    odd = file_of(store, "x y").with_name("x y.json")
    odd.write_bytes(file_of(store, "x y").read_bytes())
    assert list(store.load().broken) == ["x y"]
    store.save([instance])
    assert not odd.exists()
    assert store.load() == Loaded({"x y": instance}, {})


def test_an_odd_file_and_the_good_one_are_deleted_together(store: Store) -> None:
    store.save([Instance("x y", "one", 6230)])
    file_of(store, "x y").with_name("x y.json").write_bytes(b"")
    assert list(store.load().broken) == ["x y"]
    store.delete(["x y"])
    assert list((store.path / "instances").iterdir()) == []


def test_a_full_disk_keeps_the_file_with_an_odd_name(store: Store) -> None:
    odd = file_of(store, "x y").with_name("x y.json")
    odd.write_bytes(b"{}")
    assert list(store.load().broken) == ["x y"]
    with full_disk(), pytest.raises(StateError):
        store.save([Instance("x y", "one", 6230)])
    assert odd.read_bytes() == b"{}"
    store.save([Instance("x y", "one", 6230)])
    assert not odd.exists()


@pytest.mark.parametrize("together", [True, False])
def test_a_file_that_turned_out_to_be_named_well_is_kept(store: Store, together: bool) -> None:
    """A shortened name can't be told from an unreadable file, which goes by the shortened one until it is saved."""
    well, odd = Instance("x" * 200, "one", 6230), Instance(escape("x" * 200), "two", 6231)
    file_of(store, well.name).write_bytes(b"")
    assert list(store.load().broken) == [odd.name]
    for instances in [[well, odd]] if together else [[well], [odd]]:
        store.save(instances)
    assert store.load() == Loaded({well.name: well, odd.name: odd}, {})


def test_a_bad_file_with_a_shortened_name_is_told_by_its_own(store: Store) -> None:
    name = "ä" * 200
    file_of(store, name).write_text(json.dumps({**instance_to_file(ONE), "name": name, "port": 0}))
    assert list(store.load().broken) == [name]


def test_a_broken_instance_is_mended_by_saving_it(store: Store) -> None:
    file_of(store, "one").write_bytes(b"x")
    assert list(store.load().broken) == ["one"]
    store.save([ONE])
    assert store.load().broken == {}


def test_of_two_files_for_one_endpoint_the_second_is_broken_and_both_are_named(store: Store) -> None:
    store.save([Instance("b", "b", 6230, "192.0.2.1"), Instance("a", "a", 6230)])
    loaded = store.load()
    assert set(loaded.instances) == {"a", "b"}
    assert list(loaded.broken) == ["b"]
    assert "instance 'b' wants 192.0.2.1:6230, which 'a' already has" in loaded.broken["b"]


def test_reasons_hold_no_password(store: Store) -> None:
    file_of(store, "bad").write_text(json.dumps({**instance_to_file(TWO), "port": "secret-not"}).replace("}", ""))
    file_of(store, "worse").write_text(json.dumps({**instance_to_file(TWO), "name": "worse", "password": 5, "port": 0}))
    assert "secret" not in str(store.load().broken)


def test_unfinished_files_are_ignored_and_removed_by_who_has_the_lock(store: Store) -> None:
    unfinished = store.path / "instances" / ".tmp-99"
    unfinished.write_bytes(b"half")
    assert store.load() == Loaded({}, {})
    store.lock()
    assert not unfinished.exists()


def test_instances_that_were_moved_away_are_not_taken_for_none(store: Store) -> None:
    store.save([ONE])
    folder = store.path / "instances"
    away = folder.rename(store.path / "away")
    with pytest.raises(StateError, match=rf"can't read {folder}: No such file .*: put that folder back"):
        store.load()
    away.rename(folder)
    assert store.load().instances == {"one": ONE}


def test_instances_that_cannot_be_listed_are_not_taken_for_none(store: Store) -> None:
    store.save([ONE])
    folder = store.path / "instances"
    with no_access(folder), pytest.raises(StateError, match=rf"can't read {folder}: .*: give this user access"):
        store.load()
    assert store.load().instances == {"one": ONE}


def test_a_folder_that_cannot_be_tidied_is_told(store: Store) -> None:
    folder = store.path / "boot"
    folder.rmdir()
    with pytest.raises(StateError, match=rf"can't read {folder}: No such file"):
        store.lock()
    store.close()


def test_boot_flags_can_be_saved_by_several_threads(store: Store) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: store.save_record(f"n{number % 4}", "boot", b"%d" % (number % 4)), range(64)))
    assert [store.load_record(f"n{number}", "boot") for number in range(4)] == [b"0", b"1", b"2", b"3"]


def test_a_full_disk_changes_nothing_and_is_told(store: Store) -> None:
    store.save([ONE])
    with full_disk(), pytest.raises(StateError) as caught:
        store.save([ONE.with_active(True), TWO])
    assert str(file_of(store, "one")) in str(caught.value)
    assert "raise the limit" in str(caught.value)
    assert store.load().instances == {"one": ONE}
    assert [path.name for path in (store.path / "instances").iterdir()] == ["one.json"]


def test_a_full_disk_keeps_boot_flags(store: Store) -> None:
    store.save_record("one", "boot", b"old")
    with full_disk(), pytest.raises(StateError):
        store.save_record("one", "boot", b"new" * 20)
    assert store.load_record("one", "boot") == b"old"


def test_a_folder_in_the_way_is_told(store: Store) -> None:
    file_of(store, "one").mkdir()
    with pytest.raises(StateError, match=r"one\.json: .*move that folder away"):
        store.save([ONE])


def test_boot_flags_are_kept_beside_the_instance_and_go_with_it(store: Store) -> None:
    assert store.load_record("one", "boot") is None
    store.save([ONE])
    store.save_record("one", "boot", bytes(range(256)))
    assert Store(store.path).load_record("one", "boot") == bytes(range(256))
    store.delete(["one", "unknown"])
    assert store.load_record("one", "boot") is None


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"data": 5}', '{"data": "zz"}', '{"data": null}'])
def test_unusable_boot_flags_are_none(store: Store, content: str) -> None:
    (store.path / "boot" / "one.json").write_text(content)
    assert store.load_record("one", "boot") is None


def test_a_second_daemon_is_refused_and_told_of_the_first(store: Store) -> None:
    store.lock("/run/first.sock")
    second = Store(store.path)
    with pytest.raises(StateError) as caught:
        second.lock("/run/second.sock")
    assert f"process id {os.getpid()}" in str(caught.value)
    assert "/run/first.sock" in str(caught.value)
    assert str(store.path) in str(caught.value)


def test_who_serves_a_folder_can_be_asked_from_outside(store: Store) -> None:
    assert holder_of(store.path) is None
    store.lock("/run/first.sock")
    assert holder_of(store.path) == (os.getpid(), "/run/first.sock")


def test_a_closed_lock_is_free(store: Store) -> None:
    store.lock("first")
    store.close()
    second = Store(store.path)
    second.lock("second")
    second.close()


def test_a_child_can_take_over_as_the_holder_that_is_named(store: Store) -> None:
    store.lock("first")
    store.lock("again")
    with pytest.raises(StateError, match="again"):
        Store(store.path).lock()


def test_a_child_that_lets_go_leaves_the_lock_with_its_parent(store: Store) -> None:
    store.lock("first")
    child = os.fork()
    if child == 0:
        store.close()
        os._exit(0)
    os.waitpid(child, 0)
    with pytest.raises(StateError):
        Store(store.path).lock()


def test_a_killed_daemon_leaves_no_lock(store: Store) -> None:
    script = (
        "import sys, os, signal; from pathlib import Path; from vbmcd.store import Store\n"
        "Store(Path(sys.argv[1])).lock('dead'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    environ = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, "-c", script, str(store.path)], env=environ, check=False)
    assert done.returncode == -signal.SIGKILL
    store.lock("alive")
    assert "alive" in (store.path / "lock").read_text()


def test_a_file_whose_name_is_no_utf_8_is_broken_and_can_be_deleted(store: Store) -> None:
    store.save([ONE])
    odd = os.path.join(os.fsencode(store.path / "instances"), b"\xff.json")
    with open(odd, "w") as file:
        file.write("{}")
    loaded = store.load()
    assert set(loaded.instances) == {"one"} and set(loaded.broken) == {"\ufffd"}
    store.delete(["\ufffd"])
    assert not os.path.exists(odd) and set(store.load().instances) == {"one"}
