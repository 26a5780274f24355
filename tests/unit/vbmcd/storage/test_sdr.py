# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sensor data records and scales; that clients can read them is for the integration tests to say."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vbmcd.storage.sdr import FIRST, LAST, MEGABYTES_PER_SECOND, PERCENT
from vbmcd.storage.sensors import REPOSITORY, SENSORS


def test_every_record_says_its_id_version_and_length() -> None:
    numbers = []
    number = FIRST
    while number != LAST:
        found = REPOSITORY.get(number)
        assert found is not None
        record, number = found
        numbers.append(int.from_bytes(record[:2], "little"))
        assert record[2] == 0x51 and record[4] == len(record) - 5
        # The offset of the name's type and length, by record type (43.1 to 43.9).
        at = {0x01: 47, 0x02: 31, 0x03: 16, 0x11: 15, 0x12: 15}[record[3]]
        assert record[at] == 0xC0 | len(record) - at - 1 and record[at + 1 :].isascii()
    assert numbers == list(range(1, len(REPOSITORY) + 1))
    assert REPOSITORY.get(LAST) == (record, LAST) and REPOSITORY.get(len(numbers) + 1) is None


def test_every_sensor_has_a_record() -> None:
    records = [found[0] for number in range(1, len(REPOSITORY) + 1) if (found := REPOSITORY.get(number))]
    assert {record[7] for record in records if record[3] in (0x01, 0x02)} == set(SENSORS)


@given(st.floats(0, 100))
def test_a_percentage_is_read_to_half_a_percent(value: float) -> None:
    assert abs(PERCENT.reading(value) - value) <= 0.5


@given(st.floats(0, 2601))
def test_a_rate_is_read_to_a_few_percent_of_it(value: float) -> None:
    shown = (2 * MEGABYTES_PER_SECOND.reading(value) / 10) ** 2
    assert abs(shown - value) <= 0.02 + 0.2 * value**0.5


@given(st.floats(0, 1e300))
def test_too_much_is_the_highest_reading(value: float) -> None:
    assert PERCENT.reading(255 + value) == MEGABYTES_PER_SECOND.reading(2601 + value) == 255
