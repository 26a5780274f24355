# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an image's tar file and MANIFEST say, in pieces of any size."""

from __future__ import annotations

import gzip
import io
import itertools
import random
import tarfile
import tracemalloc

import pytest

from rig.firmware import image, manifest
from vbmcd.firmware.image import BadImage, ImageReader, Manifest, Purpose


def read(data: bytes, *cuts: int) -> Manifest:
    reader = ImageReader()
    places = [0, *cuts, len(data)]
    for start, end in itertools.pairwise(places):
        reader.feed(data[start:end])
    assert reader.size == len(data)
    return reader.close()


def test_an_image_says_what_it_is() -> None:
    data = image("2.14.1", machine="romulus", ExtendedVersion="v1-2", CompatibleName="com.example.romulus")
    assert read(data) == Manifest(Purpose.BMC, "2.14.1", "romulus", "v1-2", "com.example.romulus")


@pytest.mark.parametrize("seed", range(20))
def test_the_pieces_that_it_comes_in_make_no_difference(seed: int) -> None:
    data, chance = image(size=3000), random.Random(seed)
    cuts = sorted(chance.sample(range(len(data)), chance.randrange(200)))
    assert read(data, *cuts).version == "2.0.0"


def test_a_byte_at_a_time_will_do() -> None:
    data = image(size=700)
    assert read(data, *range(1, len(data))) == read(data)


@pytest.mark.parametrize("cuts", [(), (1,), (1, 2, 3), (600, 601)])
def test_an_image_in_gzip_is_one(cuts: tuple[int, ...]) -> None:
    assert read(gzip.compress(image(size=300_000)), *cuts).version == "2.0.0"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (gzip.compress(image(size=3000))[:-1000], "ends in its middle"),
        (gzip.compress(b"")[:10] + b"\xff" * 100, "damaged"),
        (gzip.compress(b"no tar" * 200), "no tar file"),
    ],
    ids=[
        "short",
        "damaged",
        "no-tar",
    ],  # gzip writes down when it was: pytest-xdist wants one name in all its processes
)
def test_a_gzip_file_that_is_none_is_told_apart(data: bytes, why: str) -> None:
    with pytest.raises(BadImage, match=why):
        read(data)


def test_a_gzip_file_that_becomes_endless_is_given_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vbmcd.firmware.image.MAX_UNPACKED", 1 << 20)
    header = tarfile.TarInfo("image-bmc")
    header.size = 4 << 20
    bomb = gzip.compress(header.tobuf() + bytes(4 << 20) + image())
    tracemalloc.start()
    try:
        with pytest.raises(BadImage, match="more than 1048576 bytes"):
            read(bomb)
        assert tracemalloc.get_traced_memory()[1] < 500_000
    finally:
        tracemalloc.stop()


def test_what_is_only_like_a_manifest_in_its_name_is_none() -> None:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as tar:
        for name in (".MANIFEST", "../MANIFEST", "other/MANIFEST"):
            info = tarfile.TarInfo(name)
            info.size = len(manifest())
            tar.addfile(info, io.BytesIO(manifest()))
    with pytest.raises(BadImage, match="no MANIFEST"):
        read(target.getvalue())


def test_an_image_of_the_host_is_one() -> None:
    assert read(image(purpose="Host")).purpose is Purpose.HOST


def test_the_manifest_may_stand_in_a_folder_and_behind_a_long_name() -> None:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, data in (("x" * 300, b"1"), ("./MANIFEST", manifest())):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "MANIFEST"
        tar.addfile(link)
    assert read(target.getvalue()).version == "2.0.0"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "no image"),
        (b"\x7fELF" * 400, "no tar file"),
        (bytes(10240), "no MANIFEST"),
        (image()[:1000], "in the middle"),
        (image()[:100], "in the middle"),
        (image(text=b"\xff\xfe"), "no text"),
        (image(text=b"version=1\n"), "purpose"),
        (image(version=""), "no version"),
        (image(purpose="PSU"), "purpose"),
        (image(version="1\x1b[31m"), "no short text"),
        (image(text=b"a=b\n" * 20000), "are the most"),
    ],
)
def test_what_is_no_image_is_told_apart(data: bytes, why: str) -> None:
    with pytest.raises(BadImage, match=why):
        read(data)


def test_a_size_that_lies_is_none() -> None:
    header = tarfile.TarInfo("MANIFEST")
    header.size = 1 << 60
    with pytest.raises(BadImage, match="are the most"):
        read(header.tobuf(tarfile.GNU_FORMAT) + bytes(1024))


def test_an_image_is_not_held() -> None:
    data = image(size=8 << 20)
    pieces = [data[place : place + 65536] for place in range(0, len(data), 65536)]
    reader = ImageReader()
    tracemalloc.start()
    try:
        for piece in pieces:
            reader.feed(piece)
        assert reader.close().version == "2.0.0"
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()
