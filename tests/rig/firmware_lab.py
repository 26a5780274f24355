# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many BMCs to roll firmware out to, without libvirtd or a machine: one vbmcd, as many instances as one likes.

    with FirmwareLab() as lab:
        bmcs = lab.add(20, dialect="openbmc-2023", faults=[{"kind": "busy"}])
        bmcs[0].url, bmcs[0].username, bmcs[0].password

By hand, until Ctrl-C: PYTHONPATH=tests python -m rig.firmware_lab 3 --dialect openbmc-legacy --fault cut --fault slow
"""

from __future__ import annotations

import argparse
import json
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from rig.daemon import NO_MACHINE, Vbmcd
from rig.redfish import Client

QUICK: Mapping[str, Any] = {"activation_seconds": 0.5, "reboot_seconds": 1.0}
"""Times that a test can wait for."""


@dataclass(frozen=True)
class LabBmc:
    """One BMC and who may log in."""

    name: str
    host: str
    port: int
    """Of HTTPS; the certificate is the BMC's own."""
    ipmi_port: int
    username: str = "admin"
    password: str = "password"

    @property
    def url(self) -> str:
        return f"https://{self.host}:{self.port}"

    def client(self) -> Client:
        return Client(self.port, self.username, self.password, host=self.host)


class FirmwareLab:
    """A daemon with BMCs of any dialect, version and plan of faults."""

    def __init__(self, *, workers: str = "1", host: str = "127.0.0.1") -> None:
        self.vbmcd = Vbmcd(workers=workers)
        self._host = host
        self._made = 0

    def __enter__(self) -> Self:
        self.vbmcd.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.vbmcd.__exit__(kind, error, trace)

    def add(self, count: int = 1, **firmware: Any) -> list[LabBmc]:
        """So many more BMCs; `firmware` are options of an instance's firmware, over QUICK."""
        names = [f"bmc-{number:03d}" for number in range(self._made, self._made + count)]
        self._made += count
        return self._apply(names, {**QUICK, **firmware})

    def change(self, bmc: LabBmc, **firmware: Any) -> None:
        """Give a BMC other options, such as a new plan of faults."""
        self._apply([bmc.name], firmware)

    def _apply(self, names: Sequence[str], firmware: Mapping[str, Any]) -> list[LabBmc]:
        common = {**NO_MACHINE, "address": self._host, "state": "started", "redfish": {}, "firmware": firmware}
        instances = self.vbmcd.apply(*({"name": name, **common} for name in names))["instances"]
        assert not [one["error"] for one in instances if one["error"]]
        return [LabBmc(one["name"], self._host, one["after"]["redfish"]["port"], one["port"]) for one in instances]


def main() -> None:
    parser = argparse.ArgumentParser(description="BMCs to try firmware updates on")
    parser.add_argument("count", type=int, nargs="?", default=1)
    parser.add_argument("--dialect", default="openbmc-2025")
    parser.add_argument("--fault", action="append", default=[], metavar="KIND", help="once each, in every BMC")
    parser.add_argument("--firmware", type=json.loads, default={}, metavar="JSON", help="further options")
    options = parser.parse_args()
    faults = [{"kind": kind} for kind in options.fault]
    with FirmwareLab() as lab:
        for bmc in lab.add(options.count, dialect=options.dialect, faults=faults, **options.firmware):
            print(bmc.name, bmc.url, f"ipmi={bmc.ipmi_port}", bmc.username, bmc.password, flush=True)
        with suppress(KeyboardInterrupt):
            signal.pause()


if __name__ == "__main__":
    main()
