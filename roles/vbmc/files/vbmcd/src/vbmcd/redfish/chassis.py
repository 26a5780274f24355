# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The chassis with its sensors, which are those of IPMI (docs/ipmi-storage.md)."""

from __future__ import annotations

import math
from typing import Any, Dict, Optional

from vbmcd import __version__
from vbmcd.commands.bmc import Bmc
from vbmcd.machine.base import MachineError
from vbmcd.redfish.exchange import Request, Response
from vbmcd.redfish.messages import failure
from vbmcd.redfish.properties import boolean, one_of, read_changes, text
from vbmcd.redfish.roles import COMPONENTS
from vbmcd.redfish.root import CHASSIS, MANAGER, ROOT, SYSTEM, collection, link
from vbmcd.redfish.settings import Settings
from vbmcd.redfish.table import Chapter
from vbmcd.storage.fru import MANUFACTURER, PRODUCT
from vbmcd.storage.sdr import PERCENT
from vbmcd.storage.sensors import SENSORS, Analog

chassis = Chapter()

SENSORS_PATH = f"{CHASSIS}/Sensors"
LED_STATES = ("Lit", "Blinking", "Off")
MAX_ASSET_TAG = 63

ANALOG: Dict[str, Analog] = {
    sensor.name.replace(" ", ""): sensor for sensor in SENSORS.values() if isinstance(sensor, Analog)
}
"""By id."""


@chassis.get(f"{ROOT}/Chassis")
async def list_chassis(request: Request, bmc: Bmc) -> Response:
    return collection(f"{ROOT}/Chassis", "Chassis", "Chassis Collection", [CHASSIS])


@chassis.get(CHASSIS)
async def get_chassis(request: Request, bmc: Bmc) -> Response:
    return Response(await _chassis(bmc))


async def _chassis(bmc: Bmc) -> Dict[str, Any]:
    try:
        on = await bmc.machine.is_on()
        power, state = ("On" if on else "Off"), "Enabled"
        serial: Optional[str] = str(await bmc.machine.system_uuid())
    except MachineError:
        power, state, serial = None, "UnavailableOffline", None
    health = "Warning" if bmc.history.fault else "OK"
    return {
        "@odata.id": CHASSIS,
        "@odata.type": "#Chassis.v1_23_0.Chassis",
        "Id": "1",
        "Name": bmc.instance.name,
        "ChassisType": "Other",
        "Manufacturer": MANUFACTURER,
        "Model": PRODUCT,
        "Version": __version__,
        "SerialNumber": serial,
        "AssetTag": bmc.part(Settings).text("AssetTag"),
        "PowerState": power,
        "Status": {"State": state, "Health": health},
        **identify_document(bmc),
        "Sensors": link(SENSORS_PATH),
        "Power": link(f"{CHASSIS}/Power"),
        "Thermal": link(f"{CHASSIS}/Thermal"),
        "Links": {"ComputerSystems": [link(SYSTEM)], "ManagedBy": [link(MANAGER)]},
    }


def identify_document(bmc: Bmc) -> Dict[str, Any]:
    """The identify light (IPMI 28.5), by its present and its former name."""
    lit = bmc.identify.remaining() > 0
    return {"LocationIndicatorActive": lit, "IndicatorLED": "Blinking" if lit else "Off"}


IDENTIFY = {"LocationIndicatorActive": boolean, "IndicatorLED": one_of(LED_STATES)}
ASSET_TAG = {"AssetTag": text(MAX_ASSET_TAG)}


async def set_common(bmc: Bmc, values: Dict[str, Any]) -> None:
    """What system and chassis both have: the light and the asset tag."""
    if "AssetTag" in values:
        await bmc.part(Settings).set(AssetTag=values["AssetTag"])
    lit = values.get("LocationIndicatorActive", values.get("IndicatorLED", "Off") != "Off")
    if "LocationIndicatorActive" in values or "IndicatorLED" in values:
        bmc.identify.set(math.inf if lit else 0)


@chassis.patch(CHASSIS, privilege=COMPONENTS)
async def set_chassis(request: Request, bmc: Bmc) -> Response:
    changes = read_changes(request.body, await _chassis(bmc), {**IDENTIFY, **ASSET_TAG})
    await set_common(bmc, changes.values)
    return changes.response(await _chassis(bmc))


@chassis.get(SENSORS_PATH)
async def list_sensors(request: Request, bmc: Bmc) -> Response:
    return collection(SENSORS_PATH, "Sensor", "Sensors", [f"{SENSORS_PATH}/{id}" for id in ANALOG])


@chassis.get(f"{SENSORS_PATH}/{{sensor}}")
async def get_sensor(request: Request, bmc: Bmc) -> Response:
    """One analog sensor; of a machine that is off it has no reading."""
    sensor = ANALOG.get(request.ids["sensor"])
    if sensor is None:
        raise failure(404, "ResourceNotFound", "Sensor", request.ids["sensor"])
    try:
        value = sensor.value(await bmc.machine.statistics())
    except MachineError:
        value = None
    return Response(_sensor(request.ids["sensor"], sensor, value))


def _sensor(id: str, sensor: Analog, value: Optional[float]) -> Dict[str, Any]:
    percent, limits = sensor.scale is PERCENT, sensor.thresholds
    reached = limits.reached(sensor.scale.reading(value)) if limits and value is not None else 0
    document: Dict[str, Any] = {
        "@odata.id": f"{SENSORS_PATH}/{id}",
        "@odata.type": "#Sensor.v1_7_0.Sensor",
        "Id": id,
        "Name": sensor.name,
        "Reading": None if value is None else round(value, 3),
        "ReadingUnits": "%" if percent else "MBy/s",
        **({"ReadingType": "Percent"} if percent else {}),
        "Status": {
            "State": "UnavailableOffline" if value is None else "Enabled",
            "Health": "Critical" if reached & 0x10 else "Warning" if reached else "OK",
        },
    }
    if percent:
        document.update(ReadingRangeMin=0, ReadingRangeMax=100)
    if limits is not None:
        caution, critical = {"Reading": limits.noncritical}, {"Reading": limits.critical}
        document["Thresholds"] = {"UpperCaution": caution, "UpperCritical": critical}
    return document


@chassis.get(f"{CHASSIS}/Power")
async def get_power(request: Request, bmc: Bmc) -> Response:
    """A virtual machine has no power supplies, and nobody knows its watts; clients look here all the same."""
    control = {
        "@odata.id": f"{CHASSIS}/Power#/PowerControl/0",
        "MemberId": "0",
        "Name": "System Power Control",
        "PowerConsumedWatts": None,
        "Status": {"State": "UnavailableOffline"},
    }
    return Response(
        {
            "@odata.id": f"{CHASSIS}/Power",
            "@odata.type": "#Power.v1_7_3.Power",
            "Id": "Power",
            "Name": "Power",
            "PowerControl": [control],
            "PowerControl@odata.count": 1,
            "PowerSupplies": [],
            "PowerSupplies@odata.count": 0,
        }
    )


@chassis.get(f"{CHASSIS}/Thermal")
async def get_thermal(request: Request, bmc: Bmc) -> Response:
    """Nor has it fans."""
    return Response(
        {
            "@odata.id": f"{CHASSIS}/Thermal",
            "@odata.type": "#Thermal.v1_7_1.Thermal",
            "Id": "Thermal",
            "Name": "Thermal",
            "Fans": [],
            "Fans@odata.count": 0,
            "Temperatures": [],
            "Temperatures@odata.count": 0,
        }
    )
