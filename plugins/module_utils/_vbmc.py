# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client of the daemon vbmcd, by way of its command ``vbmc``.

The modules ``vbmc`` and ``vbmc_info`` are its callers. It runs the command and reads its JSON; what has to change,
and whether it may, is decided by the daemon alone. Knows nothing of Ansible but the arguments that both modules share:
the command runs through a callable of the shape of AnsibleModule.run_command.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

ROLE_COMMAND = "/opt/vbmcd/bin/vbmc"
"""Where the role vbmc installs the command."""

COMMAND_ARGUMENTS: Dict[str, Dict[str, Any]] = {
    "socket": {"type": "path"},
    "vbmc_path": {"type": "path"},
}

Document = Dict[str, Any]
Run = Callable[..., Tuple[int, str, str]]


class VbmcError(Exception):
    """What the daemon, or the command, refused or could not do. The message is for a person."""

    def __init__(self, message: str, code: str = "error", errors: Sequence[Mapping[str, Any]] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.errors = [dict(error) for error in errors]

    def details(self) -> Dict[str, Any]:
        return {"code": self.code, "errors": self.errors}


class VbmcUnavailable(VbmcError):
    """There is no such command, or no daemon that answers it."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="unavailable")


@dataclass(frozen=True)
class Outcome:
    """What became of one instance, or in check mode would."""

    name: str
    state: str
    changed: bool
    actions: Tuple[str, ...] = ()
    """Of create, update, start, stop, delete; in this order."""
    address: Optional[str] = None
    port: Optional[int] = None
    before: Optional[Document] = None
    """Passwords are masked by the daemon, here and in `after`."""
    after: Optional[Document] = None
    error: Optional[str] = None

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> Outcome:
        return cls(
            name=item["name"],
            state=item["state"],
            changed=item["changed"],
            actions=tuple(item.get("actions") or ()),
            address=item.get("address"),
            port=item.get("port"),
            before=item.get("before"),
            after=item.get("after"),
            error=item.get("error"),
        )

    def result(self) -> Dict[str, Any]:
        shown = {
            "name": self.name,
            "state": self.state,
            "changed": self.changed,
            "actions": list(self.actions),
            "address": self.address,
            "port": self.port,
        }
        return {**shown, "error": self.error} if self.error else shown


@dataclass(frozen=True)
class Report:
    """The answer to one request: an outcome for each instance, in the order asked for, then what was purged."""

    changed: bool
    outcomes: List[Outcome] = field(default_factory=list)

    def result(self) -> Dict[str, Any]:
        return {"changed": self.changed, "instances": [outcome.result() for outcome in self.outcomes]}

    def diff(self) -> List[Dict[str, Any]]:
        return [
            {
                "before_header": f"vbmc {outcome.name}",
                "after_header": f"vbmc {outcome.name}",
                "before": outcome.before or {},
                "after": outcome.after or {},
            }
            for outcome in self.outcomes
            if outcome.changed
        ]

    def failures(self) -> List[Dict[str, Any]]:
        return [{"instance": one.name, "message": one.error} for one in self.outcomes if one.error]


def all_changed(specs: Sequence[Mapping[str, Any]]) -> Report:
    """What check mode reports where nothing can be asked: all that is wanted has yet to be made."""
    outcomes = [
        Outcome(
            name=spec["name"],
            state=spec["state"],
            changed=True,
            address=spec.get("address"),
            port=spec.get("port"),
            after={key: value for key, value in spec.items() if not _is_secret(key)},
        )
        for spec in specs
    ]
    return Report(changed=bool(outcomes), outcomes=outcomes)


def _is_secret(key: str) -> bool:
    return key in ("users", "kg") or key.endswith("password")


class VbmcClient:
    """Runs ``vbmc``, which never starts a daemon by itself here. Secrets go by standard input."""

    def __init__(self, run: Run, command: Optional[str], socket: Optional[str] = None) -> None:
        """`run` is called as AnsibleModule.run_command is. `command` None: there is none on this host."""
        self._run = run
        self._command = command
        self._socket = socket

    @staticmethod
    def find(chosen: Optional[str], search: Callable[[str], Optional[str]]) -> Optional[str]:
        """The command's path, or None: `chosen`, or the role's, or what `search` finds for ``vbmc``."""
        if chosen:
            return chosen if os.access(chosen, os.X_OK) else None
        return ROLE_COMMAND if os.access(ROLE_COMMAND, os.X_OK) else search("vbmc")

    def apply(
        self, specs: Sequence[Mapping[str, Any]], *, check: bool = False, purge: bool = False, owner: str = ""
    ) -> Report:
        """Let the daemon converge on `specs`, or with `check` say what it would do. All or nothing is valid.

        `purge`: delete that `owner`'s instances that `specs` does not name. Raises VbmcError.
        """
        arguments = ["apply", "-"]
        if check:
            arguments.append("--check")
        if purge:
            arguments += ["--purge", f"--owner={owner}"]
        answer = self._ask(arguments, {"instances": [dict(spec) for spec in specs]})
        return Report(answer["changed"], [Outcome.of(item) for item in answer["instances"]])

    def status(self) -> Document:
        """What the daemon says of itself. Raises VbmcUnavailable where there is none, and VbmcError."""
        rows = {row["Property"]: row["Value"] for row in self._ask(["status"])}
        workers = [
            {"name": key.split(" ", 1)[1], "status": value} for key, value in rows.items() if key.startswith("worker ")
        ]
        return {
            "workers": workers,
            **{key: rows.get(key) for key in ("version", "release", "pid", "state_dir", "socket")},
        }

    def instances(self, names: Optional[Sequence[str]] = None, owner: Optional[str] = None) -> List[Document]:
        """The instances by name, of `names` (None: all; those that there are not are left out) and `owner`."""
        found = [
            row["Name"]
            for row in self._ask(["list"])
            if (names is None or row["Name"] in names) and (owner is None or row["Owner"] == owner)
        ]
        if not found:
            return []
        documents: Dict[str, Document] = {name: {} for name in sorted(found)}
        # The two dashes: a name may begin with one. Of a single instance the rows have no name.
        for row in self._ask(["show", "--", *documents]):
            documents[row.get("Name", found[0])][row["Property"]] = row["Value"]
        return [_instance_of(document) for document in documents.values()]

    def _ask(self, arguments: Sequence[str], document: Optional[Document] = None) -> Any:
        """What the command printed as JSON. Raises VbmcError."""
        if self._command is None:
            raise VbmcUnavailable(
                "there is no vbmc command on this host: install the daemon with the role baremetal.lab.vbmc, "
                "or name the command with vbmc_path"
            )
        command = [self._command, "--no-daemon"]
        if self._socket:
            command += ["--socket", self._socket]
        name, *others = arguments
        data = None if document is None else json.dumps(document)
        code, stdout, stderr = self._run([*command, name, "-f", "json", *others], data=data)
        try:
            answer = json.loads(stdout)
        except ValueError:
            raise VbmcError(
                f"{self._command} {name} ended with exit code {code} and without JSON: "
                f"{stderr.strip() or stdout.strip() or 'it said nothing'}. Where it is another program of that name, "
                "name this collection's with vbmc_path"
            ) from None
        if isinstance(answer, dict) and "error" in answer:
            raise _error_of(answer["error"])
        # Otherwise exit code 1 says that a part failed, and the answer says which.
        return answer


def _error_of(body: Mapping[str, Any]) -> VbmcError:
    """The error of the daemon's reply (control/protocol.py of vbmcd)."""
    if body["code"] == "unavailable":
        return VbmcUnavailable(body["message"])
    details = body.get("details") or []
    message = "; ".join(one["message"] for one in details) or body["message"]
    return VbmcError(message, body["code"], details)


def _instance_of(properties: Document) -> Document:
    """An instance with the names of the module's options; the command has VirtualBMC's for some."""
    document = {("domain" if key == "domain_name" else key): value for key, value in properties.items()}
    users = [{"name": user["name"], "privilege": user["privilege"]} for user in document.get("users") or ()]
    # Of an instance with a broken state file little is known.
    parts = {"cipher_suites": [], "redfish": {"enabled": False}, "firmware": {}, "media": {}}
    known = {key: document.get(key) or default for key, default in parts.items()}
    return {**document, **known, "users": users, "pid": document.get("pid") or None}
