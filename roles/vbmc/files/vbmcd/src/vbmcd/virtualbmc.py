# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading a VirtualBMC's configuration folder: DIR/DOMAIN/config, an INI file each.

Used by ``vbmc import``. Nothing is written there, so that VirtualBMC can go on with it.
"""

from __future__ import annotations

import configparser
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Tuple

from vbmcd.config import DEFAULT_ADDRESS, DEFAULT_PORT
from vbmcd.documents import Document, State, parse_specs
from vbmcd.endpoints import Endpoints, show
from vbmcd.errors import InvalidRequest, Refused, VbmcError

_SECTION = "VirtualBMC"
_KEYS = {
    "domain_name": "name",
    "username": "username",
    "password": "password",
    "address": "address",
    "libvirt_uri": "libvirt_uri",
    "libvirt_sasl_username": "libvirt_sasl_username",
    "libvirt_sasl_password": "libvirt_sasl_password",
}
"""VirtualBMC's options, and the keys of a SPEC that mean the same."""


@dataclass(frozen=True)
class Imported:
    """What a folder holds: SPECs for ``apply``, and why some instances have none."""

    specs: List[Document]
    problems: List[str]


def read_folder(folder: Path) -> Imported:
    """Every instance of `folder`; one that can't be used is a problem and keeps none of the others away.

    Raises InvalidRequest if there is no such folder.
    """
    try:
        paths = sorted(path / "config" for path in folder.iterdir() if (path / "config").exists())
    except OSError as error:
        raise InvalidRequest(
            f"VirtualBMC's folder {folder} can't be read: {error.strerror}: name the one that holds a folder per domain"
        ) from error
    specs: List[Tuple[Path, Document]] = []
    problems: List[str] = []
    for path in paths:
        try:
            spec = _read(path)
            parse_specs([spec])
        except VbmcError as error:
            for one in error.errors if isinstance(error, Refused) else (error,):
                problems.append(f"{path} is not imported: {one}")
            continue
        specs.append((path, spec))
    return Imported(_without_collisions(specs, problems), problems)


def _read(path: Path) -> Document:
    parser = configparser.ConfigParser()
    try:
        with open(path, encoding="utf-8") as lines:
            parser.read_file(lines)
    except OSError as error:
        raise InvalidRequest(f"it can't be read: {error.strerror}") from error
    except (configparser.Error, UnicodeDecodeError):
        # The parser's own message quotes the line, in which may be a password.
        raise InvalidRequest("it is no INI file in UTF-8") from None
    if not parser.has_section(_SECTION):
        raise InvalidRequest(f"it has no section [{_SECTION}]")
    options = {key: _value(parser, key) for key in parser.options(_SECTION)}
    spec: Document = {"name": path.parent.name}
    spec.update({key: options[option] for option, key in _KEYS.items() if options.get(option)})
    port = options.get("port") or str(DEFAULT_PORT)
    # What is no number goes on as it is: the check of a SPEC says what is wrong with it.
    spec["port"] = int(port) if port.isascii() and port.isdigit() else port
    active = options.get("active", "").lower() in ("true", "yes", "on", "1")
    spec["state"] = (State.STARTED if active else State.STOPPED).value
    return spec


def _value(parser: configparser.ConfigParser, option: str) -> str:
    """As VirtualBMC reads it, where '%%' is a '%'; a '%' that somebody wrote by hand is one, too."""
    try:
        return parser.get(_SECTION, option)
    except configparser.InterpolationError:
        return parser.get(_SECTION, option, raw=True)


def _without_collisions(specs: List[Tuple[Path, Document]], problems: List[str]) -> List[Document]:
    """VirtualBMC lets several wait for one port; of those the one that runs is taken, or else the first."""
    endpoints = Endpoints()
    taken: Dict[str, Document] = {}
    for path, spec in sorted(specs, key=lambda item: item[1]["state"] != State.STARTED.value):
        (wanted,) = parse_specs([spec])
        endpoint = (wanted.address or DEFAULT_ADDRESS, wanted.port or DEFAULT_PORT)
        holder = endpoints.holder(endpoint)
        if holder is not None or wanted.name in taken:
            why = f"{holder!r} has {show(endpoint)}" if holder is not None else f"there is another {wanted.name!r}"
            problems.append(f"{path} is not imported: {why} as well: add it with vbmc add and another port")
            continue
        endpoints.claim(endpoint, wanted.name)
        taken[wanted.name] = spec
    return [taken[name] for name in sorted(taken)]
