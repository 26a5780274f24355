# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The switch from a VirtualBMC to the daemon, and back where it fails.

VirtualBMC's main process would start a BMC's process anew within 3 s of its end. So it is stopped (SIGSTOP) rather than
ended, while the processes of the BMCs are killed, which frees their ports at once; the daemon has been told of the
instances before, and tries to bind them four times a second. Only when all of them answer is the main process ended;
where they don't, the daemon forgets them, and the main process goes on and starts what was killed.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Set, Tuple

from vbmcd.config import DEFAULT_ADDRESS, DEFAULT_PORT
from vbmcd.endpoints import Endpoint, show
from vbmcd.errors import Conflict, InvalidRequest, VbmcError, refusal
from vbmcd.supervisor.sockets import IN_USE
from vbmcd.takeover import processes

Ask = Callable[..., Dict[str, Any]]
"""A request to the daemon: the command, and its arguments."""
Spec = Mapping[str, Any]

BIND_SECONDS = 5.0
"""How long the daemon may take to have all ports; it takes a quarter of a second."""
ANSWER_SECONDS = 2.0
END_SECONDS = 5.0
BACK_SECONDS = 15.0
_LOOK = 0.02
_LOOK_AT_DAEMON = 0.1
"""Between questions to the daemon, whose time they take while it has the ports to bind."""

PING = bytes.fromhex("0600ff06000011be80000000")
"""RMCP presence ping (IPMI 2.0, 13.2.3)."""
LOOPBACK = {"::": "::1", "0.0.0.0": "127.0.0.1"}  # noqa: S104 - where to ask a BMC that answers everywhere


class SwitchFailed(VbmcError):
    """The daemon did not take over, and VirtualBMC has gone on."""

    code = "take-over"


@dataclass
class Found:
    """The VirtualBMC that there is."""

    masters: List[int] = field(default_factory=list)
    """Its main processes; none where it does not run."""
    serving: Set[int] = field(default_factory=set)
    """The processes of its BMCs."""


@dataclass(frozen=True)
class Stopped:
    """A main process that was ended."""

    pid: int
    unit: str = ""


def endpoint_of(spec: Spec) -> Endpoint:
    return (spec.get("address") or DEFAULT_ADDRESS, spec.get("port") or DEFAULT_PORT)


def find(specs: Sequence[Spec], folder: Path, daemon: int) -> Found:
    """Who serves `specs`, of the configuration in `folder`, now. Raises Conflict where a port is anybody else's."""
    own = {daemon, *processes.descendants(daemon)}
    found = Found([pid for pid in processes.virtualbmcs(folder) if pid not in own])
    errors: List[VbmcError] = []
    for holder in processes.holders([endpoint_of(spec) for spec in specs]):
        if holder.pid in own:
            continue
        master = processes.virtualbmc_of(holder.pid)
        if master is None:
            errors.append(
                Conflict(
                    f"{show(holder.endpoint)} is held by process {holder.pid} ({processes.name(holder.pid)}), which is "
                    "no VirtualBMC: end that first"
                )
            )
            continue
        if master != holder.pid:
            found.serving.add(holder.pid)
        if master not in found.masters:
            found.masters.append(master)
    if errors:
        raise refusal(errors)
    return found


def switch(ask: Ask, specs: Sequence[Spec], found: Found) -> Tuple[Dict[str, Any], List[Stopped], float]:
    """Carry it out: the daemon's report, what was ended, and the seconds that a BMC was away at most.

    Raises SwitchFailed when VirtualBMC has gone on, and VbmcError when the daemon refused beforehand.
    """
    _require_rights(found)
    before = {one["name"]: one for one in ask("list")["instances"]}
    report = ask("apply", {"instances": list(specs)})
    began = time.monotonic()
    try:
        _require_bindable(report)
        _signal(found.masters, signal.SIGSTOP)
        _signal(found.serving, signal.SIGKILL)
        active = [spec for spec in specs if spec["state"] == "started"]
        _await_bound(ask, {spec["name"] for spec in active})
        _await_answers([endpoint_of(spec) for spec in active])
    except BaseException as error:
        _undo(ask, report, before, found)
        if isinstance(error, (OSError, VbmcError)):
            raise SwitchFailed(f"{error}: VirtualBMC serves its BMCs as before") from error
        raise
    away = time.monotonic() - began if found.serving else 0.0
    for one in report["instances"]:
        one["error"] = None  # what could not be bound then is bound now
    return report, [_end(pid) for pid in found.masters], away


def _require_rights(found: Found) -> None:
    for pid in (*found.masters, *found.serving):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            continue
        except PermissionError:
            raise InvalidRequest(f"VirtualBMC's process {pid} is another user's: be root, or that user") from None


def _require_bindable(report: Mapping[str, Any]) -> None:
    """That the daemon lacks nothing but the ports, which VirtualBMC still has."""
    errors = [str(one["error"]) for one in report["instances"] if one["error"] and IN_USE not in one["error"]]
    if errors:
        raise SwitchFailed("; ".join(errors))


def _await_bound(ask: Ask, names: Set[str]) -> None:
    deadline = time.monotonic() + BIND_SECONDS
    while True:
        listed = [one for one in ask("list")["instances"] if one["name"] in names]
        missing = [one for one in listed if one["status"] != "running"]
        if not missing and len(listed) == len(names):
            return
        if time.monotonic() >= deadline:
            raise SwitchFailed("; ".join(str(one["reason"] or f"{one['name']} is {one['status']}") for one in missing))
        time.sleep(_LOOK_AT_DAEMON)


def _await_answers(endpoints: Sequence[Endpoint]) -> None:
    """A presence ping to each, until all have answered."""
    silent = {(LOOPBACK.get(address, address), port) for address, port in endpoints}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as four, closing(_ipv6_socket()) as six:
        for address, port in silent:
            (six if ":" in address else four).sendto(PING, (address, port))
        deadline = time.monotonic() + ANSWER_SECONDS
        while silent:
            ready = select.select([four, six], [], [], max(0.0, deadline - time.monotonic()))[0]
            if not ready:
                raise SwitchFailed(f"no answer from {', '.join(show(one) for one in sorted(silent))}")
            for probe in ready:
                silent.discard(probe.recvfrom(64)[1][:2])


def _ipv6_socket() -> socket.socket:
    """For a host without IPv6, one that nothing is sent on."""
    try:
        return socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    except OSError:
        return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def _undo(ask: Ask, report: Mapping[str, Any], before: Mapping[str, Any], found: Found) -> None:
    """Give the ports back, and let VirtualBMC go on. What it can't do, it leaves: VirtualBMC goes on in any case."""
    new = [one["name"] for one in report["instances"] if one["name"] not in before]
    stopped = [
        one["name"]
        for one in report["instances"]
        if one["changed"] and before.get(one["name"], {}).get("state") == "stopped" and one["state"] == "started"
    ]
    for command, names in (("delete", new), ("stop", stopped)):
        if names:
            with suppress(VbmcError):
                ask(command, {"names": names})
    _signal(found.masters, signal.SIGCONT)
    deadline = time.monotonic() + BACK_SECONDS
    while time.monotonic() < deadline:
        everybody = [child for pid in found.masters for child in processes.descendants(pid)]
        if len([pid for pid in everybody if processes.lives(pid)]) >= len(found.serving):
            return
        time.sleep(_LOOK)


def _end(pid: int) -> Stopped:
    """End a main process; by its unit where it has one of its own, so that it does not come back."""
    unit = processes.unit(pid) or ""
    if unit and _main_pid(unit) == pid:
        # A stopped process gets SIGCONT with the SIGTERM (systemd.kill(5)).
        subprocess.run(["systemctl", "disable", "--now", unit], capture_output=True, check=False)
    else:
        unit = ""
    _signal([pid], signal.SIGTERM)
    _signal([pid], signal.SIGCONT)
    deadline = time.monotonic() + END_SECONDS
    while processes.lives(pid):
        if time.monotonic() >= deadline:
            _signal([pid], signal.SIGKILL)
            break
        time.sleep(_LOOK)
    return Stopped(pid, unit)


def _main_pid(unit: str) -> int:
    try:
        done = subprocess.run(
            ["systemctl", "show", "--property=MainPID", "--value", unit], capture_output=True, text=True, check=False
        )
        return int(done.stdout)
    except (OSError, ValueError):
        return 0


def _signal(pids: Sequence[int] | Set[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
