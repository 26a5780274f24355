# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Entry point of ``vbmc``: global options, the commands there are, and exit codes.

Exit codes: 0 done, 1 refused or failed (the reason is on stderr), 2 wrong usage.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, Dict, List, Optional, Type

from cliff.app import App
from cliff.commandmanager import CommandManager

from vbmcd import __version__, paths
from vbmcd.cli.apply import Apply, Import
from vbmcd.cli.change import Add, Delete, Start, Stop
from vbmcd.cli.show import List as ListInstances
from vbmcd.cli.show import Show, Status
from vbmcd.cli.take_over import TakeOver

COMMANDS: Dict[str, Type[Any]] = {
    "add": Add,
    "apply": Apply,
    "delete": Delete,
    "import": Import,
    "list": ListInstances,
    "show": Show,
    "start": Start,
    "status": Status,
    "stop": Stop,
    "take-over": TakeOver,
}


class Commands(CommandManager):
    """The commands above. Without a namespace cliff searches no installed package for others, which is slow."""

    def __init__(self) -> None:
        super().__init__("", convert_underscores=False)
        for name, command in COMMANDS.items():
            self.add_command(name, command)


class VbmcApp(App):
    """``vbmc [global options] COMMAND [options]``."""

    NAME = "vbmc"

    def __init__(self) -> None:
        super().__init__(
            description="Manage virtual BMCs for libvirt domains.",
            version=__version__,
            command_manager=Commands(),
            deferred_help=True,
        )

    def build_option_parser(
        self, description: Optional[str], version: Optional[str], argparse_kwargs: Optional[Any] = None
    ) -> argparse.ArgumentParser:
        # An abbreviated global option could be a command's own.
        parser: argparse.ArgumentParser = super().build_option_parser(
            description, version, {"prog": self.NAME, "allow_abbrev": False, **(argparse_kwargs or {})}
        )
        parser.add_argument(
            "--socket",
            type=Path,
            metavar="FILE",
            default=None,
            help=f"the daemon's control socket (env {paths.SOCKET_VARIABLE}; default: {paths.client_socket_path()})",
        )
        parser.add_argument("--no-daemon", action="store_true", help="start no daemon where none answers")
        parser.add_argument(
            "--state-dir", type=Path, metavar="DIR", default=None, help="the state folder of a daemon that is started"
        )
        return parser

    def interact(self) -> None:
        """Without a command: what commands there are, on stderr (cliff would open a shell of its own)."""
        self.stderr.write(self.parser.format_usage())
        self.stderr.write(f"a command is missing: one of {', '.join(COMMANDS)}; vbmc help says more\n")


def main(argv: Optional[List[str]] = None) -> int:
    arguments = sys.argv[1:] if argv is None else argv
    app = VbmcApp()
    result: int = app.run(arguments)
    # Where there was no command.
    return 2 if app.interactive_mode else result


if __name__ == "__main__":
    sys.exit(main())
