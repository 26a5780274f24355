# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The FRU inventory, read by a reader that shares no code with its writer."""

from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st
from pyghmi.ipmi import fru as pyghmi_fru

from vbmcd.storage.fru import SIZE, Identity, Inventory, inventory

UUID = uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")
names = st.text(max_size=200)
identities = st.builds(Identity, names, names, st.uuids(), names, names)


def area(data: bytes, place: int) -> tuple[bytes, list[str]]:
    """What comes before an area's fields, and the fields; checks version, length and checksum."""
    start = data[place] * 8
    assert start >= 8 and data[start] == 1
    whole = data[start : start + data[start + 1] * 8]
    assert sum(whole) % 256 == 0
    at = {2: 3, 3: 6, 4: 3}[place]
    head, fields = whole[2:at], []
    while whole[at] != 0xC1:
        size = whole[at] & 0x3F
        assert size == 0 or whole[at] >> 6 == 3
        fields.append(whole[at + 1 : at + 1 + size].decode("latin-1"))
        at += 1 + size
    assert not any(whole[at + 1 : -1])
    return head, fields


def test_the_areas_say_who_the_machine_is() -> None:
    data = inventory(Identity("bmc-7", "node-7", UUID, "0.1.0", "team-a"))
    serial = str(UUID)
    assert area(data, 2) == (b"\x01", ["node-7", serial])
    assert area(data, 3) == (bytes(4), ["baremetal.lab", "Virtual machine", serial, "node-7", ""])
    product = ["baremetal.lab", "Virtual machine", "node-7", "0.1.0", serial, "bmc-7", "", "owner=team-a"]
    assert area(data, 4) == (b"\x00", product)


@given(identities)
def test_any_names_make_areas_that_can_be_read(identity: Identity) -> None:
    data = inventory(identity)
    assert len(data) <= SIZE and data[0] == 1 and sum(data[:8]) % 256 == 0
    for place in (2, 3, 4):
        area(data, place)
    assert area(data, 4)[1][4] == str(identity.uuid)
    record = data[data[5] * 8 :]
    assert sum(record[:5]) % 256 == 0 and (sum(record[5:]) + record[3]) % 256 == 0
    assert record[0] == 3 and record[2] == len(record[5:]) and record[6:] == identity.uuid.bytes


@given(identities)
def test_pyghmi_reads_any_of_them(identity: Identity) -> None:
    info = pyghmi_fru.FRU(rawdata=bytearray(Inventory(inventory(identity)).read(0, SIZE))).info
    assert info["Serial Number"] == info["Chassis serial number"] == str(identity.uuid)


@given(st.lists(st.tuples(st.integers(0, SIZE), st.binary(max_size=64)), max_size=8))
def test_what_is_written_is_read_and_the_rest_stays(writes: list[tuple[int, bytes]]) -> None:
    start = inventory(Identity("a", "b", UUID, "0.1"))
    present, model = Inventory(start), bytearray(start.ljust(SIZE, b"\0"))
    for offset, data in writes:
        if offset + len(data) <= SIZE:
            present.write(offset, data)
            model[offset : offset + len(data)] = data
    assert present.read(0, SIZE) == model and present.read(SIZE - 3, 255) == model[-3:]
    assert Inventory(present.to_bytes()).read(0, SIZE) == model
