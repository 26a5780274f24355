# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A start that libvirt undoes by itself, since it takes the end of the process before for that of the new one."""

from __future__ import annotations

from types import SimpleNamespace

import libvirt
import pytest

from vbmcd.dependency import hypervisor as dependencies
from vbmcd.dependency.decide import Action
from vbmcd.dependency.hypervisor import perform
from vbmcd.dependency.model import Dependency, Level
from vbmcd.machine.libvirt_actions import Plan, execute

RUNNING = [libvirt.VIR_DOMAIN_RUNNING, 1]
CRASHED = [libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_CRASHED]
DESTROYED = [libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_DESTROYED]


class NoLongerRunning(libvirt.libvirtError):  # type: ignore[misc]
    """What libvirt 9.0 says when it has killed the new process while it started."""

    def __init__(self) -> None:
        super().__init__("operation failed: domain is no longer running")

    def get_error_code(self) -> int:
        return int(libvirt.VIR_ERR_OPERATION_FAILED)


class Hypervisor:
    """With one domain; both the connection and the domain. `states`: what is seen one after the other."""

    def __init__(self, states: list[list[int]], fails: int = 0) -> None:
        self.states, self.fails = states, fails
        self.starts = 0

    def lookupByUUIDString(self, _uuid: str) -> Hypervisor:  # noqa: N802
        return self

    def lookupByName(self, _name: str) -> Hypervisor:  # noqa: N802
        return self

    def UUIDString(self) -> str:  # noqa: N802
        return "00112233-4455-6677-8899-aabbccddeeff"

    def XMLDesc(self, _flags: int = 0) -> str:  # noqa: N802
        return "<domain/>"

    def metadata(self, *_what: object) -> str:
        raise NoMetadata

    def destroy(self) -> None:
        """As it should."""

    suspend = resume = destroy

    def create(self) -> None:
        self.starts += 1
        if self.starts <= self.fails:
            raise NoLongerRunning

    def isActive(self) -> bool:  # noqa: N802
        return False

    def state(self) -> list[int]:
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]


class NoMetadata(libvirt.libvirtError):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__("no metadata")

    def get_error_code(self) -> int:
        return int(libvirt.VIR_ERR_NO_DOMAIN_METADATA)


CYCLE = Plan(was_on=False, stop=True, start=True, settle=True)


@pytest.mark.parametrize(
    ("hypervisor", "starts"),
    [
        (Hypervisor([RUNNING, CRASHED]), 2),
        (Hypervisor([CRASHED], fails=1), 2),
        (Hypervisor([RUNNING]), 1),
        (Hypervisor([RUNNING, DESTROYED]), 1),
    ],
    ids=["after the start", "in the start", "not at all", "by somebody else"],
)
def test_a_start_that_was_lost_is_made_again(hypervisor: Hypervisor, starts: int) -> None:
    execute(hypervisor, "node", CYCLE)
    assert hypervisor.starts == starts


def test_a_loss_is_seen_by_who_gets_to_look_again_only_late(monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(Hypervisor):
        def state(self) -> list[int]:
            clock.append(clock[-1] + 10.0)
            return super().state()

    clock = [0.0]
    monkeypatch.setattr(dependencies, "time", SimpleNamespace(monotonic=lambda: clock[-1], sleep=lambda _: None))
    hypervisor = Slow([RUNNING, CRASHED])
    execute(hypervisor, "node", CYCLE)
    assert hypervisor.starts == 2


def test_a_start_that_fails_for_another_reason_is_told() -> None:
    with pytest.raises(NoLongerRunning):
        execute(Hypervisor([DESTROYED], fails=1), "node", CYCLE)


@pytest.mark.parametrize(("settle", "starts"), [(True, 2), (False, 1)])
def test_what_a_domain_depends_on_is_started_again_as_well(settle: bool, starts: int) -> None:
    """As the watcher does after `virsh destroy` and `virsh start` of the master, and a BMC's power cycle."""
    hypervisor = Hypervisor([DESTROYED, RUNNING, CRASHED])
    dependency = Dependency("store", "00112233-4455-6677-8899-aabbccddeeff")
    action = Action(dependency.key, "store", "start", Level.OFF, Level.RUNNING, "rollback", dependency)
    assert perform(hypervisor, action, settle=settle)
    assert hypervisor.starts == starts


def test_a_start_without_a_stop_before_is_not_waited_for() -> None:
    hypervisor = Hypervisor([CRASHED])
    execute(hypervisor, "node", Plan(was_on=False, start=True))
    assert hypervisor.starts == 1
