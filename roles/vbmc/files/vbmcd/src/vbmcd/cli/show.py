# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``vbmc list``, ``show`` and ``status``: what there is."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Tuple

from vbmcd.cli import firmware
from vbmcd.cli.base import VbmcLister

Table = Tuple[Tuple[str, ...], Iterable[Tuple[Any, ...]]]


class List(VbmcLister):
    """List the virtual BMCs."""

    def take_action(self, parsed_args: argparse.Namespace) -> Table:
        # The first four columns are VirtualBMC's.
        columns = ("Domain name", "Status", "Address", "Port", "Name", "Owner", "Reason")
        keys = ("domain", "status", "address", "port", "name", "owner", "reason")
        found = sorted(self.ask("list")["instances"], key=lambda one: (one["domain"], one["name"]))
        return columns, [tuple(_cell(one, key) for key in keys) for one in found]


class Show(VbmcLister):
    """Show the properties of virtual BMCs."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument("names", metavar="NAME", nargs="+", help="name of a virtual BMC")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Table:
        found = self.ask("list", {"names": parsed_args.names})["instances"]
        # Programs get what a table has no room for as it is.
        shown = {} if parsed_args.formatter in ("json", "yaml") else _SHOWN
        if len(found) == 1:
            return ("Property", "Value"), _properties(found[0], shown)
        return ("Name", "Property", "Value"), ((one["name"], *row) for one in found for row in _properties(one, shown))


class Status(VbmcLister):
    """Show the daemon and its workers; never starts one."""

    starts_daemon = False

    def take_action(self, parsed_args: argparse.Namespace) -> Table:
        daemon = self.ask("ping")
        rows = [(key, daemon.get(key, "")) for key in ("version", "release", "pid", "state_dir", "socket")]
        rows += [(f"worker {worker['name']}", _worker(worker)) for worker in daemon["workers"]]
        return ("Property", "Value"), rows


def _cell(status: Mapping[str, Any], key: str) -> Any:
    value = status.get(key)
    return "" if value is None else value


def _properties(status: Mapping[str, Any], words: Mapping[str, Callable[[Any], str]]) -> Iterable[Tuple[str, Any]]:
    """The rows of an instance; VirtualBMC's properties have the names that they have there."""
    renamed = {"domain": "domain_name"}
    for key in sorted(status, key=lambda key: renamed.get(key, key)):
        shown = words.get(key)
        value = _cell(status, key)
        yield renamed.get(key, key), (shown(value) if value else "") if shown else value


def _users(users: Iterable[Mapping[str, str]]) -> str:
    return ", ".join(f"{user['name']} ({user['privilege']})" for user in users)


def _numbers(numbers: Iterable[int]) -> str:
    return ", ".join(str(number) for number in numbers)


def _redfish(redfish: Mapping[str, Any]) -> str:
    """``https, port 443, address 192.0.2.7``, with the files where there are any; ``no``."""
    if not redfish.get("enabled"):
        return "no"
    words = ["https" if redfish["tls"] else "http", f"port {redfish['port']}"]
    words += [f"{key} {redfish[key]}" for key in ("address", "certificate", "key", "fingerprint") if redfish.get(key)]
    return ", ".join(words)


def _media(media: Mapping[str, Any]) -> str:
    """``http, https, /srv/iso``: from where; ``no`` for from nowhere."""
    return ", ".join([*media["schemes"], *media["folders"]]) or "no"


_SHOWN: Mapping[str, Callable[[Any], str]] = {
    "users": _users,
    "cipher_suites": _numbers,
    "redfish": _redfish,
    "firmware": firmware.shown,
    "media": _media,
}
"""How a table shows what it has no room for."""


def _worker(worker: Mapping[str, Any]) -> str:
    if worker.get("pid") is None:
        return "not running"
    return f"pid {worker['pid']}, {worker.get('instances', 0)} instances, heard {worker.get('heartbeat_age')} s ago"
