# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documents as the text of a file, and their passwords masked where somebody looks. Pure; the action lab_export's."""

from __future__ import annotations

import json
import re
from typing import Any, Dict, List

import yaml

MASK = "********"
SECRETS = ("ipmi_password", "redfish_password", "password", "power_pass", "bmc_password")
"""Keys whose values are never shown: those of lab_formats."""


_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9/._-]*")
"""Text that no reader of YAML takes for a number; of other text they differ (Kubernetes reads 1e3 as one)."""


class _Unsafe(str):
    """Text that Ansible is not to take for a template."""


class _Dumper(yaml.SafeDumper):
    """YAML with Ansible's tag for text that is no template, and lists indented as people write them."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def represent_text(self, text: str) -> yaml.ScalarNode:
        tag = "!unsafe" if isinstance(text, _Unsafe) else "tag:yaml.org,2002:str"
        return self.represent_scalar(tag, str(text), style=None if _PLAIN.fullmatch(text) else '"')


class _Loader(yaml.SafeLoader):
    """The same read again."""

    def read_unsafe(self, node: yaml.ScalarNode) -> _Unsafe:
        return _Unsafe(node.value)


_Dumper.add_representer(str, _Dumper.represent_text)
_Dumper.add_representer(_Unsafe, _Dumper.represent_text)
_Loader.add_constructor("!unsafe", _Loader.read_unsafe)


def write(document: Any, file: str) -> str:
    """The text of a file of that name: JSON or YAML, a list in YAML as several documents."""
    # Once through JSON, since variables of Ansible come as types of its own.
    plain = json.loads(json.dumps(document))
    if file.endswith(".json"):
        return json.dumps(plain, indent=2, ensure_ascii=False) + "\n"
    # A list is manifests; a document by itself is an inventory, which is templated when it is read.
    documents = plain if isinstance(plain, list) else [_no_templates(plain)]
    text: str = yaml.dump_all(
        documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=float("inf"), explicit_start=True
    )
    return text


def shown(text: str, file: str) -> str:
    """`text` of a file of that name, with passwords masked; of text that can't be read nothing but that."""
    try:
        documents = [json.loads(text)] if file.endswith(".json") else list(yaml.load_all(text, Loader=_Loader))
    except (ValueError, yaml.YAMLError):
        return "(not a file that was exported)\n" if text else ""
    masked = [_masked(document) for document in documents]
    return write(masked[0] if len(masked) == 1 else masked, file) if masked else ""


def _no_templates(value: Any) -> Any:
    """With text that might be taken for a template, such as a password, marked as none."""
    if isinstance(value, dict):
        return {key: _no_templates(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_no_templates(item) for item in value]
    return _Unsafe(value) if isinstance(value, str) and "{" in value else value


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        masked: Dict[Any, Any] = {key: MASK if key in SECRETS else _masked(item) for key, item in value.items()}
        return masked
    if isinstance(value, list):
        items: List[Any] = [_masked(item) for item in value]
        return items
    return value
