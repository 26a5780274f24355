# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Power for a domain together with those that it depends on: blocking, in LibvirtLink's threads; for libvirt_actions.

A domain that depends on nothing costs one look into its metadata.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Callable

import libvirt

from vbmcd.dependency import decide
from vbmcd.dependency.carry import ActionFailed, Failure, Report
from vbmcd.dependency.hypervisor import dependencies_of, group_of, reason
from vbmcd.dependency.model import DependencyError
from vbmcd.machine.base import GroupFailed, WrongState


def start(connection: Any, domain: Any, own: Callable[[], None], done: bool = False, settle: bool = False) -> None:
    """Start all of them in order, `own` being the domain's own start. Raises GroupFailed, all as before or as declared.

    `done`: the domain runs, and only what is missing of the others is to be started. `settle`: they were stopped just
    before.
    """
    _carry_out(connection, domain, decide.start(domain.UUIDString(), done=done), own, "start", settle)


def stop(connection: Any, domain: Any, own: Callable[[], None]) -> None:
    """Switch all of them off in order, but for what others need."""
    _carry_out(connection, domain, decide.destroy(domain.UUIDString()), own, "stop")


def is_complete(connection: Any, domain: Any) -> bool:
    """Whether everything that the domain requires is up."""
    try:
        group = group_of(connection, domain, lowering=False)
    except DependencyError:
        return True
    return group is None or group.complete()


def _carry_out(
    connection: Any,
    domain: Any,
    transition: decide.Transition,
    own: Callable[[], None],
    word: str,
    settle: bool = False,
) -> None:
    try:
        if not dependencies_of(domain):
            own()
            return
    except DependencyError as error:
        raise WrongState(str(error)) from error
    group = group_of(connection, domain, lowering=word == "stop")
    if group is None:
        raise AssertionError("its dependencies went away between two looks")
    name = domain.name()

    def act(_action: decide.Action) -> bool:
        try:
            own()
        except libvirt.libvirtError as error:
            if not connection.isAlive():
                raise
            raise ActionFailed(f"domain {name!r} did not {word}: {reason(error)}") from error
        return True

    def take_back() -> None:
        with suppress(libvirt.libvirtError):  # whatever became of it, it is not to run
            domain.destroy()

    report = Report()
    try:
        group.run(transition, report, act, take_back, settle)
    except libvirt.libvirtError as error:
        if report.current is None:
            raise
        text = f"libvirt went away meanwhile, and what became of it is not known ({reason(error)})"
        report.failures.append(Failure(report.current, text))
    if report.failures:
        failures = [f"{one.action.name}: {one.reason}" for one in report.failures]
        raise GroupFailed(report.error(name), tuple(failures))
