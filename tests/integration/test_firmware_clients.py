# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Firmware and virtual media with clients that nobody here wrote (scripts/redfish-clients.sh)."""

from __future__ import annotations

import functools
import http.client
import http.server
import os
import threading
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from rig import redfish_clients
from rig.firmware import image
from rig.firmware_lab import FirmwareLab, LabBmc
from rig.libvirtd import Libvirtd
from rig.node import Node
from rig.ports import free_ports
from rig.redfish_clients import run
from rig.waiting import eventually

USER, PASSWORD = "admin", "password"
LOGIN = """
import sys, time, warnings
import sushy
warnings.simplefilter("ignore")
url, user, password, image = sys.argv[1:]
root = sushy.Sushy(url + "/redfish/v1", username=user, password=password, verify=False)
"""
SIMPLE_UPDATE = """
service = root.get_update_service()
monitor = service.simple_update(image, targets=["/redfish/v1/Managers/1"])
deadline = time.monotonic() + 120
while (task := monitor.get_task()).task_state == sushy.TASK_STATE_RUNNING:
    assert time.monotonic() < deadline
    time.sleep(0.1)
assert task.task_state == sushy.TASK_STATE_COMPLETED, task.task_state
assert [message.message for message in task.messages]
print(*sorted(one.version for one in service.firmware_inventory.get_members()))
"""
VIRTUAL_MEDIA = """
for owner in (root.get_manager_collection(), root.get_system_collection()):
    (medium,) = owner.get_members()[0].virtual_media.get_members()
    assert sushy.VIRTUAL_MEDIA_CD in medium.media_types
    medium.insert_media(image, write_protected=True)
    medium.refresh(force=True)
    assert (medium.inserted, medium.image, medium.write_protected) == (True, image, True)
    medium.eject_media()
    medium.refresh(force=True)
    assert not medium.inserted
"""


class Silent(http.server.SimpleHTTPRequestHandler):
    """Serves files and says nothing of it."""

    def log_message(self, format: str, *arguments: object) -> None:
        """Not here."""


@pytest.fixture(scope="module")
def lab() -> Iterator[FirmwareLab]:
    with FirmwareLab() as found:
        yield found


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The URL of a folder with an image and a medium."""
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "image.tar").write_bytes(image("2.1.0", size=1 << 20))
    (folder / "a.iso").write_bytes(os.urandom(1 << 20))
    handler = functools.partial(Silent, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{found.server_port}"
        found.shutdown()
        thread.join()


@pytest.mark.parametrize("dialect", ["openbmc-2025", "openbmc-2023"])
def test_rf_update_pushes_a_form_and_waits_for_its_task(lab: FirmwareLab, tmp_path: Path, dialect: str) -> None:
    (bmc,) = lab.add(dialect=dialect)
    (tmp_path / "image.tar").write_bytes(image("2.1.0", size=1 << 20))
    login = ["-u", bmc.username, "-p", bmc.password, "-r", bmc.url]
    target = ["-t", "/redfish/v1/Managers/1", "-at", "OnReset"]
    said = run("rf_update.py", *login, "-i", "image.tar", *target, folder=tmp_path)
    assert "Task is Done!" in said
    assert "2.1.0" in run("rf_firmware_inventory.py", *login, folder=tmp_path)


def test_sushy_has_the_bmc_fetch_its_image(lab: FirmwareLab, server: str, tmp_path: Path) -> None:
    (bmc,) = lab.add(dialect="openbmc-2025", simple_update=True, activation_seconds=1)
    arguments = [bmc.url, bmc.username, bmc.password, f"{server}/image.tar"]
    # Immediate: the BMC resets when it is done, but not before the task can be read once more.
    lab.change(bmc, reboot_seconds=40)
    assert run("python", "-c", LOGIN + SIMPLE_UPDATE, *arguments, folder=tmp_path) == "1.0.0 2.1.0\n"


def community(bmc: LabBmc, module: str, command: str, category: str = "Update", **options: Any) -> dict[str, Any]:
    given = {"category": [category] if module == "redfish_info" else category, "command": [command], **options}
    return redfish_clients.community(module, bmc.port, bmc.username, bmc.password, **given)


def test_community_general_pushes_a_form_and_resets_the_bmc(lab: FirmwareLab, tmp_path: Path) -> None:
    (bmc,) = lab.add()
    (tmp_path / "image.tar").write_bytes(image("2.1.0", size=1 << 20))
    given = {"update_image_file": str(tmp_path / "image.tar"), "update_targets": ["/redfish/v1/Managers/1"]}
    begun = community(bmc, "redfish_command", "MultipartHTTPPushUpdate", **given, update_apply_time="OnReset")
    begun = begun["return_values"]["update_status"]
    assert begun["status"] == "Running"

    def completed() -> bool:
        told = community(bmc, "redfish_info", "GetUpdateStatus", update_handle=begun["handle"])["redfish_facts"]
        return bool(told["update_status"]["status"] == "Completed")

    eventually(completed, what="the monitor says so", interval=0.2)
    community(bmc, "redfish_command", "GracefulRestart", "Manager")
    eventually(lambda: answers_with(bmc, "2.1.0"), what="the BMC is back")
    inventory = community(bmc, "redfish_info", "GetFirmwareInventory")["redfish_facts"]["firmware"]["entries"]
    assert {(one["Version"], one["Updateable"]) for one in inventory} == {("1.0.0", True), ("2.1.0", True)}


def answers_with(bmc: LabBmc, version: str) -> bool:
    with suppress(OSError, http.client.HTTPException), bmc.client() as client:
        return bool(client.get("/redfish/v1/Managers/1").json["FirmwareVersion"] == version)
    return False


def test_community_general_has_the_bmc_fetch_its_image(lab: FirmwareLab, server: str) -> None:
    (bmc,) = lab.add(dialect="openbmc-2023")
    given = {"update_image_uri": f"{server}/image.tar", "update_protocol": "HTTP", "update_apply_time": "Immediate"}
    begun = community(bmc, "redfish_command", "SimpleUpdate", **given)
    assert begun["return_values"]["update_status"]["status"] == "Running"
    eventually(lambda: answers_with(bmc, "2.1.0"), what="the image runs")


def test_sushy_inserts_and_ejects_media_of_a_domain(
    lab: FirmwareLab, libvirtd: Libvirtd, server: str, tmp_path: Path
) -> None:
    pool = tmp_path / "pool"
    pool.mkdir()
    libvirtd.virsh("pool-create-as", "sushy-media", "dir", "--target", str(pool))
    (port,) = free_ports(1)
    spec = {"redfish": {"port": port}, "media": {"pool": "sushy-media"}}
    try:
        with Node.served(libvirtd, lab.vbmcd, tmp_path, spec, cdrom=True) as node:
            libvirtd.virsh("start", node.name)
            arguments = [f"https://127.0.0.1:{port}", USER, PASSWORD, f"{server}/a.iso"]
            run("python", "-c", LOGIN + VIRTUAL_MEDIA, *arguments, folder=tmp_path)
            drive = ET.fromstring(libvirtd.virsh("dumpxml", node.name)).find("devices/disk[@device='cdrom']")
            assert drive is not None and drive.find("source[@file]") is None
            login = ["-u", USER, "-p", PASSWORD, "-r", arguments[0]]
            run("rf_virtual_media.py", *login, "insert", "-image", arguments[3], folder=tmp_path)
            assert [one.read_bytes() for one in pool.iterdir()] == [(tmp_path / "served/a.iso").read_bytes()]
            run("rf_virtual_media.py", *login, "eject", "--id", "Cd", folder=tmp_path)
            assert list(pool.iterdir()) == []
    finally:
        libvirtd.virsh("pool-destroy", "sushy-media")
