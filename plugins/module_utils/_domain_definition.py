# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One domain's stored definition: what it is to be, and the way there through libvirt.

Definitions.plan() reads and compares, and changes nothing; apply() carries the plan out. Used by _domain_converge.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Iterable, List, Optional, Tuple

from ansible_collections.baremetal.lab.plugins.module_utils import _domain_facts as facts
from ansible_collections.baremetal.lab.plugins.module_utils._domain_disks import VolumePlan, Volumes, shown_size
from ansible_collections.baremetal.lab.plugins.module_utils._domain_merge import Difference, shown
from ansible_collections.baremetal.lab.plugins.module_utils._domain_normal import homeless_metadata, normal
from ansible_collections.baremetal.lab.plugins.module_utils._domain_request import Request
from ansible_collections.baremetal.lab.plugins.module_utils._domain_template import (
    DiskSource,
    Host,
    defaults,
    render,
)
from ansible_collections.baremetal.lab.plugins.module_utils._domain_xml import (
    WHOLE,
    Overlay,
    Scope,
    new_definition,
    overlay,
)
from ansible_collections.baremetal.lab.plugins.module_utils._errors import LabError
from ansible_collections.baremetal.lab.plugins.module_utils._libvirt import libvirt, reason
from ansible_collections.baremetal.lab.plugins.module_utils._mac import free_mac
from ansible_collections.baremetal.lab.plugins.module_utils._xml import canonical, masked, parse, text_of


@dataclass
class Definition:
    """The plan for one definition."""

    request: Request
    domain: Optional[Any]
    current: Optional[ET.Element]
    wanted: Optional[ET.Element]
    """What the task says; None where it is content with what is."""
    scope: Scope
    merged: ET.Element
    differences: List[Difference]
    define: bool
    beside: List[Difference] = field(default_factory=list)
    """Differences in what the definition does not hold: volumes, autostart, what runs."""
    volumes: List[VolumePlan] = field(default_factory=list)
    live_metadata: List[ET.Element] = field(default_factory=list)
    """Metadata that the running machine has otherwise: it is changed in place."""
    autostart: Optional[bool] = None
    """The value to set, if it is not set so."""
    warnings: List[str] = field(default_factory=list)
    warnings_after: List[str] = field(default_factory=list)

    def actions(self) -> List[str]:
        """What apply() would do."""
        words = ["%s-disk %s" % (plan.action, plan.disk.volume) for plan in self.volumes if plan.action]
        words.extend(["define"] * self.define)
        words.extend(["set-metadata"] * bool(self.live_metadata))
        words.extend(["set-autostart"] * (self.autostart is not None))
        return words

    def diff(self) -> Tuple[str, str]:
        """The definition before and after as texts without secrets; equal ones where it stays."""
        if not self.define:
            return "", ""
        before = "" if self.current is None else text_of(masked(normal(self.current)))
        return before, text_of(masked(self.merged))

    def waiting_for_restart(self, domain: Any) -> List[str]:
        """The paths at which the running machine is not yet as wanted."""
        if self.wanted is None:
            return []
        live = _xml_of(domain, libvirt.VIR_DOMAIN_XML_SECURE)
        return [difference.path for difference in overlay(live, self.wanted, self.scope, running=True).differences]


class Definitions:
    """Plans and applies definitions over one connection. `known` are all of its domains."""

    def __init__(self, connection: Any, volumes: Volumes, known: Iterable[Any]) -> None:
        self._connection = connection
        self._volumes = volumes
        self._names = {domain.UUIDString(): domain.name() for domain in known}
        self._host: Optional[Host] = None

    def plan(self, request: Request, domain: Optional[Any]) -> Definition:
        """Raises LabError where the task can't be met, libvirtError where libvirt doesn't answer."""
        self._check_uuid(request, domain)
        current = None if domain is None else stored(domain)
        if current is not None:
            _check_owner(request, current)
        volumes = [self._volumes.plan(disk) for disk in request.disks if disk.is_volume]
        wanted = self._wanted(request, current, volumes)
        scope = request.template.scope() if request.template else WHOLE
        if wanted is None:
            kept = normal(_given(current))
            return self._finish(Definition(request, domain, current, None, scope, kept, [], define=False))
        laid = Overlay(new_definition(wanted), ()) if current is None else overlay(current, wanted, scope)
        _give_macs(laid.merged, request.name)
        differences = list(laid.differences)
        beside: List[Difference] = []
        if domain is not None and not domain.isPersistent() and not request.transient:
            beside.append(Difference("persistent", "no", "yes"))
        define = not request.transient and (current is None or bool(differences + beside))
        beside.extend(_volume_difference(plan) for plan in volumes if plan.action)
        return self._finish(
            Definition(request, domain, current, wanted, scope, laid.merged, differences, define, beside, volumes)
        )

    def apply(self, plan: Definition, done: List[str]) -> Any:
        """Carry the plan out, adding to `done` what was done. Returns the domain."""
        made: List[VolumePlan] = []
        domain: Any = plan.domain
        try:
            for volume in plan.volumes:
                self._apply_volume(volume, plan, made, done)
            if plan.define:
                domain = self._define(plan)
                done.append("define")
        except LabError:
            for volume in made:  # nothing refers to them yet
                with suppress(libvirt.libvirtError):
                    self._volumes.discard(volume)
                    done.remove("create-disk %s" % volume.disk.volume)
            raise
        for element in plan.live_metadata:
            _set_live_metadata(domain, element)
        if plan.live_metadata:
            done.append("set-metadata")
        if plan.autostart is not None:
            domain.setAutostart(int(plan.autostart))
            done.append("set-autostart")
        return domain

    def _check_uuid(self, request: Request, domain: Optional[Any]) -> None:
        if request.uuid is None:
            return
        if domain is not None and domain.UUIDString() != request.uuid:
            raise LabError(
                "domain '%s' has the uuid %s, and %s is asked for: a domain keeps its uuid: ask for that one or none, "
                "or remove the domain first" % (request.name, domain.UUIDString(), request.uuid)
            )
        other = self._names.get(request.uuid, request.name)
        if other != request.name:
            raise LabError(
                "domain '%s' is to have the uuid %s, which domain '%s' has: give another, or leave it out"
                % (request.name, request.uuid, other)
            )

    def _wanted(
        self, request: Request, current: Optional[ET.Element], volumes: List[VolumePlan]
    ) -> Optional[ET.Element]:
        if request.xml is not None:
            return request.xml
        if current is None and (request.template is None or request.template.memory_mb is None):
            raise LabError(
                "there is no domain '%s' on %s: give 'xml', or 'memory_mb' and what else it is to have, and it is made"
                % (request.name, self._connection.getURI())
            )
        if request.template is None:
            return None
        by_volume = {(plan.disk.pool, plan.disk.volume): plan.source for plan in volumes}
        sources: List[Optional[DiskSource]] = []
        for disk in request.disks:
            source = by_volume.get((disk.pool, disk.volume)) if disk.is_volume else None
            if disk.path is not None:
                source = DiskSource(disk.path, disk.path.startswith("/dev/"))
            sources.append(source)
        if current is None:
            return render(defaults(request.template, self._hypervisor()), sources)
        return render(request.template, sources, current.get("type", "qemu"))

    def _finish(self, plan: Definition) -> Definition:
        """Add what is beside the definition: autostart, and the running machine's metadata."""
        request, domain = plan.request, plan.domain
        if request.autostart is not None:
            persistent = domain is not None and domain.isPersistent()
            before = bool(domain.autostart()) if domain is not None and persistent else False
            if before != request.autostart:
                plan.autostart = request.autostart
                plan.beside.append(Difference("autostart", _yes(before), _yes(request.autostart)))
        if plan.wanted is None:
            return plan
        for tag in homeless_metadata(plan.wanted):
            plan.warnings.append(
                "domain '%s': <%s> in <metadata> has no namespace, so libvirt drops it: give it one"
                % (request.name, tag)
            )
        if domain is not None and plan.wanted.find("metadata/*") is not None and domain.isActive():
            _plan_live_metadata(plan, _xml_of(domain, 0))
        return plan

    def _define(self, plan: Definition) -> Any:
        try:
            domain = self._connection.defineXML(text_of(plan.merged))
        except libvirt.libvirtError as error:
            raise LabError(
                "libvirt refused the definition of domain '%s': %s: correct the xml or the options"
                % (plan.request.name, reason(error))
            ) from error
        # Not all that libvirt doesn't understand is an error to it: what it dropped would read as changed for ever.
        lost = overlay(stored(domain), _given(plan.wanted), plan.scope).differences
        if lost:
            plan.warnings_after.append(
                "libvirt did not keep all of domain '%s' as given, so that it will read changed again: %s: correct or "
                "leave out these" % (plan.request.name, ", ".join(difference.path for difference in lost))
            )
        return domain

    def _apply_volume(self, volume: VolumePlan, plan: Definition, made: List[VolumePlan], done: List[str]) -> None:
        if volume.action == "create":
            source = self._volumes.create(volume)
            made.append(volume)
            done.append("create-disk %s" % volume.disk.volume)
            _correct_path(plan, volume.source, source)
        elif volume.action == "grow":
            active = plan.domain if plan.domain is not None and plan.domain.isActive() else None
            self._volumes.grow(volume, active)
            done.append("grow-disk %s" % volume.disk.volume)

    def _hypervisor(self) -> Host:
        if self._host is None:
            capabilities = ET.fromstring(self._connection.getCapabilities())
            arch = capabilities.findtext("host/cpu/arch") or "x86_64"
            guest = "guest/arch[@name='%s']/domain[@type='kvm']" % arch
            self._host = Host(arch, capabilities.find(guest) is not None)
        return self._host


def stored(domain: Any) -> ET.Element:
    """The definition that the next start uses, secrets included."""
    return _xml_of(domain, libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE)


def _xml_of(domain: Any, flags: int) -> ET.Element:
    return parse(domain.XMLDesc(flags), "libvirt's XML of domain '%s'" % domain.name())


def _check_owner(request: Request, current: ET.Element) -> None:
    owner = facts.owner(current)
    if request.owner and owner and owner != request.owner:
        raise LabError(
            "domain '%s' belongs to '%s', not to '%s': choose another name, or give that owner"
            % (request.name, owner, request.owner)
        )


def _give_macs(merged: ET.Element, name: str) -> None:
    """New NICs without a MAC address get a stable one, where libvirt would throw dice."""
    taken = set(facts.macs(merged))
    for index, nic in enumerate(merged.iterfind("devices/interface")):
        if nic.find("mac") is None:
            address = free_mac(name, facts.owner(merged), index, taken)
            taken.add(address)
            nic.insert(0, ET.Element("mac", {"address": address}))


def _volume_difference(plan: VolumePlan) -> Difference:
    size = "as its backing file" if plan.disk.size is None else shown_size(plan.disk.size)
    before = shown_size(plan.capacity) if plan.action == "grow" else None
    return Difference("volume[%s/%s]" % (plan.disk.pool, plan.disk.volume), before, size)


def _correct_path(plan: Definition, expected: DiskSource, actual: DiskSource) -> None:
    """A pool may have put a volume elsewhere than a folder's pool would."""
    if expected == actual:
        return
    for document in (plan.merged, plan.wanted):
        for source in [] if document is None else document.iterfind("devices/disk/source"):
            for attribute in ("file", "dev"):
                if source.get(attribute) == expected.path:
                    source.set(attribute, actual.path)


def _plan_live_metadata(plan: Definition, live: ET.Element) -> None:
    for element in _given(plan.wanted).iterfind("metadata/*"):
        if not element.tag.startswith("{"):
            continue
        namespace = element.tag.partition("}")[0]
        same = [old for old in live.iterfind("metadata/*") if old.tag.partition("}")[0] == namespace]
        if same and canonical(same[0]) == canonical(element):
            continue
        plan.live_metadata.append(element)
        path = "metadata/" + element.tag
        if not any(difference.path == path for difference in plan.differences):
            plan.beside.append(Difference(path + " (running)", shown(same[0]) if same else None, shown(element)))


def _set_live_metadata(domain: Any, element: ET.Element) -> None:
    # libvirt adds the namespace itself, and refuses a text that has it already.
    namespace = element.tag.partition("}")[0][1:]
    bare = ET.fromstring(ET.tostring(element))
    for part in bare.iter():
        part.tag = part.tag.replace("{%s}" % namespace, "")
    prefix = ET.tostring(element, encoding="unicode")[1:].partition(":")[0]
    domain.setMetadata(
        libvirt.VIR_DOMAIN_METADATA_ELEMENT,
        ET.tostring(bare, encoding="unicode"),
        prefix,
        namespace,
        libvirt.VIR_DOMAIN_AFFECT_LIVE,
    )


def _given(element: Optional[ET.Element]) -> ET.Element:
    """`element`, where there is one whenever this place is reached."""
    if element is None:
        raise AssertionError("a plan without a definition was taken for one with")
    return element


def _yes(value: bool) -> str:
    return "yes" if value else "no"
