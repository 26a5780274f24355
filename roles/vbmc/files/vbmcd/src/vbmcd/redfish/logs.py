# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The event log, which is IPMI's (IPMI 2.0, chapters 31 and 32), in words."""

from __future__ import annotations

import time
from typing import Any, Dict, List, Optional, Tuple

from vbmcd.commands.bmc import Bmc
from vbmcd.redfish.exchange import Request, Response, done, nothing
from vbmcd.redfish.messages import failure
from vbmcd.redfish.roles import COMPONENTS
from vbmcd.redfish.roles import MANAGER as CONFIGURE_MANAGER
from vbmcd.redfish.root import MANAGER, collection, date_time, link
from vbmcd.redfish.table import Chapter
from vbmcd.storage.events import DEASSERTED, SENSOR_SPECIFIC, TEXT_TYPE, SensorType
from vbmcd.storage.sel import CAPACITY, SYSTEM_EVENT
from vbmcd.storage.sensors import SENSORS

logs = Chapter()

SERVICES = f"{MANAGER}/LogServices"
LOG = f"{SERVICES}/SEL"
ENTRIES = f"{LOG}/Entries"
CLEAR = "LogService.ClearLog"

_KINDS: Dict[int, str] = {
    SensorType.PROCESSOR: "Processor",
    SensorType.POWER_UNIT: "PowerUnit",
    SensorType.UNITS_BASED: "Other Units-based Sensor",
    SensorType.MEMORY: "Memory",
    SensorType.SYSTEM_BOOT: "SystemBoot/Restart",
    SensorType.WATCHDOG: "Watchdog",
    SensorType.SESSION_AUDIT: "Session Audit",
}
"""Redfish's words for sensor types."""

_STATES: Dict[Tuple[int, int], Tuple[str, str]] = {
    (SensorType.POWER_UNIT, 0x0): ("Power off", "OK"),
    (SensorType.POWER_UNIT, 0x5): ("Soft power control failure", "Critical"),
    (SensorType.SYSTEM_BOOT, 0x0): ("Initiated by power up", "OK"),
    (SensorType.SYSTEM_BOOT, 0x1): ("Initiated by hard reset", "OK"),
    (SensorType.SYSTEM_BOOT, 0x3): ("User requested PXE boot", "OK"),
    (SensorType.WATCHDOG, 0x0): ("Timer expired", "Warning"),
    (SensorType.WATCHDOG, 0x1): ("Hard reset", "Warning"),
    (SensorType.WATCHDOG, 0x2): ("Power down", "Warning"),
    (SensorType.WATCHDOG, 0x3): ("Power cycle", "Warning"),
    (SensorType.WATCHDOG, 0x8): ("Timer interrupt", "Warning"),
    (SensorType.SESSION_AUDIT, 0x2): ("Invalid user name or password", "Warning"),
}
"""Words and severity of the states that the board itself notes (table 42-3)."""


@logs.get(SERVICES)
async def list_services(request: Request, bmc: Bmc) -> Response:
    return collection(SERVICES, "LogService", "Log Services", [LOG])


@logs.get(LOG)
async def get_service(request: Request, bmc: Bmc) -> Response:
    log = bmc.journal.sel
    return Response(
        {
            "@odata.id": LOG,
            "@odata.type": "#LogService.v1_5_0.LogService",
            "Id": "SEL",
            "Name": "System Event Log",
            "LogEntryType": "SEL",
            "MaxNumberOfRecords": CAPACITY,
            "OverWritePolicy": "WrapsWhenFull",
            "ServiceEnabled": True,
            "DateTime": date_time(log.time(time.time())),
            "DateTimeLocalOffset": "+00:00",
            "Status": {"State": "Enabled", "Health": "OK"},
            "Entries": link(ENTRIES),
            "Actions": {f"#{CLEAR}": {"target": f"{LOG}/Actions/{CLEAR}"}},
        }
    )


@logs.get(ENTRIES)
async def list_entries(request: Request, bmc: Bmc) -> Response:
    """All entries, the oldest first, each in full: clients read them all."""
    entries = [_document(entry) for entry in bmc.journal.sel.entries()]
    answer = collection(ENTRIES, "LogEntry", "Event Log Entries", [])
    assert isinstance(answer.body, dict)
    answer.body.update({"Members@odata.count": len(entries), "Members": entries})
    return answer


def _find(request: Request, bmc: Bmc) -> bytes:
    id = request.ids["entry"]
    number = int(id) if id.isascii() and id.isdigit() and len(id) < 6 else 0
    entry: Optional[bytes] = bmc.journal.sel.get(number) if 0 < number < 0xFFFF else None
    if entry is None:
        raise failure(404, "ResourceNotFound", "LogEntry", id)
    return entry


@logs.get(f"{ENTRIES}/{{entry}}")
async def get_entry(request: Request, bmc: Bmc) -> Response:
    return Response(_document(_find(request, bmc)))


@logs.delete(f"{ENTRIES}/{{entry}}", privilege=COMPONENTS)
async def delete_entry(request: Request, bmc: Bmc) -> Response:
    """As Delete SEL Entry (31.8)."""
    number = int.from_bytes(_find(request, bmc)[:2], "little")
    await bmc.journal.change(lambda log, now: log.delete(number, now))
    return nothing()


@logs.post(f"{LOG}/Actions/{CLEAR}", privilege=CONFIGURE_MANAGER)
async def clear(request: Request, bmc: Bmc) -> Response:
    """As Clear SEL (31.9)."""
    if request.body:
        raise failure(400, "ActionParameterUnknown", CLEAR, next(iter(request.body)))
    await bmc.journal.change(lambda log, now: log.clear(now))
    return done()


def _document(entry: bytes) -> Dict[str, Any]:
    """An entry of 16 bytes (32.1) in words."""
    number, kind = int.from_bytes(entry[:2], "little"), entry[2]
    document: Dict[str, Any] = {
        "@odata.id": f"{ENTRIES}/{number}",
        "@odata.type": "#LogEntry.v1_15_0.LogEntry",
        "Id": str(number),
        "Name": f"Log Entry {number}",
        "EntryType": "SEL",
        "Severity": "OK",
        "MessageId": entry[7:].hex() if kind == SYSTEM_EVENT else entry[3:].hex(),
    }
    if kind < 0xE0:
        document["Created"] = date_time(int.from_bytes(entry[3:7], "little"))
    if kind == SYSTEM_EVENT:
        document.update(_event(entry))
    elif kind == TEXT_TYPE:
        document["Message"] = entry[5:].rstrip(b"\0").decode("ascii", "replace")
    else:
        document["Message"] = f"OEM record {kind:02X}h: {entry[3:].hex()}"
    return document


def _event(entry: bytes) -> Dict[str, Any]:
    kind, number, flags, state = entry[10], entry[11], entry[12], entry[13] & 0x0F
    gone = bool(flags & DEASSERTED)
    sensor = SENSORS.get(number)
    words, severity = f"Event {entry[13:16].hex()} of type {flags & 0x7F:02X}h", "OK"
    if flags & 0x7F == SENSOR_SPECIFIC:
        words, severity = _STATES.get((kind, state), (words, severity))
    parts: List[str] = [sensor.name] if sensor else [_KINDS.get(kind, f"Sensor {number:02X}h")]
    parts.append(words)
    return {
        "SensorNumber": number,
        **({"SensorType": _KINDS[kind]} if kind in _KINDS else {}),
        "EntryCode": "Deassert" if gone else "Assert",
        "Severity": "OK" if gone else severity,
        "Message": f"{': '.join(parts)}{' ended' if gone else ''}",
    }
