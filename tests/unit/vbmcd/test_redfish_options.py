# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An instance's Redfish service: its options, its port, its file, and its sockets."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from vbmcd.config import DEFAULT_PORT, Instance, Redfish
from vbmcd.converge import Plan, plan
from vbmcd.documents import instance_errors, instance_from_file, instance_to_document, instance_to_file, parse_specs
from vbmcd.errors import VbmcError
from vbmcd.store import Store
from vbmcd.supervisor import sockets
from vbmcd.supervisor.sockets import BindError

BOTH = Instance("a", "a", 6230, redfish=Redfish(8443))


def planned(current: list[Instance], *specs: dict[str, Any], **options: Any) -> Plan:
    return plan({one.name: one for one in current}, parse_specs(list(specs)), **options)


def port_of(done: Plan) -> int | None:
    assert not done.errors
    (change,) = done.changes
    assert change.after is not None
    return change.after.redfish.port if change.after.redfish else None


# --- Ports -----------------------------------------------------------------------------------------------------------


def test_redfish_is_there_only_where_it_is_asked_for() -> None:
    assert port_of(planned([], {"name": "a"})) is None
    assert port_of(planned([], {"name": "a", "redfish": {"enabled": False, "port": 1}})) is None


@pytest.mark.parametrize(("udp", "tcp"), [(DEFAULT_PORT, 443), (6250, 6250)])
def test_a_port_is_chosen_that_goes_with_ipmis(udp: int, tcp: int) -> None:
    assert port_of(planned([], {"name": "a", "port": udp, "redfish": {}})) == tcp


def test_a_port_that_is_taken_gives_way_to_a_free_one() -> None:
    taken = Instance("b", "b", 1, redfish=Redfish(6250))
    done = planned([taken], {"name": "a", "port": 6250, "redfish": {}}, reserved_tcp=[("::", 6230)])
    assert port_of(done) == 6231


def test_udp_and_tcp_have_nothing_to_do_with_each_other() -> None:
    assert port_of(planned([BOTH], {"name": "b", "port": 8443, "redfish": {"port": 6230}})) == 6230


def test_a_port_of_another_is_refused_with_the_remedy() -> None:
    (error,) = planned([BOTH], {"name": "b", "redfish": {"port": 8443}}).errors
    assert str(error) == (
        "instance 'b' wants Redfish's [::]:8443, which 'a' already has: give it another port, or leave the port out "
        "and one is allocated"
    )


def test_an_address_of_its_own_collides_with_nobody_elses() -> None:
    there = Instance("a", "a", 623, "192.0.2.1", redfish=Redfish(443))
    spec = {"name": "b", "address": "192.0.2.2", "port": 623, "redfish": {}}
    assert port_of(planned([there], spec)) == 443
    assert planned([there], {**spec, "redfish": {"address": "192.0.2.1", "port": 443}}).errors


def test_what_is_left_out_stays_and_what_is_switched_off_is_gone() -> None:
    (change,) = planned([BOTH], {"name": "a", "redfish": {"tls": False}}).changes
    assert change.after is not None
    assert change.after.redfish == Redfish(8443, tls=False)
    assert planned([BOTH], {"name": "a"}).changed is False
    (change,) = planned([BOTH], {"name": "a", "redfish": {"enabled": False}}).changes
    assert change.after is not None
    assert change.after.redfish is None


def test_two_swap_their_ports_in_one_request() -> None:
    other = Instance("b", "b", 6231, redfish=Redfish(8444))
    done = planned([BOTH, other], {"name": "a", "redfish": {"port": 8444}}, {"name": "b", "redfish": {"port": 8443}})
    assert not done.errors


# --- Documents -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("redfish", [None, Redfish(8443), Redfish(80, "192.0.2.1", False, "/etc/c.pem", "/etc/k.pem")])
def test_a_file_comes_back_as_it_was(redfish: Redfish | None) -> None:
    instance = Instance("a", "a", 6230, redfish=redfish)
    assert instance_from_file(instance_to_file(instance)) == instance
    (wanted,) = parse_specs([{"name": "a", "redfish": instance_to_document(instance)["redfish"]}])
    after = wanted.applied_to(None, 6230, redfish.port if redfish else 0)
    assert after.redfish == redfish


@pytest.mark.parametrize(
    ("redfish", "said"),
    [
        (True, "redfish is True: give an object"),
        ({"port": 0}, "redfish: port 0 is not a number from 1 to 65535"),
        ({"tls": "no"}, "redfish: tls 'no' is neither true nor false"),
        ({"certificate": "c.pem"}, "redfish: certificate 'c.pem' is not an absolute path"),
        ({"adress": "::"}, "did you mean 'address'?"),
    ],
)
def test_what_is_wrong_is_told(redfish: object, said: str) -> None:
    with pytest.raises(VbmcError, match="instance 'a'") as caught:
        parse_specs([{"name": "a", "redfish": redfish}])
    assert said in str(caught.value)


def test_a_key_needs_a_certificate() -> None:
    (error,) = instance_errors(Instance("a", "a", 1, redfish=Redfish(443, key="/etc/k.pem")))
    assert "has a key for Redfish and no certificate" in str(error)


# --- The state folder ------------------------------------------------------------------------------------------------


def test_files_that_want_one_tcp_port_contradict_each_other(tmp_path: Path) -> None:
    store = Store(tmp_path / "state")
    store.save([BOTH, Instance("b", "b", 6231, redfish=Redfish(8443))])
    loaded = store.load()
    assert list(loaded.broken) == ["b"]
    assert "[::]:8443, which 'a' already has" in loaded.broken["b"]


def test_a_store_knows_whether_there_is_any_redfish(tmp_path: Path) -> None:
    store = Store(tmp_path / "state")
    store.save([Instance("b", "b", 6231)])
    assert not store.has_redfish()
    store.save([BOTH])
    assert store.has_redfish()


# --- Sockets ---------------------------------------------------------------------------------------------------------


def listener() -> tuple[socket.socket, Instance]:
    taken = socket.create_server(("127.0.0.1", 0))
    return taken, Instance("a", "a", 1, "127.0.0.1", redfish=Redfish(taken.getsockname()[1]))


def test_a_port_that_another_program_has_is_told_with_the_remedy() -> None:
    taken, instance = listener()
    with taken, pytest.raises(BindError, match=r"can't listen on 127.0.0.1:\d+: another program has it"):
        sockets.listen(instance)


def test_a_port_is_had_again_right_after_its_connections() -> None:
    taken, instance = listener()
    taken.close()
    with sockets.listen(instance) as sock, socket.create_connection(sock.getsockname()):
        connection, _address = sock.accept()
        connection.close()
    sockets.listen(instance).close()


def test_a_certificate_that_can_not_be_read_is_told(tmp_path: Path) -> None:
    missing = tmp_path / "missing.pem"
    with pytest.raises(BindError, match=r"can't serve Redfish with .*missing.pem: No such file"):
        sockets.listen(Instance("a", "a", 1, redfish=Redfish(1, certificate=str(missing))))
