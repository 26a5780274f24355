# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenSSH keys that may log in to many BMCs: lines of authorized_keys. Those of others are left as they are."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import List, Optional, Tuple

from ..clients.ssh import SshClient, SshOptions
from ..errors import BadRequest, NotReached, Refused
from ..executor import ParallelNodes
from ..node import Node
from ..outcome import Outcome, settled

PRESENT, ABSENT = "present", "absent"
READ = "test ! -e ~/.ssh/authorized_keys || cat ~/.ssh/authorized_keys"
# A line more, so that tasks which let in keys at once lose none of them. dropbear wants no other writer. The line is
# written elsewhere before, since a full disk takes a part of one. By cat, for a shell's own printf may not say why.
APPEND = (
    "umask 077 && mkdir -p ~/.ssh && chmod go-w ~/.ssh && new=~/.ssh/authorized_keys.$$ && line=$(cat) && "
    "{ printf '%s\\n' \"$line\" | cat > $new && rm $new && printf '%s\\n' \"$line\" | cat >> ~/.ssh/authorized_keys || "
    "{ rm -f $new; exit 1; }; }"
)
# Renamed into its place, so that a connection that breaks leaves the old file whole.
REPLACE = (
    "umask 077 && new=~/.ssh/authorized_keys.$$ && { cat > $new && mv -f $new ~/.ssh/authorized_keys || "
    "{ rm -f $new; exit 1; }; }"
)
KINDS = ("ssh-", "ecdsa-", "sk-ssh-", "sk-ecdsa-")


@dataclass(frozen=True)
class KeyRequest:
    """A key that is to be there, or not."""

    key: str
    """A line as in a .pub file."""
    state: str = PRESENT
    check: bool = False
    """Only say what would be done."""
    options: SshOptions = field(default_factory=SshOptions)


class SshkeyManager(ParallelNodes):
    """Operation: `set_key`."""

    def validate_set_key(self, request: KeyRequest) -> None:
        if "\n" in request.key.strip() or identity(request.key) is None:
            raise BadRequest("that is no public key of OpenSSH's: give the one line of a .pub file")

    def set_key(self, node: Node, request: KeyRequest) -> Outcome:
        client = SshClient(node.target, node.deadline, request.options)
        node.at("read")
        found = node.reading(lambda: client.run(READ))
        lines = _lines(found)
        wanted = _wanted(lines, request)
        before, after = _present(lines, request.key), request.state == PRESENT
        if before != after and not request.check:
            node.at("change")
            if after:
                gap = "" if found.endswith(b"\n") or not found else "\n"
                _write(node, client, APPEND, f"{gap}{request.key.strip()}\n")
            else:
                _write(node, client, REPLACE, "".join(f"{line}\n" for line in wanted))
            node.at("verify")
            if _present(_lines(node.reading(lambda: client.run(READ))), request.key) != after:
                raise NotReached("the BMC took the keys, and does not have them afterwards")
        count = sum(identity(line) is not None for line in wanted)
        return settled(node.name, {"authorized": before}, {"authorized": after}, key_count=count)


def _write(node: Node, client: SshClient, command: str, text: str) -> None:
    """Raises HwctlError; what a file system refuses is told with what can be done."""
    try:
        client.run(command, text.encode(errors="surrogateescape"))
    except Refused as error:
        raise Refused(
            f"~/.ssh/authorized_keys of {node.target.username} can't be written; the keys in it are as they were. "
            f"{error}. Where the file system is read-only mount it writable, where it is full make room"
        ) from None


def identity(line: str) -> Optional[Tuple[str, str]]:
    """Kind and key of a line of authorized_keys, which may begin with options and end with a comment; None: no key."""
    words = [] if line.lstrip().startswith("#") else line.split()
    for kind, key in zip(words, words[1:]):
        if kind.startswith(KINDS) and _holds(key, kind):
            return kind, key
    return None


def _holds(key: str, kind: str) -> bool:
    """Whether the key says of itself that it is of that kind (RFC 4253, 6.6)."""
    try:
        data = base64.b64decode(key, validate=True)
    except binascii.Error:
        return False
    length = int.from_bytes(data[:4], "big")
    return data[4 : 4 + length] == kind.encode() and len(data) > 4 + length


def _lines(data: bytes) -> List[str]:
    """As sshd sees them; a comment may have other characters in it that Python ends a line at."""
    text = data.decode(errors="surrogateescape")
    return [line.rstrip("\r") for line in text.rstrip("\n").split("\n")] if text else []


def _present(lines: List[str], key: str) -> bool:
    return identity(key) in [identity(line) for line in lines]


def _wanted(lines: List[str], request: KeyRequest) -> List[str]:
    """A key that is there stays as it is, with its options and its comment."""
    if request.state == PRESENT:
        return lines if _present(lines, request.key) else [*lines, request.key.strip()]
    return [line for line in lines if identity(line) != identity(request.key)]
