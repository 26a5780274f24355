# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state folder: instances and their records, a file each, and the lock that keeps a second daemon out.

The supervisor is the only writer; the CLI asks who holds the lock (holder_of). Nothing here knows what a
record means.

    STATE/lock                  flock; pid and socket of who holds it
    STATE/instances/NAME.json   documents.instance_to_file()
    STATE/seen/URI.json         what a dependency watcher has seen
    STATE/RECORD/NAME.json      opaque bytes that a worker had kept for it, in hexadecimal
"""

from __future__ import annotations

import errno
import fcntl
import itertools
import json
import os
import re
import stat
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Tuple

from vbmcd.config import Instance
from vbmcd.documents import instance_from_file, instance_to_file
from vbmcd.endpoints import Endpoints, show
from vbmcd.errors import StateError, VbmcError
from vbmcd.paths import escape, unescape

RECORDS = (
    "boot",
    "policy",
    "power",
    "restart",
    "users",
    "sel",
    "fru",
    "sol",
    "certificate",
    "redfish",
    "firmware",
    "media",
)
"""What workers have kept for an instance: the boot options, the power restore policy, the machine's power, user ids,
the event log, the FRU inventory that was written, SOL; of Redfish, the certificate and key that were made for it, and
what its clients set; the firmware images; the virtual medium."""

_SUFFIX = ".json"
_REDFISH = re.compile(rb'"redfish":\s*{\s*"enabled":\s*true')
_TEMPORARY = ".tmp-"
"""How the names of unfinished files begin; an escaped name never begins with a dot."""
_numbers = itertools.count()
"""Makes those names unique: several threads may each write an instance's boot flags."""
_MAX_FILE = 1 << 20
_HOLDER_WRITES = 0.5
"""Seconds that a daemon is given, which has just taken the lock, to write who it is."""

_REMEDIES = {
    errno.ENOSPC: "free some space there",
    errno.EDQUOT: "free some space there, or raise the quota",
    errno.EFBIG: "raise the limit on file sizes",
    errno.EROFS: "mount it writable, or choose another folder with --state-dir",
    errno.EACCES: "give this user access, or choose another folder with --state-dir",
    errno.EPERM: "give this user access, or choose another folder with --state-dir",
    errno.ENOENT: "put that folder back, or choose another one with --state-dir",
    errno.EISDIR: "move that folder away",
    errno.ENOTDIR: "choose another folder with --state-dir",
}


@dataclass(frozen=True)
class Loaded:
    """What the state folder holds.

    A name in `broken` (with the reason) is not to be served. It can be in `instances` as well: its file is
    good, but contradicts another one's.
    """

    instances: Dict[str, Instance]
    broken: Dict[str, str]


class Store:
    """One state folder. Errors of any method are StateError, and leave the old content as it was."""

    def __init__(self, state_dir: Path) -> None:
        """Makes the folder, or mends its mode: it holds passwords."""
        self.path = Path(os.path.abspath(state_dir))
        self._instances = self.path / "instances"
        self._records = {record: self.path / record for record in RECORDS}
        self._seen = self.path / "seen"
        self._lock: Optional[int] = None
        self._odd_files: Dict[str, Path] = {}
        """Broken instances whose file is not named as theirs would be."""
        for folder in (self.path, *self._folders()):
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                if stat.S_IMODE(folder.stat().st_mode) != 0o700:
                    folder.chmod(0o700)
            except OSError as error:
                raise _failed("make the folder", folder, error) from error

    def has_redfish(self) -> bool:
        """Whether any instance seems to have Redfish: a look at the files that costs little, and may be wrong."""
        try:
            return any(_REDFISH.search(path.read_bytes()) for path in self._instances.glob(f"*{_SUFFIX}"))
        except OSError:
            return False

    def lock(self, socket: str = "") -> None:
        """Keep every other daemon off this folder until close(), or the end of this process.

        Called again by a child that took over from its parent, it only notes who holds the lock now. What a
        killed daemon left unfinished is removed here: only who has the lock knows that nobody is writing.
        """
        path = self.path / "lock"
        if self._lock is None:
            self._lock = self._take_lock(path)
            self._remove_unfinished()
        holder = json.dumps({"pid": os.getpid(), "socket": socket}).encode("ascii")
        try:
            os.ftruncate(self._lock, 0)
            os.pwrite(self._lock, holder, 0)
        except OSError as error:
            self.close()
            raise _failed("write", path, error) from error

    def _take_lock(self, path: Path) -> int:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _failed("open", path, error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            try:
                if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                    raise self._held(descriptor) from None
                raise _failed("lock", path, error) from error
            finally:
                os.close(descriptor)
        return descriptor

    def _held(self, descriptor: int) -> StateError:
        """The error that names who holds the lock; waits for a holder that has not written it yet."""
        deadline = time.monotonic() + _HOLDER_WRITES
        while True:
            holder = _read_holder(descriptor)
            if holder is not None:
                pid, socket = holder
                at = f", and listens on {socket}" if socket else ""
                who = f"vbmcd with process id {pid} serves it{at}"
                break
            if time.monotonic() >= deadline:
                who = "another vbmcd serves it"
                break
            time.sleep(0.01)
        return StateError(f"state folder {self.path} is in use: {who}: stop that one, or choose another --state-dir")

    def close(self) -> None:
        """Let go of the lock. A forked child calls it, too: the lock stays with the parent then."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def load(self) -> Loaded:
        """Every instance; a file that can't be used breaks its own instance only."""
        paths = [path for path in _list_folder(self._instances) if path.name.endswith(_SUFFIX)]
        instances: Dict[str, Instance] = {}
        broken: Dict[str, str] = {}
        self._odd_files.clear()
        for path in paths:
            stem = path.name[: -len(_SUFFIX)]
            # A name that is no UTF-8 is shown with replacement characters.
            name = unescape(stem) or os.fsencode(stem).decode("utf-8", "replace")
            try:
                content = _read_json(path)
                name = _claimed_name(content, stem) or name
                instance = instance_from_file(content)
                if escape(instance.name) != stem:
                    raise StateError(f"it names instance {instance.name!r}, which belongs into another file")
            except VbmcError as error:
                broken[name] = f"file {path} is unusable: {error}"
                if escape(name) != stem:
                    self._odd_files[name] = path
                continue
            instances[name] = instance
        broken.update(contradictions(instances))
        return Loaded(instances, broken)

    def save(self, instances: Iterable[Instance]) -> None:
        """Write them all durably; where there is no room for all, none is changed.

        Only then goes what was kept for one of them in a file of another name.
        """
        saved = {instance.name: instance for instance in instances}
        contents = {self._file(name): _encode(instance_to_file(instance)) for name, instance in saved.items()}
        self._write(self._instances, contents)
        # An unreadable file goes by its shortened name until the instance is saved that it belongs to.
        self._odd_files = {name: path for name, path in self._odd_files.items() if path not in contents}
        odd = [name for name in saved if name in self._odd_files]
        for name in odd:
            _remove(self._odd_files[name])
            del self._odd_files[name]
        if odd:
            _sync_folder(self._instances)

    def delete(self, names: Iterable[str]) -> None:
        """Forget instances and their records; unknown names are fine."""
        found = False
        for name in names:
            paths = [self._file(name), *(self._record_file(name, record) for record in RECORDS)]
            if name in self._odd_files:
                paths.append(self._odd_files[name])
            for path in paths:
                found = _remove(path) or found
            self._odd_files.pop(name, None)
        if found:
            for folder in self._folders():
                _sync_folder(folder)

    def load_record(self, name: str, record: str) -> Optional[bytes]:
        """One of RECORDS as it was saved for `name`; None where there is none, or it can't be read."""
        try:
            content = _read_json(self._record_file(name, record))
        except VbmcError:
            return None
        data = content.get("data") if isinstance(content, dict) else None
        if not isinstance(data, str):
            return None
        try:
            return bytes.fromhex(data)
        except ValueError:
            return None

    def save_record(self, name: str, record: str, data: bytes) -> None:
        self._write(self._records[record], {self._record_file(name, record): _encode({"data": data.hex()})})

    def load_seen(self, uri: str) -> Optional[Dict[str, object]]:
        """What a watcher of `uri` had seen; None where there is nothing, or it can't be read."""
        try:
            content = _read_json(self._seen / f"{escape(uri)}{_SUFFIX}")
        except VbmcError:
            return None
        return content if isinstance(content, dict) else None

    def save_seen(self, uri: str, content: Dict[str, object]) -> None:
        self._write(self._seen, {self._seen / f"{escape(uri)}{_SUFFIX}": _encode(content)})

    def delete_seen(self, uri: str) -> None:
        if _remove(self._seen / f"{escape(uri)}{_SUFFIX}"):
            _sync_folder(self._seen)

    def _folders(self) -> Tuple[Path, ...]:
        return (*self._records.values(), self._instances, self._seen)

    def _file(self, name: str) -> Path:
        return self._instances / f"{escape(name)}{_SUFFIX}"

    def _record_file(self, name: str, record: str) -> Path:
        return self._records[record] / f"{escape(name)}{_SUFFIX}"

    @staticmethod
    def _write(folder: Path, contents: Dict[Path, bytes]) -> None:
        """Write and sync every file under another name first, so that a full disk is met before any change."""
        ready: List[Tuple[Path, Path]] = []
        path = folder
        try:
            for path, content in contents.items():
                temporary = folder / f"{_TEMPORARY}{next(_numbers)}"
                ready.append((temporary, path))
                _write_new(temporary, content)
            while ready:
                temporary, path = ready[0]
                os.replace(temporary, path)
                ready.pop(0)
        except OSError as error:
            for temporary, _path in ready:
                temporary.unlink(missing_ok=True)
            raise _failed("write", path, error) from error
        _sync_folder(folder)

    def _remove_unfinished(self) -> None:
        for folder in self._folders():
            unfinished = [path for path in _list_folder(folder) if path.name.startswith(_TEMPORARY)]
            try:
                for path in unfinished:
                    path.unlink()
            except OSError as error:
                raise _failed("tidy", folder, error) from error


def holder_of(state_dir: Path) -> Optional[Tuple[int, str]]:
    """Process id and socket of the daemon that serves `state_dir`; None if there is none."""
    try:
        descriptor = os.open(state_dir / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return _read_holder(descriptor)
    finally:
        os.close(descriptor)


def contradictions(instances: Dict[str, Instance]) -> Dict[str, str]:
    """Names of instances of which an endpoint belongs to one before them, with the reason."""
    udp, tcp = Endpoints(), Endpoints()
    broken: Dict[str, str] = {}
    for name, instance in sorted(instances.items()):
        endpoints = [(udp, instance.endpoint)]
        if instance.redfish_endpoint is not None:
            endpoints.append((tcp, instance.redfish_endpoint))
        for taken, endpoint in endpoints:
            holder = taken.holder(endpoint)
            if holder is not None:
                broken[name] = (
                    f"instance {name!r} wants {show(endpoint)}, which {holder!r} already has: "
                    "give it another port with vbmc apply"
                )
                break
        else:
            for taken, endpoint in endpoints:
                taken.claim(endpoint, name)
    return broken


def _list_folder(folder: Path) -> List[Path]:
    """What is in `folder`, sorted. Path.glob() would take a folder that can't be listed for an empty one."""
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(entry.path) for entry in entries)
    except OSError as error:
        raise _failed("read", folder, error) from error


def _remove(path: Path) -> bool:
    """Whether there was such a file."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _failed("remove", path, error) from error
    return True


def _read_json(path: Path) -> object:
    """Raises StateError: a folder, pipe or the like, too big, not UTF-8, not JSON, unreadable."""
    try:
        # Not blocking: opening a pipe would wait for its writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise StateError("it is no regular file: move it away")
            if status.st_size > _MAX_FILE:
                raise StateError(f"it has {status.st_size} bytes, which no instance needs: restore or remove it")
            data = file.read(_MAX_FILE)
    except OSError as error:
        raise StateError(f"it can't be read: {error.strerror}") from error
    try:
        return json.loads(data.decode("utf-8"))
    except UnicodeDecodeError:
        raise StateError("it is not UTF-8: restore or remove it") from None
    except (ValueError, RecursionError):
        # json's own message would be safe to show, but says nothing that helps here.
        raise StateError("it is not JSON: restore or remove it") from None


def _claimed_name(content: object, stem: str) -> Optional[str]:
    """The name that `content` gives itself, if its file is named so: shortened ones can't be told otherwise."""
    name = content.get("name") if isinstance(content, dict) else None
    if not isinstance(name, str):
        return None
    try:
        return name if escape(name) == stem else None
    except UnicodeEncodeError:
        return None


def _encode(document: Dict[str, object]) -> bytes:
    return (json.dumps(document, indent=1) + "\n").encode("ascii")


def _write_new(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "wb", buffering=0) as file:
        rest = memoryview(content)
        while rest:
            rest = rest[file.write(rest) :]
        os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    """A rename is durable only once its folder is written (fsync(2))."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _failed("sync", folder, error) from error


def _read_holder(descriptor: int) -> Optional[Tuple[int, str]]:
    """Pid and socket in a lock file; None if they are not (yet) those of a process that lives."""
    try:
        content = json.loads(os.pread(descriptor, 4096, 0))
        pid, socket = int(content["pid"]), str(content["socket"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    try:
        os.kill(pid, 0)
    except PermissionError:
        # It lives, and is another user's.
        return pid, socket
    except (OSError, OverflowError):
        return None
    return pid, socket


def _failed(action: str, path: Path, error: OSError) -> StateError:
    remedy = _REMEDIES.get(error.errno or 0, "see to that folder")
    return StateError(f"can't {action} {path}: {error.strerror}: {remedy}")
