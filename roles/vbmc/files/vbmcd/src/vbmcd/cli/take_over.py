# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``vbmc take-over``: the BMCs of a VirtualBMC that runs become the daemon's, on their ports, with hardly a gap."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Tuple

from vbmcd.cli.apply import COLUMNS, Converge, Result
from vbmcd.errors import InvalidRequest, refusal

if TYPE_CHECKING:
    from vbmcd.takeover.switch import Found


class TakeOver(Converge):
    """Take over the BMCs of a VirtualBMC that runs, stop it, and serve them in its place."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("folder", metavar="DIR", nargs="?", type=Path, help="VirtualBMC's folder; default: ~/.vbmc")
        parser.add_argument(
            "--force",
            action="store_true",
            help="leave out what can't be taken over, and take what libvirt does not have",
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Tuple[Tuple[str, ...], Result]:
        from vbmcd.takeover import reach
        from vbmcd.takeover.switch import find
        from vbmcd.virtualbmc import read_folder

        folder = Path(os.path.realpath(parsed_args.folder or Path.home() / ".vbmc"))
        read = read_folder(folder)
        specs = read.specs
        if parsed_args.owner is not None:
            specs = [{**spec, "owner": parsed_args.owner} for spec in specs]
        problems = list(read.problems)
        daemon = int(self.ask("ping")["pid"])
        report = self.ask("apply", {"instances": specs, "check": True})
        found = find([spec for spec in specs if spec["state"] == "started"], folder, daemon)
        if found.masters:
            problems += reach.problems([spec for spec in specs if spec["state"] == "started"], daemon)
        self._consider(problems, parsed_args.force)
        if parsed_args.check:
            return COLUMNS, _told(report, [{"pid": pid, "unit": ""} for pid in found.masters], None)
        return COLUMNS, self._switch(specs, found)

    def _consider(self, problems: List[str], force: bool) -> None:
        """Raises InvalidRequest, or Refused, for problems that are not to be passed over."""
        if problems and not force:
            more = "or take over the others with --force; VirtualBMC goes on"
            raise refusal([InvalidRequest(problem) for problem in problems] + [InvalidRequest(f"mend that, {more}")])
        for problem in problems:
            self.complain(problem)

    def _switch(self, specs: List[Dict[str, Any]], found: Found) -> Result:
        from vbmcd.takeover.switch import switch

        report, stopped, away = switch(self.ask, specs, found)
        if found.masters:
            self.complain(f"taken over from VirtualBMC; no BMC was away for longer than {away:.2f} s")
        return _told(report, [{"pid": one.pid, "unit": one.unit} for one in stopped], away)


def _told(report: Result, stopped: List[Dict[str, Any]], away: Any) -> Result:
    return {**report, "changed": report["changed"] or bool(stopped), "stopped": stopped, "away": away}
