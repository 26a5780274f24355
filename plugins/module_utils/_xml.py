# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""XML in and out: parsing with prefixes kept, serialising with an indent, secrets masked. Pure.

Used by everything here that reads or writes a domain's definition.
"""

from __future__ import annotations

import copy
import io
import re
import xml.etree.ElementTree as ET
from typing import List, Tuple

from ansible_collections.baremetal.lab.plugins.module_utils._errors import LabError

MASK = "********"

_SECRET_ATTRIBUTES = frozenset([("graphics", "passwd")])
_SECRET_TEXTS = frozenset(["cookie", "dhCert", "session"])
_PLACEHOLDER = "namespaced-part-"
_GENERATED_PREFIX = re.compile(r"ns\d+$")


def parse(text: str, what: str) -> ET.Element:
    """The root element of `text`; `what` names the document in the LabError for one that isn't well-formed."""
    try:
        # The prefixes that a person chose are kept for the output: libvirt stores them, and a diff shows them.
        for _event, namespace in ET.iterparse(io.StringIO(text), ["start-ns"]):
            prefix, uri = namespace
            if prefix and not _GENERATED_PREFIX.match(prefix):
                ET.register_namespace(prefix, uri)
        return ET.fromstring(text)
    except (ET.ParseError, ValueError) as error:
        raise LabError("%s is no well-formed XML (%s): correct it there" % (what, error)) from error


def text_of(element: ET.Element) -> str:
    """The element as indented text, each namespace declared where it begins. The element is left as it was."""
    indented = copy.deepcopy(element)
    _indent(indented, "\n")
    # ElementTree declares every namespace at the root, and libvirt stores what it is given: tools that look for
    # their own element as they wrote it would not find it again.
    parts = _cut_namespaces(indented)
    text = ET.tostring(indented, encoding="unicode")
    for number, part in enumerate(parts):
        text = text.replace("<%s%d />" % (_PLACEHOLDER, number), ET.tostring(part, encoding="unicode"))
    return text + "\n"


def canonical(element: ET.Element) -> str:
    """A text that is equal for elements that mean the same: no matter of whitespace, prefixes or attribute order."""
    bare = copy.deepcopy(element)
    bare.tail = None
    return ET.canonicalize(
        ET.tostring(bare, encoding="unicode"), strip_text=True, rewrite_prefixes=True, with_comments=False
    )


def one_line(element: ET.Element) -> str:
    """The element as a text without a line break."""
    bare = copy.deepcopy(element)
    bare.tail = None
    for part in bare.iter():
        part.text = (part.text or "").strip() or None
        part.tail = None
    return ET.tostring(bare, encoding="unicode")


def masked(element: ET.Element) -> ET.Element:
    """A copy without secrets, fit for a diff or a result."""
    safe = copy.deepcopy(element)
    for part in safe.iter():
        for attribute in list(part.attrib):
            if is_secret(part.tag, attribute):
                part.set(attribute, MASK)
        if is_secret(part.tag) and part.text:
            part.text = MASK
    return safe


def is_secret(tag: str, attribute: str = "") -> bool:
    """Whether an element's attribute (or its text, without `attribute`) is nothing to show."""
    return (tag, attribute) in _SECRET_ATTRIBUTES if attribute else tag in _SECRET_TEXTS


def leaf(element: ET.Element, path: str) -> Tuple[bool, str]:
    """Whether there is a value at `path` (child/child/@attribute, or child for a text), and which."""
    element_path, _at, attribute = path.partition("@")
    found = element.find(element_path.rstrip("/")) if element_path else element
    if found is None:
        return False, ""
    value = found.get(attribute) if attribute else (found.text or "").strip()
    return value is not None, value or ""


def _cut_namespaces(element: ET.Element) -> List[ET.Element]:
    """Put a placeholder for each outermost descendant with a namespace; returns these in their order."""
    parts: List[ET.Element] = []
    waiting = [element]
    while waiting:
        parent = waiting.pop()
        for position, child in enumerate(list(parent)):
            if not child.tag.startswith("{"):
                waiting.append(child)
                continue
            parent[position] = ET.Element("%s%d" % (_PLACEHOLDER, len(parts)))
            parent[position].tail, child.tail = child.tail, None
            parts.append(child)
    return parts


def _indent(element: ET.Element, separator: str) -> None:
    children = list(element)
    if not children:
        return
    if not (element.text or "").strip():
        element.text = separator + "  "
    for child in children:
        _indent(child, separator + "  ")
        child.tail = separator + "  "
    children[-1].tail = separator
