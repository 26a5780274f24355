# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove a domain with all that libvirt keeps of it, and its disks where that is asked for.

Used by _domain_converge. A domain that is not there is no error: it is what was wanted.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Dict, FrozenSet, List, Mapping, Optional, Sequence

from ansible_collections.baremetal.lab.plugins.module_utils import _domain_facts as facts
from ansible_collections.baremetal.lab.plugins.module_utils._domain_disks import Volumes
from ansible_collections.baremetal.lab.plugins.module_utils._domain_merge import Difference
from ansible_collections.baremetal.lab.plugins.module_utils._domain_normal import normal
from ansible_collections.baremetal.lab.plugins.module_utils._domain_request import Request
from ansible_collections.baremetal.lab.plugins.module_utils._domain_state import ABSENT, SHUT_OFF, Power, state_of
from ansible_collections.baremetal.lab.plugins.module_utils._errors import LabError
from ansible_collections.baremetal.lab.plugins.module_utils._libvirt import is_error, libvirt, reason
from ansible_collections.baremetal.lab.plugins.module_utils._xml import masked, text_of

_FLAGS = ("MANAGED_SAVE", "SNAPSHOTS_METADATA", "CHECKPOINTS_METADATA", "NVRAM", "TPM")
"""VIR_DOMAIN_UNDEFINE_...: what libvirt would otherwise refuse to undefine a domain for, or leave behind."""


@dataclass
class RemovalPlan:
    """What removing one domain takes."""

    domain: Optional[Any] = None
    state: str = ABSENT
    active: bool = False
    persistent: bool = False
    disks: List[str] = field(default_factory=list)
    before: str = ""
    warnings: List[str] = field(default_factory=list)

    def actions(self) -> List[str]:
        words = ["destroy"] * self.active + ["undefine"] * self.persistent
        return words + ["remove-disk %s" % path for path in self.disks]

    def differences(self) -> List[Difference]:
        gone = [] if self.state == ABSENT else [Difference("state", self.state, ABSENT)]
        return gone + [Difference("disk", path, None) for path in self.disks]


class Removal:
    """Removes domains. `known` are the connection's domains by name, `going` the names that are being removed."""

    def __init__(self, volumes: Volumes, known: Mapping[str, Any], going: Sequence[str]) -> None:
        self._volumes = volumes
        self._known = known
        self._going = frozenset(going)
        self._used: Dict[str, str] = {}
        self._backing: FrozenSet[str] = frozenset()

    def prepare(self, requests: Sequence[Request]) -> None:
        """Learn once which disks are used by whom, where some are to be removed."""
        if not any(request.remove_disks and request.state == ABSENT for request in requests):
            return
        for name, domain in self._known.items():
            if name in self._going:
                continue
            with suppress(libvirt.libvirtError):  # gone meanwhile
                for path in facts.disk_paths(ET.fromstring(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))):
                    self._used[path] = name
        self._backing = self._volumes.backing_paths()

    def plan(self, request: Request, domain: Optional[Any]) -> RemovalPlan:
        """What is to do; nothing where there is no such domain (and no disk of it to remove)."""
        plan = RemovalPlan(domain)
        paths: List[str] = []
        if domain is not None:
            plan.state = state_of(domain)
            plan.active, plan.persistent = plan.state not in (SHUT_OFF, ABSENT), bool(domain.isPersistent())
            definition = ET.fromstring(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
            _check(request, definition)
            plan.before = text_of(masked(normal(definition)))
            paths = facts.own_disk_paths(definition)
        if request.remove_disks:
            for path in dict.fromkeys(paths + self._volumes.existing(request.disks)):
                self._plan_disk(plan, request.name, path)
        return plan

    def apply(self, plan: RemovalPlan, done: List[str], power: Power) -> None:
        """Carry the plan out, adding to `done` what was done."""
        if plan.domain is not None and plan.active:
            power.take("destroy", plan.domain)
            done.append("destroy")
        if plan.domain is not None and plan.persistent:
            _undefine(plan.domain)
            done.append("undefine")
        for path in plan.disks:
            self._volumes.remove(path)
            done.append("remove-disk %s" % path)

    def _plan_disk(self, plan: RemovalPlan, name: str, path: str) -> None:
        if path in self._used:
            plan.warnings.append("disk %s of domain '%s' stays: '%s' uses it too" % (path, name, self._used[path]))
        elif path in self._backing:
            plan.warnings.append("disk %s of domain '%s' stays: it is the backing file of another" % (path, name))
        elif self._volumes.at(path) is None:
            plan.warnings.append(
                "disk %s of domain '%s' stays: it is in no active storage pool; remove it by hand" % (path, name)
            )
        else:
            plan.disks.append(path)


def _check(request: Request, definition: ET.Element) -> None:
    """A given uuid or owner has to be the domain's: whoever names them doesn't mean another's."""
    owner, identity = facts.owner(definition), definition.findtext("uuid")
    if request.owner and owner != request.owner:
        raise LabError(
            "domain '%s' belongs to '%s', not to '%s', and stays: leave the owner out to remove it all the same"
            % (request.name, owner or "nobody", request.owner)
        )
    if request.uuid is not None and request.uuid != identity:
        raise LabError(
            "domain '%s' has the uuid %s, not %s, and stays: correct the uuid, or leave it out"
            % (request.name, identity, request.uuid)
        )


def _undefine(domain: Any) -> None:
    flags = 0
    for name in _FLAGS:
        flags |= getattr(libvirt, "VIR_DOMAIN_UNDEFINE_" + name, 0)
    try:
        domain.undefineFlags(flags)
    except libvirt.libvirtError as error:
        if is_error(error, "NO_DOMAIN"):
            return
        if not is_error(error, "INVALID_ARG", "NO_SUPPORT"):
            raise LabError(
                "libvirt could not undefine domain '%s': %s: correct that and run again"
                % (domain.name(), reason(error))
            ) from error
        domain.undefine()  # a driver that keeps nothing of what the flags name
