# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a firmware run came to, from its journal: time line and end of each BMC. The filter firmware_report calls it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Iterable, Mapping

from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.firmware.states import (
    ACCEPTED,
    ACTIVATE,
    ATTACH,
    DELETE,
    DONE,
    ENDS,
    FAILED,
    FLASHED,
    INSPECT,
    RESET,
    SKIPPED,
    SWITCH,
    UPLOAD,
    VERIFY,
    WAIT,
)

PHASES = {
    INSPECT: "look",
    UPLOAD: "upload",
    ATTACH: "write",
    ACCEPTED: "write",
    ACTIVATE: "write",
    FLASHED: "wait",
    SWITCH: "reboot",
    RESET: "reboot",
    WAIT: "reboot",
    VERIFY: "verify",
    DELETE: "write",
}
"""What a reader calls the time after a step."""
TICKS = 5

Record = Mapping[str, Any]


def report(records: Iterable[Record]) -> dict[str, Any]:
    """Of one journal. A run that was begun anew under its name counts from its first beginning."""
    begun: dict[str, Any] = {}
    names: list[str] = []
    steps: dict[str, list[Record]] = {}
    first = last = ""
    ended = False
    for record in records:
        first, last = first or record["time"], record["time"]
        if "begin" in record:
            begun, ended = dict(record), False
            names = [*names, *(name for name in record.get("targets", []) if name not in names)]
        elif "end" in record:
            ended = True
        elif "target" in record and "state" in record:
            steps.setdefault(record["target"], []).append(record)
    seconds = max(_seconds(first, last), 0.001)
    bmcs = [_bmc(name, steps.get(name, []), first, last, seconds) for name in [*names, *(set(steps) - set(names))]]
    return {
        "run": begun.get("run", ""),
        "state": begun.get("state", ""),
        "wanted": [one.rpartition(" ")[0] if one.count(" ") > 1 else one for one in begun.get("wanted", [])],
        "started": first,
        "ended": ended,
        "seconds": round(seconds, 1),
        "duration": duration(seconds),
        "ticks": [{"at": 100 * n / TICKS, "label": duration(seconds * n / TICKS)} for n in range(TICKS + 1)],
        "counts": {
            end: sum(one["end"] == end for one in bmcs) for end in ("done", "changed", "failed", "skipped", "open")
        },
        "bmcs": bmcs,
    }


def duration(seconds: float) -> str:
    """As 45 s, 3:05 or 1:02:03."""
    if seconds < 60:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"


def _bmc(name: str, steps: list[Record], first: str, last: str, seconds: float) -> dict[str, Any]:
    final = steps[-1] if steps else {}
    pieces: list[dict[str, Any]] = []
    for step, following in zip(steps, [*steps[1:], {"time": last}]):
        phase = PHASES.get(step["state"])
        if phase is None:
            continue
        start, length = _seconds(first, step["time"]), _seconds(step["time"], following["time"])
        if pieces and pieces[-1]["phase"] == phase:
            pieces[-1]["seconds"] += length
        else:
            pieces.append({"phase": phase, "start": start, "seconds": length})
    return {
        "name": name,
        "end": _end(final),
        "step": final.get("failed_in") or final.get("state", ""),
        "kind": final.get("kind", ""),
        "msg": final.get("msg", ""),
        "duration": duration(_seconds(steps[0]["time"], final["time"])) if steps else "",
        "uploads": sum(step["state"] == UPLOAD for step in steps),
        "pieces": [
            {
                "phase": piece["phase"],
                "left": round(100 * piece["start"] / seconds, 3),
                "width": round(100 * piece["seconds"] / seconds, 3),
                "duration": duration(piece["seconds"]),
            }
            for piece in pieces
        ],
    }


def _end(final: Record) -> str:
    state = final.get("state")
    if state not in ENDS:
        return "open"
    if state == DONE:
        return "changed" if final.get("status") == "changed" else "done"
    return {FAILED: "failed", SKIPPED: "skipped"}[state]


def _seconds(earlier: str, later: str) -> float:
    if not earlier or not later:
        return 0.0
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()
