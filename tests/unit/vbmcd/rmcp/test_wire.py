# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The wire formats below a login: RMCP and session headers, IPMI messages, the sequence window."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vbmcd.rmcp import packet
from vbmcd.rmcp.errors import Malformed
from vbmcd.rmcp.message import BMC_ADDRESS, Message, checksum
from vbmcd.rmcp.session import WINDOW, SequenceWindow
from vbmcd.rmcp.suites import SUITE_3, SUITE_17

# ipmitool 1.8.19, captured: Get Channel Authentication Capabilities, channel 0Eh with IPMI 2.0 data
AUTH_CAPABILITIES = bytes.fromhex("0600ff07000000000000000000092018c88100388e04b5")


def test_a_sessionless_packet_is_read_and_written_alike() -> None:
    parsed = packet.parse(AUTH_CAPABILITIES)
    assert isinstance(parsed, packet.SessionlessMessage)
    assert parsed.encode() == AUTH_CAPABILITIES


def test_a_legacy_pad_byte_is_allowed_and_no_more() -> None:
    assert packet.parse(AUTH_CAPABILITIES + b"\x00") == packet.parse(AUTH_CAPABILITIES)
    with pytest.raises(Malformed):
        packet.parse(AUTH_CAPABILITIES + b"\x00\x00")


@pytest.mark.parametrize("datagram", [
    pytest.param("", id="empty"),
    pytest.param("0600ff07", id="RMCP header alone"),
    pytest.param("0600ff0600000000", id="class ASF"),
    pytest.param("0500ff0706100000000000000000000000", id="another RMCP version"),
    pytest.param("0600ff0702000000000000000000", id="IPMI 1.5 with MD5"),
    pytest.param("0600ff070000000000010000000000", id="IPMI 1.5 in a session"),
    pytest.param("0600ff07000000000000000000ff20", id="a length that lies"),
    pytest.param("0600ff07061000000000000000", id="RMCP+ header cut short"),
    pytest.param("0600ff070610000000000000000020000000", id="RMCP+ payload cut short"),
])  # fmt: skip
def test_what_is_no_ipmi_packet_is_malformed(datagram: str) -> None:
    with pytest.raises(Malformed):
        packet.parse(bytes.fromhex(datagram))


def test_an_rmcp_plus_header_is_taken_apart() -> None:
    parsed = packet.parse(packet.encode_plus(0xC0, 0x11223344, 0x55667788, b"abc") + b"trailer")
    assert parsed == packet.PlusHeader(0, 0xC0, 0x11223344, 0x55667788, b"abc", b"trailer")


def test_a_request_is_parsed_and_answered_with_both_checksums() -> None:
    parsed = packet.parse(AUTH_CAPABILITIES)
    assert isinstance(parsed, packet.SessionlessMessage)
    message = Message.parse(parsed.payload)
    assert message == Message(6, 0, 0x38, b"\x8e\x04", 0x81, 0, 0)
    # The answer that OpenIPMI's ipmi_sim gives has the same head: 81 1c 63 20 00 38 00 ...
    assert message.reply(b"\x00\x01").hex() == "811c632000380001a7"


def test_an_answer_is_not_answered_so_that_two_bmcs_never_talk_to_each_other() -> None:
    """Whoever forges a BMC's address, as the sender's in UDP and in IPMI, would have them do so for ever."""
    asked = Message(netfn=6, lun=0, command=1, data=b"", requester=BMC_ADDRESS, requester_lun=0, sequence=0)
    with pytest.raises(Malformed):
        Message.parse(asked.reply(b"\xc1"))


@pytest.mark.parametrize("raw", ["", "2018c8", "2018c8810038c7ff", "2118c7810038474a", "2018c981003847"])
def test_a_message_with_a_wrong_checksum_length_or_address_is_malformed(raw: str) -> None:
    with pytest.raises(Malformed):
        Message.parse(bytes.fromhex(raw))


@given(st.binary(max_size=64))
def test_data_and_its_checksum_sum_up_to_zero(data: bytes) -> None:
    assert (sum(data) + checksum(data)) & 0xFF == 0


def test_the_cipher_suite_records_are_those_of_the_specification() -> None:
    assert SUITE_3.record().hex(" ") == "c0 03 01 41 81"
    assert SUITE_17.record().hex(" ") == "c0 11 03 44 81"


@given(st.lists(st.integers(min_value=0, max_value=2 * WINDOW), max_size=80))
def test_the_window_accepts_what_is_new_and_near_and_nothing_twice(numbers: list[int]) -> None:
    window, seen, highest = SequenceWindow(), {0}, 0
    for number in numbers:
        near = highest - WINDOW < number <= highest + WINDOW
        expected = near and number not in seen
        assert window.accept(number) is expected
        if expected:
            seen.add(number)
            highest = max(highest, number)


def test_the_window_passes_over_the_wrap_of_the_counter() -> None:
    window = SequenceWindow()
    window._highest = 0xFFFFFFFE
    assert window.accept(0xFFFFFFFF)
    assert window.accept(1), "the counter skips 0"
    assert not window.accept(0xFFFFFFFF)
