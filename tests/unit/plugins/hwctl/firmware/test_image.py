# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read of an image file."""

from __future__ import annotations

import gzip
import hashlib
import os
import tempfile
from pathlib import Path
from typing import BinaryIO

import pytest

from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.errors import BadRequest
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.firmware import image as image_module
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.firmware.image import Image
from rig.firmware import image_file


@pytest.mark.parametrize(("purpose", "told"), [("BMC", "bmc"), ("Host", "host"), ("System", "bmc"), ("Other", "other")])
def test_the_manifest_says_version_and_purpose(tmp_path: Path, purpose: str, told: str) -> None:
    path = image_file(tmp_path / "image.tar", "2.15.0-rc1", purpose=purpose)
    image = Image.open(str(path))
    assert (image.version, image.purpose, image.manifest["MachineName"]) == ("2.15.0-rc1", told, "vbmcd")
    assert (image.size, image.sha256) == (path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
    image.close()


def test_a_compressed_image_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "image.tar.gz"
    path.write_bytes(gzip.compress(image_file(tmp_path / "image.tar", "3.0").read_bytes()))
    assert Image.open(str(path)).version == "3.0"


def test_a_version_that_is_given_goes_before_the_manifests(tmp_path: Path) -> None:
    path = image_file(tmp_path / "image.tar", "2.0")
    assert Image.open(str(path), version="2.0-custom").version == "2.0-custom"


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "No such file"), (b"", "is empty"), (b"no tar file", "has no MANIFEST"), (bytes(10240), "has no MANIFEST")],
)
def test_what_is_no_image_is_refused_with_its_name(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "image.tar"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadRequest, match=f"image.tar .*{message}"):
        Image.open(str(path))


def test_an_image_of_any_format_will_do_where_its_version_is_given(tmp_path: Path) -> None:
    path = tmp_path / "vendor.bin"
    path.write_bytes(b"MZ" * 100)
    image = Image.open(str(path), version="7.00")
    assert (image.version, image.purpose, image.size) == ("7.00", "bmc", 200)


def test_what_is_sent_is_what_was_read_whatever_becomes_of_the_file(tmp_path: Path) -> None:
    path = image_file(tmp_path / "image.tar", "2.0", size=1 << 20)
    wanted = path.read_bytes()
    image = Image.open(str(path))
    os.truncate(path, 0)  # a mapping of the file itself would end the process now
    assert bytes(image.content) == wanted
    image.close()


def test_a_file_that_is_written_meanwhile_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = image_file(tmp_path / "image.tar", "2.0")

    def written(copy: BinaryIO, piece: bytes) -> None:
        copy.write(piece)
        os.utime(path, (1, 1))

    monkeypatch.setattr(image_module, "_written", written)
    with pytest.raises(BadRequest, match="is being written: try again"):
        Image.open(str(path))


def test_a_full_disk_for_the_copy_is_told_with_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = image_file(tmp_path / "image.tar", "2.0")
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda: open("/dev/full", "r+b", buffering=0))  # noqa: SIM115
    with pytest.raises(BadRequest, match="can't be copied to .*No space left.*TMPDIR"):
        Image.open(str(path))


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(BadRequest, match="can't be read: (it is no regular file|Is a directory)"):
            Image.open(str(path))
