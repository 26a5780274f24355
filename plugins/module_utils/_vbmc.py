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
    return key == "users" or key.endswith("password")


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
        arguments = ["apply", "-", "-f", "json"]
        if check:
            arguments.append("--check")
        if purge:
            arguments += ["--purge", "--owner", owner]
        answer = self._ask(arguments, {"instances": [dict(spec) for spec in specs]})
        return Report(answer["changed"], [Outcome.of(item) for item in answer["instances"]])

    def _ask(self, arguments: Sequence[str], document: Optional[Document] = None) -> Any:
        if self._command is None:
            raise VbmcUnavailable(
                "there is no vbmc command on this host: install the daemon with the role baremetal.lab.vbmc, "
                "or name the command with vbmc_path"
            )
        command = [self._command, "--no-daemon"]
        if self._socket:
            command += ["--socket", self._socket]
        data = None if document is None else json.dumps(document)
        code, stdout, stderr = self._run([*command, *arguments], data=data)
        if code != 0:
            raise self._failure(code, stdout, stderr)
        try:
            return json.loads(stdout)
        except ValueError:
            raise VbmcError(
                f"{self._command} printed no JSON: is it another program of that name? Name this collection's "
                "command with vbmc_path"
            ) from None

    def _failure(self, code: int, stdout: str, stderr: str) -> VbmcError:
        """The error of a command that ended with `code`; with ``-f json`` it prints the daemon's reply."""
        error = _error_of(stderr) or _error_of(stdout)
        if error is None:
            message = stderr.strip() or stdout.strip() or f"ended with exit code {code} and said nothing"
            return VbmcError(f"{self._command}: {message}")
        if error["code"] == "unavailable":
            return VbmcUnavailable(error["message"])
        details = error.get("details") or []
        if len(details) > 1:
            return VbmcError("; ".join(one["message"] for one in details), error["code"], details)
        return VbmcError(error["message"], error["code"], details)


def _error_of(text: str) -> Optional[Document]:
    try:
        document = json.loads(text)
    except ValueError:
        return None
    error = document.get("error") if isinstance(document, dict) else None
    return error if isinstance(error, dict) and {"code", "message"} <= set(error) else None
