# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task asks of domains: its parameters read and checked before anything is changed. Pure.

requests() is called by the module; each Request is one domain for _domain_converge.
"""

from __future__ import annotations

import math
import re
import uuid
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Set, Tuple

from ansible_collections.baremetal.lab.plugins.module_utils import _domain_facts as facts
from ansible_collections.baremetal.lab.plugins.module_utils._dependency import document
from ansible_collections.baremetal.lab.plugins.module_utils._dependency.model import Dependency, DependencyError
from ansible_collections.baremetal.lab.plugins.module_utils._domain_template import (
    OWNER_NAMESPACE,
    Disk,
    Nic,
    Template,
    macs,
    owner_metadata,
)
from ansible_collections.baremetal.lab.plugins.module_utils._errors import LabError
from ansible_collections.baremetal.lab.plugins.module_utils._xml import parse

TEMPLATE_OPTIONS = (
    "memory_mb",
    "vcpus",
    "type",
    "arch",
    "machine",
    "firmware",
    "boot",
    "disks",
    "nics",
    "graphics",
)
"""Options that the template alone has, so that xml excludes them."""

OWN_OPTIONS = frozenset(["name", "uuid", "xml"])
"""Options that tell one domain from another; the others beside `domains` hold for each of its items."""

_MAC = re.compile(r"([0-9a-f]{2}:){5}[0-9a-f]{2}$")
_MIN_DISK = 1 << 20


@dataclass(frozen=True)
class Request:
    """One domain as it is wanted. Of `xml` and `template` one is given, or none: then its state alone counts."""

    name: str
    state: str
    uuid: Optional[str] = None
    xml: Optional[ET.Element] = None
    template: Optional[Template] = None
    owner: Optional[str] = None
    autostart: Optional[bool] = None
    remove_disks: bool = False
    transient: bool = False
    """Whether it is to be there only as long as it runs."""

    @property
    def dependencies(self) -> Tuple[Dependency, ...]:
        """What its XML says that it depends on."""
        return () if self.xml is None else document.of_definition(self.xml)

    @property
    def disks(self) -> Tuple[Disk, ...]:
        return (self.template.disks if self.template else None) or ()

    @property
    def macs(self) -> List[str]:
        """The addresses of its NICs that are known beforehand."""
        if self.template is not None:
            return macs(self.template)
        return [] if self.xml is None else facts.macs(self.xml)


def requests(params: Mapping[str, Any]) -> List[Request]:
    """The domains that the module's parameters ask for.

    Raises LabError for what can't be meant: nothing has been changed then.
    """
    items = [params]
    if params.get("domains") is not None:
        common = {key: value for key, value in params.items() if key not in OWN_OPTIONS and key != "domains"}
        items = [
            {**common, **{key: value for key, value in item.items() if value is not None}} for item in params["domains"]
        ]
    wanted = [_request(item) for item in items]
    _refuse_doubles(wanted)
    return wanted


def _request(item: Mapping[str, Any]) -> Request:
    xml = _xml(item)
    name = item.get("name")
    if not name and xml is not None:
        name = (xml.findtext("name") or "").strip()
    if not name:
        raise LabError("a domain without a name: give 'name', or XML with a <name>")
    given = [option for option in TEMPLATE_OPTIONS if item.get(option) is not None]
    if xml is not None and given:
        raise LabError(
            "domain '%s' has xml and also %s: describe it by one of the two" % (name, ", ".join(sorted(given)))
        )
    identity = _uuid(name, item.get("uuid"))
    if xml is not None:
        identity = _complete(xml, name, identity, item.get("owner"))
    transient = bool(item.get("transient"))
    if transient:
        _check_transient(name, item)
    template = None
    if xml is None and (given or item.get("owner") is not None):
        template = _template(name, identity, item)
    return Request(
        name=name,
        state=item.get("state") or "present",
        uuid=identity,
        xml=xml,
        template=template,
        owner=item.get("owner"),
        autostart=item.get("autostart"),
        remove_disks=bool(item.get("remove_disks")),
        transient=transient,
    )


def _check_transient(name: str, item: Mapping[str, Any]) -> None:
    state = item.get("state") or "present"
    if state not in ("running", "paused"):
        raise LabError(
            "domain '%s' is to be transient and %s: it is there only while it runs: give state running or paused"
            % (name, state)
        )
    if item.get("autostart"):
        raise LabError(
            "domain '%s' is to be transient, and starts with its host: leave out transient or autostart" % name
        )


def _xml(item: Mapping[str, Any]) -> Optional[ET.Element]:
    if item.get("xml") is None:
        return None
    what = "the xml of domain '%s'" % item["name"] if item.get("name") else "the xml of a domain"
    element = parse(item["xml"], what)
    if element.tag != "domain":
        raise LabError("%s has the root <%s>: give a <domain>" % (what, element.tag))
    if not element.get("type"):
        raise LabError("%s does not say by what it runs: give <domain type='kvm'> or 'qemu'" % what)
    named = (element.findtext("name") or "").strip()
    if item.get("name") and named and named != item["name"]:
        raise LabError("%s has the name '%s': leave one of the two out, or make them equal" % (what, named))
    return element


def _complete(xml: ET.Element, name: str, identity: Optional[str], owner: Optional[str]) -> Optional[str]:
    """Put into the XML what the options beside it say; returns the UUID of either."""
    if xml.find("name") is None:
        ET.SubElement(xml, "name").text = name
    _translate_dependencies(xml)
    named = _uuid(name, (xml.findtext("uuid") or "").strip() or None)
    if identity and named and identity != named:
        raise LabError(
            "domain '%s' has the uuid %s and in its xml %s: leave one of the two out" % (name, identity, named)
        )
    if owner is not None:
        metadata = xml.find("metadata")
        if metadata is None:
            metadata = ET.SubElement(xml, "metadata")
        for label in [child for child in metadata if child.tag.startswith("{%s}" % OWNER_NAMESPACE)]:
            metadata.remove(label)
        metadata.extend(owner_metadata(owner))
    return identity or named


def _translate_dependencies(xml: ET.Element) -> None:
    """Put what <domaindependency> says where libvirt keeps it: in the metadata."""
    try:
        named = document.take_seeds(xml)
        declared = document.of_definition(xml)
    except DependencyError as error:
        raise LabError(str(error)) from error
    if not named:
        return
    kept = [one for one in declared if one.name not in [new.name for new in named]]
    metadata = xml.find("metadata")
    if metadata is None:
        metadata = ET.SubElement(xml, "metadata")
    for root in metadata.findall(document.ROOT):
        metadata.remove(root)
    metadata.append(document.element([*kept, *named]))


def _uuid(name: str, text: Optional[str]) -> Optional[str]:
    if text is None:
        return None
    try:
        return str(uuid.UUID(text))
    except ValueError as error:
        raise LabError(
            "domain '%s' has the uuid '%s', which is none: correct it, or leave it out" % (name, text)
        ) from error


def _template(name: str, identity: Optional[str], item: Mapping[str, Any]) -> Template:
    for option in ("memory_mb", "vcpus"):
        if item.get(option) is not None and item[option] < 1:
            raise LabError("domain '%s' has %s %s: give 1 or more" % (name, option, item[option]))
    disks, nics = item.get("disks"), item.get("nics")
    boot = item.get("boot")
    if boot is not None and len(set(boot)) != len(boot):
        raise LabError("domain '%s' has a boot device twice in %s: name each once" % (name, ", ".join(boot)))
    return Template(
        name=name,
        uuid=identity,
        memory_mb=item.get("memory_mb"),
        vcpus=item.get("vcpus"),
        type=item.get("type") or "auto",
        arch=item.get("arch"),
        machine=item.get("machine"),
        firmware=item.get("firmware"),
        boot=None if boot is None else tuple(boot),
        disks=None if disks is None else tuple(_disk(name, index, disk) for index, disk in enumerate(disks)),
        nics=None if nics is None else tuple(_nic(name, index, nic) for index, nic in enumerate(nics)),
        graphics=item.get("graphics"),
        owner=item.get("owner"),
    )


def _disk(name: str, index: int, disk: Dict[str, Any]) -> Disk:
    what = "disk %d of domain '%s'" % (index, name)
    path, device, size = disk.get("path"), disk.get("device") or "disk", disk.get("size_gb")
    volume_options = [option for option in ("size_gb", "backing_file", "name") if disk.get(option) is not None]
    if (path is not None or device == "cdrom") and volume_options:
        raise LabError(
            "%s is %s, and has %s, which is for disks to be made: leave that out, or the path"
            % (what, "a CD drive" if device == "cdrom" else "the existing " + str(path), " and ".join(volume_options))
        )
    if path is not None and not path.startswith("/"):
        raise LabError("%s has the path '%s': give an absolute one" % (what, path))
    size_bytes = None
    if size is not None:
        size_bytes = math.ceil(size * (1 << 20)) << 10  # whole KiB, so that every format can have just this size
        if size_bytes < _MIN_DISK:
            raise LabError("%s has size_gb %s: give at least 0.001" % (what, size))
    kind = disk.get("format") or ("raw" if device == "cdrom" else "qcow2")
    if kind == "raw" and disk.get("backing_file") is not None:
        raise LabError("%s has a backing_file, which a raw disk can't: leave out 'format: raw'" % what)
    suffix = "img" if kind == "raw" else kind
    return Disk(
        volume=disk.get("name") or "%s-%d.%s" % (name, index, suffix),
        pool=disk.get("pool") or "default",
        size=size_bytes,
        format=kind,
        backing_file=disk.get("backing_file"),
        backing_format=disk.get("backing_format") or "qcow2",
        path=path,
        device=device,
        bus=disk.get("bus"),
        cache=disk.get("cache"),
    )


def _nic(name: str, index: int, nic: Dict[str, Any]) -> Nic:
    what = "NIC %d of domain '%s'" % (index, name)
    kinds = [kind for kind in ("network", "bridge", "user") if nic.get(kind)]
    if len(kinds) != 1:
        raise LabError(
            "%s has %s: give one of network, bridge and user" % (what, " and ".join(kinds) or "no connection")
        )
    mac = nic.get("mac")
    return Nic(
        kind=kinds[0],
        source=None if kinds[0] == "user" else nic[kinds[0]],
        mac=None if mac is None else _mac(what, mac),
        model=nic.get("model") or "virtio",
        pxe=nic.get("pxe"),
    )


def _mac(what: str, text: str) -> str:
    mac = text.lower().replace("-", ":")
    if text.isdigit():
        raise LabError(
            "%s has the MAC address %s: put it in quotes, or YAML reads digits and colons as a number" % (what, text)
        )
    if not _MAC.match(mac):
        raise LabError("%s has the MAC address '%s': give six bytes like 52:54:00:12:34:56" % (what, text))
    if int(mac[:2], 16) & 1:
        raise LabError("%s has the multicast MAC address '%s': give one with an even first byte" % (what, text))
    return mac


def _refuse_doubles(wanted: List[Request]) -> None:
    """No two domains of a name, no two NICs of a MAC address, no two disks of a volume."""
    names: Set[str] = set()
    addresses: Dict[str, str] = {}
    volumes: Dict[str, str] = {}
    for request in wanted:
        if request.name in names:
            raise LabError("domain '%s' is in the list twice: name it once" % request.name)
        names.add(request.name)
        if request.state == "absent":
            continue
        for mac in request.macs:
            _claim(addresses, mac, request.name, "MAC address %s" % mac, "one of the NICs another address, or none")
        for disk in request.disks:
            if disk.is_volume:
                volume = "volume '%s' of pool '%s'" % (disk.volume, disk.pool)
                _claim(volumes, volume, request.name, volume, "one of the disks another name")


def _claim(taken: Dict[str, str], key: str, name: str, what: str, remedy: str) -> None:
    if key in taken:
        raise LabError("%s is wanted by domain '%s' and again by '%s': give %s" % (what, taken[key], name, remedy))
    taken[key] = name
