# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read of an image file."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import pytest

from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.errors import BadRequest
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
