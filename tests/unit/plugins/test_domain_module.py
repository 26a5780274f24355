# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules `domain` and `domain_info` from parameters to result, on libvirt's own test driver.

Each connection to test:///default has machines of its own, `test` among them, which runs.
"""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.baremetal.lab.plugins.module_utils import _domain_state, _libvirt
from ansible_collections.baremetal.lab.plugins.module_utils._domain_state import RESULTS, STATE_NAMES, STEPS, Power
from ansible_collections.baremetal.lab.plugins.module_utils._errors import LabError
from ansible_collections.baremetal.lab.plugins.modules import domain, domain_info

libvirt = pytest.importorskip("libvirt", reason="the distribution's libvirt binding (python3-libvirt) is missing")

XML = "<domain type='test'><name>n</name><memory unit='MiB'>8</memory><os><type>hvm</type></os></domain>"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    def call(module: Any = domain, check: bool = False, **params: Any) -> dict[str, Any]:
        arguments = {"uri": "test:///default", "_ansible_check_mode": check, **params}
        with patch_module_args(arguments), pytest.raises(SystemExit):
            module.main()
        result: dict[str, Any] = json.loads(capsys.readouterr().out)
        return result

    return call


@pytest.mark.parametrize(
    ("state", "actions", "found"),
    [
        ("present", [], "running"),
        ("running", [], "running"),
        ("paused", ["suspend"], "paused"),
        ("shutdown", ["shutdown"], "shutoff"),
        ("destroyed", ["destroy"], "shutoff"),
        ("absent", ["destroy", "undefine"], "absent"),
    ],
)
def test_check_mode_says_what_then_happens(run: Any, state: str, actions: list[str], found: str) -> None:
    would, did = run(name="test", state=state, check=True), run(name="test", state=state)
    for result in (would, did):
        assert result["changed"] is bool(actions)
        assert (result["domains"][0]["actions"], result["domains"][0]["state"]) == (actions, found)


def test_a_new_domain_is_defined_and_its_diff_starts_from_nothing(run: Any) -> None:
    result = run(xml=XML, state="running", _ansible_diff=True)
    assert result["domains"][0]["actions"] == ["define", "start"]
    assert result["diff"][0]["before"] == ""
    assert "<name>n</name>" in result["diff"][0]["after"]


@pytest.mark.parametrize("check", [True, False])
def test_a_change_of_state_is_in_the_diff(run: Any, check: bool) -> None:
    (diff,) = run(name="test", state="paused", check=check, _ansible_diff=True)["diff"]
    assert (diff["before_header"], diff["before"], diff["after"]) == (
        "test (state and disks)",
        "state: running\n",
        "state: paused\n",
    )
    definition, state = run(name="test", state="absent", check=check, _ansible_diff=True)["diff"]
    assert "<name>test</name>" in definition["before"]
    assert (state["before"], state["after"]) == ("state: running\n", "state: absent\n")


def test_what_failed_is_not_in_the_diff_and_without_diff_mode_there_is_none(run: Any) -> None:
    bad = XML.replace("<os><type>hvm</type></os>", "").replace(">n<", ">bad<")
    assert run(xml=bad, _ansible_diff=True)["diff"] == []
    assert "diff" not in run(xml=XML)


def test_one_bad_item_hides_nothing_of_the_others(run: Any) -> None:
    bad = XML.replace("<os><type>hvm</type></os>", "").replace(">n<", ">bad<")
    result = run(domains=[{"xml": bad}, {"xml": XML}, {"name": "none", "state": "running"}])
    assert result["failed"] is True
    assert result["changed"] is True
    assert "2 of 3 domains failed: libvirt refused the definition of domain 'bad'" in result["msg"]
    assert "there is no domain 'none' on test:///default: give 'xml', or 'memory_mb'" in result["msg"]
    assert [item["actions"] for item in result["domains"]] == [[], ["define"], []]


def test_a_mistake_in_the_request_changes_nothing(run: Any) -> None:
    result = run(domains=[{"name": "test", "state": "destroyed"}, {"name": "test"}])
    assert result["failed"] is True
    assert "domains" not in result


def test_the_uuid_of_another_domain_is_refused_naming_both(run: Any) -> None:
    other = "6695eb01-f6a4-8304-79aa-97f2502e193f"
    assert "is to have the uuid %s, which domain 'test' has" % other in run(xml=XML, uuid=other)["msg"]
    mine = "00000000-0000-4000-8000-000000000001"
    assert "domain 'test' has the uuid %s, and %s is asked for" % (other, mine) in run(name="test", uuid=mine)["msg"]


def test_passwords_in_xml_are_in_no_output(run: Any) -> None:
    secret = "<devices><graphics type='vnc' passwd='geheim'/></devices></domain>"
    result = run(xml=XML.replace("</domain>", secret), check=True, _ansible_diff=True)
    assert result["changed"] is True
    assert "geheim" not in json.dumps(result)
    assert "********" in result["diff"][0]["after"]


def test_no_connection_says_where_and_what_to_do(run: Any) -> None:
    for module in (domain, domain_info):
        message = run(module, uri="nonsense:///x", **({"name": "a"} if module is domain else {}))["msg"]
        assert "no connection to libvirt at nonsense:///x" in message
        assert "correct 'uri'" in message


def test_a_missing_binding_says_which_package_has_it(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_libvirt, "libvirt", None)
    assert "python3-libvirt" in run(name="test")["msg"]


def test_info_reads_all_or_those_named(run: Any) -> None:
    (found,) = run(domain_info)["domains"]
    assert (found["name"], found["state"], found["memory_mb"], found["vcpus"]) == ("test", "running", 8192, 2)
    assert run(domain_info, names=["test"])["domains"] == [found]
    assert run(domain_info, owner="lab")["domains"] == []
    assert "no domain 'a', 'b' on test:///default" in run(domain_info, names=["a", "test", "b"])["msg"]


def test_every_state_has_steps_from_every_other() -> None:
    assert set(STEPS) == set(RESULTS)
    for wanted in STEPS:
        assert set(STEPS[wanted]) == set(STATE_NAMES.values())


class Guest:
    """A domain that needs some presses of its power button, or never heeds them."""

    def __init__(self, name: str, presses: int) -> None:
        self._name = name
        self.left = presses

    def name(self) -> str:
        return self._name

    def shutdown(self) -> None:
        self.left -= 1

    def state(self) -> tuple[int, int]:
        return (5, 1) if self.left == 0 else (1, 1)

    create = resume = suspend = destroy = createWithFlags = pMWakeup = shutdown


def test_a_guest_that_booted_too_late_hears_the_next_press_and_a_deaf_one_holds_up_no_other() -> None:
    ticks = itertools.count(step=5)
    power = Power(clock=lambda: float(next(ticks)), sleep=lambda _seconds: None)
    late, deaf = Guest("late", 2), Guest("deaf", -1)
    for guest in (late, deaf):
        power.take("shutdown", guest)
    errors = power.await_off([late, deaf], 60)
    assert list(errors) == ["deaf"]
    assert "domain 'deaf' did not shut down within 60 s" in str(errors["deaf"])
    assert "state 'destroyed'" in str(errors["deaf"])


def test_a_step_that_fails_is_no_error_where_the_state_is_right_already() -> None:
    class Suspended(Guest):
        def suspend(self) -> None:
            raise libvirt.libvirtError("Requested operation is not valid: domain is not running")

        def state(self) -> tuple[int, int]:
            return (_paused, 1)

        create = resume = destroy = createWithFlags = pMWakeup = Guest.shutdown

    _paused = 3
    Power().take("suspend", Suspended("a", 0))
    _paused = 1
    with pytest.raises(LabError, match="libvirt could not suspend domain 'a'"):
        Power().take("suspend", Suspended("a", 0))


def test_reasons_are_in_words() -> None:
    assert _domain_state.state_reason(5, libvirt.VIR_DOMAIN_SHUTOFF_DESTROYED) == "destroyed"
    assert _domain_state.state_reason(1, 10**6) == "running"
