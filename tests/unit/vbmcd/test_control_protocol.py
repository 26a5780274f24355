# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages of the control socket: what goes in comes out, and rubbish is told as such."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vbmcd.control import protocol
from vbmcd.errors import Conflict, InvalidRequest, NotFound, Refused, StateError, VbmcError, refusal


def test_a_request_comes_out_as_it_went_in() -> None:
    request = protocol.decode_request(protocol.encode_request("start", {"names": ["ä", "\ud800"]}))
    assert request == protocol.Request("start", {"names": ["ä", "\ud800"]})


def test_arguments_may_be_left_out() -> None:
    assert protocol.decode_request(b'{"version": 1, "command": "ping"}').arguments == {}


def test_a_result_comes_out_as_it_went_in() -> None:
    assert protocol.decode_reply(protocol.encode_result({"changed": True})) == {"changed": True}


@pytest.mark.parametrize("kind", [VbmcError, InvalidRequest, Conflict, NotFound, StateError])
def test_an_error_keeps_class_message_and_instance(kind: type[VbmcError]) -> None:
    with pytest.raises(VbmcError) as caught:
        protocol.decode_reply(protocol.encode_error(kind("what: remedy", instance="a")))
    assert (type(caught.value), str(caught.value), caught.value.instance) == (kind, "what: remedy", "a")


def test_several_errors_stay_several() -> None:
    errors = [Conflict("one", instance="a"), InvalidRequest("two", instance="b")]
    with pytest.raises(Refused) as caught:
        protocol.decode_reply(protocol.encode_error(refusal(errors)))
    assert [(type(error), str(error), error.instance) for error in caught.value.errors] == [
        (Conflict, "one", "a"),
        (InvalidRequest, "two", "b"),
    ]
    assert str(caught.value) == "one (and 1 more)"
    assert caught.value.code == "invalid"


def test_the_body_of_an_error_is_as_documented() -> None:
    body = json.loads(protocol.encode_error(NotFound("gone", instance="a")))
    assert body == {
        "version": 1,
        "ok": False,
        "error": {
            "code": "not-found",
            "message": "gone",
            "instance": "a",
            "details": [{"code": "not-found", "instance": "a", "message": "gone"}],
        },
    }


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"version": NaN}', "not JSON"),
        (b"[]", "no JSON object"),
        (b"{}", "version None"),
        (b'{"version": true, "command": "ping"}', "version True"),
        (b'{"version": 2, "command": "ping"}', "version 2 of the control protocol"),
        (b'{"version": 1}', "unknown command None"),
        (b'{"version": 1, "command": "explode"}', "unknown command 'explode': known are ping"),
        (b'{"version": 1, "command": ["ping"]}', "unknown command"),
        (b'{"version": 1, "command": "ping", "arguments": []}', "arguments is no object"),
        (b" " * (protocol.MAX_MESSAGE + 1), "too long"),
    ],
)
def test_what_is_no_request_is_told(data: bytes, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        protocol.decode_request(data)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "data",
    [b"", b"null", b'{"version": 1}', b'{"version": 1, "ok": true}', b'{"version": 1, "ok": false, "error": 3}'],
)
def test_what_is_no_reply_is_told(data: bytes) -> None:
    with pytest.raises(InvalidRequest):
        protocol.decode_reply(data)


def test_an_error_of_a_later_release_is_an_error_still() -> None:
    with pytest.raises(VbmcError, match="what"):
        protocol.decode_reply(b'{"version": 1, "ok": false, "error": {"code": "new", "message": "what"}}')


@given(st.binary())
def test_any_bytes_are_refused_cleanly(data: bytes) -> None:
    for decode in (protocol.decode_request, protocol.decode_reply):
        with pytest.raises(VbmcError):
            decode(data)


rubbish = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)
keys = st.sampled_from(("instances", "purge", "owner", "check", "create_only", "names"))


@given(st.dictionaries(keys, rubbish | st.lists(rubbish, max_size=3)))
def test_arguments_of_any_kind_are_taken_or_refused_cleanly(arguments: dict[str, Any]) -> None:
    for parse in (protocol.parse_apply, lambda given: protocol.parse_names("stop", given)):
        with suppress(VbmcError):
            parse(arguments)


@given(st.dictionaries(st.sampled_from(("version", "command", "arguments", "ok", "result", "error")), rubbish))
def test_any_object_is_taken_or_refused_cleanly(message: dict[str, Any]) -> None:
    data = json.dumps({"version": 1, **message}).encode()
    for decode in (protocol.decode_request, protocol.decode_reply):
        with suppress(VbmcError):
            decode(data)


def test_a_message_that_is_nested_without_end_is_refused_cleanly() -> None:
    for data in (b"[" * 200_000, b'{"version": 1, "command": "apply", "arguments": ' + b'{"a":' * 200_000):
        with pytest.raises(VbmcError):
            protocol.decode_request(data)


def test_of_very_many_errors_the_first_are_told_and_how_many_more_there_are() -> None:
    errors = [NotFound(f"no {number}", instance=str(number)) for number in range(100_000)]
    with pytest.raises(Refused) as caught:
        protocol.decode_reply(protocol.encode_error(refusal(errors)))
    told = [str(error) for error in caught.value.errors]
    assert told[:2] == ["no 0", "no 1"] and len(told) == protocol.MAX_DETAILS + 1
    assert "99800 more errors" in told[-1]


def test_apply_is_parsed() -> None:
    request = protocol.parse_apply({"instances": [{"name": "a"}], "purge": True, "owner": "lab", "check": True})
    assert [one.name for one in request.wanted] == ["a"]
    assert (request.purge_owner, request.check, request.create_only) == ("lab", True, False)
    assert protocol.parse_apply({"instances": [], "owner": "lab"}).purge_owner is None


def test_every_error_of_apply_is_told() -> None:
    with pytest.raises(Refused) as caught:
        protocol.parse_apply({"instances": [{"name": "a", "port": 0}], "check": "yes", "force": True, "purge": 1})
    messages = [str(error) for error in caught.value.errors]
    assert len(messages) == 4
    assert "apply: unknown key 'force'" in messages[0]
    assert "purge 1 is neither true nor false" in messages[1]
    assert "instance 'a': port 0" in messages[3]


@pytest.mark.parametrize("owner", [None, ""])
def test_a_purge_without_an_owner_is_refused(owner: Any) -> None:
    with pytest.raises(InvalidRequest, match="purge needs an owner"):
        protocol.parse_apply({"instances": [], "purge": True, "owner": owner})


def test_names_are_parsed_once_each_in_order() -> None:
    assert protocol.parse_names("stop", {"names": ["b", "a", "b"]}) == ("b", "a")
    assert protocol.parse_names("list", {}, required=False) == ()


@pytest.mark.parametrize("arguments", [{}, {"names": []}, {"names": "a"}, {"names": [1]}, {"names": ["a"], "x": 1}])
def test_names_that_are_none_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="stop: "):
        protocol.parse_names("stop", arguments)
