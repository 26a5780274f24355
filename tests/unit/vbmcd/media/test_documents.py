# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The `media` options as JSON."""

from __future__ import annotations

import pytest

from vbmcd.errors import VbmcError
from vbmcd.media import documents
from vbmcd.media.options import MediaOptions


def test_what_is_shown_can_be_asked_for_and_what_is_not_given_stays() -> None:
    errors: list[VbmcError] = []
    given = {"schemes": ["https"], "folders": ["/srv/iso/"], "pool": "media", "verify": False, "max_bytes": 1000}
    options = documents.applied(documents.parse(given, "a", errors), MediaOptions())
    assert options == MediaOptions(("https",), ("/srv/iso",), "media", False, 1000)
    assert documents.applied(documents.parse(documents.to_document(options), "a", errors), MediaOptions()) == options
    assert documents.applied(documents.parse({"folders": []}, "a", errors), options).schemes == ("https",)
    assert not errors


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([], "give an object"),
        ({"schemes": ["ftp"]}, "give some of http, https"),
        ({"schemes": "http"}, "not a list"),
        ({"folders": ["/"]}, "every file of the host"),
        ({"folders": ["/srv/.."]}, "every file of the host"),
        ({"folders": ["srv"]}, "not an absolute path"),
        ({"folders": [7]}, "not a string"),
        ({"max_bytes": 0}, "not a number of bytes"),
        ({"verfy": True}, "did you mean 'verify'?"),
    ],
)
def test_what_is_wrong_is_named(value: object, said: str) -> None:
    errors: list[VbmcError] = []
    documents.parse(value, "node-07", errors)
    assert len(errors) == 1 and said in str(errors[0])
