# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a login by IPMI fails with, which pyghmi tells by text alone (1.6.19)."""

from __future__ import annotations

import pytest

from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.clients.ipmi import _login_failure
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.target import Target

TARGET = Target.of({"address": "192.0.2.1", "protocol": "ipmi", "username": "admin", "password": "pa55word"})


@pytest.mark.parametrize(
    ("text", "kind", "again"),
    [
        ("Incorrect password provided", "auth", False),
        ("Unauthorized name in RAKP2", "auth", False),
        ("Invalid RAKP4 integrity code (wrong Kg?)", "auth", False),
        ("Unauthorized role or privilege level requested", "auth", False),
        ("Insufficient resources to create new session (wait for existing sessions to timeout)", "busy", True),
        ("No Cipher suite match with proposed security algorithms", "unsupported", False),
        ("Invalid integrity algorithm", "unsupported", False),
        ("Session failed to initialize", "unreachable", False),
    ],
)
def test_a_login_that_fails_says_why(text: str, kind: str, again: bool) -> None:
    error = _login_failure(text, TARGET, heard=False)
    assert (error.kind, error.safe_to_retry) == (kind, again)
    assert "192.0.2.1 port 623" in str(error)


def test_a_bmc_that_answers_but_not_to_the_login_is_asked_again() -> None:
    error = _login_failure("timeout", TARGET, heard=True)
    assert (error.kind, error.safe_to_retry) == ("unreachable", True)
    assert "user name" in str(error)
