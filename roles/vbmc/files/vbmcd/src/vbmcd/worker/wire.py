# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages between supervisor and workers: JSON objects over ZMQ, on a socket only the daemon can open.

Down: ``assign`` (desired state), ``kept``; ``watch`` to a watcher. Up: ``heartbeat``, ``done``, ``keep``, ``users``;
``seen`` from a watcher. Descriptors pass beside them (``handover``), paired by token.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Dict, List, Optional, Tuple

from vbmcd.config import Connection, Instance, Privilege, User
from vbmcd.documents import instance_from_file, instance_to_file

HEARTBEAT_SECONDS = 1.0

Message = Dict[str, Any]
Users = Tuple[User, ...]


@dataclass(frozen=True)
class WorkerSpec:
    """What a worker is born with; all else comes over ZMQ."""

    name: str
    endpoint: str
    """The ZMQ address of the supervisor."""
    kind: str = "worker"
    """What it is to be: a worker, or a watcher."""


@dataclass(frozen=True)
class Assignment:
    """One instance that a worker is to serve, on the sockets that came with its tokens."""

    instance: Instance
    token: int
    kept: Dict[str, bytes]
    """Its records, by kind (store.RECORDS)."""
    redfish: int = 0
    """The token of the socket that listens for Redfish; 0 where there is none."""

    def to_wire(self) -> Message:
        kept = {record: data.hex() for record, data in self.kept.items()}
        return {"instance": instance_to_file(self.instance), "token": self.token, "kept": kept, "redfish": self.redfish}

    @classmethod
    def from_wire(cls, wire: Message) -> Assignment:
        kept = {record: bytes.fromhex(data) for record, data in wire["kept"].items()}
        return cls(instance_from_file(wire["instance"]), int(wire["token"]), kept, int(wire["redfish"]))


def assign(number: int, add: List[Assignment], remove: List[str]) -> Message:
    """Serve `add`, in place of older assignments of the same names; stop serving `remove`. Answer ``done``."""
    return {"type": "assign", "number": number, "add": [one.to_wire() for one in add], "remove": remove}


def parse_assign(message: Message) -> Tuple[List[Assignment], List[str]]:
    return [Assignment.from_wire(one) for one in message["add"]], list(message["remove"])


def users_changed(name: str, then: Users, now: Users) -> Message:
    """Let `now` be the users of an instance, which were `then`. Answer ``kept``."""
    return {"type": "users", "name": name, "then": _to_wire(then), "now": _to_wire(now)}


def parse_users(message: Message) -> Tuple[Users, Users]:
    then, now = (
        tuple(User(name, password, Privilege(level)) for name, password, level in message[key])
        for key in ("then", "now")
    )
    return then, now


def watch(connection: Connection, seen: Dict[str, Message]) -> Message:
    """Follow the domains there; `seen` is what was known of masters before, by UUID."""
    return {"type": "watch", "connection": asdict(connection), "seen": seen}


def parse_watch(message: Message) -> Tuple[Connection, Dict[str, Message]]:
    return Connection(**message["connection"]), dict(message["seen"])


def seen(master: str, entry: Optional[Message]) -> Message:
    """Remember that of a master; None to forget it."""
    return {"type": "seen", "master": master, "entry": entry}


def _to_wire(users: Users) -> List[Tuple[str, str, int]]:
    return [(user.name, user.password, int(user.privilege)) for user in users]


def encode(message: Message) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()


def decode(raw: bytes) -> Message:
    message = json.loads(raw)
    if not isinstance(message, dict):
        raise ValueError("a message that is no object")
    return message
