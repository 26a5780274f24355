# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documents: what a SPEC may hold, how passwords show, and the file's round trip."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vbmcd.config import Connection, Instance, Privilege, User
from vbmcd.documents import (
    State,
    changed_document,
    instance_errors,
    instance_from_file,
    instance_to_document,
    instance_to_file,
    parse_specs,
)
from vbmcd.errors import InvalidRequest, Refused, VbmcError

FULL = Instance(
    name="node-01",
    domain="node one",
    port=6230,
    address="192.0.2.7",
    users=(User("admin", "secret-1"), User("watcher", "secret-2", Privilege.USER)),
    connection=Connection("qemu+tls://host/system", "sasl", "secret-3"),
    owner="lab",
    active=True,
)


def errors_of(*specs: Any) -> list[str]:
    with pytest.raises(VbmcError) as caught:
        parse_specs(list(specs))
    error = caught.value
    return [str(one) for one in error.errors] if isinstance(error, Refused) else [str(error)]


def test_a_name_is_enough() -> None:
    (wanted,) = parse_specs([{"name": "node-01"}])
    assert wanted.applied_to(None, 6230) == Instance(name="node-01", domain="node-01", port=6230)


def test_every_key_of_a_new_instance_counts() -> None:
    document = instance_to_document(FULL, mask=False)
    (wanted,) = parse_specs([document])
    assert wanted.applied_to(None, 6230) == FULL


def test_keys_left_out_or_null_keep_what_there_is() -> None:
    nothing = dict.fromkeys(instance_to_document(FULL))
    (wanted,) = parse_specs([{**nothing, "name": "node-01"}])
    assert wanted.applied_to(FULL, FULL.port) == FULL


def test_the_first_user_changes_without_the_others() -> None:
    (wanted,) = parse_specs([{"name": "node-01", "password": "new", "privilege": "operator"}])
    assert wanted.applied_to(FULL, 1).users == (User("admin", "new", Privilege.OPERATOR), FULL.users[1])


def test_an_empty_list_of_users_removes_the_others() -> None:
    (wanted,) = parse_specs([{"name": "node-01", "users": []}])
    assert wanted.applied_to(FULL, 1).users == FULL.users[:1]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("port", "623", "port '623' is not a number from 1 to 65535"),
        ("port", True, "port True is not"),
        ("port", 0, "port 0 is not"),
        ("port", 65536, "port 65536 is not"),
        ("port", 6230.0, "port 6230.0 is not"),
        ("default_port", -1, "default_port -1 is not"),
        ("address", "localhost", "address 'localhost' is not an IPv4 or IPv6 address"),
        ("address", 1, "address 1 is not a string"),
        ("address", "", "address '' is not an IPv4 or IPv6 address"),
        ("username", "", "username '' has 0 characters: give 1 to 16"),
        ("username", "x" * 17, "has 17 characters: give 1 to 16"),
        ("username", "ü" * 9, "has 18 bytes, and IPMI allows 16"),
        ("username", "a\nb", "has a control character"),
        ("username", "a\u2028b", "unprintable"),
        ("privilege", "admin", "privilege 'admin' is not a privilege: give administrator, operator, user or callback"),
        ("privilege", 4, "privilege 4 is not"),
        ("domain", "", "domain '' has 0 characters: give 1 to 200"),
        ("domain", "a\x00b", "has a control character"),
        ("owner", "x" * 65, "has 65 characters: give 0 to 64"),
        ("libvirt_uri", "system", "libvirt_uri 'system' is not a libvirt URI: give one such as qemu:///system"),
        ("libvirt_uri", "", "libvirt_uri '' has 0 characters"),
        ("libvirt_uri", "://x", "is not a libvirt URI"),
        ("state", "running", "state 'running' is not a state: give present, absent, started or stopped"),
        ("state", ["present"], "is not a state"),
        ("users", {}, "users is not a list"),
        ("users", ["x"], "users[0] is not an object"),
        ("users", [{"name": "u"}], "users[0]: password is missing: add it"),
        ("users", [{"name": "u", "password": "p", "role": "x"}], "users[0]: unknown key 'role'"),
    ],
)
def test_a_wrong_value_is_named_with_instance_and_key(key: str, value: Any, message: str) -> None:
    (error,) = errors_of({"name": "node-01", key: value})
    assert error.startswith("instance 'node-01': ")
    assert message in error


@pytest.mark.parametrize("value", ["", "x" * 21, "ä" * 11, 12345, "a\x00b", "********", "******** (changed)"])
def test_a_wrong_password_is_refused_and_not_shown(value: Any) -> None:
    (error,) = errors_of({"name": "node-01", "password": value})
    assert error.startswith("instance 'node-01': password ")
    if value and "mask" not in error:
        assert str(value) not in error


@pytest.mark.parametrize("name", [None, "", 7, "a\nb", "x" * 201, "\ud800"])
def test_a_spec_without_a_usable_name_is_told_by_its_place(name: Any) -> None:
    (error,) = errors_of({"name": name})
    assert error.startswith("instances[0]: name ")


@pytest.mark.parametrize("items", [None, {}, "x", 3])
def test_instances_is_a_list(items: Any) -> None:
    with pytest.raises(InvalidRequest, match="give a list"):
        parse_specs(items)


def test_an_unknown_key_names_the_nearest_one() -> None:
    assert errors_of({"name": "a", "pasword": "x"}) == ["instance 'a': unknown key 'pasword': did you mean 'password'?"]
    assert "known are name, domain, " in errors_of({"name": "a", "zzz": 1})[0]


def test_all_errors_are_told_at_once() -> None:
    errors = errors_of({"name": "a", "port": 0, "state": "x"}, 3, {"name": "b"}, {"name": "b"})
    assert [error.split(":")[0] for error in errors] == [
        "instance 'a'",
        "instance 'a'",
        "instances[1] is 3",
        "instance 'b' is named twice, as instances[2] and instances[3]",
    ]


@pytest.mark.parametrize(
    ("given", "canonical"),
    [("::0", "::"), ("2001:DB8::1", "2001:db8::1"), ("::ffff:192.0.2.7", "192.0.2.7"), ("fe80::1%lo", "fe80::1%lo")],
)
def test_an_address_has_one_spelling(given: str, canonical: str) -> None:
    assert parse_specs([{"name": "a", "address": given}])[0].address == canonical


def test_users_of_one_name_and_too_many_users_are_refused() -> None:
    twice = Instance("a", "a", 1, users=(User("admin", "x"), User("admin", "y")))
    assert [str(error) for error in instance_errors(twice)] == [
        "instance 'a' has two users named 'admin': rename or remove one"
    ]
    many = Instance("a", "a", 1, users=tuple(User(f"u{number}", "x") for number in range(16)))
    assert "has 16 users, and an instance may have 15" in str(instance_errors(many)[0])


def test_half_of_the_sasl_credentials_is_refused() -> None:
    (error,) = instance_errors(Instance("a", "a", 1, connection=Connection(sasl_username="u")))
    assert "give libvirt_sasl_password" in str(error)


def test_no_password_shows_anywhere_but_in_the_file() -> None:
    other = Instance("node-01", "d", 1, users=(User("admin", "secret-9"),))
    (wanted,) = parse_specs([{"name": "a", "password": "secret-1", "libvirt_sasl_password": "secret-2"}])
    shown = [
        repr(FULL),
        repr(wanted),
        json.dumps(instance_to_document(FULL)),
        json.dumps(changed_document(other, FULL)),
    ]
    assert "secret" not in "".join(shown)
    assert json.dumps(instance_to_file(FULL)).count("secret") == 3


def test_a_changed_password_is_marked() -> None:
    before = Instance(
        "node-01",
        "d",
        1,
        users=(User("admin", "old"), User("watcher", "old")),
        connection=Connection("test:///default", "sasl", "old"),
    )
    after = changed_document(before, FULL)
    assert after["password"] == after["libvirt_sasl_password"] == "******** (changed)"
    assert after["users"] == [{"name": "watcher", "password": "******** (changed)", "privilege": "user"}]
    assert changed_document(FULL, FULL) == changed_document(None, FULL) == instance_to_document(FULL)


def test_a_kg_is_text_or_digits_and_can_be_taken_back() -> None:
    first = Instance("a", "a", 1)
    for text, data in (("key", b"key"), ("0x0A0b", b"\n\x0b"), ("k" * 20, b"k" * 20), ("", b"")):
        (wanted,) = parse_specs([{"name": "a", "kg": text}])
        assert wanted.applied_to(first, 1).kg_bytes == data
    assert parse_specs([{"name": "a"}])[0].applied_to(replace(first, kg="key"), 1).kg == "key", "left out, it stays"


@pytest.mark.parametrize("kg", ["k" * 21, "0x", "0x0", "0xzz", "0x" + "00" * 21, "a\n", 7])
def test_what_is_no_kg_is_refused_and_not_shown(kg: object) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_specs([{"name": "a", "kg": kg}])
    said = str(caught.value)
    assert "kg" in said and (kg == "0x" or str(kg) not in said)


def test_a_kg_shows_as_a_password_does() -> None:
    keyed = replace(FULL, kg="secret-kg")
    assert instance_to_document(keyed)["kg"] == "********" and instance_to_document(FULL)["kg"] == ""
    assert changed_document(FULL, keyed)["kg"] == "******** (changed)"
    assert "secret-kg" not in repr(keyed) and "secret-kg" in json.dumps(instance_to_file(keyed))


def test_cipher_suites_are_a_set_of_those_that_there_are() -> None:
    (wanted,) = parse_specs([{"name": "a", "cipher_suites": [17, 8, 17]}])
    instance = wanted.applied_to(None, 1)
    assert instance.cipher_suites == (8, 17)
    assert instance_to_document(instance)["cipher_suites"] == [8, 17]
    assert parse_specs([{"name": "a"}])[0].applied_to(instance, 1).cipher_suites == (8, 17), "left out, they stay"
    assert parse_specs([{"name": "a"}])[0].applied_to(None, 1).cipher_suites == (3, 17)


@pytest.mark.parametrize(("suites", "said"), [
    ([], "not a list of cipher suites"), ("3,17", "not a list"), ([0], "0 would let everybody in without a password"),
    ([3, 4], "4 is none that vbmcd has: give some of 1, 2, 3, 6"), ([True], "True is none"), (["3"], "'3' is none"),
])  # fmt: skip
def test_what_is_no_set_of_cipher_suites_is_refused(suites: object, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        parse_specs([{"name": "a", "cipher_suites": suites}])


def test_a_file_of_a_version_that_knew_less_is_read() -> None:
    document = instance_to_file(FULL)
    del document["kg"], document["cipher_suites"]
    assert instance_from_file(document) == FULL


def test_a_file_comes_back_as_it_was() -> None:
    assert instance_from_file(json.loads(json.dumps(instance_to_file(FULL)))) == FULL


texts = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=200)


@given(name=texts, domain=texts, port=st.integers(1, 65535), active=st.booleans(), address=st.ip_addresses())
def test_any_instance_survives_its_file(name: str, domain: str, port: int, active: bool, address: Any) -> None:
    instance = Instance(name, domain, port, "::" if "ffff" in str(address) else str(address), active=active)
    assert instance_from_file(json.loads(json.dumps(instance_to_file(instance)))) == instance


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "format 2, and this vbmcd reads 1"),
        ({"format": None}, "format None"),
        ({"port": None}, "lacks port"),
        ({"port": 70000}, "port 70000"),
        ({"extra": 1}, "unknown key 'extra'"),
        ({"default_port": 1}, "unknown key 'default_port'"),
        ({"users": [{"name": "admin", "password": "x"}]}, "two users named 'admin'"),
        ({"name": ""}, "name ''"),
    ],
)
def test_a_wrong_file_is_refused_with_the_reason(change: dict[str, Any], message: str) -> None:
    with pytest.raises(VbmcError) as caught:
        instance_from_file({**instance_to_file(FULL), **change})
    assert message in str(caught.value)


@pytest.mark.parametrize("document", [None, [], "x", 1])
def test_a_file_that_holds_no_object_is_refused(document: Any) -> None:
    with pytest.raises(InvalidRequest, match="no JSON object"):
        instance_from_file(document)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_rubbish_is_refused_and_nothing_else_happens(rubbish: Any) -> None:
    with pytest.raises(VbmcError):
        parse_specs([rubbish, {"name": "a", "state": rubbish, "port": "x"}])


def test_states_have_the_modules_words() -> None:
    assert [state.value for state in State] == ["present", "absent", "started", "stopped"]
