# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records of an instance that were damaged on the disk: a BMC comes up with them, and every read is answered."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from rig.board import Board
from vbmcd.store import RECORDS

READS = (
    (0x00, 0x01, ""),  # Get Chassis Status
    (0x00, 0x07, ""),  # Get System Restart Cause
    (0x00, 0x09, "050000"),  # Get System Boot Options
    (0x00, 0x0F, ""),  # Get POH Counter
    (0x06, 0x44, "0102"),  # Get User Access
    (0x06, 0x46, "02"),  # Get User Name
    (0x0A, 0x10, "00"),  # Get FRU Inventory Area Info
    (0x0A, 0x11, "00000010"),  # Read FRU Data
    (0x0A, 0x40, ""),  # Get SEL Info
    (0x0A, 0x43, "00000000" + "00ff"),  # Get SEL Entry
    (0x0C, 0x22, "0e010000"),  # Get SOL Configuration
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(RECORDS), st.binary(max_size=100)))
async def test_no_record_keeps_a_bmc_from_answering(kept: dict[str, bytes]) -> None:
    board = Board(kept=kept)
    for netfn, command, data in READS:
        assert (await board.ask(netfn, command, data))[:2] in ("00", "c1", "c9", "cb", "cc")
