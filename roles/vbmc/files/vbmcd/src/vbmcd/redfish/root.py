# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The service root and what leads to it (DSP0266, 'Service root', 'OData service document')."""

from __future__ import annotations

import datetime
import uuid
from typing import Any, Dict

from vbmcd.commands.bmc import Bmc
from vbmcd.redfish.exchange import Request, Response
from vbmcd.redfish.query import MAX_LEVELS
from vbmcd.redfish.table import Chapter

root = Chapter()

ROOT = "/redfish/v1"
SYSTEM = f"{ROOT}/Systems/1"
CHASSIS = f"{ROOT}/Chassis/1"
MANAGER = f"{ROOT}/Managers/1"

REDFISH_VERSION = "1.18.1"


def link(path: str) -> Dict[str, str]:
    return {"@odata.id": path}


def collection(path: str, kind: str, name: str, members: list[str]) -> Response:
    """A resource collection of links."""
    return Response(
        {
            "@odata.id": path,
            "@odata.type": f"#{kind}Collection.{kind}Collection",
            "Name": name,
            "Members@odata.count": len(members),
            "Members": [link(member) for member in members],
        }
    )


def date_time(seconds: float) -> str:
    """Seconds since 1970 as Redfish writes a time, UTC."""
    moment = datetime.datetime.fromtimestamp(int(seconds), datetime.timezone.utc)
    return moment.isoformat().replace("+00:00", "Z")


SERVICES = {
    "Systems": "Systems",
    "Chassis": "Chassis",
    "Managers": "Managers",
    "AccountService": "AccountService",
    "SessionService": "SessionService",
    "Registries": "Registries",
    "UpdateService": "UpdateService",
    "Tasks": "TaskService",
}
"""What hangs below the root: property, and the path below it."""

ROOT_PARTS: Dict[str, Any] = {name: link(f"{ROOT}/{path}") for name, path in SERVICES.items()}


@root.get("/redfish", privilege=None, checks=False)
async def versions(request: Request, bmc: Bmc) -> Response:
    """Which versions of the protocol there are."""
    return Response({"v1": f"{ROOT}/"})


@root.get(ROOT, privilege=None)
async def service_root(request: Request, bmc: Bmc) -> Response:
    """Where everything begins; open to all."""
    return Response(
        {
            "@odata.id": f"{ROOT}/",
            "@odata.type": "#ServiceRoot.v1_16_0.ServiceRoot",
            "Id": "RootService",
            "Name": "Root Service",
            "RedfishVersion": REDFISH_VERSION,
            "UUID": str(uuid.UUID(bytes=bmc.engine.guid)),
            "Vendor": "baremetal.lab",
            "Product": "vbmcd",
            **ROOT_PARTS,
            "Links": {"Sessions": link(f"{ROOT}/SessionService/Sessions")},
            "ProtocolFeaturesSupported": {
                "ExpandQuery": {
                    "ExpandAll": True,
                    "Levels": True,
                    "Links": True,
                    "NoLinks": True,
                    "MaxLevels": MAX_LEVELS,
                },
                "FilterQuery": True,
                "SelectQuery": True,
                "OnlyMemberQuery": True,
                "TopSkipQuery": True,
                "ExcerptQuery": False,
                "DeepOperations": {"DeepPATCH": False, "DeepPOST": False},
                "MultipleHTTPRequests": True,
            },
        }
    )


@root.get(f"{ROOT}/odata", privilege=None)
async def odata(request: Request, bmc: Bmc) -> Response:
    """The OData service document."""
    parts = [{"name": name, "kind": "Singleton", "url": f"{ROOT}/{path}"} for name, path in SERVICES.items()]
    parts.append({"name": "Service", "kind": "Singleton", "url": f"{ROOT}/"})
    parts.append({"name": "Sessions", "kind": "Singleton", "url": f"{ROOT}/SessionService/Sessions"})
    return Response({"@odata.context": f"{ROOT}/$metadata", "value": parts})
