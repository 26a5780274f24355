# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The IPMI clients that people use, as functions: ipmitool, FreeIPMI's tools, and pyghmi.

The suite 17 is -C 17 for ipmitool and -I 17 for FreeIPMI; pyghmi takes the best that it is offered.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

TIMEOUT = 120
BUSY = re.compile("(node|BMC) busy", re.IGNORECASE)
"""What clients say of completion code C0h."""


@dataclass(frozen=True)
class Target:
    """A BMC and who talks to it."""

    port: int
    host: str = "127.0.0.1"
    user: str = "admin"
    password: str = "password"


@dataclass(frozen=True)
class Outcome:
    """What a client said, on both of its outputs."""

    code: int
    output: str


def ipmitool(
    target: Target, *arguments: str, suite: int = 17, level: str = "ADMINISTRATOR", patient: bool = True
) -> Outcome:
    """Run ipmitool; `level` is what it asks for at login (-L), and `patient` that a busy BMC is asked again."""
    who = ["-H", target.host, "-p", str(target.port), "-U", target.user, "-P", target.password]
    run = _run if patient else _run_once
    return run("ipmitool", "-I", "lanplus", "-C", str(suite), "-L", level, *who, *arguments)


def freeipmi(tool: str, target: Target, *arguments: str, suite: int = 17) -> Outcome:
    """Run one of FreeIPMI's tools (ipmipower, ipmi-chassis, bmc-info)."""
    host = f"[{target.host}]:{target.port}" if ":" in target.host else f"{target.host}:{target.port}"
    return freeipmi_hosts(tool, [host], target, *arguments, suite=suite)


def freeipmi_hosts(tool: str, hosts: list[str], target: Target, *arguments: str, suite: int = 17) -> Outcome:
    """The same for many hosts at once; of `target` only user and password are used."""
    who = ["-h", ",".join(hosts), "-u", target.user, "-p", target.password]
    return _run(tool, "-D", "LAN_2_0", "-I", str(suite), *who, *arguments)


@contextmanager
def pyghmi(target: Target, privilege: int = 4, kg: str | None = None) -> Iterator[Any]:
    """pyghmi's command.Command, logged in and, at the end, out. Raises what pyghmi raises."""
    from pyghmi.ipmi import command

    client = command.Command(
        bmc=target.host, userid=target.user, password=target.password, port=target.port, privlevel=privilege, kg=kg
    )
    try:
        yield client
    finally:
        client.ipmi_session.logout()


def openipmicmd(target: Target, request: str) -> str:
    """The answer to a raw request, such as "06 01": LUN, command, completion code and data."""
    connection = ["lan", "-U", target.user, "-P", target.password, "-p", str(target.port), target.host]
    done = _run("openipmicmd", "-k", f"0f 00 {request}", *connection)
    answer = f"0f {int(request[:2], 16) | 1:02x} "
    return " ".join(done.output.partition(answer)[2].split())


def said(done: Outcome) -> str:
    """Raises AssertionError, with all of it, unless the client succeeded."""
    assert done.code == 0, done
    return done.output


def _run(*command: str) -> Outcome:
    """Run it, and again where the BMC is busy, as people do: a machine that stalls makes it so for a moment."""
    done = _run_once(*command)
    for _turn in range(60):
        if not BUSY.search(done.output):
            break
        time.sleep(0.5)
        done = _run_once(*command)
    return done


def _run_once(*command: str) -> Outcome:
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=TIMEOUT, check=False, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    return Outcome(done.returncode, done.stdout.strip())
