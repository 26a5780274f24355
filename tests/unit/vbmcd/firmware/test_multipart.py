# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A form is read as bmcweb reads it, in pieces of any size."""

from __future__ import annotations

import itertools
import random

import pytest

from rig.firmware import form
from vbmcd.firmware.multipart import FormReader, ParseError, Sink, boundary_of

PARTS = [("UpdateParameters", b'{"Targets": []}'), ("UpdateFile", bytes(range(256)) * 8)]


def read(data: bytes, *cuts: int, boundary: bytes = b"b0undary") -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytearray]] = []

    def open_part(name: str, headers: dict[str, str]) -> Sink:
        found.append((name, bytearray()))
        return found[-1][1].extend

    reader = FormReader(boundary, open_part)
    places = [0, *cuts, len(data)]
    for start, end in itertools.pairwise(places):
        reader.feed(data[start:end])
    reader.close()
    return [(name, bytes(value)) for name, value in found]


def test_the_parts_come_out_as_they_went_in() -> None:
    assert read(form(PARTS)) == PARTS


@pytest.mark.parametrize("seed", range(20))
def test_the_pieces_that_it_comes_in_make_no_difference(seed: int) -> None:
    data, chance = form(PARTS), random.Random(seed)
    assert read(data, *sorted(chance.sample(range(len(data)), chance.randrange(100)))) == PARTS


def test_a_byte_at_a_time_will_do() -> None:
    data = form(PARTS)
    assert read(data, *range(1, len(data))) == PARTS


@pytest.mark.parametrize(
    "inside", [b"\r\n--b0undary", b"\r\n--b0undaryX\r\n", b"\r\n--b0undar", b"\r\n\r\n--b0undary-", b"\r\n" * 5]
)
def test_what_only_looks_like_a_boundary_is_data(inside: bytes) -> None:
    parts = [("UpdateFile", b"a" + inside + b"b")]
    data = form(parts)
    assert read(data) == read(data, *range(1, len(data))) == parts


def test_a_part_may_be_empty() -> None:
    with pytest.raises(ParseError):
        # bmcweb wants a line's end before each boundary, and the headers' own is none.
        read(b"--b0undary\r\nContent-Disposition: form-data; name=a\r\n\r\n--b0undary--")
    assert read(form([("UpdateFile", b"")])) == [("UpdateFile", b"")]


def test_what_follows_the_form_is_left_alone() -> None:
    assert read(form(PARTS) + b"epilogue", len(form(PARTS)) - 3) == PARTS


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"preamble\r\n" + form(PARTS),
        b"\r\n" + form(PARTS),
        form(PARTS)[:-6],
        form(PARTS).replace(b"\r\n", b"\n"),
        form(PARTS, boundary="other"),
        b"--b0undary--\r\n",
        b"--b0undary\r\nContent Disposition: form-data\r\n\r\n\r\n--b0undary--",
        b"--b0undary\r\nno-colon\r\n\r\n\r\n--b0undary--",
        b"--b0undary\r\nA: " + b"x" * 9000 + b"\r\n\r\n\r\n--b0undary--",
        form([("UpdateFile", b"")] * 9),
    ],
)
def test_what_bmcweb_would_not_read_is_an_error(data: bytes) -> None:
    with pytest.raises(ParseError):
        read(data)


@pytest.mark.parametrize(
    "header",
    [
        "multipart/form-data",
        "multipart/form-data;boundary=x",
        "multipart/form-data; charset=utf-8; boundary=x",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=" + "x" * 71,
        "application/json",
    ],
)
def test_only_bmcwebs_spelling_of_the_header_will_do(header: str) -> None:
    with pytest.raises(ParseError):
        boundary_of(header)


def test_a_quoted_boundary_is_taken_by_its_letters() -> None:
    boundary = boundary_of('multipart/form-data; boundary="b0undary"')
    with pytest.raises(ParseError):
        read(form(PARTS), boundary=boundary)
