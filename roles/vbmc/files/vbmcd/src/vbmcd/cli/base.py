# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the commands share: asking the daemon, reporting errors, and cliff's output formats."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any, Dict, Optional

from cliff.command import Command
from cliff.formatters.commaseparated import CSVLister
from cliff.formatters.json_format import JSONFormatter
from cliff.formatters.table import TableFormatter
from cliff.formatters.value import ValueFormatter
from cliff.formatters.yaml_format import YAMLFormatter
from cliff.lister import Lister
from stevedore import ExtensionManager
from stevedore.extension import Extension

from vbmcd.cli.daemon import client_of
from vbmcd.errors import Refused, VbmcError

FORMATTERS: Dict[str, Any] = {
    "csv": CSVLister,
    "json": JSONFormatter,
    "table": TableFormatter,
    "value": ValueFormatter,
    "yaml": YAMLFormatter,
}


class VbmcCommand(Command):
    """A command that asks the daemon; its errors go to stderr, a line each, and end it with 1."""

    starts_daemon = True
    exit_code = 0
    """Set to 1 by a command that did its work and reported what failed in it."""

    def ask(self, command: str, arguments: Optional[Mapping[str, object]] = None) -> Dict[str, Any]:
        """The daemon's result; starts one where that is wanted. Raises VbmcError."""
        options: Any = self.app_args
        client = client_of(options.socket, options, may_start=self.starts_daemon)
        return client.request(command, arguments)

    def run(self, parsed_args: argparse.Namespace) -> int:
        try:
            super().run(parsed_args)
        except VbmcError as error:
            self.report(error, parsed_args)
            return 1
        return self.exit_code

    def report(self, error: VbmcError, parsed_args: argparse.Namespace) -> None:
        """Every line of `error`, and for programs, which read JSON, its parts on stdout."""
        for one in error.errors if isinstance(error, Refused) else (error,):
            self.complain(str(one))
        if getattr(parsed_args, "formatter", None) == "json":
            from vbmcd.control.protocol import error_body

            json.dump({"error": error_body(error)}, self.app.stdout, indent=2)
            self.app.stdout.write("\n")

    def complain(self, message: str) -> None:
        self.app.stderr.write(message + "\n")

    def complain_of_failed(self, result: Mapping[str, Any]) -> None:
        """Report the instances that a change left in error."""
        for one in result["instances"]:
            if one["error"]:
                self.complain(f"instance {one['name']!r}: {one['error']}")
                self.exit_code = 1


class VbmcLister(VbmcCommand, Lister):
    """A command with a table, in any of cliff's formats."""

    def _load_formatter_plugins(self) -> Any:
        # cliff's own hook for this; searching installed packages for more formats would cost time.
        extension: Any = Extension
        return ExtensionManager.make_test_instance(
            [extension(name, None, formatter, formatter()) for name, formatter in FORMATTERS.items()]
        )
