# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``vbmc apply`` and ``import``: many instances at once, from a file or from VirtualBMC."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, Dict, List, Tuple

from vbmcd.cli.base import VbmcLister
from vbmcd.cli.documents import read_specs

COLUMNS = ("Name", "Changed", "Actions", "Address", "Port")

Result = Dict[str, Any]


class Converge(VbmcLister):
    """A command that sends ``apply`` and shows what that changed."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument("--check", action="store_true", help="only say what would change")
        parser.add_argument("--owner", metavar="LABEL", help="owner of the instances that name none")
        return parser

    def apply(self, specs: List[Any], options: argparse.Namespace, **more: Any) -> Tuple[Tuple[str, ...], Result]:
        """The table's columns, and the daemon's result."""
        if options.owner is not None:
            for spec in specs:
                if isinstance(spec, dict) and spec.get("owner") is None:
                    spec["owner"] = options.owner
        return COLUMNS, self.ask("apply", {"instances": specs, "check": options.check, **more})

    def produce_output(self, parsed_args: argparse.Namespace, column_names: Any, data: Any) -> int:
        """As JSON all of the result, for programs; otherwise a table."""
        self.complain_of_failed(data)
        if parsed_args.formatter == "json":
            json.dump(data, self.app.stdout, indent=2)
            self.app.stdout.write("\n")
            return 0
        rows = [
            (one["name"], one["changed"], ", ".join(one["actions"]), one["address"] or "", one["port"] or "")
            for one in data["instances"]
        ]
        return super().produce_output(parsed_args, column_names, rows)


class Apply(Converge):
    """Make the virtual BMCs what a file says; what is so already is left alone."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("file", metavar="FILE", help="JSON or YAML: a list of instances ('-': standard input)")
        parser.add_argument("--purge", action="store_true", help="delete the owner's instances that FILE does not name")
        self._parser = parser
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Tuple[Tuple[str, ...], Result]:
        if parsed_args.purge and not parsed_args.owner:
            self._parser.error("--purge needs --owner: the label of the instances that may be deleted")
        specs = read_specs(parsed_args.file)
        return self.apply(specs, parsed_args, purge=parsed_args.purge, owner=parsed_args.owner or "")


class Import(Converge):
    """Take over the configuration of a VirtualBMC, which is left as it is."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("folder", metavar="DIR", nargs="?", type=Path, help="VirtualBMC's folder; default: ~/.vbmc")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Tuple[Tuple[str, ...], Result]:
        from vbmcd.virtualbmc import read_folder

        found = read_folder(parsed_args.folder or Path.home() / ".vbmc")
        for problem in found.problems:
            self.complain(problem)
            self.exit_code = 1
        return self.apply(found.specs, parsed_args)
