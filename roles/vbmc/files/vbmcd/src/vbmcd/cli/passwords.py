# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Passwords from where they are safe (a file, the environment), or from an option."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Optional

from vbmcd.errors import InvalidRequest

PASSWORD_VARIABLE = "VBMC_PASSWORD"


def add_password_options(parser: argparse.ArgumentParser, prefix: str, what: str, otherwise: str = "") -> None:
    """``--PREFIX`` and ``--PREFIX-file``, of which one may be given; `otherwise`: what holds without both."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument(f"--{prefix}", metavar="PASSWORD", help=f"{what}{otherwise}; seen in the list of processes")
    group.add_argument(f"--{prefix}-file", metavar="FILE", help=f"file that holds {what} ('-': standard input)")


def password_from(given: Optional[str], file: Optional[str], variable: Optional[str] = None) -> Optional[str]:
    """The option's value, or the file's first line, or the variable's value; None where there is none."""
    if given is not None:
        return given
    if file is not None:
        return _read(file)
    return os.environ.get(variable) if variable is not None else None


def _read(file: str) -> str:
    try:
        if file == "-":
            return sys.stdin.readline().rstrip("\r\n")
        with open(file, encoding="utf-8") as lines:
            return lines.readline().rstrip("\r\n")
    except OSError as error:
        raise InvalidRequest(f"password file {file} can't be read: {error.strerror}: name another") from error
    except UnicodeDecodeError:
        raise InvalidRequest(f"password file {file} is not UTF-8: save it as UTF-8") from None
