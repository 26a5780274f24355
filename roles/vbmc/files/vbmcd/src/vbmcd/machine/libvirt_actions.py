# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done to a domain: blocking functions over a libvirt connection, run in LibvirtLink's threads.

`plan` reads and decides, quickly; `execute` acts, which may take its time. Between the two others may act as
well (people with virsh, a second BMC), so an action that finds its target state reached counts as done.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Callable, Optional, Sequence, Tuple

import libvirt

from vbmcd.dependency.hypervisor import start_after_stop
from vbmcd.machine import libvirt_group, libvirt_once, libvirt_secure_boot
from vbmcd.machine.base import Action, BootOverride, Unsupported, WrongState
from vbmcd.machine.libvirt_boot import boot_signature, efi_needed, offers_efi, with_boot, with_order
from vbmcd.machine.libvirt_hardware import is_paused

_INACTIVE = libvirt.VIR_DOMAIN_XML_INACTIVE
_COMPLETE = _INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE
"""The definition with its secrets: one made from anything less would lose them."""

_STANDING = (Action.PAUSE, Action.RESUME)

_RACED = (libvirt.VIR_ERR_OPERATION_INVALID, libvirt.VIR_ERR_NO_DOMAIN)


@dataclass(frozen=True)
class Plan:
    """What an action comes to in the domain's present state, in the order define, stop, start, signal."""

    was_on: bool
    """What the machine reads as until all is done. In a power cycle it is off in between, for however long."""
    stop: bool = False
    start: bool = False
    start_from: Optional[str] = field(default=None, repr=False)
    """The definition to start from instead of the stored one. It holds secrets."""
    signal: Optional[Action] = None
    complete: bool = False
    """Start what the domain requires and what is off."""
    settle: bool = False
    """Look after the start whether the domain stays on: it was stopped just before."""
    define: Optional[str] = field(default=None, repr=False)
    """The new definition. It holds secrets, too."""

    @property
    def empty(self) -> bool:
        return not (self.stop or self.start or self.signal or self.complete or self.define)


def look(connection: Any, name: str, joining: bool) -> Tuple[bool, bool]:
    """Whether it is on, and whether, if `joining`, everything that it requires is up with it."""
    domain = connection.lookupByName(name)
    on = bool(domain.isActive())
    return on, not (on and joining) or libvirt_group.is_complete(connection, domain)


def system_uuid(connection: Any, name: str) -> uuid.UUID:
    return uuid.UUID(bytes=connection.lookupByName(name).UUID())


def check_boot(connection: Any, name: str, boot: BootOverride) -> None:
    """Raise Unsupported if the domain can't boot like that."""
    _with_boot(connection, connection.lookupByName(name).XMLDesc(_INACTIVE), boot)


def plan_persistent_boot(connection: Any, name: str, boot: BootOverride) -> Plan:
    return _redefined(connection, name, lambda definition: _with_boot(connection, definition, boot))


def plan_boot_order(connection: Any, name: str, names: Sequence[str]) -> Plan:
    return _redefined(connection, name, lambda definition: with_order(definition, names))


def _redefined(connection: Any, name: str, change: Callable[[str], str]) -> Plan:
    domain = connection.lookupByName(name)
    if not domain.isPersistent():
        raise WrongState(f"domain {name!r} is transient: it has no definition to keep a boot device in")
    definition = domain.XMLDesc(_COMPLETE)
    changed = change(definition)
    return Plan(bool(domain.isActive()), define=changed if changed != definition else None)


def plan_secure_boot(connection: Any, name: str, on: bool) -> Plan:
    changed = libvirt_secure_boot.definition_with(connection, name, on)
    return Plan(bool(connection.lookupByName(name).isActive()), define=changed)


def set_autostart(connection: Any, name: str, on: bool) -> None:
    domain = connection.lookupByName(name)
    if not domain.isPersistent():
        raise WrongState(f"domain {name!r} is transient: its hypervisor forgets it with its end")
    domain.setAutostart(int(on))


def plan(connection: Any, name: str, action: Action, boot: Optional[BootOverride]) -> Plan:
    """Decide what `action` needs. Raises WrongState or Unsupported where it can't be, before anything is done."""
    domain = connection.lookupByName(name)
    on = bool(domain.isActive())
    if action is Action.OFF:
        return Plan(on, stop=on)
    if action is Action.ON:
        if on:
            complete = libvirt_group.is_complete(connection, domain)
            return Plan(complete, complete=not complete)
        return _start(connection, domain, boot)
    if not on:
        raise WrongState(f"domain {name!r} is off")
    if action is Action.CYCLE or (action is Action.RESET and _boots_anew(domain, boot)):
        # IPMI 2.0, 28.3 wants at least a second without power in a power cycle, for capacitors and disks to
        # settle. A domain has neither: it starts as soon as it has stopped.
        start = _start(connection, domain, boot, stop=True)
        return replace(start, was_on=action is Action.RESET, settle=True)
    if action in _STANDING and is_paused(domain) is (action is Action.PAUSE):
        return Plan(on)
    return Plan(on, signal=action)


def execute(connection: Any, name: str, steps: Plan) -> None:
    if steps.define is not None:
        connection.defineXML(steps.define)
    domain = connection.lookupByName(name)
    if steps.stop:
        libvirt_group.stop(connection, domain, lambda: _unless(domain, False, domain.destroy))
    if steps.start or steps.complete:
        own, done, settle = partial(_start_one, connection, domain, steps), steps.complete, steps.settle
        libvirt_group.start(connection, domain, own, done=done, settle=settle)
    if steps.signal is Action.SOFT:
        _unless(domain, False, lambda: _press_power_button(domain))
    elif steps.signal is Action.RESET:
        domain.reset()
    elif steps.signal is Action.DIAGNOSTIC:
        domain.injectNMI()
    elif steps.signal is Action.PAUSE:
        domain.suspend()
    elif steps.signal is Action.RESUME:
        domain.resume()


def _start_one(connection: Any, domain: Any, steps: Plan) -> None:
    start = partial(_start_now, connection, domain, steps)
    if steps.settle:
        start_after_stop(domain, start)
    else:
        start()


def _start_now(connection: Any, domain: Any, steps: Plan) -> None:
    if steps.start_from is not None:
        libvirt_once.put_back(connection.createXML(steps.start_from), domain.XMLDesc(_INACTIVE))
    elif steps.start:
        _unless(domain, True, domain.create)


def _start(connection: Any, domain: Any, boot: Optional[BootOverride], stop: bool = False) -> Plan:
    name = domain.name()
    if not domain.isPersistent():
        raise WrongState(f"domain {name!r} is transient: once stopped it is gone, and can't be started again")
    if boot is None:
        return Plan(was_on=stop, stop=stop, start=True)
    # Asked before the stop: a running domain has no managed save image of its own, but an old one may be left.
    if domain.hasManagedSaveImage():
        raise WrongState(
            f"domain {name!r} would resume its saved state and not boot: use `virsh managedsave-remove {name}` first"
        )
    return Plan(was_on=stop, stop=stop, start=True, start_from=_with_boot(connection, domain.XMLDesc(_COMPLETE), boot))


def _boots_anew(domain: Any, boot: Optional[BootOverride]) -> bool:
    """Whether a reset must become off and on: QEMU keeps the boot order that it was started with."""
    if boot is not None:
        return True
    if not domain.isPersistent():
        return False
    live, stored = domain.XMLDesc(0), domain.XMLDesc(_INACTIVE)
    return boot_signature(live) != boot_signature(stored) or libvirt_secure_boot.pending(live, stored)


def _with_boot(connection: Any, definition: str, boot: BootOverride) -> str:
    platform = efi_needed(definition, boot)
    if platform is not None:
        capabilities = connection.getDomainCapabilities(
            platform.emulator, platform.arch, platform.machine, platform.virt_type
        )
        if not offers_efi(capabilities):
            raise Unsupported(f"the hypervisor has no EFI firmware (OVMF) for {platform.machine or 'this machine'}")
    return with_boot(definition, boot)


def _unless(domain: Any, on: bool, act: Any) -> None:
    """Do it; not being able to is fine where the domain is already on, or off, as wanted: another was faster."""
    try:
        act()
    except libvirt.libvirtError as error:
        if error.get_error_code() not in _RACED or _is_active(domain) is not on:
            raise


def _is_active(domain: Any) -> bool:
    try:
        return bool(domain.isActive())
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return False  # a transient one, gone with its stop
        raise


def _press_power_button(domain: Any) -> None:
    try:
        domain.shutdownFlags(libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN)
    except libvirt.libvirtError as error:
        if error.get_error_code() not in (libvirt.VIR_ERR_NO_SUPPORT, libvirt.VIR_ERR_INVALID_ARG):
            raise
        domain.shutdown()  # a driver that knows one way only
