# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Virtual media in the drive of a real domain: while it runs, while it is off, and over a boot from it."""

from __future__ import annotations

import functools
import http.server
import os
import threading
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest

from rig.cd import BANNER as CD_BANNER
from rig.cd import write_cd
from rig.daemon import Vbmcd
from rig.guest import BANNER, write_guest
from rig.libvirtd import Libvirtd
from rig.node import Node
from rig.ports import free_ports
from rig.redfish import ROOT, SYSTEM, Answer, Client
from rig.waiting import eventually

CD = f"{ROOT}/Managers/1/VirtualMedia/Cd"
POOL = "virtual-media"


class Silent(http.server.SimpleHTTPRequestHandler):
    """Serves files and says nothing of it."""

    def log_message(self, format: str, *arguments: object) -> None:
        """Not here."""


@pytest.fixture(scope="module")
def vbmcd() -> Iterator[Vbmcd]:
    with Vbmcd(workers="1") as daemon:
        yield daemon


@pytest.fixture
def pool(libvirtd: Libvirtd, tmp_path: Path) -> Iterator[Path]:
    """A folder of libvirt's, empty."""
    folder = tmp_path / "pool"
    folder.mkdir()
    libvirtd.virsh("pool-create-as", POOL, "dir", "--target", str(folder))
    yield folder
    libvirtd.virsh("pool-destroy", POOL)


@pytest.fixture
def media(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder with a medium in it, and its URL."""
    folder = tmp_path / "media"
    folder.mkdir()
    (folder / "a.iso").write_bytes(os.urandom(3_000_001))
    handler = functools.partial(Silent, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class Drive:
    """The BMC's virtual medium, and what libvirt says of the domain's drive."""

    def __init__(self, node: Node, libvirtd: Libvirtd, port: int) -> None:
        self.node, self.libvirtd, self.client = node, libvirtd, Client(port)

    def insert(self, image: str) -> Answer:
        return self.client.post(f"{CD}/Actions/VirtualMedia.InsertMedia", {"Image": image})

    def eject(self) -> Answer:
        return self.client.post(f"{CD}/Actions/VirtualMedia.EjectMedia", {})

    def source(self, *flags: str) -> str | None:
        """The file in the drive, of the running domain or of its definition."""
        definition = ET.fromstring(self.libvirtd.virsh("dumpxml", self.node.name, *flags))
        drive = definition.find("devices/disk[@device='cdrom']")
        assert drive is not None and drive.find("readonly") is not None
        source = drive.find("source")
        return None if source is None else source.get("file")


@pytest.fixture
def drive(libvirtd: Libvirtd, vbmcd: Vbmcd, pool: Path, media: tuple[Path, str], tmp_path: Path) -> Iterator[Drive]:
    (port,) = free_ports(1)
    spec = {"redfish": {"port": port}, "media": {"folders": [str(media[0])], "pool": POOL}}
    with Node.served(libvirtd, vbmcd, tmp_path, spec, cdrom=True, boot=["hd", "cdrom"]) as node:
        yield Drive(node, libvirtd, port)


@pytest.mark.parametrize("on", [True, False])
def test_a_download_is_in_the_drive_until_it_is_ejected(
    drive: Drive, pool: Path, media: tuple[Path, str], on: bool
) -> None:
    if on:
        drive.libvirtd.virsh("start", drive.node.name)
    folder, url = media
    assert drive.insert(f"{url}/a.iso").status == 200
    (volume,) = pool.iterdir()
    assert volume.read_bytes() == (folder / "a.iso").read_bytes()
    assert drive.source("--inactive") == drive.source() == str(volume)
    assert drive.client.get(CD).json["Inserted"] is True
    assert drive.eject().status == 200
    assert drive.source("--inactive") is drive.source() is None
    assert drive.client.get(CD).json["Inserted"] is False
    assert list(pool.iterdir()) == []


def test_a_file_of_a_listed_folder_is_there_in_a_boot_from_it(drive: Drive, media: tuple[Path, str]) -> None:
    path = media[0] / "a.iso"
    assert drive.insert(f"file://{path}").status == 200
    assert drive.client.patch(SYSTEM, {"Boot": {"BootSourceOverrideTarget": "Cd"}}).status == 200
    assert drive.client.reset("On").status == 200
    assert drive.source() == str(path)
    assert path.exists() and drive.eject().status == 200 and path.exists()


def test_a_pool_that_is_not_there_is_named(drive: Drive, vbmcd: Vbmcd, media: tuple[Path, str]) -> None:
    vbmcd.apply({"name": drive.node.name, "media": {"pool": "no-such-pool"}})
    answer = Client(drive.client.connection.port).post(
        f"{CD}/Actions/VirtualMedia.InsertMedia", {"Image": f"{media[1]}/a.iso"}
    )
    assert answer.status == 409 and "media.pool" in str(answer.json)
    assert drive.source() is None


@pytest.mark.parametrize("state", ["running", "down"])
def test_a_medium_goes_with_its_bmc(
    drive: Drive, vbmcd: Vbmcd, pool: Path, media: tuple[Path, str], state: str
) -> None:
    drive.libvirtd.virsh("start", drive.node.name)
    assert drive.insert(f"{media[1]}/a.iso").status == 200
    if state == "down":
        vbmcd.ask("stop", names=[drive.node.name])
    vbmcd.ask("delete", names=[drive.node.name])
    assert drive.source() is drive.source("--inactive") is None
    assert list(pool.iterdir()) == []
    vbmcd.ask("apply", instances=[{"name": drive.node.name}])  # for who removes it


def test_what_can_not_be_tidied_up_is_named(drive: Drive, vbmcd: Vbmcd, pool: Path, media: tuple[Path, str]) -> None:
    assert drive.insert(f"{media[1]}/a.iso").status == 200
    drive.libvirtd.virsh("pool-destroy", POOL)
    vbmcd.ask("delete", names=[drive.node.name])
    assert f"what {drive.node.name!r} had in the drive" in vbmcd.log
    drive.libvirtd.virsh("pool-create-as", POOL, "dir", "--target", str(pool))
    vbmcd.ask("apply", instances=[{"name": drive.node.name}])


def test_a_guest_that_reboots_by_itself_boots_once_from_the_medium(
    libvirtd: Libvirtd, vbmcd: Vbmcd, tmp_path: Path
) -> None:
    (port,), said = free_ports(1), tmp_path / "said"
    serial = f"<serial type='file'><source path='{said}'/><target port='0'/></serial>"
    spec = {"redfish": {"port": port}, "media": {"folders": [str(tmp_path)]}}
    with Node.served(libvirtd, vbmcd, tmp_path, spec, cdrom=True, boot=["hd", "network"], devices=serial) as node:
        write_guest(tmp_path / "disk")
        drive = Drive(node, libvirtd, port)
        assert drive.insert(f"file://{write_cd(tmp_path / 'installer.iso')}").status == 200
        assert drive.client.patch(SYSTEM, {"Boot": {"BootSourceOverrideTarget": "Cd"}}).status == 200
        assert drive.client.reset("On").status == 200
        eventually(lambda: BANNER in said.read_bytes(), what="the disk is booted after the medium")
        # This guest reboots in less than a second, and may be faster than a busy host gives it its own order back.
        assert said.read_bytes().startswith(CD_BANNER)
