# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Merge one element of a definition with the wanted one, and note each difference. Pure; used by _domain_xml."""

from __future__ import annotations

import copy
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import AbstractSet, Dict, FrozenSet, List, Optional, Tuple

from ansible_collections.baremetal.lab.plugins.module_utils import _domain_rules as rules
from ansible_collections.baremetal.lab.plugins.module_utils._domain_normal import same_value
from ansible_collections.baremetal.lab.plugins.module_utils._xml import (
    MASK,
    canonical,
    is_secret,
    leaf,
    masked,
    one_line,
)


@dataclass(frozen=True)
class Difference:
    """One thing that is not as wanted; `before` is None for what is missing, `after` for what has to go."""

    path: str
    before: Optional[str]
    after: Optional[str]


class Merger:
    """Merges elements and gathers the differences.

    `settings`: whether what is never filled in by libvirt goes where the wanted element lacks it.
    `running`: whether the current definition is the one that a running machine has.
    """

    def __init__(self, settings: bool, running: bool) -> None:
        self.settings = settings
        self.running = running
        self.devices_boot_as_wanted = False
        """Whether a device that is to have no <boot order> must lose the one it has."""
        self.differences: List[Difference] = []

    def note(self, path: str, before: Optional[str], after: Optional[str]) -> None:
        self.differences.append(Difference(path, before, after))

    def trial(self) -> Merger:
        """A merger of the same mind, whose differences count for nothing."""
        other = Merger(self.settings, self.running)
        other.devices_boot_as_wanted = self.devices_boot_as_wanted
        return other

    def element(
        self, current: ET.Element, wanted: ET.Element, rule: str, path: str, skip: AbstractSet[str] = frozenset()
    ) -> ET.Element:
        """`current` with all that `wanted` names; `rule` is the path in the tables, `path` the one to show."""
        merged = _without_followers(current, wanted, rule)
        gone = self._never_filled_in(rule, current)
        for name, value in wanted.attrib.items():
            before = merged.get(name)
            if before is None or not same_value(wanted.tag, name, before, value):
                self._note_value(_join(path, "@" + name), wanted.tag, name, current.get(name), value)
                merged.set(name, value)
        for name in [name for name in merged.attrib if name not in wanted.attrib and "@" + name in gone]:
            self._note_value(_join(path, "@" + name), wanted.tag, name, merged.attrib.pop(name), None)
        self._merge_text(merged, wanted, path)
        self._merge_children(merged, wanted, rule, path, gone, skip)
        return merged

    def _never_filled_in(self, rule: str, current: ET.Element) -> FrozenSet[str]:
        gone: FrozenSet[str] = frozenset()
        if self.settings:
            gone = rules.NEVER_FILLED_IN.get(rule, frozenset())
            if rule == "devices/disk" and current.get("device") == "disk":
                gone |= {"readonly"}  # a CD drive always gets one
            if self.running:
                gone -= rules.FILLED_IN_WHILE_RUNNING.get(rule, frozenset())
                gone = frozenset(name for name in gone if not name.startswith("@"))
        if self.devices_boot_as_wanted and rule.startswith("devices/") and rule.count("/") == 1:
            gone |= {"boot"}
        return gone

    def _merge_text(self, merged: ET.Element, wanted: ET.Element, path: str) -> None:
        before, after = (merged.text or "").strip(), (wanted.text or "").strip()
        if not after or len(wanted) or same_value(wanted.tag, "", before, after):
            return
        self._note_value(path, wanted.tag, "", before or None, after)
        merged.text = after

    def _merge_children(
        self, merged: ET.Element, wanted: ET.Element, rule: str, path: str, gone: FrozenSet[str], skip: AbstractSet[str]
    ) -> None:
        names = [child.tag for child in wanted if child.tag not in skip]
        for tag in dict.fromkeys(names):
            child_rule, child_path = _join(rule, tag), _join(path, tag)
            pairs, left = _pairs(merged.findall(tag), wanted.findall(tag), tag)
            for old, new in pairs:
                label = _label(new, tag)
                if old is None:
                    self.note(child_path + label, None, shown(new))
                    _insert(merged, copy.deepcopy(new))
                elif tag in rules.OPAQUE:
                    self._replace(merged, old, new, child_path)
                else:
                    position = list(merged).index(old)
                    merged[position] = self.element(old, new, child_rule, child_path + label)
            if tag in gone:
                self._remove(merged, left, child_path)
        for tag in sorted(gone.difference(names, skip)):
            if tag.startswith("@"):
                continue
            self._remove(merged, merged.findall(tag), _join(path, tag))

    def _replace(self, parent: ET.Element, old: ET.Element, new: ET.Element, path: str) -> None:
        if canonical(old) == canonical(new):
            return
        self.note(path, shown(old), shown(new))
        parent[list(parent).index(old)] = copy.deepcopy(new)

    def _remove(self, parent: ET.Element, children: List[ET.Element], path: str) -> None:
        for child in children:
            self.note(path + _label(child, child.tag), shown(child), None)
            parent.remove(child)

    def _note_value(self, path: str, tag: str, attribute: str, before: Optional[str], after: Optional[str]) -> None:
        if is_secret(tag, attribute):
            before = None if before is None else MASK
            after = after if after is None else MASK if before is None else MASK + " (changed)"
        self.note(path, before, after)


def shown(element: ET.Element) -> str:
    """An element as the value of a difference: its text, or itself where there is more to it. No secrets."""
    safe = masked(element)
    if not safe.attrib and not len(safe) and (safe.text or "").strip():
        return (safe.text or "").strip()
    return one_line(safe)


def _join(path: str, name: str) -> str:
    return path + "/" + name if path else name


def _label(element: ET.Element, tag: str) -> str:
    key = element.get(rules.KEYS.get(tag, ""), "")
    return "[%s]" % key if key else ""


def _pairs(
    current: List[ET.Element], wanted: List[ET.Element], tag: str
) -> Tuple[List[Tuple[Optional[ET.Element], ET.Element]], List[ET.Element]]:
    """Wanted elements with the current one of the same key or position, and the current ones without a wanted one."""
    key = rules.KEYS.get(tag)
    if key is None or any(element.get(key) is None for element in wanted):
        padded: List[Optional[ET.Element]] = [*current, *([None] * len(wanted))]
        return list(zip(padded, wanted)), current[len(wanted) :]
    by_key: Dict[str, ET.Element] = {element.get(key, ""): element for element in current}
    pairs = [(by_key.pop(element.get(key, ""), None), element) for element in wanted]
    return pairs, list(by_key.values())


def _insert(parent: ET.Element, child: ET.Element) -> None:
    """Put `child` behind its like, or last."""
    like = [position for position, other in enumerate(parent) if other.tag == child.tag]
    parent.insert(like[-1] + 1 if like else len(parent), child)


def _without_followers(current: ET.Element, wanted: ET.Element, rule: str) -> ET.Element:
    """A copy of `current` without what belonged to a value that `wanted` changes."""
    result = copy.deepcopy(current)
    for where, decisive, followers in rules.FOLLOWERS:
        if where != rule:
            continue
        (was_given, before), (is_given, after) = leaf(current, decisive), leaf(wanted, decisive)
        if not (was_given and is_given) or before == after:
            continue
        for follower in followers:
            _drop(result, follower)
    return result


def _drop(element: ET.Element, name: str) -> None:
    if name == "*":
        element.attrib.clear()
        element[:] = []
    elif name.startswith("@"):
        element.attrib.pop(name[1:], None)
    else:
        for child in element.findall(name):
            element.remove(child)
