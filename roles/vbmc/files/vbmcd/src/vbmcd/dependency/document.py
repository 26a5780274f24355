# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dependencies as XML: our element in a domain's <metadata>, and the <domaindependency> of a device list. Pure.

    <dep:dependencies xmlns:dep="urn:baremetal.lab:dependencies:1">
      <dep:domain uuid="..." name="dsp-1" order="after" signals="start destroy"/>
      <dep:domain file="/srv/dsp-2.xml" name="dsp-2"/>
    </dep:dependencies>

All stand under one root, since libvirt keeps but the first of two roots of a namespace. An attribute that is left
out has its default.
"""

from __future__ import annotations

import os
import stat
import uuid as uuids
import xml.etree.ElementTree as ET
from typing import Iterable, List, Optional, Tuple

from .model import ALL_SIGNALS, CHOICES, DEFAULTS, Dependency, DependencyError, Signal

NAMESPACE = "urn:baremetal.lab:dependencies:1"
PREFIX = "dep"
ROOT = "{%s}dependencies" % NAMESPACE
ITEM = "{%s}domain" % NAMESPACE
SEED = "domaindependency"
"""What domain XML may have among its devices: the path of another domain's XML."""
_MAX_FILE = 1 << 20

ET.register_namespace(PREFIX, NAMESPACE)


def element(dependencies: Iterable[Dependency]) -> ET.Element:
    """The root element for a domain's <metadata>."""
    root = ET.Element(ROOT)
    for dependency in dependencies:
        attributes = {"uuid": dependency.uuid, "file": dependency.file, "name": dependency.name}
        item = ET.SubElement(root, ITEM, {key: value for key, value in attributes.items() if value})
        for attribute, default in DEFAULTS.items():
            value = getattr(dependency, attribute)
            if value != default:
                item.set(attribute.replace("_", "-"), value)
        if dependency.signals != ALL_SIGNALS:
            item.set("signals", " ".join(signal.value for signal in Signal if signal in dependency.signals))
    return root


def bare(root: ET.Element) -> str:
    """The root as libvirt's setMetadata takes it, which declares the namespace itself."""
    copy = ET.fromstring(ET.tostring(root))
    for part in copy.iter():
        part.tag = part.tag.replace("{%s}" % NAMESPACE, "")
    return ET.tostring(copy, encoding="unicode")


def parse(text: Optional[str], name: str) -> Tuple[Dependency, ...]:
    """The dependencies of domain `name` in its metadata, as getMetadata returns it or as a whole root element.

    Raises DependencyError for what somebody wrote there that can't be meant.
    """
    if not text:
        return ()
    try:
        return of_root(ET.fromstring(text), name)
    except ET.ParseError as error:
        raise _broken(name, "is no well-formed XML (%s)" % error) from error


def of_root(root: ET.Element, name: str) -> Tuple[Dependency, ...]:
    return tuple(_dependency(item, name) for item in root if item.tag in (ITEM, "domain"))


def of_definition(definition: ET.Element) -> Tuple[Dependency, ...]:
    """The dependencies in a definition's <metadata>."""
    root = definition.find("metadata/" + ROOT)
    return () if root is None else of_root(root, (definition.findtext("name") or "").strip())


def _dependency(item: ET.Element, name: str) -> Dependency:
    values = {attribute: item.get(attribute.replace("_", "-"), default) for attribute, default in DEFAULTS.items()}
    for attribute, value in values.items():
        if value not in CHOICES[attribute]:
            raise _broken(name, "has %s '%s', which is none of %s" % (attribute, value, ", ".join(CHOICES[attribute])))
    words = item.get("signals")
    try:
        signals = ALL_SIGNALS if words is None else frozenset(Signal(word) for word in words.split())
        identity = str(uuids.UUID(item.get("uuid", ""))) if item.get("uuid") else None
    except ValueError as error:
        raise _broken(name, "has a word that means nothing there (%s)" % error) from error
    target = item.get("name") or identity
    if not target or not (identity or item.get("file")):
        raise _broken(name, "has a dependency without uuid or file")
    return Dependency(target, identity, item.get("file"), signals=signals, **values)


def _broken(name: str, what: str) -> DependencyError:
    return DependencyError(
        "the dependencies in the metadata of domain '%s' can't be used: the element %s: "
        "correct it, or declare them anew with the module domain_dependency" % (name, what)
    )


def take_seeds(definition: ET.Element) -> Tuple[Dependency, ...]:
    """Take each <domaindependency> out of a definition's devices. Raises DependencyError for a file that can't be."""
    name = (definition.findtext("name") or "").strip()
    found: List[Dependency] = []
    for devices in definition.findall("devices"):
        for seed in devices.findall(SEED):
            found.append(of_file((seed.text or "").strip(), name))
            devices.remove(seed)
    return tuple(found)


def of_file(path: str, master: str) -> Dependency:
    """The dependency of `master` on the domain that a file describes. Raises DependencyError."""
    _text, definition = read_file(path, "domain '%s' depends on " % master)
    identity = (definition.findtext("uuid") or "").strip()
    return Dependency(
        (definition.findtext("name") or "").strip(), str(uuids.UUID(identity)) if identity else None, path
    )


def read_target(dependency: Dependency) -> str:
    """The domain XML of a dependency with a file. Raises DependencyError, also where it describes another domain now.

    What is made under another name than was declared would never be found again, and go on running.
    """
    text, definition = read_file(dependency.file or "")
    name = (definition.findtext("name") or "").strip()
    if name != dependency.name:
        raise DependencyError(
            "the file '%s' describes the domain '%s' now: correct it, or declare the dependency anew"
            % (dependency.file, name)
        )
    return text


def read_file(path: str, prefix: str = "") -> Tuple[str, ET.Element]:
    """The domain XML at `path`, and what it says. Raises DependencyError; `prefix` begins its message."""
    what = "%sthe file '%s', which " % (prefix, path)
    if not os.path.isabs(path):
        raise DependencyError(what + "is no absolute path: give one")
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # to open a pipe may take for ever
            raise DependencyError(what + "is no regular file: give the path of one")
        with open(path, "rb") as file:
            content = file.read(_MAX_FILE + 1)
        if len(content) > _MAX_FILE:
            raise DependencyError(what + "is larger than %d bytes: that is no domain XML" % _MAX_FILE)
        text = content.decode("utf-8")
        definition = ET.fromstring(text)
    except OSError as error:
        raise DependencyError(what + "can't be read (%s): put it on this host, readable" % error.strerror) from error
    except (ET.ParseError, ValueError) as error:
        raise DependencyError(what + "is no well-formed XML (%s): correct it" % error) from error
    if definition.tag != "domain" or not (definition.findtext("name") or "").strip():
        raise DependencyError(what + "is no domain XML with a <name>: give one that is")
    if definition.get("type") not in ("qemu", "kvm"):
        raise DependencyError(what + "is of type '%s': it has to be QEMU's (kvm or qemu)" % definition.get("type"))
    if definition.find("devices/" + SEED) is not None or definition.find("metadata/" + ROOT) is not None:
        raise DependencyError(what + "has dependencies of its own: dependencies have one level: remove them there")
    identity = (definition.findtext("uuid") or "").strip()
    if identity and not _is_uuid(identity):
        raise DependencyError("%shas the uuid '%s', which is none: correct it" % (what, identity))
    return text, definition


def _is_uuid(text: str) -> bool:
    try:
        uuids.UUID(text)
    except ValueError:
        return False
    return True
